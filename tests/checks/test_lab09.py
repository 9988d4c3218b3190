"""Mutation tests of lab 09: right answers pass; plausible wrong ones hear the right message."""

import struct

import keras
import numpy as np
from keras import ops
from mutations import MutationTests

from moe_keras.checks import lab09


def read_header(data, order="big", start=4, size=4):
    places = range(start, start + size * data[3], size)
    return data[2], tuple(int.from_bytes(data[p : p + size], order) for p in places)


def read_header_by_struct(data):
    _, _, kind, rank = struct.unpack_from("BBBB", data)
    return kind, struct.unpack_from(f">{rank}I", data, 4)


def read_header_by_numpy(data):
    return data[2], np.frombuffer(data, ">u4", count=data[3], offset=4)


def standardise(train, images, axis=0):
    mean, spread = train.mean(axis=axis), train.std(axis=axis)
    return np.where(spread > 0, (images - mean) / np.maximum(spread, 1e-9), 0)


def standardise_in_place(train, images):
    spread = train.std(axis=0, ddof=1)
    answer = (images - train.mean(axis=0)) / np.where(spread > 0, spread, 1)
    answer[:, spread == 0] = 0
    return answer


def standardise_to_nan(train, images):
    with np.errstate(all="ignore"):
        return (images - train.mean(axis=0)) / train.std(axis=0)


def standardise_by_tiny(train, images):
    return (images - train.mean(axis=0)) / (train.std(axis=0) + 1e-9)


def standardise_by_variance(train, images):
    return (images - train.mean(axis=0)) / np.where(train.var(axis=0) > 0, train.var(axis=0), 1)


def spread(said, labels, num_classes):
    answer = np.zeros((len(said), num_classes))
    answer[:, labels] = said
    return answer


def spread_by_one_hot(said, labels, num_classes):
    return said @ np.eye(num_classes)[labels]


def spread_by_keras(said, labels, num_classes):
    return ops.matmul(ops.cast(said, "float32"), ops.one_hot(labels, num_classes))


def even_elsewhere(said, labels, num_classes):
    answer = np.full((len(said), num_classes), 0.01)
    answer[:, labels] = said
    return answer


def mixture(weights, said):
    return np.einsum("be,bec->bc", weights, said)


def mixture_by_loop(weights, said):
    return sum(weights[:, e, None] * said[:, e] for e in range(said.shape[1]))


def mixture_by_keras(weights, said):
    return ops.sum(ops.expand_dims(weights, -1) * said, axis=1)


def entropies(weights):
    return -(weights * np.log(np.maximum(weights, 1e-9))).sum(axis=1)


def surprises(labels, mixed):
    return -np.log(mixed[np.arange(len(labels)), labels])


def gate_loss(labels, mixed, weights, strength):
    return surprises(labels, mixed).mean() - strength * entropies(weights).mean()


def gate_loss_by_keras(labels, mixed, weights, strength):
    entropy = -ops.sum(weights * ops.log(weights + 1e-9), axis=-1)
    crosses = keras.losses.sparse_categorical_crossentropy(labels, mixed)
    return ops.mean(crosses - strength * entropy)


def gate_loss_published(labels, mixed, weights, strength):
    return surprises(labels, mixed).mean() + strength * entropies(weights).mean()


def gate_loss_of_mean(labels, mixed, weights, strength):
    entropy = entropies(weights.mean(axis=0, keepdims=True))[0]
    return surprises(labels, mixed).mean() - strength * entropy


def gate_loss_not_finite(labels, mixed, weights, strength):
    with np.errstate(all="ignore"):
        entropy = -(weights * np.log(weights)).sum(axis=1)
    return surprises(labels, mixed).mean() - strength * entropy.mean()


