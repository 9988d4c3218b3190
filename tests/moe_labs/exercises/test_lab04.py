"""Mutation tests of lab 04, with answers that its declarations do not list."""

import numpy as np
from keras import losses as keras_losses
from keras import ops
from mutations import MutationTests

from moe_labs.exercises import lab04


def mix(logits, outputs):
    return ops.sum(ops.expand_dims(ops.softmax(logits), -1) * outputs, axis=1)


def mix_by(powers, outputs):
    weights = powers / ops.sum(powers, axis=-1, keepdims=True)
    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)


def powers_below_the_largest(logits):
    """None is too large, but of an image far below the others all are 0."""
    return ops.exp(logits - ops.max(logits))


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


def with_largest_term_apart(logits, outputs, targets, sigma):
    joint = ops.log_softmax(logits) - squares(outputs, targets) / (2 * sigma**2)
    largest = ops.max(joint, axis=-1, keepdims=True)
    return -largest[:, 0] - ops.log(ops.sum(ops.exp(joint - largest), axis=-1))


def shares(logits, outputs, targets, sigma):
    terms = ops.softmax(logits) * ops.exp(-squares(outputs, targets) / (2 * sigma**2))
    return terms / ops.sum(terms, axis=-1, keepdims=True)


def table(weights, labels, num_classes):
    rows = np.zeros((num_classes, weights.shape[1]))
    for label in set(labels.tolist()):
        rows[label] = weights[labels == label].mean(axis=0)
    return rows


