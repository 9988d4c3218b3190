"""Soft mixture of experts (Soft MoE): experts run on mixtures of tokens."""

import keras
from keras import ops

from moe_keras.masks import clear_padding
from moe_keras.mixtures.combine import check_shapes
from moe_keras.mixtures.mixture import Mixture
from moe_keras.precision import as_float
from moe_keras.shapes import flat_size


@keras.saving.register_keras_serializable(package="moe_keras")
class SoftMoE(Mixture):
    """Soft MoE: each expert runs on S slots, mixtures of all tokens; outputs are mixed back.

        slot_es = sum_t dispatch_tes x_t
        answer_es = E_e(slot_es)
        y_t = sum_e sum_s combine_tes answer_es

    Nothing is chosen, so nothing is dropped and every weight has a gradient. The experts' cost
    grows with the E S slots and not with the T tokens. An expert sees all its slots as one batch,
    (B S, D). Each token's answer depends on every token of its sequence: not for models that write
    from left to right.

    With one token a sequence each slot is that token, and what is left is a `DenseMoE` with the
    gate's `"probabilities"` as weights: there is nothing soft about it but its name.

    Args:
        experts: List of Keras layers or models that give one shape for one token; or a
            `StackedMLP`. The same instance twice is refused.
        gate: Layer or model that gives a dict with `"dispatch"` and `"combine"`, both of shape
            (B, T, E, S), such as a `SlotGate`.

    Call arguments:
        inputs: tensor of shape (B, T, D).
        mask: boolean tensor of shape (B, T), False for padding, which is in no slot.
        training: passed on to the experts and the gate.

    Returns:
        Tensor of the experts' dtype, of shape (B, T, *answer), an expert's answer to one token.

    Raises:
        ValueError: if there are no experts, one of them or the gate is not a Keras layer, an expert
            comes twice, the experts' outputs differ in shape, or the gate does not give what is
            listed above for as many experts.

    Reference:
        Puigcerver, Riquelme, Mustafa & Houlsby (2023), From sparse to soft mixtures of experts,
        equations (1) and (2), algorithm 1.

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import SlotGate
    >>> from moe_keras.mixtures import SoftMoE
    >>> experts = [keras.layers.Dense(4) for _ in range(3)]
    >>> mixture = SoftMoE(experts, gate=SlotGate(num_experts=3, slots=2))
    >>> tuple(mixture(np.ones((5, 6, 8), "float32")).shape)
    (5, 6, 4)
    """

    def build(self, input_shape):
        needed = ("dispatch", "combine")
        shapes = self.gate_shapes(input_shape, needed, such_as="SlotGate")
        dispatch = shapes["dispatch"]
        if (
            len(input_shape) != 3
            or len(dispatch) != 4
            or dispatch != shapes["combine"]
            or dispatch[:2] != tuple(input_shape[:2])
        ):
            raise ValueError(
                "Expected inputs (B, T, D), and dispatch and combine (B, T, E, S). Received: "
                f"inputs of shape {tuple(input_shape)}, from '{self.gate.name}' {shapes}"
            )
        names, outputs = self.expert_shapes((None, input_shape[-1]))
        weighed = (None, dispatch[2])
        check_shapes(weighed, outputs, names, f"weights of '{self.gate.name}'")

    def call(self, inputs, mask=None, training=None):
        inputs = clear_padding(inputs, mask)
        weights = self.ask_gate(inputs, mask, training)
        inputs = as_float(inputs)  # a mixture of whole numbers is none
        dispatch = ops.cast(weights["dispatch"], inputs.dtype)
        slots = ops.einsum("btes,btd->ebsd", dispatch, inputs)  # (E, B, S, D)
        num_experts, batch, per_expert, features = ops.shape(slots)
        groups = ops.reshape(slots, (num_experts, -1, features))  # (E, B S, D)
        there = None
        if mask is not None:  # the slots of a sequence that is all padding are not there
            there = ops.any(ops.cast(mask, "bool"), axis=tuple(range(1, len(mask.shape))))  # (B,)
            there = ops.broadcast_to(there[None, :, None], (num_experts, batch, per_expert))
            there = ops.reshape(there, (num_experts, -1))  # (E, B S)
        answers = self.experts.run(groups, row_mask=there, training=training)
        answers = as_float(answers)  # (E, B S, *answer)
        answer = ops.shape(answers)[2:]
        flat = (num_experts, batch, per_expert, flat_size(answers.shape[2:]))
        answers = ops.reshape(answers, flat)  # (E, B, S, F)
        combine = ops.cast(weights["combine"], answers.dtype)  # (B, T, E, S)
        outputs = ops.einsum("btes,ebsf->btf", combine, answers)  # (B, T, F)
        return ops.reshape(outputs, (*ops.shape(inputs)[:2], *answer))
