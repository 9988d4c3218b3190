"""Threshold of a cascade."""

import keras
import numpy as np

from moe_keras.mixtures.confidence import check_measure, confidence_of


def fit_threshold(probabilities, share, confidence="margin"):
    """Fit the threshold of a `CascadeMoE` below which a share of the answers lies.

        threshold = the quantile of confidence(p) at `share`

    Fit it on held-out inputs, which the base has not been trained on: of those that it has, it is
    too sure. To spend c times the base's cost with experts that cost r times the base, take
    share = (c - 1) / r.

    Args:
        probabilities: Array (N, C) of the base's class probabilities.
        share: Float from 0 to 1, share of the inputs to defer to the experts. Inputs of equal
            confidence are deferred together or not at all; it is never more than the share.
        confidence: String, "margin" or "entropy", as the cascade's.

    Returns:
        Float of 0 or more, for the cascade's `threshold`.

    Raises:
        ValueError: if probabilities are not of shape (N, C), N at least 1 and C at least 2, or not
            finite, share is not a number from 0 to 1, or there is no such confidence.

    Reference:
        Jitkrittum et al. (2023), When does confidence-based cascade deferral suffice?, section 2.2.

    Example:

    >>> from moe_keras.evaluation import fit_threshold
    >>> probabilities = [[0.9, 0.1], [0.6, 0.4], [0.75, 0.25], [1.0, 0.0]]
    >>> round(fit_threshold(probabilities, share=0.25), 3)  # of margins 0.8, 0.2, 0.5 and 1
    0.5
    """
    probabilities = np.asarray(probabilities, "float32")
    if probabilities.ndim != 2 or len(probabilities) == 0 or probabilities.shape[1] < 2:
        raise ValueError(
            "Expected probabilities of shape (N, C), N at least 1 and C at least 2. "
            f"Received: shape {probabilities.shape}"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("Expected finite probabilities. Received: some that are NaN or infinite")
    if not (np.isscalar(share) and 0 <= share <= 1):
        raise ValueError(f"Expected share to be a number from 0 to 1. Received: share={share!r}")
    check_measure(confidence)
    values = np.sort(keras.ops.convert_to_numpy(confidence_of(probabilities, confidence)))
    deferred = int(share * len(values) + 1e-6)  # 0.29 * 100 is 28.999...
    # Below the first that is not deferred; if all are, above every one.
    return float(max(values[deferred], 0)) if deferred < len(values) else float(values[-1]) + 1.0
