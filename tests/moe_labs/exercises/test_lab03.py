"""Mutation tests of lab 03, with answers that its declarations do not list."""

import math

import numpy as np
import tensorflow as tf
from keras import ops
from mutations import MutationTests

from moe_keras.evaluation import negative_log_likelihood, paired_interval, with_temperature
from moe_labs.exercises import lab03


def cost(height, width, channels, filters, size):
    return height * width * filters * size**2 * channels


def temper(p, t):
    powers = p ** (1 / t)
    return powers / powers.sum(axis=1, keepdims=True)


def temper_in_loops(p, t):
    return [[x ** (1 / t) / sum(y ** (1 / t) for y in row) for x in row] for row in p.tolist()]


def surprises(p, y, ts):
    return [negative_log_likelihood(with_temperature(p, t), y) for t in ts]


def best(p, y, ts):
    return ts[np.argmin(surprises(p, y, ts))]


def best_in_a_loop(p, y, ts):
    lowest, found = math.inf, None
    for t in ts:
        surprise = negative_log_likelihood(temper(p, t), y)
        if surprise < lowest:
            lowest, found = surprise, t
    return found


def best_by(figure):
    return lambda p, y, ts: ts[np.argmin([figure(with_temperature(p, t), y) for t in ts])]


def brier(p, y):
    return ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean()


def bootstrap(a, b, resamples, seed, ends=(0.025, 0.975), share=1, rng=None, draws=None):
    d = a.astype(int) - b
    rng = rng or np.random.default_rng(seed)
    count = max(1, int(share * len(d)))
    means = [d[rng.integers(0, len(d), count)].mean() for _ in range(draws or resamples)]
    return d.mean(), *np.quantile(means, ends)


def bootstrap_of_indices(a, b, resamples, seed):
    chosen = np.random.default_rng(seed).integers(0, len(a), (resamples, len(a)))
    means = a[chosen].mean(axis=1) - b[chosen].mean(axis=1)
    return np.array([a.mean() - b.mean(), *np.quantile(means, [0.025, 0.975])])


def bootstrap_by_percentile(a, b, resamples, seed):
    rng = np.random.default_rng(seed)
    d = np.subtract(a, b, dtype="float32")
    means = sorted(float(rng.choice(d, len(d)).mean()) for _ in range(resamples))
    return [float(d.mean()), np.percentile(means, 2.5), np.percentile(means, 97.5)]


def normal(a, b, resamples, seed):
    d = a.astype(float) - b
    margin = 1.96 * d.std() / np.sqrt(len(d))
    return d.mean(), d.mean() - margin, d.mean() + margin


def all_but_the_last(a, b, resamples, seed):
    """Draws from 0 to N - 2."""
    d, rng = a.astype(float) - b, np.random.default_rng(seed)
    means = [d[rng.integers(0, len(d) - 1, len(d))].mean() for _ in range(resamples)]
    return d.mean(), *np.quantile(means, [0.025, 0.975])


def the_decided_alone(a, b, resamples, seed):
    """Draws only from images on which the models differ."""
    decided = a != b
    if not decided.any():
        return 0.0, 0.0, 0.0
    share = decided.mean()
    return tuple(share * end for end in bootstrap(a[decided], b[decided], resamples, seed))


def unpaired(a, b, resamples, seed):
    rng = np.random.default_rng(seed)
    n = len(a)
    means = [rng.choice(a, n).mean() - rng.choice(b, n).mean() for _ in range(resamples)]
    return a.mean() - b.mean(), *np.quantile(means, [0.025, 0.975])


def without_replacement(a, b, resamples, seed):
    rng = np.random.default_rng(seed)
    d = a.astype(int) - b
    means = [rng.permutation(d).mean() for _ in range(resamples)]
    return d.mean(), *np.quantile(means, [0.025, 0.975])


def mcnemar(a, b):
    only_a, only_b = np.sum(a & ~b), np.sum(~a & b)
    torn = only_a + only_b
    return only_a, only_b, (only_a - only_b) / np.sqrt(torn) if torn else 0.0


def mcnemar_of_differences(a, b):
    d = a.astype(int) - b
    torn = np.abs(d).sum()
    return np.array([(d == 1).sum(), (d == -1).sum(), d.sum() / np.sqrt(max(torn, 1))])


def mcnemar_in_a_loop(a, b):
    only_a = sum(1 for x, y in zip(a, b, strict=True) if x and not y)
    only_b = sum(1 for x, y in zip(a, b, strict=True) if y and not x)
    return [only_a, only_b, (only_a - only_b) / math.sqrt(only_a + only_b or 1)]


