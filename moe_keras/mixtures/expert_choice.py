"""Mixture with expert choice routing: each expert runs on the tokens that it chose."""

import keras
from keras import ops

from moe_keras.masks import drop_choices, fill_groups, weigh
from moe_keras.mixtures.combine import check_shapes
from moe_keras.mixtures.mixture import Mixture
from moe_keras.ops.take_rows import take_rows
from moe_keras.precision import as_float


@keras.saving.register_keras_serializable(package="moe_keras")
class ExpertChoiceMoE(Mixture):
    """Mixture with expert choice routing: each expert runs on equally many tokens of its choice.

        y_t = sum of g_ej E_e(x_t) over the experts e whose j-th choice is token t

    with g and the choices from the gate's `"token_weights"` and `"token_indices"`. All sizes are
    known beforehand and the load is even by construction; cost follows from the gate's
    `capacity_factor`, not from E. A token that no expert chose gives zeros: wrap the mixture in a
    residual connection. An expert sees its tokens of all sequences as one batch.

    Args:
        experts: List of Keras layers or models that give one shape for one token; or a
            `StackedMLP`. The same instance twice is refused.
        gate: Layer or model that gives a dict with `"token_indices"`, whole numbers from 0 to
            T - 1, and `"token_weights"`, both of shape (B, E, capacity); an `ExpertChoiceGate`.

    Call arguments:
        inputs: tensor of shape (B, T, ...).
        mask: boolean tensor of shape (B, T), False for padding, which no expert answers. Further
            axes, inside the tokens, go to the experts with their token.
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

    def call(self, inputs, mask=None, training=None):
        choice = self.route(inputs, mask, training)
        batch, num_tokens, *token = ops.shape(inputs)
        num_experts, capacity = choice["token_indices"].shape[1:]
        # Token t of sequence b is row b T + t of all tokens.
        rows = ops.maximum(choice["token_indices"], 0)
        rows = rows + num_tokens * ops.reshape(ops.arange(batch), (-1, 1, 1))
        rows, there, weights = (
            ops.reshape(ops.transpose(x, (1, 0, 2)), (num_experts, -1))  # (E, B capacity)
            for x in (rows, choice["token_indices"] >= 0, choice["token_weights"])
        )
        tokens = ops.reshape(inputs, (-1, *token))  # (B T, ...)
        groups = fill_groups(take_rows(tokens, rows), there)  # (E, B capacity, ...)
        masks = {"row_mask": there}
        if mask is not None and len(mask.shape) > 2:  # one inside tokens goes where its token goes
            masks["mask"] = take_rows(ops.reshape(mask, (-1, *ops.shape(mask)[2:])), rows)
        answers = as_float(self.experts.run(groups, training=training, **masks))
        answer = ops.shape(answers)[2:]  # from (E, B capacity, *answer)
        answers = ops.reshape(answers, (num_experts * batch * capacity, *answer))
        weights = ops.cast(ops.reshape(weights, (-1, *[1] * len(answer))), answers.dtype)
        answers = weigh(weights, answers)
        if answers.shape[0] == 0:  # PyTorch sums no empty segments
            return ops.zeros((batch, num_tokens, *answer), answers.dtype)
        outputs = ops.segment_sum(answers, ops.reshape(rows, (-1,)), batch * num_tokens)
        return ops.reshape(outputs, (batch, num_tokens, *answer))

    def route(self, inputs, mask=None, training=None):
        """Routing of the inputs: the gate's tensors, with -1 for what is no choice of a token.

        Args:
            inputs, mask, training: as in a call.

        Returns:
            The gate's dict; where it chose padding, or with weight 0, `"token_indices"` is -1.
        """
        choice = super().route(inputs, mask, training)
        indices, num_tokens = choice["token_indices"], ops.shape(inputs)[1]
        there = None
        if mask is not None and len(mask.shape) <= 2:
            shape = (*ops.shape(indices)[:2], num_tokens)  # (B, E, T)
            there = ops.reshape(mask, (-1, 1, 1 if len(mask.shape) == 1 else num_tokens))
            there = ops.broadcast_to(ops.cast(there, "int32"), shape)
            within = ops.clip(indices, 0, num_tokens - 1)
            there = ops.take_along_axis(there, within, axis=-1)  # (B, E, capacity)
        indices, weights = drop_choices(indices, choice["token_weights"], num_tokens, there)
        return {**choice, "token_indices": indices, "token_weights": weights}
