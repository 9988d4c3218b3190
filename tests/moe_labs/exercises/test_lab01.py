"""Mutation tests of lab 01, with answers that its declarations do not list."""

import copy
import functools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers, ops
from mutations import MutationTests

from moe_keras.experts import FrozenExpert, vgg
from moe_keras.gates import PerClassGate
from moe_keras.mixtures import Combine
from moe_labs.exercises import lab01

NATURAL, ARTIFICIAL = [2, 3, 4, 5, 6, 7], [0, 1, 8, 9]


def cnn(num_classes, *first, last="softmax", filters=8, middle=(), shape=(32, 32, 3)):
    return keras.Sequential(
        [
            keras.Input(shape),
            *(first or [layers.Rescaling(1 / 255)]),
            layers.Conv2D(filters, 3, activation="relu"),
            *middle,
            layers.GlobalMaxPooling2D(),
            layers.Dense(num_classes, activation=last),
        ]
    )


def functional_cnn(num_classes):
    images = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(images / 255.0)
    return keras.Model(images, layers.Dense(num_classes, activation="softmax")(layers.Flatten()(x)))


def cnn_without_input(num_classes, *more, last="softmax"):
    return keras.Sequential(
        [
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.2),
            layers.Dense(num_classes, kernel_initializer="zeros", activation=last),
            *more,
        ]
    )


class OwnCNN(keras.Model):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.head = layers.Dense(num_classes, activation="softmax")
        self.convolution = layers.Conv2D(8, 3, activation="relu")

    def call(self, images):
        x = self.convolution(ops.cast(images, "float32") / 127.5 - 1)
        return self.head(ops.max(x, axis=(1, 2)))

    def get_config(self):  # freezing by a copy needs it
        return {"num_classes": self.num_classes}


def no_convolution(num_classes):
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )


def frozen_filters(num_classes):
    model = cnn(num_classes)
    model.layers[1].trainable = False
    return model


@functools.cache
def one_convolution():
    """The same layer in every network."""
    return layers.Conv2D(3, 3)


class Apart(layers.Layer):
    """Compares each image with the batch's mean."""

    def call(self, x):
        return x - ops.mean(x, axis=0, keepdims=True)


class BlackOrWhite(layers.Layer):
    def call(self, x):
        return x // 255


class Cut(layers.Layer):
    def call(self, x):
        return ops.stop_gradient(x)


def group(labels):
    return np.isin(labels, ARTIFICIAL).astype(int)


def wide(p, ids, n):
    result = np.zeros((len(p), n))
    for column, class_id in enumerate(ids):
        result[:, class_id] = p[:, column]
    return result


def wide_by_ranks(p, ids, n):
    """Sorted twice: right where the order of ids is its own inverse."""
    return wide(p[:, np.argsort(np.argsort(ids))], sorted(ids), n)


def mix(w, o):
    return ops.sum(w[..., None] * o, axis=1)


def switch(g, n, a):
    return ops.where(g[:, :1] > g[:, 1:], n, a)


def frozen_functional(expert):
    inputs = keras.Input(expert.input_shape[1:])
    frozen = keras.Model(inputs, expert(inputs, training=False))
    frozen.trainable = False
    return frozen


class FrozenByHand(layers.Layer):
    def __init__(self, expert, training=False, frozen=True):
        super().__init__()
        self.expert, self.mode = expert, training
        self.expert.trainable = not frozen

    def call(self, inputs):
        return self.expert(inputs, training=self.mode)


class StillTrainable(layers.Layer):
    """No gradient reaches the expert, but weight decay does."""

    def __init__(self, expert):
        super().__init__()
        self.expert = expert

    def call(self, images):
        return ops.stop_gradient(self.expert(images, training=False))


class FirstAnswer(FrozenByHand):
    """Whatever it is shown, it says what it said first."""

    said = None

    def call(self, inputs):
        if self.said is None:
            self.said = super().call(inputs)
        return self.said


def without_dropout(expert):
    kept = [layer for layer in expert.layers if not isinstance(layer, layers.Dropout)]
    model = keras.Sequential([keras.Input(expert.input_shape[1:]), *kept])
    model.trainable = False
    return model


