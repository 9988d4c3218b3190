"""Mutation tests of lab 06, with answers that its declarations do not list."""

import numpy as np
import tensorflow as tf
from keras import ops
from mutations import MutationTests

from moe_labs.exercises import lab06


def dispatch_by_hand(logits):
    powers = ops.exp(logits - ops.max(logits, axis=1, keepdims=True))
    return powers / ops.sum(powers, axis=1, keepdims=True)


def dispatch_by_image(logits):
    return [ops.softmax(image, axis=0) for image in logits]


def dispatch(logits):
    return ops.softmax(logits, axis=1)


def dispatch_below_the_largest(logits):
    powers = ops.exp(logits - ops.max(logits))
    return powers / ops.sum(powers, axis=1, keepdims=True)


def fill(dispatch, tokens):
    return ops.einsum("btes,btd->besd", dispatch, tokens)


def fill_by_matmul(dispatch, tokens):
    batch, length, experts, slots = dispatch.shape
    flat = ops.reshape(dispatch, (batch, length, experts * slots))
    mixed = ops.matmul(ops.transpose(flat, (0, 2, 1)), tokens)
    return ops.reshape(mixed, (batch, experts, slots, tokens.shape[-1]))


def fill_in_a_loop(dispatch, tokens):
    terms = [
        dispatch[:, t, :, :, None] * tokens[:, t, None, None, :] for t in range(tokens.shape[1])
    ]
    return sum(terms)


def over_all_slots(logits):
    flat = ops.softmax(ops.reshape(logits, (*logits.shape[:2], -1)))
    return ops.reshape(flat, logits.shape)


def combine(logits, answers, weights=over_all_slots):
    return ops.einsum("btes,besf->btf", weights(logits), answers)


def combine_by_broadcast(logits, answers):
    weights = ops.softmax(logits, axis=(2, 3))
    return ops.sum(ops.expand_dims(weights, -1) * ops.expand_dims(answers, 1), axis=(2, 3))


def combine_by_logsumexp(logits, answers):
    logits = tf.convert_to_tensor(logits)
    weights = tf.exp(logits - tf.reduce_logsumexp(logits, axis=[2, 3], keepdims=True))
    return tf.einsum("btes,besf->btf", weights, answers)


def one_token(logits, outputs):
    weights = ops.softmax(ops.logsumexp(logits, axis=-1))  # the same as summing afterwards
    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)


def one_token_the_long_way(logits, outputs):
    """All of the soft mixture, for one token: every slot of an expert gives the same answer."""
    answers = ops.repeat(ops.expand_dims(outputs, 2), logits.shape[-1], axis=2)
    return combine(ops.expand_dims(logits, 1), answers)[:, 0]


def one_token_in_a_loop(logits, outputs):
    weights = ops.sum(ops.softmax(logits, axis=(1, 2)), axis=-1)
    return sum(weights[:, e, None] * outputs[:, e] for e in range(outputs.shape[1]))


def in_numpy(function):
    """The same values, on which no gradient can go back."""
    return lambda *args: np.array(function(*args))


def of_first_image(function):
    return lambda *args: function(*args)[:1] + ops.zeros_like(function(*args))


def learning_nothing(function):
    return lambda *args: ops.stop_gradient(function(*args))


RIGHT = {
    "dispatch_weights": [dispatch, dispatch_by_hand, dispatch_by_image],
    "fill_slots": [fill, fill_by_matmul, fill_in_a_loop],
    "combine": [combine, combine_by_broadcast, combine_by_logsumexp],
    "one_token": [one_token, one_token_the_long_way, one_token_in_a_loop],
}

