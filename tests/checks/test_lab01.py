"""Mutation tests: right answers pass; plausible wrong ones fail and hear the right message."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from moe_keras.checks import lab01
from moe_keras.checks.exercise import Exercise
from moe_keras.experts import FrozenExpert, vgg
from moe_keras.gates import PerClassGate
from moe_keras.mixtures import Combine

NATURAL, ARTIFICIAL = [2, 3, 4, 5, 6, 7], [0, 1, 8, 9]


@pytest.fixture(autouse=True)
def seeded():
    """What a network says before any training depends on its random weights."""
    keras.utils.set_random_seed(0)


def cnn(num_classes, first=True, last="softmax", filters=8, shape=(32, 32, 3), conv=True):
    chain = [keras.Input(shape)]
    if first:
        chain.append(layers.Rescaling(1 / 255))
    if conv:
        chain += [layers.Conv2D(filters, 3, activation="relu"), layers.GlobalMaxPooling2D()]
    chain += [layers.Flatten(), layers.Dense(num_classes, activation=last)]
    return keras.Sequential(chain)


def functional_cnn(num_classes):
    images = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(images / 255.0)
    return keras.Model(images, layers.Dense(num_classes, activation="softmax")(layers.Flatten()(x)))


def put_first(probabilities, class_ids, num_classes):
    return np.pad(probabilities, ((0, 0), (0, num_classes - probabilities.shape[1])))


def in_sorted_order(probabilities, class_ids, num_classes):
    wide = np.zeros((len(probabilities), num_classes))
    wide[:, sorted(class_ids)] = probabilities
    return wide


def one_hot_spread(probabilities, class_ids, num_classes):
    return probabilities @ np.eye(num_classes)[list(class_ids)]


def spread_in_a_loop(probabilities, class_ids, num_classes):
    wide = np.zeros((len(probabilities), num_classes))
    for column, class_id in enumerate(class_ids):
        wide[:, class_id] = probabilities[:, column]
    return wide


def gate_class(weights, dense=True):
    """A gate layer whose weights come from `weights(logits)`, logits being (B, C, E)."""

    class Gate(layers.Layer):
        def __init__(self, num_classes, num_experts, **kwargs):
            super().__init__(**kwargs)
            self.shape = (num_classes, num_experts)
            self.dense = layers.Dense(num_classes * num_experts) if dense else None

        def call(self, features):
            if dense:
                logits = ops.reshape(self.dense(features), (-1, *self.shape))
            else:
                logits = ops.ones((ops.shape(features)[0], *self.shape)) * features[:, :1, None]
            return weights(logits)

    return Gate


class BlankGate(layers.Layer):
    def __init__(self, num_classes, num_experts, **kwargs):
        super().__init__(**kwargs)
        raise NotImplementedError


def softmax_over_everything(logits):
    flat = ops.softmax(ops.reshape(logits, (ops.shape(logits)[0], -1)))
    return ops.reshape(flat, ops.shape(logits))


def sigmoid_pair(logits):
    first = ops.sigmoid(logits[..., :1] - logits[..., 1:])
    return ops.concatenate([first, 1 - first], axis=-1)


def not_frozen(expert):
    return expert


def flag_only(expert):
    expert.trainable = False
    return expert


def last_layer_only(expert):
    expert.layers[-1].trainable = False
    return expert


def inference_only(expert):
    inputs = keras.Input((4, 4, 1))
    return keras.Model(inputs, expert(inputs, training=False))


def frozen_functional(expert):
    frozen = inference_only(expert)
    frozen.trainable = False
    return frozen


class FrozenByHand(layers.Layer):
    def __init__(self, expert):
        super().__init__()
        self.expert = expert
        self.trainable = False

    def call(self, inputs):
        return self.expert(inputs, training=False)


def another_network(expert):
    return FrozenExpert(keras.models.clone_model(expert))


def combine(gate, said):
    return Combine()(gate(ops.concatenate(said, axis=-1))["probabilities"], said)


def combine_by_hand(gate, said):
    weights = gate(layers.Concatenate()(said))["probabilities"]
    return weights[:, :, 0] * said[0] + weights[:, :, 1] * said[1]


def swapped_experts(gate, said):
    return Combine()(gate(ops.concatenate(said, axis=-1))["probabilities"], said[::-1])


def swapped_features(gate, said):
    return Combine()(gate(ops.concatenate(said[::-1], axis=-1))["probabilities"], said)


def uses_logits(gate, said):
    return Combine()(gate(ops.concatenate(said, axis=-1))["logits"], said)


def detached(gate, said):
    weights = ops.stop_gradient(gate(ops.concatenate(said, axis=-1))["probabilities"])
    return Combine()(weights, said)


def paired(a, b, ddof=0, z=1.96):
    d = a.astype(float) - b.astype(float)
    margin = z * d.std(ddof=ddof) / np.sqrt(len(d))
    return d.mean(), d.mean() - margin, d.mean() + margin


def unpaired(a, b):
    margin = 1.96 * np.sqrt((a.var() + b.var()) / len(a))
    d = a.mean() - b.mean()
    return d, d - margin, d + margin


def without_root_n(a, b):
    d = a.astype(float) - b.astype(float)
    return d.mean(), d.mean() - 1.96 * d.std(), d.mean() + 1.96 * d.std()


def bootstrap(a, b):
    from moe_keras.inspection import paired_interval

    return paired_interval(a, b)


def blank(*args, **kwargs):
    raise NotImplementedError


RIGHT = {
    "build_cnn": [cnn, functional_cnn, vgg],
    "to_group": [
        lambda labels: np.isin(labels, ARTIFICIAL).astype(int),
        lambda labels: np.where((labels >= 2) & (labels <= 7), 0, 1),
        lambda labels: np.isin(labels, ARTIFICIAL),
    ],
    "spread": [spread_in_a_loop, one_hot_spread],
    "mixture": [
        lambda weights, outputs: ops.sum(weights[..., None] * outputs, axis=1),
        lambda weights, outputs: np.einsum("be,bec->bc", weights, outputs),
        lambda weights, outputs: ops.squeeze(ops.matmul(weights[:, None], outputs), 1),
    ],
    "hard_switch": [
        lambda gate, natural, artificial: ops.where(gate[:, :1] > gate[:, 1:], natural, artificial),
        lambda gate, natural, artificial: np.where(
            gate.argmax(1)[:, None] == 0, natural, artificial
        ),
    ],
    "importance_gate": [
        gate_class(lambda logits: ops.softmax(logits, axis=-1)),
        gate_class(sigmoid_pair),
    ],
    "freeze": [FrozenExpert, FrozenByHand],
    "assemble": [combine, combine_by_hand],
    "paired_interval": [paired, lambda a, b: paired(a, b, ddof=1), bootstrap],
    "judge": [
        lambda low, high: "better" if low > 0 else ("worse" if high < 0 else "cannot tell"),
        lambda low, high: "cannot tell" if low <= 0 <= high else ("better" if low > 0 else "worse"),
    ],
}

WRONG = {
    "build_cnn": [
        (lambda num_classes: cnn(10), "still gives 10 classes"),
        (lambda num_classes: cnn(num_classes, last=None), "softmax missing"),
        (lambda num_classes: cnn(num_classes, first=False), "pixel values"),
        (lambda num_classes: cnn(num_classes, conv=False), "no convolution"),
        (lambda num_classes: cnn(num_classes, shape=(28, 28, 1)), "stopped with|ValueError"),
        (lambda num_classes: cnn(num_classes, filters=40_000), "parameters"),
        (lambda num_classes: [layers.Dense(num_classes)], "returns a list"),
    ],
    "to_group": [
        (lambda labels: np.isin(labels, NATURAL).astype(int), "polarity is inverted"),
        (lambda labels: np.isin(labels, [0, 1, 2, 8, 9]).astype(int), "'bird'"),
        (lambda labels: (labels > 5).astype(int), "wrong group"),
        (
            lambda labels: np.eye(2)[np.isin(labels, ARTIFICIAL).astype(int)],
            "one group for each label",
        ),
    ],
    "spread": [
        (put_first, r"With class_ids \(1, 3\)"),
        (in_sorted_order, r"With class_ids \(4, 0\)"),
        (lambda p, ids, n: spread_in_a_loop(p, ids, n).T, "of shape"),
        (lambda p, ids, n: spread_in_a_loop(p, ids, n)[0], "of shape"),
    ],
    "mixture": [
        (lambda weights, outputs: outputs.mean(axis=1), "weights are not used"),
        (lambda weights, outputs: ops.sum(weights[..., None] * outputs, axis=2), "of shape"),
        (lambda weights, outputs: ops.sum(outputs * weights[:, None, :1], axis=1), "0.25"),
        (lambda weights, outputs: ops.sum(weights[:, ::-1, None] * outputs, axis=1), "0.25"),
        (lambda weights, outputs: ops.max(weights[..., None] * outputs, axis=1), "0.25|right"),
        (lambda weights, outputs: weights * outputs, "stopped with"),
    ],
    "hard_switch": [
        (
            lambda gate, natural, artificial: ops.where(
                gate[:, :1] < gate[:, 1:], natural, artificial
            ),
            "polarity is inverted",
        ),
        (
            lambda gate, natural, artificial: gate[:, :1] * natural + gate[:, 1:] * artificial,
            "exactly one",
        ),
        (
            lambda gate, natural, artificial: ops.where(gate[:, :1] > 0.3, natural, artificial),
            "exactly one",
        ),
        (lambda gate, natural, artificial: natural, "exactly one"),
    ],
    "importance_gate": [
        (gate_class(softmax_over_everything), "classes and experts together"),
        (gate_class(lambda logits: ops.softmax(logits, axis=1)), "wrong axis"),
        (gate_class(ops.sigmoid), "must sum to 1 over the"),
        (gate_class(lambda logits: logits), "softmax missing"),
        (gate_class(lambda logits: ops.reshape(ops.softmax(logits), (-1, 6))), "of shape"),
        (gate_class(lambda logits: ops.softmax(ops.zeros_like(logits))), "same weights"),
        (
            gate_class(lambda logits: ops.softmax(logits * [1.0, 2.0]), dense=False),
            "does not move the gate",
        ),
        (lambda num_classes, num_experts: np.ones, "derives from"),
    ],
    "freeze": [
        (not_frozen, "moved"),
        (last_layer_only, "moved"),
        (inference_only, "moved"),
        (flag_only, "trainable = False does not"),
        (frozen_functional, "fit overrules"),
        (another_network, "same answers"),
        (lambda expert: None, "nothing to call"),
    ],
    "assemble": [
        (swapped_experts, "different orders"),
        (swapped_features, "joined in the order"),
        (lambda gate, said: (said[0] + said[1]) / 2, "plain average"),
        (uses_logits, "not the sum"),
        (detached, "does not move the gate"),
        (lambda gate, said: gate(ops.concatenate(said, axis=-1)), "one tensor"),
        (lambda gate, said: None, "returns nothing"),
    ],
    "paired_interval": [
        (unpaired, "images of its own"),
        (without_root_n, "square root of n"),
        (lambda a, b: paired(b, a), "sign is inverted"),
        (lambda a, b: paired(a, b, z=1.0), "Expected an interval"),
        (lambda a, b: 100 * np.array(paired(a, b)), "difference 0.1"),
        (lambda a, b: paired(a, b)[0], "three numbers"),
    ],
    "judge": [
        (lambda low, high: "better" if low + high > 0 else "worse", "cannot tell"),
        (lambda low, high: "better" if low > 0 else "cannot tell", "'worse'"),
        (
            lambda low, high: "worse" if low > 0 else "better" if high < 0 else "cannot tell",
            "'better'",
        ),
    ],
}

EXERCISES = {name: value for name, value in vars(lab01).items() if isinstance(value, Exercise)}


def cases(table):
    return [
        pytest.param(name, case, id=f"{name}-{i}")
        for name in table
        for i, case in enumerate(table[name])
    ]


def test_every_exercise_is_mutation_tested():
    assert set(RIGHT) == set(WRONG) == set(EXERCISES)
    assert min(map(len, RIGHT.values())) >= 2
    assert min(map(len, WRONG.values())) >= 3


def test_the_marks_are_those_the_lab_announces():
    assert sum(exercise.marks for exercise in EXERCISES.values()) == 20


@pytest.mark.parametrize(("name", "answer"), cases(RIGHT))
def test_right_answers_pass(name, answer, capsys):
    assert EXERCISES[name].check(answer) is answer, capsys.readouterr().out


@pytest.mark.parametrize(("name", "case"), cases(WRONG))
def test_wrong_answers_fail_and_say_why(name, case, capsys):
    answer, message = case
    assert EXERCISES[name].check(answer) is not answer
    out = capsys.readouterr().out
    assert "not right yet" in out
    assert re.search(message, out), out


@pytest.mark.parametrize("name", EXERCISES)
def test_a_blank_copy_is_not_attempted(name, capsys):
    EXERCISES[name].check(BlankGate if name == "importance_gate" else blank)
    assert "not attempted" in capsys.readouterr().out


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_answer_is_right(name, capsys):
    reference = EXERCISES[name].reference()
    assert EXERCISES[name].check(reference) is reference, capsys.readouterr().out


def test_the_package_gate_is_a_right_importance_gate_but_for_its_dictionary():
    gate = PerClassGate(num_classes=3, num_experts=2)
    weights = gate(np.ones((1, 4), "float32"))["probabilities"]
    np.testing.assert_allclose(ops.convert_to_numpy(weights).sum(axis=-1), 1, atol=1e-6)
