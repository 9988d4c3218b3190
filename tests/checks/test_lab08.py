"""Mutation tests of lab 08: right answers pass; plausible wrong ones hear the right message."""

import keras
import numpy as np
from keras import ops
from mutations import MutationTests

from moe_keras.checks import lab08
from moe_keras.gates import LabelGuidedGate, SoftmaxGate
from moe_keras.losses import guidance_loss
from moe_keras.mixtures import Combine
from moe_keras.runs import assignment_matrix


def matrix_by_loops(groups):
    labels = [label for group in groups for label in group]
    return np.array([[int(c in group) for group in groups] for c in range(max(labels) + 1)])


def in_their_order(groups):
    """Right for a split of 0, 1, 2, ... alone."""
    sizes = [len(group) for group in groups]
    matrix = np.zeros((4, len(groups)))
    matrix[np.arange(sum(sizes)) % 4, np.repeat(np.arange(len(groups)), sizes)] = 1
    return matrix


def one_expert_a_label(groups):
    return np.eye(len(groups))[[e for c in range(4) for e, g in enumerate(groups) if c in g][:4]]


def rows_of(labels, matrix):
    return ops.take(matrix, labels, axis=0)


def wanted(labels, matrix):
    rows = rows_of(labels, matrix)
    return rows / ops.sum(rows, axis=1, keepdims=True)


def wanted_by_numpy(labels, matrix):
    return (matrix / matrix.sum(axis=1, keepdims=True))[np.asarray(labels)]


def base_rate(labels, matrix):
    rows = rows_of(labels, matrix)
    return ops.ones_like(rows) * ops.mean(rows, axis=0)


def guidance(logits, wanted):
    return -ops.mean(ops.sum(wanted * ops.log(ops.softmax(logits)), axis=1))


def guidance_of_the_package(logits, wanted):
    return guidance_loss(ops.arange(len(wanted)), logits, wanted)


def pull(logits, wanted):
    return ops.softmax(logits) - wanted


def pull_by_hand(logits, wanted):
    powers = ops.exp(logits)
    return powers / ops.sum(powers, axis=-1, keepdims=True) - wanted


def taught(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    return keras.Model([images, labels], combined(weights, features, mixture))


def combined(weights, features, mixture):
    return Combine()(weights, [expert(features) for expert in mixture.experts])


def taught_by_hand(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    said = ops.stack([expert(features) for expert in mixture.experts], axis=1)
    return keras.Model([images, labels], ops.einsum("be,bec->bc", weights, said))


def not_guided(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features)["probabilities"] + 0 * ops.cast(labels, "float32")[:, None]
    return keras.Model([images, labels], combined(weights, features, mixture))


def leaking(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    weights = weights * rows_of(labels, np.array(mixture.gate.label_to_expert, "float32"))
    return keras.Model([images, labels], combined(weights, features, mixture))


def with_a_gate_of_its_own(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    gate = LabelGuidedGate(SoftmaxGate(3), mixture.gate.label_to_expert, guidance=2.0)
    weights = gate(features, labels)["probabilities"]
    return keras.Model([images, labels], combined(weights, features, mixture))


def all_alike(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    return keras.Model([images, labels], combined(0 * weights + 1 / 3, features, mixture))


def guided_twice(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = [mixture.gate(features, labels)["probabilities"] for _ in range(2)]
    weights = keras.layers.Average()(weights)
    return keras.Model([images, labels], combined(weights, features, mixture))


def without_labels(images, features, mixture):
    return keras.Model(images, mixture(features))


def routed(table):
    heaviest = table.loc[table.groupby("sample")["weight"].idxmax()]
    return heaviest["assigned"].mean()


def routed_by_sorting(table):
    return table.sort_values("weight").groupby("sample").tail(1)["assigned"].mean()


RIGHT = {
    "assignment_matrix": [matrix_by_loops, assignment_matrix],
    "wanted": [wanted, wanted_by_numpy],
    "guidance": [guidance, guidance_of_the_package],
    "pull": [pull, pull_by_hand],
    "taught_model": [taught, taught_by_hand],
    "routed": [routed, routed_by_sorting],
}

WRONG = {
    "assignment_matrix": [
        (lambda groups: matrix_by_loops(groups).T, "changed places"),
        (lambda groups: np.eye(4), "of shape"),
        (lambda groups: matrix_by_loops(groups) / 2, "0 and 1 alone"),
        (one_expert_a_label, "columns sum to"),
        (in_their_order, r"row 2 .*has its 1 in row 0"),
    ],
    "wanted": [
        (base_rate, "mean over the batch"),
        (rows_of, "Label 3 has two experts"),
        (lambda labels, matrix: rows_of(labels, matrix) / 3, "must sum to 1"),
        (lambda labels, matrix: wanted(3 - labels, matrix), "label 2"),
        (lambda labels, matrix: wanted(np.sort(labels), matrix), "label 2"),
        (lambda labels, matrix: matrix, "of shape"),
    ],
    "guidance": [
        (lambda a, t: -guidance(a, t), "sign"),
        (lambda a, t: 5 * guidance(a, t), "sum over the images"),
        (lambda a, t: guidance(a, t) / 3, "images and experts alike"),
        (lambda a, t: -ops.sum(t * ops.log_softmax(a), axis=1), "for each image"),
        (lambda a, t: -ops.mean(ops.sum(t * a, axis=1)), "log_softmax"),
        (lambda a, t: 1 - ops.mean(ops.sum(t * ops.softmax(a), axis=1)), "logarithm is missing"),
        (lambda a, t: guidance(a, ops.mean(t, axis=0)), "all alike"),
        (lambda a, t: ops.mean(ops.square(ops.softmax(a) - t)), "1.109"),
    ],
    "pull": [
        (lambda a, t: t - ops.softmax(a), "sign"),
        (lambda a, t: pull(a, t) / 5, "do not divide"),
        (lambda a, t: a - t, "softmax first"),
        (lambda a, t: -t / ops.softmax(a), "through the softmax"),
        (lambda a, t: ops.softmax(a) * pull(a, t), "once too often"),
        (lambda a, t: pull(a, t) ** 2, "-0.5"),
        (lambda a, t: ops.sum(pull(a, t), axis=-1), "of shape"),
    ],
    "taught_model": [
        (not_guided, "Nothing guides"),
        (leaking, "leak"),
        (with_a_gate_of_its_own, "share every layer"),
        (all_alike, "not the mixture's"),
        (guided_twice, "costs"),
        (without_labels, "two inputs"),
        (lambda images, features, mixture: mixture, "keras.Model"),
    ],
    "routed": [
        (lambda t: t["assigned"].mean(), "share of rows"),
        (lambda t: (t["weight"] * t["assigned"]).sum() / t["sample"].nunique(), "share of weight"),
        (lambda t: routed(t) * t["sample"].nunique(), "number of images"),
        (lambda t: routed(t) * t["sample"].nunique() / len(t), "divide by the rows"),
        (lambda t: t[t["weight"] > 0.5]["assigned"].sum() / t["sample"].nunique(), "above 0.5"),
        (lambda t: t.loc[t.groupby("sample")["weight"].idxmin()]["assigned"].mean(), "lightest"),
        (lambda t: t.groupby("sample")["assigned"].first().mean(), "first row"),
        (lambda t: t.groupby("sample")["assigned"].max().mean(), "any of"),
        (lambda t: 0.9, "0.8; yours is 0.9"),
    ],
}


class TestLab08(MutationTests):
    lab, right, wrong, marks = lab08, RIGHT, WRONG, 14
