"""Mutation tests of lab 02: right answers pass; plausible wrong ones hear the right message."""

import numpy as np
from keras import ops
from mutations import MutationTests

from moe_keras.checks import lab02


def views(ask, images, mirror=lambda images: images[:, :, ::-1]):
    return (ask(images) + ask(mirror(images))) / 2


def views_in_one_call(ask, images):
    said = ask(np.concatenate([images, np.flip(images, axis=2)]))
    return said.reshape(2, len(images), -1).mean(axis=0)


def sums(probabilities, groups):
    return np.stack([probabilities[:, list(group)].sum(axis=1) for group in groups], axis=1)


def sums_by_product(probabilities, groups):
    member = np.zeros((probabilities.shape[1], len(groups)))
    for column, group in enumerate(groups):
        member[list(group), column] = 1
    return probabilities @ member


def each_group(reduce):
    return lambda p, groups: np.stack([reduce(p[:, list(g)]) for g in groups], axis=1)


def softmax(logits, axis=-1):
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def tree(first, second, said):
    return np.einsum("bg,bgce,bgce->bc", first, second, said)


def tree_in_a_loop(first, second, said):
    total = 0
    for group in range(first.shape[1]):
        mixed = sum(second[:, group, :, e] * said[:, group, :, e] for e in range(said.shape[-1]))
        total = total + first[:, group, None] * mixed
    return total


def one_hot(first):
    return np.eye(first.shape[1])[first.argmax(axis=1)]


def masks(before, after, labels):
    return (before != labels) & (after == labels), (before == labels) & (after != labels)


def sets(before, after, labels):
    return tuple(np.flatnonzero(mask) for mask in masks(before, after, labels))


RIGHT = {
    "two_views": [views, views_in_one_call, lambda ask, x: views(ask, np.flip(x, 2))],
    "group_weights": [
        sums,
        sums_by_product,
        lambda p, g: ops.stack([ops.sum(ops.take(p, i, axis=-1), -1) for i in g], axis=-1),
    ],
    "second_level": [lambda a: ops.softmax(a), softmax],
    "hierarchical_sum": [tree, tree_in_a_loop],
    "hard_gate": [
        one_hot,
        lambda w: w == w.max(axis=1, keepdims=True),
        lambda w: ops.one_hot(ops.argmax(w, axis=-1), w.shape[-1]),
    ],
    "repaired_and_broken": [sets, lambda b, a, y: tuple(np.where(m) for m in masks(b, a, y))],
}

WRONG = {
    "two_views": [
        (lambda ask, x: 2 * views(ask, x), "rows sum to 2"),
        (lambda ask, x: ask(x), "the images alone"),
        (lambda ask, x: ask(x[:, :, ::-1]), "the mirror images alone"),
        (lambda ask, x: views(ask, x, lambda x: x[:, ::-1]), "upside down"),
        (lambda ask, x: views(ask, x, lambda x: x[:, ::-1, ::-1]), "upside down"),
        (lambda ask, x: views(ask, x, lambda x: x[..., ::-1]), "red and blue"),
        (lambda ask, x: views(ask, x, lambda x: x[::-1]), "order of the images"),
        (lambda ask, x: ask((x + x[:, :, ::-1].astype(float)) / 2), "on top of each other"),
        (lambda ask, x: np.maximum(ask(x), ask(x[:, :, ::-1])), "by their mean"),
        (lambda ask, x: np.sqrt(ask(x) * ask(x[:, :, ::-1])), "by their mean"),
        (lambda ask, x: np.concatenate([ask(x), ask(x[:, :, ::-1])]), "one below the other"),
        (lambda ask, x: views(ask, 255 - x), "the mean is"),
    ],
    "group_weights": [
        (lambda p, g: sums(p, g)[:, ::-1], "polarity"),
        (lambda p, g: sums(p, g).T, "images come first"),
        (lambda p, g: sums(p, g)[:, 0], "a weight for each group"),
        (each_group(lambda p: p.mean(axis=1)), "favours the smaller group"),
        (each_group(lambda p: p.max(axis=1)), "largest class"),
        (each_group(lambda p: p[:, 0]), "first class"),
        (lambda p, g: sums(p, ((0, 1), (2, 3, 4))), "need not be neighbours"),
        (lambda p, g: 1 / 2 + 0 * sums(p, g), "0.45"),
        (lambda p, g: p, "of shape"),
    ],
    "second_level": [
        (lambda a: ops.softmax(a, axis=(1, 2)), "together: a class's weights"),
        (lambda a: softmax(a, axis=1), "over the classes"),
        (ops.sigmoid, "sigmoid"),
        (ops.exp, "division"),
        (lambda a: (a == a.max(-1, keepdims=True)).astype(float), "hard choice"),
        (lambda a: softmax(-a), "changed places"),
        (lambda a: softmax(2 * a), "0.75"),
        (lambda a: softmax(a)[..., 0], "of shape"),
    ],
    "hierarchical_sum": [
        (lambda f, s, y: (s * y).sum(axis=-1), "a result for each group"),
        (lambda f, s, y: f[..., None] * (s * y).sum(axis=-1), "a result for each group"),
        (lambda f, s, y: (s * y).sum(axis=(1, 3)), "first gate is not used"),
        (lambda f, s, y: tree(f, np.ones_like(s), y), "second-level weights are not used"),
        (lambda f, s, y: tree(f, np.full_like(s, 0.5), y), "second-level weights are not used"),
        (lambda f, s, y: tree(one_hot(f), s, y), "hard gate"),
        (lambda f, s, y: tree(f[:, ::-1], s, y), "groups have changed places"),
        (lambda f, s, y: tree(f, s[..., ::-1], y), "experts have changed places"),
        (lambda f, s, y: tree(f, s, y) / tree(f, s, y).sum(1, keepdims=True), "divide by nothing"),
        (lambda f, s, y: tree(f, s, y) ** 2, "0.406"),
        (lambda f, s, y: f[:, :, None, None] * s * y, "of shape"),
    ],
    "hard_gate": [
        (lambda w: w.argmax(axis=1), "number of the group"),
        (lambda w: w > 0.5, "above a half"),
        (lambda w: one_hot(w) * w, "keeps its soft weight"),
        (lambda w: np.eye(3)[w.argmin(axis=1)], "lightest"),
        (lambda w: 1 - one_hot(w), "other way round"),
        (np.round, "above a half"),
        (lambda w: w, "1, 0, 0"),
        (lambda w: one_hot(w).T, "of shape"),
    ],
    "repaired_and_broken": [
        (masks, "flatnonzero"),
        (lambda b, a, y: sets(b, a, y)[::-1], "swapped"),
        (lambda b, a, y: (np.flatnonzero(a == y), sets(b, a, y)[1]), "wrong before"),
        (lambda b, a, y: (sets(b, a, y)[0], np.flatnonzero(a != y)), "right before"),
        (lambda b, a, y: (np.flatnonzero(a != b), sets(b, a, y)[1]), "repairs nothing"),
        (lambda b, a, y: tuple(m.sum() for m in masks(b, a, y)), "not how many"),
        (lambda b, a, y: sets(b, a, y)[0], "two arrays"),
        (lambda b, a, y: (sets(b, a, y)[0], []), "images 1, 4, 6"),
    ],
}


class TestLab02(MutationTests):
    lab, right, wrong, marks = lab02, RIGHT, WRONG, 14
