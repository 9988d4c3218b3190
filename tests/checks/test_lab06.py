"""Mutation tests of lab 06: right answers pass; plausible wrong ones hear the right message."""

import numpy as np
from keras import ops
from mutations import MutationTests

from moe_keras.checks import lab06


def dispatch_by_hand(logits):
    powers = ops.exp(logits - ops.max(logits, axis=1, keepdims=True))
    return powers / ops.sum(powers, axis=1, keepdims=True)


def fill(dispatch, tokens):
    return ops.einsum("btes,btd->besd", dispatch, tokens)


def fill_by_matmul(dispatch, tokens):
    batch, length, experts, slots = dispatch.shape
    flat = ops.reshape(dispatch, (batch, length, experts * slots))
    mixed = ops.matmul(ops.transpose(flat, (0, 2, 1)), tokens)
    return ops.reshape(mixed, (batch, experts, slots, tokens.shape[-1]))


def over_all_slots(logits):
    flat = ops.softmax(ops.reshape(logits, (*logits.shape[:2], -1)))
    return ops.reshape(flat, logits.shape)


def combine(logits, answers, weights=over_all_slots):
    return ops.einsum("btes,besf->btf", weights(logits), answers)


def combine_by_broadcast(logits, answers):
    weights = ops.softmax(logits, axis=(2, 3))
    return ops.sum(ops.expand_dims(weights, -1) * ops.expand_dims(answers, 1), axis=(2, 3))


def one_token(logits, outputs):
    weights = ops.softmax(ops.logsumexp(logits, axis=-1))  # the same as summing afterwards
    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)


def one_token_the_long_way(logits, outputs):
    """All of the soft mixture, for one token: every slot of an expert gives the same answer."""
    answers = ops.repeat(ops.expand_dims(outputs, 2), logits.shape[-1], axis=2)
    return combine(ops.expand_dims(logits, 1), answers)[:, 0]


def weighed(weights, outputs):
    return ops.einsum("be,bef->bf", weights, outputs)


RIGHT = {
    "dispatch_weights": [lambda a: ops.softmax(a, axis=1), dispatch_by_hand],
    "fill_slots": [fill, fill_by_matmul],
    "combine": [combine, combine_by_broadcast],
    "one_token": [one_token, one_token_the_long_way],
}

WRONG = {
    "dispatch_weights": [
        (ops.softmax, "last axis"),
        (lambda a: ops.softmax(a, axis=(2, 3)), "combine weights"),
        (lambda a: ops.softmax(a, axis=2), "over the experts"),
        (lambda a: ops.softmax(a, axis=(1, 2, 3)), "everything at once"),
        (ops.exp, "division"),
        (lambda a: ops.softmax(-a, axis=1), "0.5, 0.25, 0.25"),
        (lambda a: ops.softmax(ops.sum(a, axis=-1), axis=1), "of shape"),
    ],
    "fill_slots": [
        (lambda w, x: fill(w, x) / x.shape[1], "take the sum"),
        (lambda w, x: fill(np.full_like(w, 1 / 3), x), "plain mean"),
        (lambda w, x: fill(np.ones_like(w), x), "plain sum"),
        (lambda w, x: x[0, np.argmax(w, axis=1)], "hard choice"),
        (lambda w, x: fill(over_all_slots(np.log(w * POWER_SUMS)), x), "combine weights"),
        (lambda w, x: ops.einsum("btes,btd->bsed", w, x), "changed places"),
        (lambda w, x: ops.einsum("btes,btd->ebsd", w, x), "images come first"),
        (lambda w, x: ops.einsum("btes,btd->btesd", w, x), "of shape"),
        (lambda w, x: fill(w[:, ::-1], x), "0.5 \\* 1"),
    ],
    "combine": [
        (lambda a, o: combine(a, o, lambda a: ops.softmax(a, axis=1)), "dispatch weights"),
        (lambda a, o: combine(a, o, ops.softmax), "slots of each expert"),
        (lambda a, o: combine(a, o, lambda a: ops.softmax(a, axis=2)), "experts alone"),
        (lambda a, o: combine(a, o, lambda a: a), "by a softmax"),
        (lambda a, o: combine(0 * a, o), "plain mean"),
        (lambda a, o: combine(a, o, ops.ones_like), "plain sum"),
        (lambda a, o: combine(a[:, ::-1], o), "2 \\* 1"),
        (lambda a, o: over_all_slots(a)[..., None] * o[:, None], "of shape"),
    ],
    "one_token": [
        (lambda a, o: weighed(ops.ones_like(a[..., 0]), o), "weights of 1"),
        (lambda a, o: ops.mean(o, axis=1), "plain average"),
        (lambda a, o: weighed(ops.softmax(ops.sum(a, axis=-1)), o), "Softmax first"),
        (lambda a, o: weighed(ops.softmax(ops.mean(a, axis=-1)), o), "Softmax first"),
        (lambda a, o: weighed(ops.mean(ops.softmax(a, axis=(1, 2)), axis=-1), o), "summed"),
        (lambda a, o: weighed(ops.softmax(a, axis=(1, 2))[..., 0], o), "first slot"),
        (lambda a, o: weighed(ops.sum(ops.softmax(a), axis=-1), o), "weights of 1"),
        (lambda a, o: one_token(-a, o), "3/8"),
        (lambda a, o: one_token(a, o)[:, None], "of shape"),
    ],
}
# What the check's dispatch weights were divided by, to get back to its logits.
POWER_SUMS = np.array([[[[4, 8], [8, 8]]]], "float32")


class TestLab06(MutationTests):
    lab, right, wrong, marks = lab06, RIGHT, WRONG, 10
