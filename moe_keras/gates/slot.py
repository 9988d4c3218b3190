"""Soft MoE gate: dispatch and combine weights between tokens and slots."""

import keras
from keras import ops

from moe_keras.arguments import positive_integer, positive_number
from moe_keras.gates.gate import Gate
from moe_keras.masks import clear_padding, over_axes
from moe_keras.precision import as_float, float32_or_better


@keras.saving.register_keras_serializable(package="moe_keras")
class SlotGate(Gate):
    """Soft MoE gate: weighs tokens for slots and slots for tokens, S slots an expert.

        logits = scale * normalized(x) . normalized(slot) / temperature
        dispatch = softmax(logits) over the T tokens: what each slot is mixed from
        combine = softmax(logits) over the E S slots: what each token's answer is mixed from
        probabilities = combine, summed over each expert's slots

    Vectors are normalized to length 1 and `scale` is learned, so that the scores do not grow with
    D and the softmaxes do not collapse to one token. A low temperature sharpens both.

    A masked token is in no slot. A sequence with every token masked has slots of zeros.

    Args:
        num_experts: Integer, number of experts E.
        slots: Integer, number of slots for each expert S. The paper takes about T / E.
        normalize: Boolean, whether to normalize and scale; if not, logits = x . slot / temperature.
        temperature: Float above 0 that divides the scores.

    Call arguments:
        inputs: tensor of shape (B, T, D).
        mask: boolean tensor of shape (B, T).

    Returns:
        A dict of float32 tensors: `"logits"`, `"dispatch"` and `"combine"`, all of shape
        (B, T, E, S), and `"probabilities"`, shape (B, T, E).

    Raises:
        ValueError: if `num_experts` or `slots` is not a whole number of at least 1, `temperature`
            is not a finite number above 0, or the inputs are not of shape (B, T, D).

    Reference:
        Puigcerver, Riquelme, Mustafa & Houlsby (2023), From sparse to soft mixtures of experts,
        equations (1) and (2), section 2.3 (normalization).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import SlotGate
    >>> tensors = SlotGate(num_experts=4, slots=2)(np.ones((5, 6, 8), "float32"))
    >>> tuple(tensors["dispatch"].shape), tuple(tensors["probabilities"].shape)
    ((5, 6, 4, 2), (5, 6, 4))
    """

    def __init__(self, num_experts, slots=1, normalize=True, temperature=1.0, **kwargs):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.slots = positive_integer("slots", slots)
        self.normalize = bool(normalize)
        self.temperature = positive_number("temperature", temperature)

    def build(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(
                "Expected inputs of shape (B, T, D): a slot is mixed from a sequence's tokens. "
                f"Received: shape {tuple(input_shape)}"
            )
        shape = (input_shape[-1], self.num_experts * self.slots)
        self.kernel = self.add_weight(shape=shape, initializer="lecun_normal", name="kernel")
        if self.normalize:
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, inputs, mask=None):
        inputs = clear_padding(inputs, mask)
        kernel = self.kernel  # (D, E S), a slot each column
        inputs = as_float(inputs)  # the square of a whole number may be too large for its dtype
        if self.normalize:
            inputs, kernel = _normalized(inputs, axis=-1), _normalized(kernel, axis=0)
            kernel = self.scale * kernel
        logits = ops.matmul(inputs, kernel) / self.temperature  # (B, T, E S)
        dispatch = _softmax_over_tokens(logits, mask)
        combine = ops.softmax(logits)
        by_expert = (*ops.shape(logits)[:2], self.num_experts, self.slots)
        logits, dispatch, combine = (
            ops.reshape(tensor, by_expert) for tensor in (logits, dispatch, combine)
        )
        return {
            "logits": logits,
            "dispatch": dispatch,
            "combine": combine,
            "probabilities": ops.sum(combine, axis=-1),
        }

    def get_config(self):
        config = {
            "num_experts": self.num_experts,
            "slots": self.slots,
            "normalize": self.normalize,
            "temperature": self.temperature,
        }
        return {**super().get_config(), **config}


def _normalized(vectors, axis):
    # Not ops.normalize: its gradient at a token of zeros is NaN with JAX and PyTorch.
    square = ops.sum(ops.square(float32_or_better(vectors)), axis=axis, keepdims=True)
    factor = ops.rsqrt(ops.maximum(square, keras.config.epsilon()))
    return vectors * ops.cast(factor, vectors.dtype)


def _softmax_over_tokens(logits, mask):
    if mask is None:
        return ops.softmax(logits, axis=1)
    here = over_axes(ops.cast(mask, "bool"), logits)  # (B, T, 1)
    # Lower than any score, but not infinity: with every token masked, infinity would give NaN.
    lowest = -6e4 if keras.backend.standardize_dtype(logits.dtype) == "float16" else -1e9
    dispatch = ops.softmax(ops.where(here, logits, lowest), axis=1)
    return ops.where(here, dispatch, 0.0)
