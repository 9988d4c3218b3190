"""The sparse mixture turned round: each expert answers the tokens that it chose."""

import keras
from keras import ops

from moe_keras.mixtures.combine import check_shapes
from moe_keras.mixtures.mixture import Mixture


@keras.saving.register_keras_serializable(package="moe_keras")
class ExpertChoiceMoE(Mixture):
    """Runs each expert on the tokens that it chose, as many as every other expert.

        y_t = sum of g_ej E_e(x_t) over the experts e whose j-th choice is token t

    with g and the choices from the gate's `"token_weights"` and `"token_indices"`. All sizes are
    known beforehand and the load is even by construction; cost follows from the gate's
    `capacity_factor`, not from E. A token that no expert chose gives zeros: wrap the mixture in a
    residual connection. An expert sees its tokens of all sequences as one batch.

    Args:
        experts: list of Keras layers or models that give one shape for one token; or a
            `StackedMLP`. The same instance twice is refused.
        gate: layer or model that gives a dict with `"token_indices"`, whole numbers from 0 to
            T - 1, and `"token_weights"`, both of shape (B, E, capacity); an `ExpertChoiceGate`.

    Call arguments:
        inputs: tensor of shape (B, T, ...).
        training: passed on to the experts and the gate.

    Returns:
        Tensor of the experts' dtype, of shape (B, T, *answer), an expert's answer to one token.

    Raises:
        ValueError: if there are no experts, one of them or the gate is not a Keras layer, an expert
            comes twice, the experts' outputs differ in shape, or the gate does not give what is
            listed above for as many experts.

    Reference:
        Zhou et al. (2022), Mixture-of-experts with expert choice routing, equations (1) to (4).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import ExpertChoiceGate
    >>> from moe_keras.mixtures import ExpertChoiceMoE
    >>> experts = [keras.layers.Dense(4) for _ in range(3)]
    >>> mixture = ExpertChoiceMoE(experts, gate=ExpertChoiceGate(num_experts=3))
    >>> tuple(mixture(np.ones((5, 6, 8), "float32")).shape)
    (5, 6, 4)
    """

    def build(self, input_shape):
        needed = ("token_indices", "token_weights")
        shapes = self.gate_shapes(input_shape, needed, such_as="ExpertChoiceGate")
        indices = shapes["token_indices"]
        if (
            len(indices) != 3
            or indices != shapes["token_weights"]
            or len(input_shape) < 2
            or indices[0] != input_shape[0]
        ):
            raise ValueError(
                "Expected inputs (B, T, ...), and token_indices and token_weights (B, E, capacity)."
                f" Received: inputs of shape {tuple(input_shape)}, from '{self.gate.name}' {shapes}"
            )
        names, outputs = self.expert_shapes((None, *input_shape[2:]))
        check_shapes((None, indices[1]), outputs, names, f"choices of '{self.gate.name}'")

    def call(self, inputs, training=None):
        choice = self.gate(inputs, training=training)
        batch, num_tokens, *token = ops.shape(inputs)
        num_experts, capacity = choice["token_indices"].shape[1:]
        # Token t of sequence b is row b T + t of all tokens.
        rows = choice["token_indices"] + num_tokens * ops.reshape(ops.arange(batch), (-1, 1, 1))
        rows = ops.transpose(rows, (1, 0, 2))  # (E, B, capacity)
        rows = ops.reshape(rows, (num_experts, -1))
        weights = ops.transpose(choice["token_weights"], (1, 0, 2))
        tokens = ops.reshape(inputs, (-1, *token))
        held = ops.take(tokens, rows, axis=0)  # (E, B capacity, ...)
        if self.stacked:
            answers = self.experts(held)
        else:
            answers = ops.stack(
                [expert(held[e], training=training) for e, expert in enumerate(self.experts)]
            )
        answer = ops.shape(answers)[2:]
        answers = ops.reshape(answers, (num_experts * batch * capacity, *answer))
        weights = ops.cast(ops.reshape(weights, (-1, *[1] * len(answer))), answers.dtype)
        outputs = ops.segment_sum(weights * answers, ops.reshape(rows, (-1,)), batch * num_tokens)
        return ops.reshape(outputs, (batch, num_tokens, *answer))
