"""Mutation tests of lab 03: right answers pass; plausible wrong ones hear the right message."""

import numpy as np
from mutations import MutationTests

from moe_keras.checks import lab03
from moe_keras.inspection import (
    expected_calibration_error,
    negative_log_likelihood,
    paired_interval,
    with_temperature,
)


def cost(height, width, channels, filters, size):
    return height * width * filters * size**2 * channels


def cost_in_loops(height, width, channels, filters, size):
    return sum(size * size * channels for _ in range(height * width) for _ in range(filters))


def temper(p, t):
    powers = p ** (1 / t)
    return powers / powers.sum(axis=1, keepdims=True)


def surprises(p, y, ts, judge=negative_log_likelihood):
    return [judge(with_temperature(p, t), y) for t in ts]


def best(p, y, ts):
    return ts[np.argmin(surprises(p, y, ts))]


def best_in_a_loop(p, y, ts):
    lowest, found = np.inf, None
    for t in ts:
        said = temper(p, t)[np.arange(len(y)), y]
        if -np.log(said).mean() < lowest:
            lowest, found = -np.log(said).mean(), t
    return float(found)


def bootstrap(a, b, resamples, seed, ends=(0.025, 0.975)):
    d = a.astype(int) - b.astype(int)
    rng = np.random.default_rng(seed)
    means = [d[rng.integers(0, len(d), len(d))].mean() for _ in range(resamples)]
    return d.mean(), *np.quantile(means, ends)


def bootstrap_of_indices(a, b, resamples, seed):
    chosen = np.random.default_rng(seed).integers(0, len(a), (resamples, len(a)))
    means = a[chosen].mean(axis=1) - b[chosen].mean(axis=1)
    return np.array([a.mean() - b.mean(), *np.quantile(means, [0.025, 0.975])])


def normal(a, b, resamples, seed, reach=1.96):
    d = a.astype(float) - b
    margin = reach * d.std(ddof=1) / np.sqrt(len(d))
    return d.mean(), d.mean() - margin, d.mean() + margin


def unpaired(a, b, resamples, seed):
    rng = np.random.default_rng(seed)
    n = len(a)
    means = [
        rng.choice(a, n).astype(float).mean() - rng.choice(b, n).mean() for _ in range(resamples)
    ]
    return a.mean() - b.mean(), *np.quantile(means, [0.025, 0.975])


def without_replacement(a, b, resamples, seed):
    rng = np.random.default_rng(seed)
    d = a.astype(int) - b.astype(int)
    means = [rng.permutation(d).mean() for _ in range(resamples)]
    return d.mean(), *np.quantile(means, [0.025, 0.975])


def mcnemar(a, b):
    only_a, only_b = np.sum(a & ~b), np.sum(~a & b)
    torn = only_a + only_b
    return only_a, only_b, (only_a - only_b) / np.sqrt(torn) if torn else 0.0


def mcnemar_of_differences(a, b):
    d = a.astype(int) - b
    torn = np.abs(d).sum()
    return int((d == 1).sum()), int((d == -1).sum()), float(d.sum() / np.sqrt(max(torn, 1)))


def mcnemar_with(z):
    return lambda a, b: (*mcnemar(a, b)[:2], z(*mcnemar(a, b)[:2], len(a)))


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


def spoils(p, t):
    p **= 1 / t
    return p / p.sum(axis=1, keepdims=True)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


RIGHT = {
    "conv_cost": [cost, cost_in_loops],
    "temper": [temper, lambda p, t: softmax(np.log(p) / t)],
    "best_temperature": [best, best_in_a_loop],
    "paired_bootstrap": [
        bootstrap,
        bootstrap_of_indices,
        normal,
        lambda a, b, n, seed: paired_interval(a, b, resamples=n, seed=seed),
    ],
    "mcnemar": [mcnemar, mcnemar_of_differences],
    "frontier": [frontier, frontier_of_best],
}

