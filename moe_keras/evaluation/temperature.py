"""Temperature scaling."""

import numpy as np
from scipy.optimize import minimize_scalar

from moe_keras.evaluation.calibration import negative_log_likelihood


def with_temperature(probabilities, temperature):
    """Temperature scaling: flatter probabilities (above 1) or steeper ones (below 1).

        q_c = p_c^(1/T) / sum_j p_j^(1/T)

    For the softmax of logits z it is the softmax of z / T. The order of the classes stays.

    Args:
        probabilities: Array (N, C) of class probabilities.
        temperature: Float above 0, temperature T.

    Returns:
        float64 array (N, C).

    Raises:
        ValueError: if the temperature is not a number above 0.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, section 4.2, equation (9).

    Example:

    >>> from moe_keras.evaluation import with_temperature
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
    """Fit the temperature that minimizes the negative log-likelihood.

        T = argmin NLL(p^(1/T) / sum p^(1/T), labels)

    Fit it on images that belong neither to the classifier's training set nor to the test set. As a
    function of 1 / T the loss of a softmax has one minimum, which a bounded line search finds.

    Args:
        probabilities: Array (N, C) of class probabilities.
        labels: Integer array (N,) of class ids.
        low: Float, smallest temperature to try.
        high: Float, largest temperature to try.

    Returns:
        Float, exact to about 0.1 percent.

    Raises:
        ValueError: as `negative_log_likelihood` does.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, section 4.2.

    Example:

    >>> from moe_keras.evaluation import fit_temperature
    >>> probabilities = [[0.75, 0.25]] * 10  # 3 to 1
    >>> labels = [0] * 9 + [1]  # 9 to 1
    >>> round(fit_temperature(probabilities, labels), 2)
    0.5
    """

    def loss(log_inverse):
        return negative_log_likelihood(
            with_temperature(probabilities, np.exp(-log_inverse)), labels
        )

    bounds = (-np.log(high), -np.log(low))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(-found.x))
