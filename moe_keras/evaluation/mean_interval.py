"""Confidence interval of a mean over a few runs."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # quantile of Student's t; scipy.stats takes seconds to import


class MeanInterval(NamedTuple):
    """Mean and the ends of its confidence interval, in the unit of the values.

    Attributes:
        mean: Float, the mean.
        low: Float, lower end of the interval.
        high: Float, upper end of the interval.
    """

    mean: float
    low: float
    high: float


def mean_interval(values):
    """Confidence interval (95 %, Student's t) of the mean of independent values, one for each seed.

        mean +- t s / sqrt(n)

    where s is the values' standard deviation and t the quantile for n - 1 degrees of freedom: 4.30
    for three values, so that three seeds give a wide interval, as they should.

    Args:
        values: Array (n,), n at least 1. One value alone has no interval: low and high are the
            value itself.

    Returns:
        Named tuple (mean, low, high).

    Raises:
        ValueError: if there are no values, or not in one row.

    Reference:
        Student (1908), The probable error of a mean.

    Example:

    >>> from moe_keras.evaluation import mean_interval
    >>> [round(value, 2) for value in mean_interval([97.0, 98.0, 99.0])]
    [98.0, 95.52, 100.48]
    """
    values = np.asarray(values, dtype="float64")
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"Expected one value or more in one row. Received: shape {values.shape}")
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return MeanInterval(mean, mean, mean)
    reach = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n))
    return MeanInterval(mean, mean - reach, mean + reach)