def scores(counts):
    hits = np.diag(counts)
    precision = hits / np.maximum(counts.sum(axis=0), 1)
    recall = hits / np.maximum(counts.sum(axis=1), 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def scores_by_counts(counts):
    said, true, hits = counts.sum(axis=0), counts.sum(axis=1), np.diag(counts)
    return hits / (said + 1e-12), hits / (true + 1e-12), 2 * hits / (said + true)


def scores_with_nan(counts):
    hits = np.diag(counts)
    with np.errstate(all="ignore"):
        precision, recall = hits / counts.sum(axis=0), hits / counts.sum(axis=1)
        return precision, recall, 2 * precision * recall / (precision + recall)


def plain_mean(counts):
    precision, recall, _ = scores(counts)
    return precision, recall, (precision + recall) / 2


RIGHT = {
    "read_header": [read_header, read_header_by_struct, read_header_by_numpy],
    "standardise": [standardise, standardise_in_place],
    "spread": [spread, spread_by_one_hot, spread_by_keras],
    "mixture": [mixture, mixture_by_loop, mixture_by_keras],
    "gate_loss": [gate_loss, gate_loss_by_keras],
    "scores": [scores, scores_by_counts],
}

WRONG = {
    "read_header": [
        (lambda d: read_header(d, order="little"), "wrong order"),
        (lambda d: read_header(d, size=1), "four bytes"),
        (lambda d: read_header(d, start=0), "byte 0"),
        (lambda d: (d[3], read_header(d)[1]), "byte 2"),
        (lambda d: (d[2], read_header(d)[1][:1]), "dimensions"),
        (lambda d: (d[2], struct.unpack_from(">3I", d, 4)), "dimensions"),
        (lambda d: read_header(d)[1], "two things|dimensions|a tuple"),
        (lambda d: (d[2], d[3]), "must be a tuple"),
        (lambda d: (8, read_header(d)[1]), "is 13"),
        (lambda d: (d[2], read_header(d)[1][::-1]), "the shape is"),
    ],
    "standardise": [
        (lambda t, x: standardise(x, x), "the images themselves"),
        (lambda t, x: standardise(t, x, axis=None), "one mean for all"),
        (standardise_by_variance, "variance"),
        (lambda t, x: x / np.maximum(t.std(axis=0), 1e-9), "not taken away"),
        (lambda t, x: x - t.mean(axis=0), "divided by the spread"),
        (standardise_to_nan, "spread 0"),
        (standardise_by_tiny, "tells nothing"),
        (lambda t, x: (t.mean(axis=0) - x) / np.maximum(t.std(axis=0), 1), "it becomes"),
        (lambda t, x: standardise(t, t), "of shape"),
    ],
    "spread": [
        (lambda s, labels, n: np.pad(s, ((0, 0), (0, n - 3))), "side by side"),
        (lambda s, labels, n: np.pad(s, ((0, 0), (n - 3, 0))), "side by side"),
        (lambda s, labels, n: s, "of shape"),
        (even_elsewhere, "sum to 1"),
        (lambda s, labels, n: spread(s[:, ::-1], labels, n), "the first row must be"),
        (lambda s, labels, n: spread(s, labels, n).T, "of shape"),
    ],
    "mixture": [
        (lambda w, s: w[:, :, None] * s, "now sum them"),
        (lambda w, s: (w[:, :, None] * s).sum(axis=2), "over the classes"),
        (lambda w, s: s.mean(axis=1), "plain mean"),
        (lambda w, s: s.sum(axis=1), "plain sum"),
        (lambda w, s: s[np.arange(len(s)), w.argmax(axis=1)], "heaviest tree alone"),
        (lambda w, s: mixture(w[:, ::-1], s), "exchanged"),
        (lambda w, s: (w[:, :, None] * s).mean(axis=1), "not their mean"),
        (lambda w, s: mixture(w**2, s), "0.45"),
        (lambda w, s: mixture(w, s).argmax(axis=1), "of shape"),
    ],
    "gate_loss": [
        (gate_loss_published, "published sign"),
        (lambda y, m, w, s: surprises(y, m).mean(), "changes nothing"),
        (lambda y, m, w, s: -gate_loss(y, m, w, -s), "has a minus"),
        (lambda y, m, w, s: gate_loss(y, m, w, s) * len(y), "mean"),
        (lambda y, m, w, s: surprises(y, m).mean() - s * entropies(w).sum(), "take the mean"),
        (lambda y, m, w, s: surprises(y, m) - s * entropies(w), "one number"),
        (gate_loss_of_mean, "each image's own"),
        (lambda y, m, w, s: gate_loss(y, m, m, s), "Take that of the weights"),
        (lambda y, m, w, s: gate_loss(y, m, w, s / 3), "not a mean"),
        (lambda y, m, w, s: gate_loss(y, m, w, 3 * s), "must add"),
        (lambda y, m, w, s: gate_loss(y, w, w, s), "only the cross-entropy"),
        (gate_loss_not_finite, "0 ln 0"),
    ],
    "scores": [
        (lambda c: scores(c.T), "exchanged"),
        (scores_with_nan, "never predicted"),
        (plain_mean, "harmonic"),
        (lambda c: (*scores(c)[:2], scores(c)[2] / 2), "factor 2"),
        (lambda c: tuple(part.mean() for part in scores(c)), "one for each class"),
        (lambda c: scores(c)[:2], "three things"),
        (lambda c: (np.diag(c) / c.sum(), *scores(c)[1:]), "precision 0.8"),
        (lambda c: (scores(c)[0], np.diag(c) / c.sum(), scores(c)[2]), "recall 0.75"),
        (lambda c: (*scores(c)[:2], scores(c)[0]), "is 2 \\* 0.375"),
    ],
}


class TestLab09(MutationTests):
    lab, right, wrong, marks = lab09, RIGHT, WRONG, 14
