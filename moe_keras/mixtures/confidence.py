"""How confident a classifier is of each answer."""

import math

from keras import ops

from moe_keras.precision import float32_or_better


def margin(probabilities):
    """The largest probability minus the second largest, of (B, C): (B,)."""
    first, second = ops.unstack(ops.top_k(probabilities, k=2)[0], axis=-1)
    return first - second


def negative_entropy(probabilities):
    """1 minus the entropy as a fraction of its maximum log C, of (B, C): (B,)."""
    p = ops.maximum(probabilities, 0)
    surprise = -ops.log(ops.where(p > 0, p, ops.ones_like(p)))  # 0 log 0 = 0
    return 1 - ops.sum(p * surprise, axis=-1) / float(math.log(p.shape[-1]))


MEASURES = {"margin": margin, "entropy": negative_entropy}


def confidence_of(probabilities, measure):
    """Confidence (B,) of answers (B, C), 0 for equal probabilities and 1 for a certain answer.

    >>> import numpy as np
    >>> answers = np.array([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]])
    >>> ops.convert_to_numpy(confidence_of(answers, "margin")).tolist()
    [0.0, 0.5]
    """
    return MEASURES[measure](float32_or_better(probabilities))


def check_measure(measure):
    """Raise a ValueError unless it is the name of a measure of confidence."""
    if measure not in MEASURES:
        raise ValueError(
            f"Expected confidence to be one of {', '.join(MEASURES)}. "
            f"Received: confidence={measure!r}"
        )