def frozen_copy(expert):
    copy = keras.models.clone_model(expert)
    copy.set_weights(expert.get_weights())
    return FrozenExpert(copy)


def flag_only(expert, which=slice(None)):
    for layer in expert.layers[which]:
        layer.trainable = False
    return expert


FIRST_EXPERT = []


def first_expert(expert):
    FIRST_EXPERT.append(expert)
    return FrozenExpert(FIRST_EXPERT[0])


def gate_class(weights, look=lambda features: features, **dense):
    """A gate layer: weights(logits), logits (B, C, E) from a dense layer of what it looks at."""

    class Gate(layers.Layer):
        def __init__(self, num_classes, num_experts, **kwargs):
            super().__init__(**kwargs)
            self.sizes = (num_classes, num_experts)
            self.dense = layers.Dense(num_classes * num_experts, **dense)

        def call(self, features):
            return weights(ops.reshape(self.dense(look(features)), (-1, *self.sizes)))

    return Gate


class GateWithBuild(layers.Layer):
    def __init__(self, num_classes, num_experts):
        super().__init__()
        self.sizes = (num_classes, num_experts)

    def build(self, shape):
        self.kernel = self.add_weight(shape=(*self.sizes, shape[-1]), initializer="glorot_uniform")

    def call(self, features):
        logits = tf.einsum("bd,ced->bce", tf.convert_to_tensor(features), self.kernel)
        return tf.exp(logits) / tf.reduce_sum(tf.exp(logits), axis=-1, keepdims=True)


