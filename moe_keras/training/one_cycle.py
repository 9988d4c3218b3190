"""A learning rate that rises, then falls to zero."""

import keras


def one_cycle(peak, steps):
    """A learning rate that rises during the first quarter of the steps and then falls to zero.

        step < steps / 4:   peak * step / (steps / 4)
        afterwards:         peak * (1 + cos(pi * share of the remaining steps)) / 2

    Big steps first, small ones to settle: a network trained for a few epochs gets nearly as far as
    one trained for many at a constant rate.

    Args:
        peak: the largest learning rate.
        steps: how many steps the training takes in all.

    Returns:
        A Keras learning-rate schedule, for any optimizer.

    Reference:
        Smith & Topin (2018), Super-convergence.
        Loshchilov & Hutter (2016), SGDR (the falling half of a cosine).

    Example:

    >>> from moe_keras.training import one_cycle
    >>> rate = one_cycle(peak=0.5, steps=8)
    >>> [round(float(rate(step)), 2) for step in (0, 1, 2, 5, 8)]
    [0.0, 0.25, 0.5, 0.25, 0.0]
    """
    rise = steps // 4
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - rise, warmup_target=peak, warmup_steps=rise
    )