WRONG = {
    "dispatch_weights": [
        dispatch_below_the_largest,
        *(change(dispatch) for change in (in_numpy, of_first_image, learning_nothing)),
        lambda a: ops.softmax(-a, axis=1),
        lambda a: ops.softmax(ops.sum(a, axis=-1), axis=1),
        lambda a: ops.softmax(a, axis=(1, 2)),
        lambda a: ops.softmax(a, axis=(1, 3)),
        lambda a: ops.softmax(a, axis=(0, 1)),
        lambda a: ops.sigmoid(a),
        lambda a: ops.softmax(a / 0.1, axis=1),
        lambda a: ops.transpose(dispatch(a), (0, 2, 3, 1)),
        lambda a: dispatch(a) * a.shape[1],
        lambda a: ops.flip(dispatch(a), axis=1),
        lambda a: ops.one_hot(ops.argmax(a, axis=1), a.shape[1], axis=1),
        lambda a: ops.softmax(ops.clip(a, -1, 1), axis=1),
    ],
    "fill_slots": [
        *(change(fill) for change in (in_numpy, of_first_image, learning_nothing)),
        lambda w, x: fill(ops.flip(w, axis=1), x),
        lambda w, x: fill(ops.stop_gradient(w), x),
        lambda w, x: fill(w, ops.stop_gradient(x)),
        lambda w, x: fill(w, x)[:, :2, :2],
        lambda w, x: ops.einsum("btes,btd->bed", w, x),
        lambda w, x: ops.einsum("btes,ctd->besd", w, x),
        lambda w, x: ops.reshape(fill(w, x), (len(x), -1, x.shape[-1])),
        lambda w, x: fill(w, x - ops.mean(x, axis=1, keepdims=True)),
        lambda w, x: fill(w, x) + ops.mean(x, axis=1)[:, None, None],
        lambda w, x: fill(w, ops.sort(x, axis=1)),
        lambda w, x: fill(w**2, x),
        lambda w, x: fill(w[:, :, :1] + 0 * w, x),
    ],
    "combine": [
        *(change(combine) for change in (in_numpy, of_first_image, learning_nothing)),
        lambda a, o: combine(a[:, ::-1], o),
        lambda a, o: combine(-a, o),
        lambda a, o: combine(ops.stop_gradient(a), o),
        lambda a, o: combine(a, o, lambda a: ops.softmax(a, axis=(1, 2))),
        lambda a, o: combine(a, o, lambda a: ops.softmax(a, axis=(0, 2, 3))),
        lambda a, o: combine(a, o, lambda a: ops.softmax(a) / a.shape[2]),
        lambda a, o: combine(a, o, lambda a: ops.softmax(ops.softmax(a), axis=2)),
        lambda a, o: combine(a, o, lambda a: over_all_slots(a)[:, :1] + 0 * a),
        lambda a, o: ops.transpose(combine(a, o), (0, 2, 1)),
        lambda a, o: ops.sum(combine(a, o), axis=1),
        lambda a, o: combine(a[..., :1], o[:, :, :1]),
        lambda a, o: combine(a[:, :, :1], o[:, :1]),
        lambda a, o: combine(a, ops.flip(o, axis=2)),
    ],
    "one_token": [
        *(change(one_token) for change in (in_numpy, of_first_image, learning_nothing)),
        lambda a, o: one_token(-a, o),
        lambda a, o: one_token(a, o)[:, None],
        lambda a, o: one_token(a[..., :2], o),
        lambda a, o: one_token(ops.flip(a, axis=1), o),
        lambda a, o: one_token(a, o) * a.shape[-1],
        lambda a, o: one_token(ops.stop_gradient(a), o),
        lambda a, o: ops.einsum("bes,bef->bf", ops.softmax(a), o) / a.shape[1],
        lambda a, o: ops.einsum("be,bef->bf", ops.logsumexp(a, axis=-1), o),
        lambda a, o: ops.max(o, axis=1),
        lambda a, o: one_token(ops.mean(a, axis=0, keepdims=True) + 0 * a, o),
        lambda a, o: ops.take_along_axis(
            o, ops.argmax(ops.logsumexp(a, axis=-1), axis=-1)[:, None, None], axis=1
        )[:, 0],
        lambda a, o: one_token(ops.median(a, axis=-1, keepdims=True) + 0 * a, o),
    ],
}


class TestLab06(MutationTests):
    lab, right, wrong = lab06, RIGHT, WRONG
