"""The gate of the soft mixture: tokens are mixed into slots, and slots back into tokens."""

import keras
from keras import ops

from moe_keras.arguments import positive_integer, positive_number
from moe_keras.gates.gate import Gate


@keras.saving.register_keras_serializable(package="moe_keras")
class SlotGate(Gate):
    """Weighs tokens for slots and slots for tokens, S slots an expert.

        logits = scale * normalised(x) . normalised(slot) / temperature
        dispatch = softmax(logits) over the T tokens: what each slot is mixed from
        combine = softmax(logits) over the E S slots: what each token's answer is mixed from
        probabilities = combine, summed over each expert's slots

    Vectors are normalised to length 1 and `scale` is learned, so that the scores do not grow with
    D and the softmaxes do not collapse to one token. A low temperature sharpens both.

    A masked token is in no slot. A sequence with every token masked has slots of zeros.

    Args:
        num_experts: E.
        slots: S, slots for each expert. The paper takes about T / E.
        normalize: whether to normalise and scale; if not, logits = x . slot / temperature.
        temperature: a number above 0 that divides the scores.

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
        equations (1) and (2), section 2.3 (normalisation).

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
        kernel = self.kernel  # (D, E S), a slot each column
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
    square = ops.sum(ops.square(vectors), axis=axis, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(square, keras.config.epsilon()))


def _softmax_over_tokens(logits, mask):
    if mask is None:
        return ops.softmax(logits, axis=1)
    here = ops.expand_dims(ops.cast(mask, "bool"), -1)  # (B, T, 1)
    # Lower than any score, but not infinity: with every token masked, infinity would give NaN.
    lowest = -6e4 if keras.backend.standardize_dtype(logits.dtype) == "float16" else -1e9
    dispatch = ops.softmax(ops.where(here, logits, lowest), axis=1)
    return ops.where(here, dispatch, 0.0)
