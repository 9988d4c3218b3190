"""Mutation tests of lab 04: right answers pass; plausible wrong ones hear the right message."""

import numpy as np
from keras import losses as keras_losses
from keras import ops
from mutations import MutationTests

from moe_keras import losses
from moe_keras.checks import lab04


def mix(logits, outputs):
    return ops.sum(ops.expand_dims(ops.softmax(logits), -1) * outputs, axis=1)


def mix_in_a_loop(logits, outputs):
    weights = ops.softmax(logits)
    return sum(weights[:, e, None] * outputs[:, e] for e in range(outputs.shape[1]))


def with_autodiff(logits, outputs, upstream):
    import tensorflow as tf

    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.convert_to_tensor(mix(logits, outputs)) * upstream)
    return tape.gradient(loss, logits)


def to_weights(outputs, upstream):
    return ops.einsum("bc,bec->be", upstream, outputs)


def through_softmax(logits, outputs, upstream):
    weights, slopes = ops.softmax(logits), to_weights(outputs, upstream)
    return weights * (slopes - ops.sum(weights * slopes, axis=-1, keepdims=True))


def squares(outputs, targets):
    return ops.sum(ops.square(targets[:, None] - outputs), axis=-1)


def competitive(logits, outputs, targets, sigma, factor=2):
    joint = ops.log_softmax(logits) - squares(outputs, targets) / (factor * sigma**2)
    return -ops.logsumexp(joint, axis=-1)


def competitive_plainly(logits, outputs, targets, sigma):
    terms = ops.softmax(logits) * ops.exp(-squares(outputs, targets) / (2 * sigma**2))
    return -ops.log(ops.sum(terms, axis=-1))


def shares(logits, outputs, targets, sigma):
    terms = ops.softmax(logits) * ops.exp(-squares(outputs, targets) / (2 * sigma**2))
    return terms / ops.sum(terms, axis=-1, keepdims=True)


def table(weights, labels, num_classes):
    rows = np.zeros((num_classes, weights.shape[1]))
    for label in set(labels.tolist()):
        rows[label] = weights[labels == label].mean(axis=0)
    return rows


def table_of_sums(weights, labels, num_classes):
    return np.stack([weights[labels == label].sum(axis=0) for label in range(num_classes)])


def table_of_choices(weights, labels, num_classes):
    return table(np.eye(weights.shape[1])[weights.argmax(axis=1)], labels, num_classes)


def table_with_nan(weights, labels, num_classes):
    counts = np.bincount(labels, minlength=num_classes)
    with np.errstate(invalid="ignore"):
        return table_of_sums(weights, labels, num_classes) / counts[:, None]


RIGHT = {
    "mix": [mix, mix_in_a_loop],
    "gate_gradient": [with_autodiff, through_softmax],
    "cooperative": [
        lambda a, o, d: ops.sum(ops.square(d - mix(a, o)), axis=-1),
        lambda a, o, d: keras_losses.mean_squared_error(d, mix(a, o)) * d.shape[-1],
    ],
    "competitive": [
        competitive,
        lambda a, o, d, s: ops.stack(
            [
                losses.mixture_nll(a[i, None], o[i, :, None] / s, d[i, None] / s)
                for i in range(len(a))
            ]
        ),
    ],
    "responsibilities": [
        shares,
        lambda a, o, d, s: ops.softmax(ops.log_softmax(a) - squares(o, d) / (2 * s**2)),
    ],
    "routing_table": [
        table,
        lambda w, y, c: np.stack(
            [w[y == k].mean(0) if (y == k).any() else 0 * w[0] for k in range(c)]
        ),
    ],
}

