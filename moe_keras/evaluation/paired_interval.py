"""Paired bootstrap interval of a difference of accuracies."""

from typing import NamedTuple

import numpy as np


class PairedInterval(NamedTuple):
    """Difference of two accuracies and the ends of its interval, all as fractions of 1.

    Attributes:
        difference: Float, accuracy of the first model minus that of the second.
        low: Float, lower end of the interval.
        high: Float, upper end of the interval.
    """

    difference: float
    low: float
    high: float


def paired_interval(correct_a, correct_b, level=0.95, resamples=10_000, seed=0):
    """Paired bootstrap interval of accuracy(a) - accuracy(b) on the same examples.

    With `d_i = a_i - b_i` in {-1, 0, 1} for example i, the difference is `mean(d)`. The bootstrap
    draws N examples with replacement, again and again, and takes the middle `level` of the
    differences. Since `d_i` has three values only, a resample is one draw of their three counts
    from a multinomial distribution, which is the same as drawing the examples one by one and much
    quicker.

    Args:
        correct_a: Boolean array (N,), true where the first model is right.
        correct_b: Boolean array (N,), true where the second model is right, in the same order.
        level: Float between 0 and 1, probability that the interval should cover.
        resamples: Integer, number of bootstrap draws.
        seed: Integer, seed of the draws.

    Returns:
        Named tuple (difference, low, high), as fractions: 0.015 is 1.5 percentage points.

    Raises:
        ValueError: if the two are not one-dimensional, of the same length >= 1 and made of true and
            false (or 1 and 0), or level or resamples are out of range.

    Example:

    >>> import numpy as np
    >>> from moe_keras.evaluation import paired_interval
    >>> a = np.array([True] * 700 + [False] * 300)
    >>> b = np.array([True] * 650 + [False] * 350)
    >>> interval = paired_interval(a, b)
    >>> round(interval.difference, 3), interval.low > 0
    (0.05, True)

    Reference:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13 (percentile
        interval).
    """
    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.ndim != 1 or a.shape != b.shape or len(a) == 0:
        raise ValueError(
            "Expected two one-dimensional arrays of the same length, one entry for each example. "
            f"Received: shapes {a.shape} and {b.shape}"
        )
    for name, values in (("correct_a", a), ("correct_b", b)):
        if not np.isin(values, (0, 1)).all():
            raise ValueError(
                f"Expected {name} to hold true (right) and false (wrong) only. "
                f"Received: values such as {values[~np.isin(values, (0, 1))][:3].tolist()}"
            )
    if not 0 < level < 1:
        raise ValueError(f"Expected a level between 0 and 1. Received: level={level}")
    if resamples < 1:
        raise ValueError(f"Expected resamples >= 1. Received: resamples={resamples}")

    difference = a.astype(int) - b.astype(int)
    counts = np.array([(difference == value).sum() for value in (-1, 0, 1)])
    draws = np.random.default_rng(seed).multinomial(len(a), counts / len(a), size=resamples)
    differences = (draws[:, 2] - draws[:, 0]) / len(a)
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return PairedInterval(float(difference.mean()), float(low), float(high))
