"""Expert choice gate: experts choose tokens."""

import math

import keras
import numpy as np
from keras import ops

from moe_keras.arguments import positive_integer, positive_number
from moe_keras.gates.gate import Gate
from moe_keras.masks import NO_EXPERT, clear_padding, over_axes


@keras.saving.register_keras_serializable(package="moe_keras")
class ExpertChoiceGate(Gate):
    """Expert choice routing: each expert chooses its tokens, as many as every other expert.

        logits = x W
        probabilities = softmax(logits), over the experts
        capacity = ceil(T capacity_factor / E), at most T
        token_indices_e = the `capacity` tokens with the largest probabilities of expert e
        token_weights_e = probabilities of expert e at token_indices_e

    The load is even by construction and needs no loss. A token may be chosen by several experts or
    by none: `capacity_factor` is how many it gets on average. Tokens of one sequence compete with
    each other and with no other sequence's, so that an answer does not depend on the rest of the
    batch. It does depend on later tokens of the sequence: not for models that write from left to
    right.

    A masked token is not chosen and does not count among the T: where a sequence has fewer choices
    than others for that reason, the rest have index -1 and weight 0.

    Args:
        num_experts: Integer, number of experts E.
        capacity_factor: Float, mean number of experts a token, above 0; the paper takes 2.

    Call arguments:
        inputs: tensor of shape (B, T, D), T known.
        mask: boolean tensor of shape (B, T), or (B,), of whole sequences.

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, T, E), and `"token_weights"`,
        shape (B, E, capacity), float32; `"token_indices"`, shape (B, E, capacity), int32.

    Raises:
        ValueError: if `num_experts` is not a whole number of at least 1, `capacity_factor` is not a
            finite number above 0, or the inputs are not of shape (B, T, D) with T known.

    Reference:
        Zhou et al. (2022), Mixture-of-experts with expert choice routing, equations (1) and (2).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import ExpertChoiceGate
    >>> gate = ExpertChoiceGate(num_experts=4, capacity_factor=2)
    >>> tensors = gate(np.ones((5, 6, 8), "float32"))
    >>> tuple(tensors["token_indices"].shape)  # 6 * 2 / 4 = 3 tokens for each of 4 experts
    (5, 4, 3)
    """

    def __init__(self, num_experts, capacity_factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.capacity_factor = positive_number("capacity_factor", capacity_factor)
        self.dense = keras.layers.Dense(self.num_experts, use_bias=False, dtype=self.dtype_policy)

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[1] is None:
            raise ValueError(
                "Expected inputs of shape (B, T, D), with T known: experts choose among the tokens "
                f"of a sequence. Received: shape {tuple(input_shape)}"
            )
        self.dense.build(input_shape)

    def capacity(self, num_tokens):
        """How many of `num_tokens` tokens each expert chooses."""
        return min(num_tokens, math.ceil(num_tokens * self.capacity_factor / self.num_experts))

    def call(self, inputs, mask=None):
        num_tokens = inputs.shape[1]
        logits = self.dense(clear_padding(inputs, mask))  # (B, T, E)
        probabilities = wanted = ops.softmax(logits)
        if mask is not None:
            mask = ops.cast(mask, "bool")
            if len(mask.shape) == 1:  # of whole sequences
                mask = ops.repeat(ops.expand_dims(mask, -1), num_tokens, axis=-1)
            wanted = ops.where(over_axes(mask, wanted), wanted, -1.0)  # padding comes last
        by_expert = ops.transpose(wanted, (0, 2, 1))  # (B, E, T)
        weights, indices = ops.top_k(by_expert, self.capacity(num_tokens))
        indices = ops.cast(indices, "int32")
        if mask is not None:
            # As many choices as a sequence without the padding would have.
            capacities = np.array([self.capacity(t) for t in range(num_tokens + 1)], "int32")
            size = ops.take(capacities, ops.sum(ops.cast(mask, "int32"), axis=1))  # (B,)
            there = ops.arange(indices.shape[-1]) < ops.reshape(size, (-1, 1, 1))
            indices = ops.where(there, indices, NO_EXPERT)
            weights = ops.where(there, weights, ops.zeros_like(weights))
        return {
            "logits": logits,
            "probabilities": probabilities,
            "token_indices": indices,  # (B, E, capacity)
            "token_weights": weights,  # (B, E, capacity)
        }

    def output_masks(self, inputs, outputs, mask):
        masks = super().output_masks(inputs, outputs, mask)
        # Their axes are experts and choices, whatever their sizes are.
        return {**masks, "token_indices": None, "token_weights": None}

    def get_config(self):
        config = {"num_experts": self.num_experts, "capacity_factor": self.capacity_factor}
        return {**super().get_config(), **config}
