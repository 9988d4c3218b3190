"""Fraction of assignments dropped at capacity."""

import keras
from keras import ops

from moe_keras.precision import float32_or_better_dtype
from moe_keras.shapes import expect_shape, shapes_agree


@keras.saving.register_keras_serializable(package="moe_keras")
class DroppedShare(keras.metrics.Mean):
    """Fraction of assignments dropped at capacity, over all batches since the last reset.

        dropped = 1 - choices that were kept / all choices

    Call arguments:
        kept: Boolean tensor of shape (..., k), whether each assignment was carried out: "kept" of
            `SparseMoE.route`. Weigh padding with 0, by `indices >= 0`: no expert kept it.
        sample_weight: Tensor of shape (..., k) or (..., 1), weight of each assignment.

    Returns:
        Scalar tensor from 0 to 1.

    Reference:
        Fedus, Zoph & Shazeer (2021), Switch Transformers, section 2.2 (expert capacity).

    Example:

    >>> from moe_keras.metrics import DroppedShare
    >>> dropped = DroppedShare()
    >>> dropped.update_state([[True, True], [True, False]])
    >>> float(dropped.result())
    0.25
    """

    def __init__(self, name="dropped_share", dtype=None, **kwargs):
        super().__init__(name=name, dtype=float32_or_better_dtype(dtype), **kwargs)

    def update_state(self, kept, sample_weight=None):
        dropped = 1 - ops.cast(kept, self.dtype)
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, self.dtype)
            if not shapes_agree(tuple(sample_weight.shape), (*dropped.shape[:-1], 1)):
                expect_shape("sample_weight", sample_weight.shape, dropped.shape, "kept")
            sample_weight = ops.broadcast_to(sample_weight, ops.shape(dropped))
        return super().update_state(dropped, sample_weight=sample_weight)
