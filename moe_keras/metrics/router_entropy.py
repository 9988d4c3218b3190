"""Entropy of the gate's probabilities."""

import keras

from moe_keras.losses.router import entropy
from moe_keras.precision import float32_or_better_dtype
from moe_keras.shapes import expect_shape


@keras.saving.register_keras_serializable(package="moe_keras")
class RouterEntropy(keras.metrics.Mean):
    """Mean entropy of the gate's probabilities, in nats, over all tokens since the last reset.

        H = mean over tokens of -sum_e p_e log p_e

    0 when the gate is certain, ln E when all experts are equal to it.

    Call arguments:
        probabilities: Tensor of shape (..., E).
        sample_weight: Tensor of shape (...), weight of each token; a mask, for example.

    Returns:
        Scalar tensor.

    Reference:
        Shannon (1948), A mathematical theory of communication, section 6.

    Example:

    >>> from moe_keras.metrics import RouterEntropy
    >>> undecided = RouterEntropy()
    >>> undecided.update_state([[0.5, 0.5], [1.0, 0.0]])
    >>> round(float(undecided.result()), 4)  # (ln 2 + 0) / 2
    0.3466
    """

    def __init__(self, name="router_entropy", dtype=None, **kwargs):
        super().__init__(name=name, dtype=float32_or_better_dtype(dtype), **kwargs)

    def update_state(self, probabilities, sample_weight=None):
        each = entropy(keras.ops.convert_to_tensor(probabilities, dtype=self.dtype))
        if sample_weight is not None:
            sample_weight = keras.ops.cast(sample_weight, self.dtype)
            expect_shape("sample_weight", sample_weight.shape, each.shape, "the probabilities")
        return super().update_state(each, sample_weight=sample_weight)
