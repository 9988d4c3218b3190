"""What a mixture of Gaussians predicts: mean, standard deviation, interval."""

import numpy as np
from keras import ops
from scipy.special import ndtr, ndtri  # the normal distribution function and its inverse

from moe_keras.losses.gaussian import mixture_parts


def gaussian_mixture_moments(mixture):
    """Mean and standard deviation of a mixture of Gaussians.

        mean = sum_e w_e mean_e
        variance = sum_e w_e (scale_e^2 + mean_e^2) - mean^2

    Args:
        mixture: Array (..., E, 1 + 2 D), the output of a `GaussianMoE`.

    Returns:
        Two arrays (..., D): means and standard deviations.

    Raises:
        ValueError: if it cannot be such an output.

    Reference:
        Bishop (1994), Mixture density networks: conditional average and variance.

    Example:

    >>> from moe_keras.evaluation import gaussian_mixture_moments
    >>> two = np.array([[np.log(0.5), -1.0, 1e-3], [np.log(0.5), 1.0, 1e-3]])  # -1 or 1
    >>> mean, deviation = gaussian_mixture_moments(two)
    >>> mean.tolist(), deviation.round(3).tolist()
    ([0.0], [1.0])
    """
    weights, means, scales = _parts(mixture)
    mean = (weights * means).sum(axis=-2)  # (..., D)
    # Around the mean: the difference of two squares would lose all digits far from 0.
    apart = means - np.expand_dims(mean, -2)
    return mean, np.sqrt((weights * (scales**2 + apart**2)).sum(axis=-2))


def gaussian_mixture_interval(mixture, coverage=0.9):
    """Prediction interval of a mixture of Gaussians, as likely to be missed below as above.

        P(y < low) = P(y > high) = (1 - coverage) / 2

    for each of the D outputs by itself. Whether as many targets fall inside as it promises is to be
    seen on examples held out: `((low <= y) & (y <= high)).mean()`.

    Args:
        mixture: Array (..., E, 1 + 2 D), the output of a `GaussianMoE`.
        coverage: Float between 0 and 1, the share of targets that should fall inside.

    Returns:
        Two arrays (..., D): the lower and the upper ends.

    Raises:
        ValueError: if `coverage` is not between 0 and 1, or `mixture` cannot be such an output.

    Reference:
        Bishop (1994), Mixture density networks.

    Example:

    >>> from moe_keras.evaluation import gaussian_mixture_interval
    >>> one = np.array([[0.0, 5.0, 2.0]])  # one Gaussian, mean 5, scale 2: 5 -+ 1.96 * 2
    >>> low, high = gaussian_mixture_interval(one, coverage=0.95)
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([1.08], [8.92])
    """
    if not 0 < coverage < 1:
        raise ValueError(f"Expected coverage between 0 and 1. Received: coverage={coverage!r}")
    parts = _parts(mixture)
    return _quantile(parts, (1 - coverage) / 2), _quantile(parts, (1 + coverage) / 2)


def _parts(mixture):
    mixture = np.asarray(ops.convert_to_numpy(mixture), dtype="float64")
    log_weights, means, scales = mixture_parts(mixture)
    return np.exp(log_weights)[..., np.newaxis], means, scales


def _quantile(parts, probability):
    """Where the mixture's distribution function is `probability`, by bisection."""
    weights, means, scales = parts
    weights = weights / weights.sum(axis=-2, keepdims=True)  # but for rounding, they have sum 1
    # The mixture's quantile lies among those of its Gaussians.
    quantiles = means + scales * ndtri(probability)
    low, high = quantiles.min(axis=-2), quantiles.max(axis=-2)
    for _ in range(60):
        middle = (low + high) / 2
        below = (weights * ndtr((np.expand_dims(middle, -2) - means) / scales)).sum(axis=-2)
        short = below < probability
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return (low + high) / 2
