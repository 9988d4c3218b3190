"""The mean of a few runs, with its uncertainty."""

from typing import NamedTuple

import numpy as np

# 97.5 % quantiles of Student's t for 1, 2, ... 9 degrees of freedom.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class MeanInterval(NamedTuple):
    """A mean and the ends of its interval, in the unit of the values.

    Attributes:
        mean: the mean.
        low: lower end of the interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float


def mean_interval(values):
    """95 % interval (Student's t) of the mean of a few independent values, one for each seed.

        mean +- t s / sqrt(n)

    where s is the values' standard deviation and t the quantile for n - 1 degrees of freedom: 4.30
    for three values, so that three seeds give a wide interval, as they should.

    Args:
        values: array (n,), n from 1 to 10. One value alone has no interval: low and high are the
            value itself.

    Returns:
        MeanInterval(mean, low, high).

    Raises:
        ValueError: if there are not 1 to 10 values in one row.

    Reference:
        Student (1908), The probable error of a mean.

    Example:

    >>> from moe_keras.inspection import mean_interval
    >>> [round(value, 2) for value in mean_interval([97.0, 98.0, 99.0])]
    [98.0, 95.52, 100.48]
    """
    values = np.asarray(values, dtype="float64")
    if values.ndim != 1 or not 1 <= len(values) <= 1 + len(T):
        raise ValueError(f"Expected 1 to 10 values in one row. Received: shape {values.shape}")
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return MeanInterval(mean, mean, mean)
    reach = float(T[n - 2] * values.std(ddof=1) / np.sqrt(n))
    return MeanInterval(mean, mean - reach, mean + reach)