class GateOfGates(layers.Layer):
    """A dense layer for each class, after a hidden one."""

    def __init__(self, num_classes, num_experts, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(32, activation="relu")
        self.gates = [layers.Dense(num_experts, activation="softmax") for _ in range(num_classes)]

    def call(self, features):
        return ops.stack([gate(self.hidden(features)) for gate in self.gates], axis=1)


class EinsumGate(layers.Layer):
    def __init__(self, num_classes, num_experts):
        super().__init__()
        self.dense = layers.EinsumDense(
            "bd,dce->bce", (num_classes, num_experts), bias_axes="ce", activation="softmax"
        )

    def call(self, features):
        return self.dense(features)


class SharedGate(layers.Layer):
    def __init__(self, num_classes, num_experts):
        super().__init__()
        self.classes, self.dense = num_classes, layers.Dense(num_experts, activation="softmax")

    def call(self, features):
        return ops.repeat(self.dense(features)[:, None], self.classes, axis=1)


@functools.cache
def shared_gate(num_classes, num_experts):
    """The same layer for all who ask for these sizes."""
    return EinsumGate(num_classes, num_experts)


class GateOfTheMoment(layers.Layer):
    def __init__(self, num_classes, num_experts):
        super().__init__()
        self.sizes = (num_classes, num_experts)

    def call(self, features):
        logits = layers.Dense(self.sizes[0] * self.sizes[1])(features)
        return ops.softmax(ops.reshape(logits, (-1, *self.sizes)))


def softmax_over_everything(logits):
    flat = ops.softmax(ops.reshape(logits, (ops.shape(logits)[0], -1)))
    return ops.reshape(flat, ops.shape(logits))


def sigmoid_pair(logits):
    first = ops.sigmoid(logits[..., :1] - logits[..., 1:])
    return ops.concatenate([first, 1 - first], axis=-1)


def combine(gate, said, weights=lambda w: w):
    return Combine()(weights(gate(ops.concatenate(said, axis=-1))["probabilities"]), said)


def combine_by_hand(gate, said):
    weights = gate(layers.Concatenate()(said))["probabilities"]
    return weights[:, :, 0] * said[0] + weights[:, :, 1] * said[1]


def new_gate(gate, said):
    return combine(PerClassGate(said[0].shape[1], 2), said)


def frozen_gate(gate, said):
    gate.trainable = False
    return combine(gate, said)


def interval(a, b, ddof=0, z=1.96):
    d = a.astype(float) - b
    margin = z * d.std(ddof=ddof) / np.sqrt(len(d))
    return d.mean(), d.mean() - margin, d.mean() + margin


def interval_in_a_loop(a, b):
    d = [int(x) - int(y) for x, y in zip(a, b, strict=True)]
    mean = sum(d) / len(d)
    error = (sum((x - mean) ** 2 for x in d) / len(d) / len(d)) ** 0.5
    return [mean, mean - 1.96 * error, mean + 1.96 * error]


def interval_by_counts(a, b):
    only_a, only_b, n = (a & ~b).sum(), (b & ~a).sum(), len(a)
    mean = (only_a - only_b) / n
    margin = 1.96 * np.sqrt(only_a + only_b - (only_a - only_b) ** 2 / n) / n
    return mean, mean - margin, mean + margin


def interval_about_0(a, b):
    """By the root of the mean square, which is no standard deviation unless the mean is 0."""
    d = a.astype(float) - b
    margin = 1.96 * np.sqrt((d**2).mean() / len(d))
    return d.mean(), d.mean() - margin, d.mean() + margin


def verdict(low, high):
    return "better" if low > 0 else "worse" if high < 0 else "cannot tell"


RIGHT = {
    "build_cnn": [
        cnn,
        functional_cnn,
        vgg,
        cnn_without_input,
        lambda n: cnn_without_input(n, layers.Softmax(), last=None),
        OwnCNN,
        lambda n: cnn(
            n,
            layers.RandomFlip(),
            layers.Rescaling(1 / 255),
            middle=[layers.SeparableConv2D(8, 3), layers.LayerNormalization()],
        ),
        lambda n: cnn(n, layers.Lambda(lambda x: ops.image.rgb_to_grayscale(x) / 255)),
        lambda n: cnn(n, layers.CenterCrop(28, 28), layers.Rescaling(1 / 255)),
    ],
    "to_group": [
        group,
        lambda y: np.where((y >= 2) & (y <= 7), 0, 1),
        lambda y: np.isin(y, ARTIFICIAL),
        lambda y: [0 if label in NATURAL else 1 for label in y],
        lambda y: ops.cast(ops.logical_or(y < 2, y > 7), "int32"),
        lambda y: y % 8 < 2,
        lambda y: pd.Series(y).isin(ARTIFICIAL).astype(int),
    ],
    "spread": [
        wide,
        lambda p, ids, n: p @ np.eye(n, dtype="float32")[list(ids)],
        lambda p, ids, n: ops.matmul(p, ops.one_hot(list(ids), n)),
        lambda p, ids, n: [
            [row[ids.index(c)] if c in ids else 0 for c in range(n)] for row in p.tolist()
        ],
        lambda p, ids, n: pd.DataFrame(p, columns=ids).reindex(columns=range(n), fill_value=0),
        lambda p, ids, n: wide(p[:, np.argsort(ids)], sorted(ids), n),
    ],
    "mixture": [
        mix,
        lambda w, o: ops.einsum("be,bec->bc", w, o),
        lambda w, o: ops.squeeze(ops.matmul(w[:, None], o), 1),
        lambda w, o: tf.reduce_sum(tf.expand_dims(w, -1) * o, axis=1),
        lambda w, o: sum(w[:, e, None] * o[:, e] for e in range(o.shape[1])),
        lambda w, o: [ops.matmul(w[i], o[i]) for i in range(len(o))],
        lambda w, o: ops.matmul(ops.transpose(o, (0, 2, 1)), ops.expand_dims(w, 2))[..., 0],
        lambda w, o: layers.Dot(axes=1)([ops.convert_to_tensor(w), ops.convert_to_tensor(o)]),
    ],
    "hard_switch": [
        switch,
        lambda g, n, a: np.where(np.argmax(g, axis=1)[:, None] == 0, n, a),
        lambda g, n, a: tf.where(tf.argmax(g, axis=1)[:, None] == 0, n, a),
        lambda g, n, a: np.array([n[i] if g[i, 0] > g[i, 1] else a[i] for i in range(len(n))]),
        lambda g, n, a: [n[i] if g[i, 0] >= 0.5 else a[i] for i in range(len(n))],
        lambda g, n, a: ops.round(g[:, :1]) * n + ops.round(g[:, 1:]) * a,
        lambda g, n, a: ops.where(ops.argmax(tf.convert_to_tensor(g), 1)[:, None] == 0, n, a),
    ],
    "freeze": [
        FrozenExpert,
        FrozenByHand,
        frozen_copy,
        without_dropout,
        lambda expert: layers.Lambda(lambda images: expert(images, training=False)),
    ],
    "ImportanceGate": [
        gate_class(lambda z: ops.softmax(z, axis=-1)),
        gate_class(ops.softmax, kernel_initializer="zeros"),
        GateWithBuild,
        GateOfGates,
        EinsumGate,
    ],
    "assemble": [
        combine,
        combine_by_hand,
        lambda gate, said: ops.sum(
            gate(ops.concatenate(said, axis=1))["probabilities"] * ops.stack(said, axis=-1), axis=-1
        ),
        lambda gate, said: Combine()(ops.softmax(gate(ops.hstack(said))["logits"]), said),
    ],
    "paired_interval": [
        interval,
        lambda a, b: np.array(interval(a, b, ddof=1)),
        interval_in_a_loop,
        lambda a, b: tuple(map(np.float32, interval(a, b))),
        interval_by_counts,
    ],
    "judge": [
        verdict,
        lambda low, high: "cannot tell" if low <= 0 <= high else "better" if low > 0 else "worse",
        lambda low, high: ["cannot tell", "better", "worse"][int(low > 0) - int(high < 0)],
        lambda low, high: "cannot tell" if low * high <= 0 else "better" if low > 0 else "worse",
    ],
}

WRONG = {
    "build_cnn": [
        lambda n: cnn(10),
        lambda n: cnn(n, last=None),
        lambda n: cnn(n, last="sigmoid"),
        lambda n: cnn(n, layers.Identity()),  # pixel values as they are
        lambda n: cnn(n, layers.Rescaling(255)),
        lambda n: cnn(n, layers.Rescaling(1 / 255**2)),
        no_convolution,
        frozen_filters,
        lambda n: cnn(n, middle=[Cut()]),
        lambda n: cnn(n, middle=[Apart()]),
        lambda n: cnn(n, layers.Rescaling(1 / 255), one_convolution()),  # of all networks
        lambda n: cnn(n, shape=(28, 28, 1)),
        lambda n: cnn(n, middle=[layers.Conv2D(400, 3, strides=8), layers.Conv2D(400, 3)]),
        lambda n: cnn(n, middle=[layers.Conv2D(4, 3)] * (n == 10)),
        lambda n: cnn(n, filters=2 * n),
        lambda n: keras.Sequential([cnn(n), layers.Softmax()]),
        lambda n: cnn(n + 1),
        lambda n: cnn(max(n, 10)),
        lambda n: [layers.Dense(n)],
        lambda n: layers.Dense(n),
        functools.cache(cnn),
        lambda n: cnn(n) if n > 2 else cnn(1, last="sigmoid"),
        lambda n: keras.Sequential([cnn(n, last="relu"), layers.Softmax()]),
        lambda n: keras.Sequential([cnn(n), layers.Dropout(0.5)]),
        lambda n: cnn(n, layers.Rescaling(1 / 127.5, offset=-127.5)),
        lambda n: cnn(n, BlackOrWhite()),
        *(
            lambda n, part=part: cnn(n, layers.Lambda(lambda x: x[part] / 255))
            for part in (np.s_[..., :1], np.s_[..., 1:], np.s_[:, :14], np.s_[:, :, 18:])
        ),
        lambda n: cnn(n, middle=[layers.Conv2D(8, 3, trainable=False)]),
    ],
    "to_group": [
        lambda y: np.isin(y, [0, 1, 2, 8, 9]).astype(int) + np.isin(y, [3]),
        lambda y: (y > 5).astype(int),
        lambda y: y % 2,
        lambda y: group(np.sort(y)),
        lambda y: 2 * group(y),
        lambda y: group(y) - 0.5,
        lambda y: group(y)[::-1],
        lambda y: np.where(group(y), "artificial", "natural"),
        lambda y: group(y)[:, None],
        lambda y: np.full(len(y), group(y)[0]),
        lambda y: np.flatnonzero(group(y)),
        lambda y: int(group(y).sum()),
        lambda y: np.zeros(len(y)),
        lambda y: 1 - 2 * group(y),
        lambda y: ~group(y),
        lambda y: np.resize(group(y[:10]), len(y)),
        lambda y: group(y) * np.isin(np.arange(len(y)), np.unique(y, return_index=True)[1]),
    ],
    "spread": [
        lambda p, ids, n: wide(p[:, ::-1], ids, n),
        lambda p, ids, n: wide(np.sort(p), ids, n),
        lambda p, ids, n: wide(p, ids, 10),
        lambda p, ids, n: wide(p, ids, n)[0],
        lambda p, ids, n: wide(p, ids, n).astype(int),
        lambda p, ids, n: wide(p, ids, n) + 1e-3,
        lambda p, ids, n: wide(p, ids, n)[::-1],
        lambda p, ids, n: np.full((len(p), n), np.nan) * (wide(p, ids, n) == 0),
        lambda p, ids, n: np.pad(p, ((0, 0), (n - p.shape[1], 0))),
        lambda p, ids, n: wide(p, [(c + 1) % n for c in ids], n),
        lambda p, ids, n: np.eye(n)[wide(p, ids, n).argmax(axis=1)],
        lambda p, ids, n: np.exp(wide(p, ids, n)) / np.exp(wide(p, ids, n)).sum(1)[:, None],
        lambda p, ids, n: wide(p, ids, max(ids) + 1),
        wide_by_ranks,
    ],
    "mixture": [
        lambda w, o: mix(w[:, ::-1], o),
        lambda w, o: mix(w[:1], o),
        lambda w, o: mix(w, o[:1]),
        lambda w, o: mix(w[:, :2], o[:, :2]),
        lambda w, o: ops.sum(o * w[:, None, :1], axis=1),
        lambda w, o: mix(ops.abs(w), o),
        lambda w, o: mix(w, o) / ops.sum(mix(w, o), axis=-1, keepdims=True),
        lambda w, o: w * o,
        lambda w, o: np.einsum("be,bec->bc", w, o),
        lambda w, o: mix(ops.stop_gradient(w), o),
        lambda w, o: np.asarray(mix(w, o)).astype(int),
        lambda w, o: mix(w, o)[:, :, None],
        lambda w, o: mix(w * w, o),
        lambda w, o: mix(ops.sort(w), o),
        lambda w, o: ops.softmax(mix(w, o)),
        lambda w, o: mix(w, o) * 0 + ops.mean(mix(w, o), axis=0),
        lambda w, o: mix(w[:, :4], o[:, :4]),
        lambda w, o: mix(2 * ops.stop_gradient(w) - w, o),  # the gradient has the wrong sign
    ],
    "hard_switch": [
        lambda g, n, a: ops.where(g[:, :1] > 0.3, n, a),
        lambda g, n, a: ops.where(g[:, :1] > 0.55, n, a),
        lambda g, n, a: switch(g, n, a)[::-1],
        lambda g, n, a: switch(g, n[:1], a),
        lambda g, n, a: switch(g, n, a) * ops.max(g, axis=1, keepdims=True),
        lambda g, n, a: (n + a) / 2,
        lambda g, n, a: ops.where(g[:, :1] > g[:, 1:], n, 0 * a),
        lambda g, n, a: ops.where(n > a, n, a),
        lambda g, n, a: np.where(g.argmax(axis=1)[:, None] == 0, n, a),  # a variable has none
        lambda g, n, a: ops.argmax(switch(g, n, a), axis=1),
        lambda g, n, a: ops.where(ops.any(g[:, :1] > 0.9), n, a),
        lambda g, n, a: ops.concatenate(
            [n[np.asarray(g)[:, 0] > 0.5], a[np.asarray(g)[:, 0] <= 0.5]]
        ),
        lambda g, n, a: np.asarray(switch(g, n, a)).round(),
        lambda g, n, a: ops.concatenate([n, a], axis=1),
        lambda g, n, a: ops.where(
            g[:, :1] * ops.max(n, 1, keepdims=True) > g[:, 1:] * ops.max(a, 1, keepdims=True), n, a
        ),
    ],
    "freeze": [
        lambda expert: expert,
        lambda expert: flag_only(expert, slice(-1, None)),
        lambda expert: flag_only(expert, slice(0, 2)),
        flag_only,
        frozen_functional,
        lambda expert: FrozenByHand(expert, frozen=False),
        lambda expert: FrozenByHand(expert, training=True),
        StillTrainable,
        lambda expert: FrozenExpert(keras.models.clone_model(expert)),
        lambda expert: FrozenExpert(keras.Sequential(expert.layers[:-1])),
        lambda expert: lambda images: expert(images, training=False),
        lambda expert: expert.get_weights(),
        first_expert,
        FirstAnswer,
    ],
    "ImportanceGate": [
        gate_class(softmax_over_everything),
        gate_class(lambda z: ops.softmax(z, axis=1)),
        gate_class(ops.sigmoid),
        gate_class(lambda z: z),
        gate_class(lambda z: ops.reshape(ops.softmax(z), (-1, z.shape[1] * z.shape[2]))),
        gate_class(lambda z: ops.softmax(ops.zeros_like(z))),
        gate_class(sigmoid_pair),  # for two experts only
        gate_class(lambda z: ops.one_hot(ops.argmax(z), z.shape[-1])),
        gate_class(lambda z: ops.softmax(ops.stop_gradient(z))),
        gate_class(lambda z: ops.softmax(z - ops.mean(z, axis=0))),
        gate_class(lambda z: ops.softmax(z) + 0 * z[:1], look=lambda x: x[:1] + 0 * x),
        gate_class(ops.softmax, look=lambda x: 0 * x),
        gate_class(ops.softmax, look=lambda x: x[:, :1]),
        gate_class(ops.softmax, look=lambda x: x[:, :-1]),
        gate_class(lambda z: ops.softmax(z) / z.shape[1]),
        gate_class(lambda z: ops.transpose(ops.softmax(z), (0, 2, 1))),
        gate_class(lambda z: ops.softmax(z).numpy()),
        gate_class(lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)),
        gate_class(lambda z: None),
        gate_class(lambda z: ops.ones_like(z) / z.shape[-1]),
        SharedGate,
        GateOfTheMoment,
        shared_gate,
        gate_class(ops.softmax, look=ops.round),
        gate_class(ops.softmax, look=ops.sort),
        PerClassGate,  # a dictionary
        lambda num_classes, num_experts: np.ones,
    ],
    "assemble": [
        new_gate,
        lambda gate, said: combine(gate, said, ops.stop_gradient),
        lambda gate, said: combine(gate, said, lambda w: (w + ops.stop_gradient(w)) / 2),
        lambda gate, said: combine(gate, said, lambda w: w[:, :1]),
        lambda gate, said: combine(gate, said, lambda w: w[:1] + 0 * w),
        lambda gate, said: combine(gate, said, lambda w: w * w),
        lambda gate, said: combine(gate, said, lambda w: ops.softmax(w, axis=1)),
        lambda gate, said: combine(gate, said, lambda w: ops.round(w)),
        lambda gate, said: combine(gate, [said[0], said[0]]),
        lambda gate, said: combine(gate, said)[::-1],
        lambda gate, said: ops.softmax(combine(gate, said)),
        lambda gate, said: combine(gate, said) / 2,
        lambda gate, said: gate(ops.concatenate(said, axis=-1)),
        lambda gate, said: combine(gate, [np.asarray(part) for part in said]),
        lambda gate, said: ops.argmax(combine(gate, said), axis=-1),
        lambda gate, said: said[0],
        frozen_gate,
        lambda gate, said: combine(lambda joined: FrozenExpert(gate)(joined), said),
        lambda gate, said: combine(copy.deepcopy(gate), said),
    ],
    "paired_interval": [
        lambda a, b: interval(a, b, z=1.645),
        lambda a, b: interval(a, b, z=2),
        lambda a, b: interval(a, b, z=2.58),
        lambda a, b: interval(a, b)[0],
        lambda a, b: interval(a, b)[1:],
        lambda a, b: interval(a[:100], b[:100]),
        lambda a, b: interval(np.sort(a), np.sort(b)),
        lambda a, b: interval(a != b, b & ~b),
        lambda a, b: tuple(map(abs, interval(a, b))),
        lambda a, b: (interval(a, b)[0], *np.quantile(a.astype(float) - b, [0.025, 0.975])),
        lambda a, b: (interval(a, b)[0], *np.array(interval(a, b)[1:]) - interval(a, b)[0]),
        lambda a, b: (np.median(a.astype(int) - b), *interval(a, b)[1:]),
        lambda a, b: (a.sum() - b.sum(), *interval(a, b)[1:]),
        lambda a, b: (0.1, 0.057, 0.143),
        interval_about_0,
        lambda a, b: interval(a[a | b], b[a | b]),
    ],
    "judge": [
        lambda low, high: "better" if low > 0.01 else "worse" if high < -0.01 else "cannot tell",
        lambda low, high: "better" if high > -low else "worse" if low < 0 else "cannot tell",
        lambda low, high: "cannot tell" if low < 0 < high else "better",
        lambda low, high: "cannot tell",
        lambda low, high: "Better" if low > 0 else "Worse" if high < 0 else "Cannot tell",
        lambda low, high: low > 0,
        lambda low, high: verdict(high, low),
        lambda low, high: verdict(low, low),
        lambda low, high: "worse" if high < 0 else "better",
        lambda low, high: verdict(low, high).replace("cannot tell", "can't tell"),
        lambda low, high: verdict(round(low, 2), round(high, 2)),
        lambda low, high: [verdict(low, high)],
        lambda low, high: (
            "cannot tell" if np.sign(low) != np.sign(high) else "better" if low > 0 else "worse"
        ),
        lambda low, high: None if verdict(low, high) == "cannot tell" else verdict(low, high),
    ],
}