WRONG = {
    "mix": [
        (lambda a, o: ops.einsum("be,bec->bc", a, o), "softmax"),
        (lambda a, o: ops.mean(o, axis=1), "plain average"),
        (lambda a, o: ops.einsum("be,bec->bc", ops.softmax(a, axis=0), o), "over the images"),
        (lambda a, o: ops.einsum("be,bec->bc", ops.softmax(a[:, ::-1]), o), "0.5 \\* 1"),
        (lambda a, o: ops.softmax(a)[..., None] * o, "of shape"),
        (lambda a, o: o[np.arange(2), np.argmax(a, axis=1)], "0.5 \\* 1"),
    ],
    "gate_gradient": [
        (lambda a, o, u: to_weights(o, u), "back through the softmax"),
        (lambda a, o, u: ops.softmax(a) * to_weights(o, u), "compare what expert e says"),
        (lambda a, o, u: to_weights(o - mix(a, o)[:, None], u), "factor w_e is missing"),
        (lambda a, o, u: -through_softmax(a, o, u), "sign is inverted"),
        (lambda a, o, u: through_softmax(a, o, 2 * u), "Expected w_e"),
        (lambda a, o, u: ops.softmax(a)[..., None] * (o - mix(a, o)[:, None]), "of shape"),
    ],
    "cooperative": [
        (lambda a, o, d: ops.sum(ops.softmax(a) * squares(o, d), axis=1), "Mix the answers first"),
        (lambda a, o, d: ops.sum(ops.abs(d - mix(a, o)), axis=-1), "squared"),
        (lambda a, o, d: ops.mean(ops.square(d - mix(a, o)), axis=-1), "mean over the classes"),
        (lambda a, o, d: ops.mean(ops.square(d - mix(a, o))), "of shape"),
        (lambda a, o, d: ops.sum(ops.square(d - ops.mean(o, axis=1)), axis=-1), "squared error is"),
    ],
    "competitive": [
        (lambda a, o, d, s: -competitive(a, o, d, s), "sign is inverted"),
        (lambda a, o, d, s: ops.sum(ops.softmax(a) * squares(o, d), axis=1) / 2, "inside the log"),
        (lambda a, o, d, s: ops.sum(ops.square(d - mix(a, o)), axis=-1) / 2, "that is cooperative"),
        (lambda a, o, d, s: competitive(a, o, d, s, factor=1), "twice"),
        (lambda a, o, d, s: competitive(a, o, d, s**0.5), "square"),
        (lambda a, o, d, s: -ops.logsumexp(-squares(o, d) / (2 * s**2), axis=-1), "not used"),
        (competitive_plainly, "no longer finite"),
        (lambda a, o, d, s: ops.mean(competitive(a, o, d, s)), "of shape"),
        (lambda a, o, d, s: -ops.logsumexp(a - squares(o, d) / (2 * s**2), axis=-1), "the loss is"),
    ],
    "responsibilities": [
        (lambda a, o, d, s: ops.softmax(a) * ops.exp(-squares(o, d) / (2 * s**2)), "sum to 1"),
        (lambda a, o, d, s: ops.softmax(-squares(o, d) / (2 * s**2)), "weights are not used"),
        (lambda a, o, d, s: ops.softmax(a + squares(o, d) / (2 * s**2)), "sign is inverted"),
        (lambda a, o, d, s: ops.softmax(a), "experts' errors add"),
        (lambda a, o, d, s: ops.softmax(a - squares(o, d) / (2 * s**2), axis=0), "over the images"),
        (lambda a, o, d, s: ops.softmax(ops.log_softmax(a) - squares(o, d) / s), "Divide"),
    ],
    "routing_table": [
        (lambda w, y, c: table(w, y, c).T, "on its side"),
        (table_with_nan, "not of NaN"),
        (table_of_sums, "Those are sums"),
        (table_of_choices, "largest weight"),
        (lambda w, y, c: table(w[:, ::-1], y, c), "its row is"),
        (lambda w, y, c: table(w, y, 1 + y.max())[: c - 1], "of shape|on its side"),
    ],
}


class TestLab04(MutationTests):
    lab, right, wrong, marks = lab04, RIGHT, WRONG, 14
