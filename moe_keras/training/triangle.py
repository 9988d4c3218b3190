"""A learning rate that rises and falls in straight lines."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="moe_keras")
class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """Rises from 0.2 of the peak to the peak, then falls to 0.07 of it.

        rate(t) = peak (0.2 + 0.8 t / rise)                        for t < rise = 0.23 steps
        rate(t) = peak (1 - 0.93 (t - rise) / (steps - rise))      after that

    Args:
        peak: the largest rate.
        steps: steps of the whole training.

    Reference:
        Smith & Topin (2019), Super-convergence, section 3 (one cycle).
        Jordan (2024), 94% on CIFAR-10 in 3.29 seconds on a single GPU, listing 4 (the constants).

    Example:

    >>> from moe_keras.training import Triangle
    >>> [round(float(Triangle(peak=1.0, steps=100)(step)), 2) for step in (0, 23, 100)]
    [0.2, 1.0, 0.07]
    """

    def __init__(self, peak, steps):
        self.peak = peak
        self.steps = steps

    def __call__(self, step):
        step, rise = ops.cast(step, "float32"), 0.23 * self.steps
        up = 0.2 + 0.8 * step / rise
        down = 1 - 0.93 * (step - rise) / (self.steps - rise)
        return self.peak * ops.maximum(ops.where(step < rise, up, down), 0.07)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps}
