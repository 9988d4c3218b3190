"""Mutation tests of lab 02, with answers that its declarations do not list."""

import numpy as np
import tensorflow as tf
from keras import ops
from mutations import MutationTests

from moe_labs.exercises import lab02


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


def one_hot_last(weights):
    return np.eye(weights.shape[-1])[weights.argmax(axis=-1)]


def hits(said, labels):
    return (np.argmax(said, axis=1) == labels).astype(float)


def gained(learnt, unlearnt, labels, z=1.96):
    d = hits(learnt, labels) - hits(unlearnt, labels)
    margin = z * np.sqrt(((d - d.mean()) ** 2).sum() / (len(d) - 1) / len(d))
    return d.mean(), d.mean() - margin, d.mean() + margin


def gained_by_counting(learnt, unlearnt, labels):
    """Only n images tell: n_a that the one, n_b that the other alone gets right."""
    a, b = hits(learnt, labels) > 0, hits(unlearnt, labels) > 0
    only_a, only_b, n = (a & ~b).sum(), (b & ~a).sum(), len(labels)
    gain = (only_a - only_b) / n
    variance = ((only_a + only_b) / n - gain**2) * n / (n - 1)
    return [gain, gain - 1.96 * (variance / n) ** 0.5, gain + 1.96 * (variance / n) ** 0.5]


def masks(before, after, labels):
    return (before != labels) & (after == labels), (before == labels) & (after != labels)


def sets(before, after, labels):
    return tuple(np.flatnonzero(mask) for mask in masks(before, after, labels))


RIGHT = {
    "two_views": [
        views,
        views_in_one_call,
        lambda ask, x: views(ask, np.flip(x, 2)),
        lambda ask, x: ops.mean(ops.stack([ask(x), ask(np.asarray(ops.flip(x, 2)))]), axis=0),
        lambda ask, x: [views(ask, image[None])[0] for image in x],
    ],
    "group_weights": [
        sums,
        sums_by_product,
        lambda p, g: ops.stack([ops.sum(ops.take(p, i, axis=-1), -1) for i in g], axis=-1),
        lambda p, g: [[sum(row[c] for c in ids) for ids in g] for row in p],
        lambda p, g: np.stack([p[:, g[i]].sum(axis=1) for i in range(len(g))]).T,
    ],
    "second_level": [
        lambda a: ops.softmax(a),
        lambda a: ops.exp(ops.log_softmax(a)),
        lambda a: ops.exp(a - ops.logsumexp(a, axis=-1, keepdims=True)),
        tf.nn.softmax,
    ],
    "hierarchical_sum": [
        tree,
        tree_in_a_loop,
        lambda f, s, y: ops.einsum("bg,bgce,bgce->bc", f, s, y),
        lambda f, s, y: (f[:, None] @ (s * y).sum(axis=-1))[:, 0],
        lambda f, s, y: tf.reduce_sum(f[:, :, None, None] * s * y, axis=[1, 3]),
    ],
    "hard_gate": [
        one_hot,
        lambda w: w == w.max(axis=1, keepdims=True),
        lambda w: ops.one_hot(ops.argmax(w, axis=-1), w.shape[-1]),
        lambda w: [[int(g == row.argmax()) for g in range(len(row))] for row in w],
    ],
    "learning_gain": [
        gained,
        gained_by_counting,
        lambda a, b, y: np.array(gained(a, b, y)),
        lambda a, b, y: gained(a, b, y, 1.95996),
        lambda a, b, y: tuple(ops.convert_to_tensor(value) for value in gained(a, b, y)),
    ],
    "repaired_and_broken": [
        sets,
        lambda b, a, y: tuple(np.where(m) for m in masks(b, a, y)),
        lambda b, a, y: [np.argwhere(m)[::-1] for m in masks(b, a, y)],
        lambda b, a, y: [tf.where(m) for m in masks(b, a, y)],
        lambda b, a, y: tuple({i for i in range(len(y)) if m[i]} for m in masks(b, a, y)),
        lambda b, a, y: tuple([i for i, hit in enumerate(m) if hit] for m in masks(b, a, y)),
    ],
}