def frontier(c, y):
    return np.array(
        [
            not any(
                c[j] <= c[i] and y[j] >= y[i] and (c[j] < c[i] or y[j] > y[i])
                for j in range(len(c))
            )
            for i in range(len(c))
        ]
    )


def frontier_of_best(c, y):
    """On the frontier: the best of all that cost no more, and cheapest of all as good."""
    return [y[i] == y[c <= c[i]].max() and c[i] == c[y >= y[i]].min() for i in range(len(c))]


def frontier_at_once(c, y):
    no_worse = (c[:, None] <= c) & (y[:, None] >= y)
    return ops.logical_not(ops.any(no_worse & ((c[:, None] < c) | (y[:, None] > y)), axis=0))


def cascade(b, m, t, margin=None, below=np.less):
    if margin is None:
        first, second = np.sort(b, axis=1)[:, [-1, -2]].T
        margin = first - second
    unsure = below(margin, t)
    return np.where(unsure[:, None], m, b), np.mean(unsure)


def cascade_in_a_loop(b, m, t):
    answers, asked = [], 0
    for of_base, of_mixture in zip(b, m, strict=True):
        second, first = sorted(of_base)[-2:]
        answers.append(of_mixture if first - second < t else of_base)
        asked += first - second < t
    return answers, asked / len(b)


def cascade_by_top_k(b, m, t):
    largest = tf.math.top_k(b, 2).values
    unsure = largest[:, 0] - largest[:, 1] < t
    return tf.where(unsure[:, None], m, b), tf.reduce_mean(tf.cast(unsure, "float32"))


def cascade_in_place(b, m, t):
    unsure = cascade(b, m, t)[0] != b
    b[unsure] = m[unsure]
    return b, unsure.any(axis=1).mean()


def spoils(p, t):
    p **= 1 / t
    return p / p.sum(axis=1, keepdims=True)


def best_so_far(costs, accuracies):
    """From cheap to expensive, those that beat all before: right if none costs the same."""
    undominated = np.zeros(len(costs), bool)
    best = (-math.inf, None)
    for i in np.argsort(costs, kind="stable"):
        undominated[i] = accuracies[i] > best[0] or (accuracies[i], costs[i]) == best
        best = max(best, (accuracies[i], costs[i]), key=lambda pair: pair[0])
    return undominated


RIGHT = {
    "conv_cost": [
        cost,
        lambda h, w, c, f, s: sum(s * s * c for _ in range(h * w) for _ in range(f)),
        lambda *shape: np.prod([*shape, shape[-1]]),
        lambda h, w, c, f, s: float(h * w * c * f * s**2),
    ],
    "temper": [
        temper,
        with_temperature,
        temper_in_loops,
        lambda p, t: ops.softmax(ops.log(p) / t),
        lambda p, t: tf.pow(p, 1 / t) / tf.reduce_sum(tf.pow(p, 1 / t), axis=1, keepdims=True),
    ],
    "best_temperature": [
        best,
        best_in_a_loop,
        lambda p, y, ts: min(ts, key=lambda t: negative_log_likelihood(temper(p, t), y)),
        lambda p, y, ts: np.array(ts)[[np.argmin(surprises(p, y, ts))]],
    ],
    "paired_bootstrap": [
        bootstrap,
        bootstrap_of_indices,
        bootstrap_by_percentile,
        lambda a, b, n, seed: paired_interval(a, b, resamples=n, seed=seed),
    ],
    "mcnemar": [mcnemar, mcnemar_of_differences, mcnemar_in_a_loop],
    "frontier": [
        frontier,
        frontier_of_best,
        frontier_at_once,
        lambda c, y: frontier(c, y).astype(int),
    ],
    "cascade": [cascade, cascade_in_a_loop, cascade_by_top_k],
}

