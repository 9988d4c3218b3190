"""Calibration of a classifier."""

import numpy as np

from moe_keras.arguments import positive_integer


def expected_calibration_error(probabilities, labels, bins=15):
    """Expected calibration error (ECE): mean distance of confidence and accuracy over bins.

        ECE = sum_b n_b / N |accuracy_b - confidence_b|

    Images are sorted into bins by the probability of the predicted class, its confidence: bin b
    of B holds those above (b - 1) / B and up to b / B.

    Args:
        probabilities: Array (N, C) of class probabilities.
        labels: Integer array (N,) of class ids.
        bins: Integer, number of bins B.

    Returns:
        Float from 0 to 1.

    Raises:
        ValueError: if the shapes do not fit, rows do not sum to 1, labels are out of range, or
            `bins` is not a whole number of at least 1.

    Reference:
        Naeini, Cooper & Hauskrecht (2015), Obtaining well calibrated probabilities, section 4.
        Guo et al. (2017), On calibration of modern neural networks, equation (3).

    Example:

    >>> from moe_keras.evaluation import expected_calibration_error
    >>> probabilities = [[0.75, 0.25]] * 4
    >>> [expected_calibration_error(probabilities, labels) for labels in ([0, 0, 0, 1], [0] * 4)]
    [0.0, 0.25]
    """
    confidence, accuracy, count = reliability(probabilities, labels, bins)
    return float((count * abs(accuracy - confidence)).sum() / count.sum())


def reliability(probabilities, labels, bins=15):
    """Reliability diagram: accuracy by confidence, in bins.

    Bin b of B holds the images whose confidence, the probability of the predicted class, lies
    above (b - 1) / B and up to b / B. Bins without images are left out.

    Args:
        probabilities: Array (N, C) of class probabilities.
        labels: Integer array (N,) of class ids.
        bins: Integer, number of bins B.

    Returns:
        Three arrays (K,), K at most B, one value for each bin that holds images: their mean
        confidence, their accuracy, and their count.

    Raises:
        ValueError: as `expected_calibration_error` does.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, equations (1) and (2).

    Example:

    >>> from moe_keras.evaluation import reliability
    >>> probabilities = [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]
    >>> confidence, accuracy, count = reliability(probabilities, [0, 0, 0, 0], bins=2)
    >>> confidence.tolist(), accuracy.tolist(), count.tolist()
    ([0.5, 0.75], [1.0, 0.5], [2, 2])
    """
    probabilities, labels = _checked(probabilities, labels)
    bins = positive_integer("bins", bins)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(number, minlength=bins)
    filled = count > 0
    sums = [np.bincount(number, weights=values, minlength=bins) for values in (confidence, right)]
    return (*(values[filled] / count[filled] for values in sums), count[filled])


def negative_log_likelihood(probabilities, labels, smallest=1e-7):
    """Negative log-likelihood (NLL) of the labels, in nats an image.

        NLL = -1/N sum_i log p_i[y_i]

    As `keras.metrics.SparseCategoricalCrossentropy`, for arrays.

    Args:
        probabilities: Array (N, C) of class probabilities.
        labels: Integer array (N,) of class ids.
        smallest: Float; probabilities below it count as this, so that one certain error is not
            infinite.

    Returns:
        Float of at least 0.

    Raises:
        ValueError: if the shapes do not fit, rows do not sum to 1, or labels are out of range.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, section 2.

    Example:

    >>> from moe_keras.evaluation import negative_log_likelihood
    >>> round(negative_log_likelihood([[0.5, 0.5], [1.0, 0.0]], [1, 0]), 4)  # (ln 2 + 0) / 2
    0.3466
    """
    probabilities, labels = _checked(probabilities, labels)
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)
    return float(-np.log(np.maximum(true, smallest)).mean())


def _checked(probabilities, labels):
    probabilities, labels = np.asarray(probabilities, "float64"), np.asarray(labels)
    if (
        probabilities.ndim != 2
        or len(probabilities) == 0
        or labels.shape != probabilities.shape[:1]
    ):
        raise ValueError(
            "Expected probabilities of shape (N, C) and labels of shape (N,). "
            f"Received: shapes {probabilities.shape} and {labels.shape}"
        )
    sums = probabilities.sum(axis=1)
    # A sum of 16-bit numbers is a little off.
    if not (probabilities >= 0).all() or not np.allclose(sums, 1, atol=0.01):
        raise ValueError(
            "Expected probabilities of at least 0, each row's sum 1. "
            f"Received: the least is {probabilities.min()}, sums from {sums.min()} to {sums.max()}"
        )
    classes = probabilities.shape[1]
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"Expected labels that are whole numbers from 0 to {classes - 1}. "
            f"Received: dtype {labels.dtype}, from {labels.min()} to {labels.max()}"
        )
    return probabilities, labels