WRONG = {
    "conv_cost": [
        (lambda h, w, c, f, s: h * w * f * s * s, "channels are missing"),
        (lambda h, w, c, f, s: f * s * s * c, "number of weights"),
        (lambda h, w, c, f, s: f * (s * s * c + 1), "number of parameters"),
        (lambda *a: 2 * cost(*a), "counts as one"),
        (lambda h, w, c, f, s: h * w * f * (s * s * c + 1), "biases"),
        (lambda h, w, c, f, s: h * w * f * s * c, "as high as it is wide"),
        (lambda h, w, c, f, s: h * w * s * s * c, "one filter"),
        (lambda h, w, c, f, s: h * w * (f + s * s * c), "do not add"),
        (lambda h, w, c, f, s: (h - 2) * (w - 2) * f * s * s * c, "7,560"),
        (lambda *a: None, "7,560"),
    ],
    "temper": [
        (lambda p, t: p ** (1 / t), "do not sum to 1"),
        (lambda p, t: p / t, "divide the probabilities"),
        (lambda p, t: (p / t) / (p / t).sum(axis=1, keepdims=True), "Nothing has changed"),
        (lambda p, t: temper(p, 1 / t), "1 / temperature"),
        (lambda p, t: softmax(p / t), "as logits"),
        (lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(axis=0), "columns"),
        (lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(), "All your numbers"),
        (spoils, "changes the array"),
        (lambda p, t: temper(p, t).max(axis=1), "of shape"),
        (lambda p, t: temper(p, t + 1), "0.414"),
    ],
    "best_temperature": [
        (lambda p, y, ts: min(surprises(p, y, ts)), "log-likelihood itself"),
        (lambda p, y, ts: int(np.argmin(surprises(p, y, ts))), "place in the list"),
        (lambda p, y, ts: ts[np.argmax(surprises(p, y, ts))], "the worst"),
        (
            lambda p, y, ts: ts[np.argmax(surprises(p, y, ts, lambda q, y: (q[:, 0] > 0.5).sum()))],
            "Temperature 0.5|the worst|Temperature 2",
        ),
        (lambda p, y, ts: 1.0, "is shy"),
        (lambda p, y, ts: 0.5, "the worst"),
        (lambda p, y, ts: ts[np.argmin(surprises(p, y, ts)) // 2], "too sure"),
        (lambda p, y, ts: 0.7, "one of the temperatures"),
        (lambda p, y, ts: surprises(p, y, ts), "one number"),
        (
            lambda p, y, ts: ts[np.argmax(surprises(p, y, ts, expected_calibration_error))],
            "lowest|worst",
        ),
    ],
    "paired_bootstrap": [
        (lambda *a: 100 * np.array(bootstrap(*a)), "percentage points"),
        (lambda a, b, n, s: bootstrap(b, a, n, s), "subtract a from b"),
        (lambda a, b, n, s: (0.2, 0.1, 0.3), "254 of 400"),
        (lambda a, b, n, s: (0.0675, 0.1, 0.0), "lower end is above"),
        (without_replacement, "no width"),
        (unpaired, "two unrelated sets"),
        (lambda a, b, n, s: bootstrap(a, b, n, s, (0.05, 0.95)), "90 %"),
        (lambda a, b, n, s: normal(a, b, n, s, 1), "one standard error"),
        (lambda a, b, n, s: bootstrap(a[:100], b[:100], n, s), "254 of 400|as many images"),
        (lambda a, b, n, s: normal(a, b, n, s, 2.5), "Expected an interval"),
        (lambda *a: bootstrap(*a)[1:], "3 numbers"),
    ],
    "mcnemar": [
        (lambda a, b: (*mcnemar(b, a)[:2], mcnemar(a, b)[2]), "changed places"),
        (lambda a, b: (np.sum(a & b), np.sum(~a & ~b), 0.0), "say nothing"),
        (lambda a, b: (a.sum(), b.sum(), 2.0), "leave out those"),
        (lambda a, b: (1, 2, 3), "54 images"),
        (mcnemar_with(lambda a, b, n: (a - b) / np.sqrt(n)), "all images"),
        (mcnemar_with(lambda a, b, n: (a - b) ** 2 / (a + b)), "z squared"),
        (mcnemar_with(lambda a, b, n: (a - b) / (a + b)), "square root"),
        (mcnemar_with(lambda a, b, n: (b - a) / np.sqrt(a + b)), "sign is wrong"),
        (mcnemar_with(lambda a, b, n: 2 * (a - b) / np.sqrt(a + b)), "With a coin"),
        (mcnemar_with(lambda a, b, n: a / (a + b)), "z should be 3"),
        (mcnemar_with(lambda a, b, n: (a - b) / np.sqrt(a + b)), "division by 0"),
    ],
    "frontier": [
        (lambda c, y: ~frontier(c, y), "changed places"),
        (lambda c, y: y == y.max(), "most accurate alone"),
        (lambda c, y: c == c.min(), "cheapest alone"),
        (
            lambda c, y: [sum((c <= c[i]) & (y >= y[i])) == 1 for i in range(len(c))],
            "rule each other out",
        ),
        (
            lambda c, y: [not ((c < c[i]) & (y > y[i])).any() for i in range(len(c))],
            "Nobody is dominated",
        ),
        (
            lambda c, y: [not ((c < c[i]) & (y >= y[i])).any() for i in range(len(c))],
            "third costs as much",
        ),
        (
            lambda c, y: [not ((c <= c[i]) & (y > y[i])).any() for i in range(len(c))],
            "fifth costs more",
        ),
        (
            lambda c, y: [not ((c <= c[i]) & (y >= y[i])).any() for i in range(len(c))],
            "compared with itself",
        ),
        (lambda c, y: np.flatnonzero(frontier(c, y)), "true and false"),
        (lambda c, y: y > 0.905, "expected"),
    ],
}


class TestLab03(MutationTests):
    lab, right, wrong, marks = lab03, RIGHT, WRONG, 14
