"""One number that makes a classifier as sure as it should be."""

import numpy as np

from moe_keras.inspection.calibration import negative_log_likelihood


def with_temperature(probabilities, temperature):
    """Probabilities made flatter (temperature above 1) or steeper (below 1); their order stays.

        q_c = p_c^(1/T) / sum_j p_j^(1/T)

    For the softmax of logits z it is the softmax of z / T.

    Args:
        probabilities: array (N, C) of class probabilities.
        temperature: T, above 0.

    Returns:
        float64 array (N, C).

    Raises:
        ValueError: if the temperature is not a number above 0.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, section 4.2, equation (9).

    Example:

    >>> from moe_keras.inspection import with_temperature
    >>> with_temperature([[0.75, 0.25]], 0.5).round(3).tolist()  # 9 to 1
    [[0.9, 0.1]]
    """
    if not (np.isscalar(temperature) and temperature > 0):
        raise ValueError(f"Expected a temperature above 0. Received: {temperature!r}")
    with np.errstate(divide="ignore"):  # log(0) = -inf, whose power is 0 again
        logits = np.log(np.asarray(probabilities, "float64")) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def fit_temperature(probabilities, labels, low=0.05, high=20.0):
    """The temperature with which the true classes are least of a surprise.

        T = argmin NLL(p^(1/T) / sum p^(1/T), labels)

    Fit it on images that neither the classifier was trained on nor the test will be made with. As a
    function of 1 / T the surprise of a softmax has one valley, in which a golden-section search
    finds the bottom.

    Args:
        probabilities: array (N, C) of class probabilities.
        labels: array (N,) of class ids.
        low: smallest temperature to try.
        high: largest.

    Returns:
        A float, exact to about 0.1 percent.

    Raises:
        ValueError: as `negative_log_likelihood` does.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, section 4.2.

    Example:

    >>> from moe_keras.inspection import fit_temperature
    >>> said, labels = [[0.75, 0.25]] * 10, [0] * 9 + [1]  # 3 to 1, where 9 to 1 were right
    >>> round(fit_temperature(said, labels), 2)
    0.5
    """

    def surprise(log_inverse):
        return negative_log_likelihood(
            with_temperature(probabilities, np.exp(-log_inverse)), labels
        )

    golden = (np.sqrt(5) - 1) / 2
    left, right = -np.log(high), -np.log(low)
    inner = [right - golden * (right - left), left + golden * (right - left)]
    values = [surprise(place) for place in inner]
    while right - left > 1e-3:
        if values[0] < values[1]:
            right = inner[1]
            inner = [right - golden * (right - left), inner[0]]
            values = [surprise(inner[0]), values[0]]
        else:
            left = inner[0]
            inner = [inner[1], left + golden * (right - left)]
            values = [values[1], surprise(inner[1])]
    return float(np.exp(-(left + right) / 2))
