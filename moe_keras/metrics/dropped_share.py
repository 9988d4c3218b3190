"""How much was asked of experts that had no room left."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="moe_keras")
class DroppedShare(keras.metrics.Mean):
    """Share of the choices that their expert did not take, over all batches since the last reset.

        dropped = 1 - choices that were kept / all choices

    Call arguments:
        kept: boolean tensor of shape (..., k), whether each choice was carried out: "kept" of
            `SparseMoE.route`.
        sample_weight: tensor of shape (..., k) or (..., 1), what each choice counts.

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

    def __init__(self, name="dropped_share", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, kept, sample_weight=None):
        dropped = 1 - ops.cast(kept, self.dtype)
        if sample_weight is not None:
            sample_weight = ops.broadcast_to(
                ops.cast(sample_weight, self.dtype), ops.shape(dropped)
            )
        return super().update_state(dropped, sample_weight=sample_weight)
