"""Mutation tests of lab 08, with answers that its declarations do not list."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from mutations import MutationTests

from moe_keras.gates import LabelGuidedGate, SoftmaxGate
from moe_keras.losses import guidance_loss
from moe_keras.mixtures import Combine
from moe_keras.runs import assignment_matrix
from moe_labs.exercises import lab08


def matrix_by_loops(groups):
    labels = {label for group in groups for label in group}
    return [[int(label in group) for group in groups] for label in sorted(labels)]


def matrix_by_one_hot(groups):
    num_labels = 1 + max(max(group) for group in groups)
    return ops.stack(
        [ops.sum(ops.one_hot(list(group), num_labels), axis=0) for group in groups], axis=1
    )


def in_their_order(groups):
    """Right for a split of 0, 1, 2, ... alone."""
    sizes = [len(group) for group in groups]
    matrix = np.zeros((1 + max(map(max, groups)), len(groups)))
    matrix[np.arange(sum(sizes)) % len(matrix), np.repeat(np.arange(len(groups)), sizes)] = 1
    return matrix


def of_size(labels, experts):
    def answer(groups):
        matrix = np.zeros((labels or 1 + max(map(max, groups)), experts or len(groups)))
        for expert, group in enumerate(groups):
            matrix[list(group), expert] = 1
        return matrix

    return answer


def rows_of(labels, matrix):
    return ops.take(matrix, labels, axis=0)


def wanted(labels, matrix):
    rows = rows_of(labels, matrix)
    return rows / ops.sum(rows, axis=1, keepdims=True)


def wanted_by_numpy(labels, matrix):
    return (matrix / matrix.sum(axis=1, keepdims=True))[np.asarray(labels)]


def wanted_in_a_loop(labels, matrix):
    return [[float(value / sum(matrix[label])) for value in matrix[label]] for label in labels]


def guidance(logits, wanted):
    return -ops.mean(ops.sum(wanted * ops.log_softmax(logits), axis=1))


def guidance_of_the_package(logits, wanted):
    return guidance_loss(ops.arange(len(wanted)), logits, wanted)


def guidance_of_keras(logits, wanted):
    return ops.mean(keras.losses.categorical_crossentropy(wanted, logits, from_logits=True))


def guidance_by_tf(logits, wanted):
    logarithms = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
    return tf.reduce_sum(-wanted * logarithms) / len(logits)


def pull(logits, wanted):
    return ops.softmax(logits) - wanted


def pull_in_numpy(logits, wanted):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True) - wanted


def pull_by_image(logits, wanted):
    return [ops.softmax(a) - t for a, t in zip(logits, wanted, strict=True)]


def pull_by_autodiff(logits, wanted):
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = guidance(logits, wanted) * len(wanted)
    return tape.gradient(loss, logits)


def trained(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    return keras.Model([images, labels], combined(weights, features, mixture))


def combined(weights, features, mixture):
    return Combine()(weights, [expert(features) for expert in mixture.experts])


def trained_by_hand(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    said = ops.stack([expert(features) for expert in mixture.experts], axis=1)
    return keras.Model([images, labels], ops.einsum("be,bec->bc", weights, said))


def trained_by_logits(images, features, mixture):
    labels = keras.Input((), name="labels", dtype="int32")
    weights = keras.layers.Softmax()(mixture.gate(features, labels)["logits"])
    terms = [weights[:, e, None] * expert(features) for e, expert in enumerate(mixture.experts)]
    return keras.Model(inputs=(images, labels), outputs=keras.layers.Add()(terms))


def with_weights(change):
    """Trained, but with other weights than those of the gate."""

    def answer(images, features, mixture):
        labels = keras.Input((), dtype="int32")
        weights = mixture.gate(features, labels)["probabilities"]
        weights = change(weights, labels, mixture)
        return keras.Model([images, labels], combined(weights, features, mixture))

    return answer


def not_guided(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features)["probabilities"] + 0 * ops.cast(labels, "float32")[:, None]
    return keras.Model([images, labels], combined(weights, features, mixture))


def leaking(weights, labels, mixture):
    return weights * rows_of(labels, np.array(mixture.gate.label_to_expert, "float32"))


def with_a_gate_of_its_own(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    matrix = mixture.gate.label_to_expert
    gate = LabelGuidedGate(SoftmaxGate(len(matrix[0])), matrix, guidance_weight=2.0)
    weights = gate(features, labels)["probabilities"]
    return keras.Model([images, labels], combined(weights, features, mixture))


def guided_twice(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = [mixture.gate(features, labels)["probabilities"] for _ in range(2)]
    weights = keras.layers.Average()(weights)
    return keras.Model([images, labels], combined(weights, features, mixture))


def guided_by_other_labels(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, ops.maximum(labels - 1, 0))["probabilities"]
    return keras.Model([images, labels], combined(weights, features, mixture))


def labels_first(images, features, mixture):
    model = trained(images, features, mixture)
    return keras.Model(model.inputs[::-1], model.output)


def without_labels(images, features, mixture):
    return keras.Model(images, mixture(features))


def only_two_experts(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"][:, :2]
    said = [expert(features) for expert in mixture.experts[:2]]
    return keras.Model([images, labels], Combine()(weights, said))


def experts_stopped(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    said = [ops.stop_gradient(expert(features)) for expert in mixture.experts]
    return keras.Model([images, labels], Combine()(weights, said))


def frozen(images, features, mixture):
    mixture.experts[0].trainable = False
    return trained(images, features, mixture)


def routed(table):
    heaviest = table.loc[table.groupby("sample")["weight"].idxmax()]
    return heaviest["assigned"].mean()


def routed_by_sorting(table):
    return table.sort_values("weight").groupby("sample").tail(1)["assigned"].mean()


def routed_in_a_loop(table):
    hits = []
    for sample in set(table["sample"]):
        own = table[table["sample"] == sample]
        hits.append(own["assigned"].to_numpy()[own["weight"].to_numpy().argmax()])
    return sum(hits) / len(hits)


def routed_by_pivot(table):
    weights = table.pivot(index="sample", columns="expert", values="weight").to_numpy()
    assigned = table.pivot(index="sample", columns="expert", values="assigned").to_numpy()
    return ops.mean(ops.cast(assigned[np.arange(len(weights)), weights.argmax(1)], "float32"))


def routed_in_place(table):
    table.sort_values("weight", inplace=True)
    return table.groupby("sample")["assigned"].last().mean()


def routed_by_rows(table):
    """Right only where an image's rows stand together."""
    experts = table["expert"].nunique()
    weights = table["weight"].to_numpy().reshape(-1, experts)
    assigned = table["assigned"].to_numpy().reshape(-1, experts)
    return assigned[np.arange(len(weights)), weights.argmax(axis=1)].mean()