WRONG = {
    "two_views": [
        lambda ask, x: views(ask, 255 - x),
        lambda ask, x: np.repeat(views(ask, x)[:1], len(x), axis=0),
        lambda ask, x: views(ask, x, lambda x: np.roll(x, 1, axis=2)),
        lambda ask, x: views(ask, x / 255),
        lambda ask, x: views(ask, x)[::-1],
        lambda ask, x: np.round(views(ask, x), 2),
        lambda ask, x: np.eye(views(ask, x).shape[1])[views(ask, x).argmax(axis=1)],
        lambda ask, x: (2 * ask(x) + ask(x[:, :, ::-1])) / 3,
        lambda ask, x: ask(x) + ask(x[:, :, ::-1]) / 2,
        lambda ask, x: ask(np.concatenate([x, x[:, :, ::-1]])).reshape(len(x), 2, -1).mean(axis=1),
        lambda ask, x: views(ask, x[:, :, :8], lambda x: x[:, :, ::-1]),
        lambda ask, x: views(ask, x, lambda x: np.concatenate([x[:, :, :1], x[:, :, :0:-1]], 2)),
        lambda ask, x: np.stack([ask(x), ask(x[:, :, ::-1])], axis=1),
        lambda ask, x: np.divide(np.add(said := ask(x), ask(x[:, :, ::-1]), out=said), 2),
    ],
    "group_weights": [
        lambda p, g: 1 / len(g) + 0 * sums(p, g),
        lambda p, g: p,
        lambda p, g: sums(p, g[:2]),
        lambda p, g: np.sort(sums(p, g)),
        lambda p, g: np.sort(sums(p, g))[:, ::-1],
        lambda p, g: np.repeat(sums(p, g)[:1], len(p), axis=0),
        lambda p, g: np.stack([sums(p, g)[:, 0], 1 - sums(p, g)[:, 0]], axis=1),
        lambda p, g: np.stack([p[:, [2, 3, 4]].sum(axis=1), p[:, [0, 1]].sum(axis=1)], axis=1),
        lambda p, g: softmax(sums(p, g)),
        lambda p, g: sums(p, [range(min(ids), max(ids) + 1) for ids in g]),
        lambda p, g: sums(p[::-1], g),
        lambda p, g: np.log(sums(p, g)),
        lambda p, g: sums(p, [ids[1:] for ids in g]),
    ],
    "second_level": [
        softmax,  # NumPy, through which nothing learns
        lambda a: ops.softmax(2 * a),
        lambda a: ops.softmax(a)[..., 0],
        lambda a: ops.concatenate([p := ops.sigmoid(a[..., :1] - a[..., 1:2]), 1 - p], axis=-1),
        lambda a: ops.abs(a) / ops.sum(ops.abs(a), axis=-1, keepdims=True),
        lambda a: 0 * a + ops.softmax(a)[:1],
        lambda a: ops.softmax(ops.clip(a, -20, 20)),
        lambda a: ops.stop_gradient(ops.softmax(a)),
        lambda a: ops.softmax(a[:, :10]),
        lambda a: ops.softmax(ops.mean(a, axis=1, keepdims=True) + 0 * a),
        lambda a: ops.transpose(ops.softmax(a), (0, 2, 1)),
        lambda a: ops.softmax(ops.softmax(a)),
        lambda a: ops.exp(a) / (ops.sum(ops.exp(a), axis=-1, keepdims=True) + 1e-7),
        lambda a: ops.softmax(ops.sort(a)),
    ],
    "hierarchical_sum": [
        lambda f, s, y: tree(f, s, y) ** 2,
        lambda f, s, y: f[:, :, None, None] * s * y,
        lambda f, s, y: np.repeat(tree(f, s, y)[:1], len(f), axis=0),
        lambda f, s, y: tree(f[:1] + 0 * f, s, y),
        lambda f, s, y: tree(f[:, :2], s[:, :2], y[:, :2]),
        lambda f, s, y: tree(f, s[..., :2], y[..., :2]),
        lambda f, s, y: tree(f, s, y) / f.shape[1],
        lambda f, s, y: np.max(f[..., None] * (s * y).sum(axis=-1), axis=1),
        lambda f, s, y: tree(f, one_hot_last(s), y),
        lambda f, s, y: tree(f, s, y[:, ::-1]),
        lambda f, s, y: np.einsum("bg,bgde,bgce->bc", f, s, y),
        lambda f, s, y: np.clip(tree(f, s, y), 0, 0.9),
        lambda f, s, y: softmax(tree(f, s, y)),
        lambda f, s, y: tree(f, s / s.sum(axis=2, keepdims=True), y),
        lambda f, s, y: tree(f, s, y).T,
    ],
    "hard_gate": [
        lambda w: w,
        lambda w: one_hot(w).T,
        lambda w: one_hot(w)[::-1],
        lambda w: one_hot(w[:, :2]),
        lambda w: np.eye(3)[w.argmax(axis=1)],
        lambda w: np.repeat(one_hot(w)[:1], len(w), axis=0),
        lambda w: one_hot(np.round(w, 2)),
        lambda w: np.eye(w.shape[1])[np.argsort(w)[:, -2]],
        lambda w: softmax(100 * w),
        lambda w: np.eye(w.shape[1])[np.zeros(len(w), int)],
        lambda w: np.isclose(w, w.max(axis=1, keepdims=True), atol=1e-2),
        lambda w: one_hot(w)[:, ::-1],
        lambda w: w.max(axis=1),
        lambda w: np.floor(w / w.max()),
    ],
    "learning_gain": [
        lambda a, b, y: gained(a, b, y)[0],
        lambda a, b, y: gained(a, b, y)[1:],
        lambda a, b, y: (*gained(a, b, y)[:2], gained(a, b, y)[0]),
        lambda a, b, y: gained(a, b, y, 1.645),
        lambda a, b, y: gained(a, b, y, 2.576),
        lambda a, b, y: gained(a, a, y),
        lambda a, b, y: np.abs(gained(a, b, y)),
        lambda a, b, y: gained(a[:100], b[:100], y[:100]),
        lambda a, b, y: gained(a, b, np.roll(y, 1)),
        lambda a, b, y: gained(a, b, a.argmax(axis=1)),
        lambda a, b, y: gained(a.T, b.T, y),
        lambda a, b, y: gained(-a, -b, y),
        lambda a, b, y: np.array(gained(a, b, y)) / hits(b, y).mean(),
        lambda a, b, y: (hits(a, y).mean(), *gained(a, b, y)[1:]),
        lambda a, b, y: len(y) * np.array(gained(a, b, y)),
    ],
    "repaired_and_broken": [
        lambda b, a, y: sets(b, a, y)[0],
        lambda b, a, y: (sets(b, a, y)[0], []),
        lambda b, a, y: tuple(1 + which for which in sets(b, a, y)),
        lambda b, a, y: tuple(which[:2] for which in sets(b, a, y)),
        lambda b, a, y: (np.flatnonzero(b != y), np.flatnonzero(a != y)),
        lambda b, a, y: np.concatenate(sets(b, a, y)),
        lambda b, a, y: tuple(np.repeat(which, 2) for which in sets(b, a, y)),
        lambda b, a, y: tuple(np.argsort(mask)[-mask.sum() :] for mask in masks(b, a, y)),
        lambda b, a, y: (np.flatnonzero(a > b), np.flatnonzero(a < b)),
        lambda b, a, y: tuple(mask.astype(int) for mask in masks(b, a, y)),
        lambda b, a, y: tuple(np.unique(y[which]) for which in sets(b, a, y)),
        lambda b, a, y: sets(a, b, y),
        lambda b, a, y: tuple(mask.mean() for mask in masks(b, a, y)),
        lambda b, a, y: (sets(b, a, y)[0], np.flatnonzero((b == a) & (b != y))),
        lambda b, a, y: (set(y[masks(b, a, y)[0]]), set(y[masks(b, a, y)[1]])),
    ],
}


class TestLab02(MutationTests):
    lab, right, wrong = lab02, RIGHT, WRONG