def todo():
    raise NotImplementedError


class TestLab01(MutationTests):
    lab, right, wrong = lab01, RIGHT, WRONG

    @pytest.fixture(autouse=True)
    def seeded(self):
        keras.utils.set_random_seed(0)

    @pytest.mark.parametrize(
        "blank",
        [
            {"__init__": lambda self, num_classes, num_experts: todo()},
            {"build": lambda self, shape: todo()},
            {"call": lambda self, features: todo()},
        ],
    )
    def test_a_blank_method_is_not_attempted(self, blank, capsys):
        lab01.ImportanceGate.check(type("Gate", (GateWithBuild,), blank))
        assert "not attempted" in capsys.readouterr().out

    def test_numpy_in_a_gate_is_told(self, capsys):
        lab01.ImportanceGate.check(gate_class(lambda z: ops.softmax(z).numpy()))
        assert "no .numpy()" in capsys.readouterr().out

    def test_what_a_variable_lacks_is_told(self, capsys):
        lab01.hard_switch.check(lambda g, n, a: ops.where(ops.argmax(g, 1)[:, None] == 0, n, a))
        assert "gate = tf.convert_to_tensor(gate)" in capsys.readouterr().out

    def test_networks_without_input_are_built_for_the_lab(self):
        for make in (cnn_without_input, OwnCNN):
            build = lab01.build_cnn.check(make)
            first, second = build(10), build(10)
            second.set_weights(first.get_weights())

    def test_the_solution_follows_the_order_of_the_groups(self, monkeypatch, capsys):
        monkeypatch.setenv("MOE_KERAS_SOLUTIONS", "allowed")
        lab01.number_groups("artificial", "natural")
        lab01.to_group.solution()
        lab01.number_groups("natural", "artificial")
        lab01.to_group.solution()
        assert capsys.readouterr().out.count("0 for artificial") == 1