RIGHT = {
    "assignment_matrix": [matrix_by_loops, matrix_by_one_hot, assignment_matrix],
    "wanted": [wanted, wanted_by_numpy, wanted_in_a_loop],
    "guidance": [guidance, guidance_of_the_package, guidance_of_keras, guidance_by_tf],
    "pull": [pull, pull_in_numpy, pull_by_image],
    "training_model": [trained, trained_by_hand, trained_by_logits],
    "routed": [routed, routed_by_sorting, routed_in_a_loop, routed_by_pivot],
}

WRONG = {
    "assignment_matrix": [
        in_their_order,
        of_size(10, None),
        of_size(None, 5),
        lambda groups: np.eye(4),
        lambda groups: 2 * assignment_matrix(groups),
        lambda groups: 1 - assignment_matrix(groups),
        lambda groups: assignment_matrix(sorted(groups)),
        lambda groups: assignment_matrix(groups[::-1]),
        lambda groups: assignment_matrix(groups)[::-1],
        lambda groups: assignment_matrix(groups).cumsum(axis=0) > 0,
        lambda groups: of_size(max(map(len, groups)) * len(groups), None)(groups),
        lambda groups: of_size(max(map(max, groups)), None)([[c - 1 for c in g] for g in groups]),
        lambda groups: assignment_matrix(groups).tolist()[0],
        lambda groups: assignment_matrix(groups) * np.arange(1, 1 + len(groups)),
        lambda groups: [list(group) for group in groups],
        lambda groups: assignment_matrix([range(min(g), 1 + max(g)) for g in groups]),
    ],
    "wanted": [
        lambda labels, matrix: wanted(len(matrix) - 1 - labels, matrix),
        lambda labels, matrix: wanted(np.sort(labels), matrix),
        lambda labels, matrix: wanted(np.unique(labels), matrix),
        lambda labels, matrix: matrix,
        lambda labels, matrix: wanted(labels, matrix).numpy().astype(int),
        lambda labels, matrix: wanted(labels, matrix)[:1] + 0 * wanted(labels, matrix),
        lambda labels, matrix: rows_of(labels, matrix) / 2,
        lambda labels, matrix: rows_of(labels, matrix) / ops.sum(rows_of(labels, matrix)),
        lambda labels, matrix: rows_of(labels, matrix) / ops.sum(rows_of(labels, matrix), axis=0),
        lambda labels, matrix: ops.transpose(wanted(labels, matrix)),
        lambda labels, matrix: ops.cumsum(wanted(labels, matrix), axis=1),
        lambda labels, matrix: wanted(labels, matrix) ** 2,
        lambda labels, matrix: wanted(np.arange(len(labels)) % len(matrix), matrix),
        lambda labels, matrix: rows_of(labels, matrix) / matrix.sum(axis=1).max(),
        lambda labels, matrix: np.ones((len(labels), 1)) * matrix.mean(axis=0),
    ],
    "guidance": [
        lambda a, t: ops.mean(ops.square(ops.softmax(a) - t)),
        lambda a, t: guidance(a, t)[None],
        lambda a, t: guidance(ops.stop_gradient(a), t),
        lambda a, t: np.float32(guidance(a, t)),
        lambda a, t: guidance(t, a),
        lambda a, t: guidance(a, t) / np.log(2).astype("float32"),
        lambda a, t: guidance(a, t) - guidance(ops.log(t + 1e-7), t),
        lambda a, t: guidance(a[:1], t[:1]),
        lambda a, t: guidance(a, ops.one_hot(ops.argmax(t, axis=-1), t.shape[1])),
        lambda a, t: guidance(a / 2, t),
        lambda a, t: -ops.mean(ops.sum(t * ops.log(ops.softmax(a) + 1e-7), axis=-1)),
        lambda a, t: keras.losses.binary_crossentropy(t, a, from_logits=True)[0],
        lambda a, t: -ops.median(ops.sum(t * ops.log_softmax(a), axis=-1)),
        lambda a, t: -ops.mean(ops.max(t * ops.log_softmax(a), axis=-1)),
        lambda a, t: guidance(ops.clip(a, -50, 50), t),
        lambda a, t: guidance(a, t / ops.sum(t, axis=0)),
    ],
    "pull": [
        pull_by_autodiff,
        lambda a, t: pull(a, t) ** 2,
        lambda a, t: ops.sum(pull(a, t), axis=-1),
        lambda a, t: ops.abs(pull(a, t)),
        lambda a, t: 2 * pull(a, t),
        lambda a, t: pull(a, t)[:1] + 0 * a,
        lambda a, t: ops.softmax(a) - ops.mean(t, axis=0),
        lambda a, t: ops.sigmoid(a) - t,
        lambda a, t: ops.log_softmax(a) - t,
        lambda a, t: ops.softmax(a - t),
        lambda a, t: ops.softmax(a) * (1 - ops.softmax(a)) * (ops.softmax(a) - t),
        lambda a, t: ops.one_hot(ops.argmax(a, axis=-1), a.shape[1]) - t,
        lambda a, t: pull(a, t) - ops.mean(pull(a, t), axis=0),
        lambda a, t: ops.clip(pull(a, t), -0.5, 0.5),
        lambda a, t: pull(ops.clip(a, -20, 1), t),
    ],
    "training_model": [
        not_guided,
        with_a_gate_of_its_own,
        guided_twice,
        guided_by_other_labels,
        labels_first,
        without_labels,
        only_two_experts,
        experts_stopped,
        frozen,
        lambda images, features, mixture: mixture,
        lambda images, features, mixture: None,
        lambda images, features, mixture: trained(images, features, mixture).output.numpy(),
        lambda images, features, mixture: trained(images, images, mixture),
        with_weights(leaking),
        with_weights(lambda weights, labels, mixture: 0 * weights + 1 / weights.shape[1]),
        with_weights(lambda weights, labels, mixture: ops.stop_gradient(weights)),
        with_weights(lambda weights, labels, mixture: ops.flip(weights, axis=1)),
        with_weights(lambda weights, labels, mixture: ops.softmax(weights)),
        with_weights(lambda weights, labels, mixture: ops.mean(weights, axis=0) + 0 * weights),
        with_weights(
            lambda weights, labels, mixture: (
                ops.one_hot(ops.argmax(weights, axis=-1), weights.shape[1]) + 0 * weights
            )
        ),
    ],
    "routed": [
        routed_in_place,
        routed_by_rows,
        lambda t: 0.8,
        lambda t: 100 * routed(t),
        lambda t: round(routed(t)),
        lambda t: routed(t.head(len(t) // 2)),
        lambda t: routed(t[t["label"] == t["prediction"]]),
        lambda t: (t["weight"] * t["assigned"]).groupby(t["sample"]).max().mean(),
        lambda t: t.loc[t["weight"].idxmax(), "assigned"],
        lambda t: t.groupby("sample")["assigned"].mean().mean(),
        lambda t: t.groupby("sample")["assigned"].last().mean(),
        lambda t: t[t["assigned"] == 1].groupby("sample")["weight"].sum().mean(),
        lambda t: t.loc[t.groupby("sample")["weight"].idxmax(), "assigned"].median(),
        lambda t: (t[t["assigned"] == 1]["weight"] > 1 / t["expert"].nunique()).mean(),
        lambda t: t.loc[t.groupby("sample")["weight"].idxmax()].groupby("label")["assigned"].mean(),
    ],
}


class TestLab08(MutationTests):
    lab, right, wrong = lab08, RIGHT, WRONG