WRONG = {
    "conv_cost": [
        lambda h, w, c, f, s: cost(h, w, c, f, s) + 1,
        lambda h, w, c, f, s: cost(h, w, c, f, 3),
        lambda h, w, c, f, s: cost(h, w, 3, f, s),
        lambda h, w, c, f, s: h * w * c * c * s * s,
        lambda h, w, c, f, s: h * w * f * s**c,
        lambda h, w, c, f, s: h * w * f * s * 2 * c,
        lambda h, w, c, f, s: cost(h, w, c, f, s) / 1e6,
        lambda h, w, c, f, s: h + w + c + f + s,
        lambda h, w, c, f, s: (h * w, f * s * s * c),
        lambda h, w, c, f, s: h * w * f * (s * s * c - 1),
        lambda h, w, c, f, s: -cost(h, w, c, f, s),
        lambda h, w, c, f, s: (h + s - 1) * (w + s - 1) * f * s * s * c,
        lambda h, w, c, f, s: f"{cost(h, w, c, f, s):,}",
    ],
    "temper": [
        spoils,
        lambda p, t: temper(p, 2.0),
        lambda p, t: temper(p, t + 1),
        lambda p, t: temper(p, t).max(axis=1),
        lambda p, t: temper(p, t).T,
        lambda p, t: temper(p[:1], t) + 0 * p,
        lambda p, t: np.sort(temper(p, t)),
        lambda p, t: temper(p, t).astype(int),
        lambda p, t: np.asarray(ops.softmax(np.log(p + 0.01) / t)),
        lambda p, t: p**t / (p ** (1 / t)).sum(axis=1, keepdims=True),
        lambda p, t: np.log(temper(p, t)),
        lambda p, t: temper(p, t**2),
        lambda p, t: p ** (1 / t) / np.linalg.norm(p ** (1 / t), axis=1, keepdims=True),
        lambda p, t: temper(p, max(t, 1)),
        lambda p, t: np.where(p > 0, np.log(p), np.nan) * 0 + temper(p, t),
        lambda p, t: (p ** (1 / t)) / (p ** (1 / t)).mean(axis=1, keepdims=True),
    ],
    "best_temperature": [
        lambda p, y, ts: surprises(p, y, ts),
        lambda p, y, ts: 0.7,
        lambda p, y, ts: ts[0],
        lambda p, y, ts: ts[-1],
        lambda p, y, ts: ts[len(ts) // 2],
        lambda p, y, ts: np.mean(ts),
        lambda p, y, ts: min(ts),
        lambda p, y, ts: max(ts),
        lambda p, y, ts: ts[np.argmin(surprises(p, y, ts)) - 1],
        lambda p, y, ts: best(p, np.sort(y), ts),
        lambda p, y, ts: best(p[:5], y[:5], ts),
        lambda p, y, ts: best(p, p.argmax(axis=1), ts),
        lambda p, y, ts: ts[np.argmin([negative_log_likelihood(p ** (1 / t), y) for t in ts])],
        lambda p, y, ts: 1 / best(p, y, ts),
        lambda p, y, ts: best(p, y, lab03.TEMPERATURES),
        best_by(brier),
        best_by(lambda p, y: np.median(-np.log(p[np.arange(len(y)), y] + 1e-7))),
        best_by(lambda p, y: abs((p.max(axis=1)).mean() - (p.argmax(axis=1) == y).mean())),
    ],
    "paired_bootstrap": [
        lambda a, b, n, seed: bootstrap(a, b, n, seed, share=1000 / len(a)),
        unpaired,
        normal,  # draws nothing
        without_replacement,
        lambda a, b, n, s: bootstrap(a, b, n, s, (0.05, 0.95)),
        lambda a, b, n, s: bootstrap(a, b, n, s, (0.16, 0.84)),
        lambda a, b, n, s: bootstrap(a, b, n, s, (0.005, 0.995)),
        lambda a, b, n, s: bootstrap(a, b, n, s, (0.025, 0.95)),
        lambda a, b, n, s: bootstrap(a, b, n, s, (0.975, 0.025)),
        lambda a, b, n, s: bootstrap(a, b, n, s, (0, 1)),
        lambda a, b, n, s: bootstrap(a[:100], b[:100], n, s),
        lambda a, b, n, s: bootstrap(a, b, n, s, share=0.5),
        lambda a, b, n, s: bootstrap(a, b, n, 0),
        lambda a, b, n, s: bootstrap(a, b, n, s, draws=2000),
        lambda a, b, n, s: bootstrap(a, b, max(n - 1, 1), s),
        lambda a, b, n, s: (bootstrap(a[:-1], b[:-1], n, s)[0], *bootstrap(a, b, n, s)[1:]),
        all_but_the_last,
        the_decided_alone,
        lambda a, b, n, s: bootstrap(a, b, n, s, rng=np.random.default_rng()),
        lambda a, b, n, s: bootstrap(np.sort(a), np.sort(b), n, s),
        lambda a, b, n, s: bootstrap(a, b, n, s)[1:],
        lambda a, b, n, s: bootstrap(a, b, n, s)[::-1],
        lambda a, b, n, s: (0, *bootstrap(a, b, n, s)[1:]),
        lambda a, b, n, s: tuple(
            np.array(bootstrap(a, b, n, s)) - [0, *(2 * [a.mean() - b.mean()])]
        ),
        lambda a, b, n, s: (0.2, 0.1, 0.3),
    ],
    "mcnemar": [
        lambda a, b: (np.sum(a & b), np.sum(~a & ~b), 0.0),
        lambda a, b: (a.sum(), b.sum(), 2.0),
        lambda a, b: (1, 2, 3),
        lambda a, b: (*mcnemar(a, b)[:2], 0.0),
        lambda a, b: (*mcnemar(a, b)[:2], mcnemar(a, b)[0] / max(sum(mcnemar(a, b)[:2]), 1)),
        lambda a, b: (*mcnemar(a, b)[:2], round(mcnemar(a, b)[2])),
        lambda a, b: mcnemar(a, b)[2],
        lambda a, b: mcnemar(a, b)[::-1],
        lambda a, b: mcnemar(np.sort(a), np.sort(b)),
        lambda a, b: mcnemar(a[1:], b[1:]),
        lambda a, b: (*np.divide(mcnemar(a, b)[:2], len(a)), mcnemar(a, b)[2]),
        lambda a, b: (max(mcnemar(a, b)[:2]), min(mcnemar(a, b)[:2]), mcnemar(a, b)[2]),
        lambda a, b: (np.sum(a != b), np.sum(a == b), mcnemar(a, b)[2]),
        lambda a, b: (a & ~b, b & ~a, mcnemar(a, b)[2]),
        lambda a, b: (*mcnemar(a, b)[:2], min(mcnemar(a, b)[2], 1.96)),
    ],
    "frontier": [
        best_so_far,
        lambda c, y: y > 0.905,
        lambda c, y: y >= np.median(y),
        lambda c, y: y / c >= np.mean(y / c),
        lambda c, y: (y == y.max()) | (c == c.min()),
        lambda c, y: np.ones(len(c), bool),
        lambda c, y: np.zeros(len(c), bool),
        lambda c, y: frontier(np.sort(c), y),
        lambda c, y: frontier(c, y)[np.argsort(c)],
        lambda c, y: frontier(c, y)[::-1],
        lambda c, y: frontier(y, c),
        lambda c, y: frontier(-c, -y),
        lambda c, y: frontier(c.round(-1), y),
        lambda c, y: y[frontier(c, y)],
        lambda c, y: y >= np.maximum.accumulate(y),
        lambda c, y: frontier(c, y).sum(),
        lambda c, y: np.isin(y, [y[c == cost].max() for cost in c]),
        lambda c, y: ["yes" if on else "no" for on in frontier(c, y)],
    ],
    "cascade": [
        cascade_in_place,
        lambda b, m, t: cascade(b, m, t)[::-1],
        lambda b, m, t: cascade(b, m, t)[0],
        lambda b, m, t: cascade(m, b, t),
        lambda b, m, t: cascade(b, (b + m) / 2, t),
        lambda b, m, t: cascade(b, m, 0.3),
        lambda b, m, t: cascade(b, m, t, m.max(axis=1)),
        lambda b, m, t: cascade(b, m, t, b.std(axis=1)),
        lambda b, m, t: cascade(b, m, t, b.argmax(axis=1)),
        lambda b, m, t: cascade(b, m, t, np.sort(b, axis=1)[:, -1] - np.sort(m, axis=1)[:, -2]),
        lambda b, m, t: cascade(b, m, t, np.sort(b, axis=1)[:, -2] - np.sort(b, axis=1)[:, -1]),
        lambda b, m, t: (cascade(b, m, t)[0], 100 * cascade(b, m, t)[1]),
        lambda b, m, t: (cascade(b, m, t)[0].argmax(axis=1), cascade(b, m, t)[1]),
        lambda b, m, t: (cascade(b, m, t)[0], t),
        lambda b, m, t: (b, 0.0),
        lambda b, m, t: (m, 1.0),
    ],
}


class TestLab03(MutationTests):
    lab, right, wrong = lab03, RIGHT, WRONG

    def test_a_bootstrap_is_right_whatever_the_draws(self):
        for check in range(60):
            random = np.random.default_rng(check)
            for holds in lab03.paired_bootstrap.properties:
                holds(bootstrap_of_indices, random)