RIGHT = {
    "mix": [mix, mix_in_a_loop],
    "gate_gradient": [with_autodiff, through_softmax],
    "cooperative": [
        lambda a, o, d: ops.sum(ops.square(d - mix(a, o)), axis=-1),
        lambda a, o, d: keras_losses.mean_squared_error(d, mix(a, o)) * d.shape[-1],
    ],
    "competitive": [
        competitive,
        with_largest_term_apart,
    ],
    "responsibilities": [
        lambda a, o, d, s: ops.softmax(ops.log_softmax(a) - squares(o, d) / (2 * s**2)),
        lambda a, o, d, s: ops.exp(
            ops.log_softmax(a) - squares(o, d) / (2 * s**2) + competitive(a, o, d, s)[:, None]
        ),
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
        lambda a, o: mix_by(powers_below_the_largest(a), o),
        lambda a, o: ops.einsum("be,bec->bc", ops.softmax(a[:, ::-1]), o),
        lambda a, o: mix(a, o) * 0 + mix(a, o)[:1],  # the first image for all
        lambda a, o: ops.einsum("be,bec->bc", ops.softmax(2 * a), o),
        lambda a, o: ops.einsum("be,bec->bc", ops.softmax(a), o[:, ::-1]),
        lambda a, o: ops.einsum("be,bec->bc", ops.exp(a), o),
        lambda a, o: ops.einsum("be,bec->bc", ops.softmax(-a), o),
        lambda a, o: ops.softmax(mix(a, o)),
        lambda a, o: mix(a[:, :2], o[:, :2]),  # two experts, whatever there are
        lambda a, o: ops.mean(mix(a, o), axis=0, keepdims=True) + 0 * mix(a, o),
        lambda a, o: np.einsum("be,bec->bc", np.asarray(ops.softmax(a)), o),
        lambda a, o: ops.einsum("be,bec->bc", ops.stop_gradient(ops.softmax(a)), o),
        lambda a, o: ops.reshape(mix(a, o), (2, -1)),
        lambda a, o: ops.einsum("be,bec->bc", np.exp(a) / np.exp(a).sum(1)[:, None], o),
        lambda a, o: None,
    ],
    "gate_gradient": [
        lambda a, o, u: through_softmax(a, o, 2 * u),
        lambda a, o, u: through_softmax(a, o, u)[::-1],
        lambda a, o, u: through_softmax(a[:1], o, u),
        lambda a, o, u: through_softmax(a, o, ops.abs(u)),
        lambda a, o, u: ops.softmax(a) * (1 - ops.softmax(a)) * to_weights(o, u),
        lambda a, o, u: through_softmax(a, o, u) / len(a),
        lambda a, o, u: ops.sum(ops.softmax(a)[..., None] * (o - mix(a, o)[:, None]), axis=-1),
        lambda a, o, u: through_softmax(a, o, u - ops.mean(u, axis=1, keepdims=True)),
        lambda a, o, u: through_softmax(ops.sort(a), o, u),
        lambda a, o, u: ops.softmax(through_softmax(a, o, u)),
        lambda a, o, u: np.asarray(through_softmax(a, o, u)).astype(int),
    ],
    "cooperative": [
        lambda a, o, d: ops.sum(ops.square(d - ops.mean(o, axis=1)), axis=-1),
        lambda a, o, d: ops.sum(ops.square(mix(a, o)), axis=-1),
        lambda a, o, d: ops.max(ops.square(d - mix(a, o)), axis=-1),
        lambda a, o, d: ops.sum(ops.square(d - mix(a, o)), axis=0),
        lambda a, o, d: ops.sum(d * ops.square(d - mix(a, o)), axis=-1),
        lambda a, o, d: ops.sum(ops.square(d - mix(a, o)), axis=-1, keepdims=True),
        lambda a, o, d: ops.sum(ops.square(d - mix(a, o)[:1]), axis=-1),
        lambda a, o, d: -ops.sum(d * ops.log(ops.abs(mix(a, o))), axis=-1),
        lambda a, o, d: np.sum((d - np.asarray(mix(a, o))) ** 2, axis=-1),
        lambda a, o, d: ops.sum(ops.square(d - ops.softmax(mix(a, o))), axis=-1),
        lambda a, o, d: ops.sum(ops.square(d[:, :2] - mix(a, o)[:, :2]), axis=-1),
    ],
    "competitive": [
        lambda a, o, d, s: competitive(a, o, d, 1.0),
        lambda a, o, d, s: competitive(a, o, d, s**0.5),
        lambda a, o, d, s: ops.min(squares(o, d), axis=-1) / (2 * s**2),
        lambda a, o, d, s: competitive(a[:, ::-1], o, d, s),
        lambda a, o, d, s: competitive(a, o, d, s) + ops.log(s),
        lambda a, o, d, s: -ops.mean(ops.log_softmax(a) - squares(o, d) / (2 * s**2), axis=-1),
        lambda a, o, d, s: ops.exp(-competitive(a, o, d, s)),
        lambda a, o, d, s: competitive(a, o, d, s)[:, None],
        lambda a, o, d, s: competitive(a, o, d, s) + 0 * mix(a, o)[:, :1],
        lambda a, o, d, s: -ops.max(ops.log_softmax(a) - squares(o, d) / (2 * s**2), axis=-1),
        lambda a, o, d, s: ops.clip(competitive(a, o, d, s), -100, 100),
        lambda a, o, d, s: competitive(ops.stop_gradient(a), o, d, s),
        lambda a, o, d, s: -ops.log(ops.exp(-competitive(a, o, d, s)) + 1e-7),
    ],
    "responsibilities": [
        lambda a, o, d, s: shares(a, o, d, 1.0),
        lambda a, o, d, s: ops.softmax(a - ops.sqrt(squares(o, d)) / s),
        lambda a, o, d, s: shares(a, o, d, s)[:, ::-1],
        lambda a, o, d, s: ops.softmax(shares(a, o, d, s)),
        lambda a, o, d, s: ops.one_hot(ops.argmax(shares(a, o, d, s), axis=-1), a.shape[1]),
        lambda a, o, d, s: ops.log_softmax(ops.log_softmax(a) - squares(o, d) / (2 * s**2)),
        lambda a, o, d, s: ops.softmax(a * squares(o, d)),
        lambda a, o, d, s: shares(a, o, d[:1], s),
        shares,  # exponentials, which a large error makes 0
        lambda a, o, d, s: shares(a, o, d, s) / len(a),
        lambda a, o, d, s: ops.sum(shares(a, o, d, s), axis=-1),
    ],
    "routing_table": [
        lambda w, y, c: table(w[:, ::-1], y, c),
        lambda w, y, c: table(w, y, 1 + y.max())[: c - 1],
        lambda w, y, c: table(w, y, c)[::-1],
        lambda w, y, c: np.stack(
            [np.median(w[y == k], axis=0) if (y == k).any() else 0 * w[0] for k in range(c)]
        ),
        lambda w, y, c: np.stack([w[y == k][0] if (y == k).any() else 0 * w[0] for k in range(c)]),
        lambda w, y, c: np.where(table(w, y, c).any(1)[:, None], table(w, y, c), 1 / w.shape[1]),
        lambda w, y, c: np.eye(w.shape[1], dtype=int)[table(w, y, c).argmax(axis=1)],
        lambda w, y, c: table(w, y, c) + w.mean(axis=0),
        lambda w, y, c: table(w, y, c).round(1),
        lambda w, y, c: table(w, np.sort(y), c),
        lambda w, y, c: table(w, y, c) / table(w, y, c).max(),
        lambda w, y, c: table(w, y, c).sum(axis=1),
    ],
}


class TestLab04(MutationTests):
    lab, right, wrong = lab04, RIGHT, WRONG
