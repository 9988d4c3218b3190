"""Sparse mixture of experts: each token runs through the k experts that its gate chose."""

import keras
from keras import ops

from moe_keras.call_expert import call_expert
from moe_keras.experts.expert_list import check_distinct, check_layers, layer_shapes
from moe_keras.masks import clear_padding, drop_choices, over_axes
from moe_keras.mixtures.combine import check_shapes
from moe_keras.mixtures.dispatchers import Routing, candidates, first_that_works
from moe_keras.mixtures.mixture import Mixture
from moe_keras.serialization import serialize


@keras.saving.register_keras_serializable(package="moe_keras")
class SparseMoE(Mixture):
    """Sparse mixture of experts: the weighted sum of the k experts that the gate chose.

        y = sum_{j=1..k} w_j E_{i_j}(x)        i_j, w_j: the gate's "indices" and "weights"

    What is routed as one token follows from the gate, as in a `DenseMoE`: indices (B, k) send whole
    inputs (B, ...), say images, each to k experts; indices (B, T, k) send each token of (B, T, D).
    An expert sees the tokens that chose it as one batch, (tokens, ...): the axes before are gone.

    Dispatchers carry tokens to experts. All that drop nothing give the same output and gradients,
    also in training: what an expert computes over its batch (a batch normalization), keeps and adds
    to the loss is of the tokens that chose it. (Not yet so under XLA for a mixture inside an
    expert.) They differ in cost:

    - `"grouped"`: each expert runs on the tokens that chose it. Cost and memory grow with k, not
      with E. The sizes follow from the data, so that a compiler that must know them beforehand
      (XLA, JAX under `jit`) cannot take it; `"blocked"` takes its place there, then `"dense"`.
    - `"blocked"`: each expert loops over its tokens block by block, as often as it has any. Cost
      grows with k, and all sizes follow from T. For experts that answer each token by itself: one
      that keeps state in training (a batch normalization), adds to the loss (an activity
      regularizer), takes a `mask` in a `call` of its own, or holds a gate or a mixture is refused.
      Dropout works. A layer of one's own that mixes the tokens of a batch and does none of this is
      not noticed: use `"dense"`.
    - `"capacity"`: each expert has `ceil(capacity_factor * T * k / E)` slots, at most T. Choices
      that find none left are dropped: first choices go first, then earlier tokens. All sizes follow
      from T, for compilers; a factor of E / k drops nothing. The factor is 1.25, and another one,
      or another one for inference, with `dispatch=CapacityDispatcher(...)`.
    - `"dense"`: every expert runs on every token. E / k times the cost; an oracle for tests.
    - `"auto"`: for a `StackedMLP` `"blocked"`; else the first of `"grouped"`, `"blocked"` and
      `"dense"` that works where it runs and takes the experts.

    Shared experts answer every token besides, and nobody weighs them: what all tokens need is then
    learned once, and the routed experts can differ.

        y = sum_s E_s(x) + sum_{j=1..k} w_j E_{i_j}(x)

    An expert that no token chose gets gradients of zeros, adds no loss, and what it learns without
    a gradient stays, such as the moving statistics of a `BatchNormalization`. (Those of no tokens
    are NaN.) Where a compiler needs fixed sizes an expert is shown rows besides its own. A layer of
    one's own that keeps state, or adds a loss, then finds in its call argument `mask` which rows
    count; an activity regularizer need not care.

    Args:
        experts: List of Keras layers or models that give one shape for one token, the first axis
            being the tokens. The same instance twice is refused; two `Expert` wrappers around one
            layer share it on purpose. Or a `StackedMLP`.
        gate: Layer or model that gives a dict with `"indices"`, whole numbers of shape (..., k),
            distinct for each token, `"weights"` (..., k) and `"probabilities"` (..., E). An index
            that is not from 0 to E - 1 and a weight of 0 are a choice of no expert.
        dispatch: String, one of the names above, or a `Dispatcher`.
        shared_experts: List of layers or models that every token passes.

    Call arguments:
        inputs: tensor whose first axes are those of the gate's indices before the last.
        mask: boolean tensor of the inputs' first axes, False for padding. What is padding among the
            tokens goes to no expert, takes no slot and gets zeros; a mask that has axes inside a
            token, as when a sequence is routed whole, goes to the experts with its token.
        training: passed on to the experts and the gate.

    Returns:
        Tensor of the experts' dtype, of shape (..., *answer): the routed axes, then the shape of an
        expert's answer to one token.

    Raises:
        ValueError: if `dispatch` is none of these or not for these experts; there are no experts,
            one of them or the gate is not a Keras layer, or an expert comes twice; the experts'
            outputs differ in shape; or the gate does not give what is listed above for as many
            experts.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, section 2 and equation (1).
        Lepikhin et al. (2020), GShard, section 2.2 (capacity).
        Dai et al. (2024), DeepSeekMoE, equation (9) (shared experts).

    Example:

    >>> import numpy as np
    >>> from moe_keras.mixtures import SparseMoE
    >>> class SignGate(keras.layers.Layer):
    ...     def call(self, inputs):  # expert 0 for tokens with a positive sum, expert 1 for others
    ...         scores = ops.sum(inputs, axis=-1, keepdims=True) * np.array([1.0, -1.0], "float32")
    ...         probabilities = ops.softmax(scores)
    ...         weights, indices = ops.top_k(probabilities, k=1)
    ...         return {"probabilities": probabilities, "indices": indices, "weights": weights}
    >>> experts = [keras.layers.Dense(4), keras.layers.Dense(4)]
    >>> mixture = SparseMoE(experts, gate=SignGate())
    >>> tuple(mixture(np.ones((2, 5, 8), "float32")).shape)
    (2, 5, 4)
    """

    def __init__(self, experts, gate, dispatch="auto", shared_experts=(), **kwargs):
        super().__init__(experts, gate, **kwargs)
        self.shared_experts = list(shared_experts)
        check_layers(self.shared_experts)
        check_distinct([*self.experts.layers_inside(), *self.shared_experts])
        self.dispatch = dispatch
        self._dispatchers = candidates(dispatch, self.experts)
        if not self._dispatchers[0].accepts(self.experts):
            raise ValueError(
                f"Expected experts that can run groups of tokens, for dispatch={dispatch!r}. "
                f"Received: {len(self.experts)} experts that cannot"
            )

    def build(self, input_shape):
        shapes = self.gate_shapes(input_shape, ("indices", "weights", "probabilities"))
        routed, k = shapes["indices"][:-1], shapes["indices"][-1]
        if (
            shapes["weights"] != shapes["indices"]
            or shapes["probabilities"][:-1] != routed
            or not 1 <= len(routed) <= len(input_shape)
            or tuple(input_shape[: len(routed)]) != routed
        ):
            raise ValueError(
                "Expected indices (..., k), weights (..., k) and probabilities (..., E) whose axes "
                "before the last are the inputs' first axes. Received: inputs of shape "
                f"{tuple(input_shape)}, from '{self.gate.name}' {shapes}"
            )
        token_shape = (None, *input_shape[len(routed) :])
        names, outputs = self.expert_shapes(token_shape)
        num_experts = shapes["probabilities"][-1]
        check_shapes((None, num_experts), outputs, names, f"probabilities of '{self.gate.name}'")
        shared = layer_shapes("shared expert", self.shared_experts, token_shape)
        shared_names = [
            f"shared expert {s} ('{e.name}')" for s, e in enumerate(self.shared_experts)
        ]
        check_shapes((None, 1 + len(shared)), [outputs[0], *shared], [names[0], *shared_names])
        if k is None or not 1 <= k <= num_experts:
            raise ValueError(
                f"Expected the gate to choose from 1 to {num_experts} experts a token. "
                f"Received: indices of shape {shapes['indices']} from '{self.gate.name}'"
            )

    def call(self, inputs, mask=None, training=None):
        answer = self._choices(inputs, mask, training)
        axes = ops.shape(inputs)[: len(answer["indices"].shape) - 1]
        if mask is not None and len(mask.shape) < len(axes):
            mask = ops.broadcast_to(over_axes(mask, answer["indices"][..., 0]), axes)
        tokens, token_mask = (_in_a_row(x, len(axes)) for x in (inputs, mask))  # (T, ...)
        # A mask of the tokens has made its choices; one inside tokens goes where its token goes.
        inside = mask is not None and len(mask.shape) > len(axes)
        routing = _routing(answer)
        masks = {"mask": token_mask} if inside else {}
        dispatcher = first_that_works(
            self._dispatchers, routing, self.experts, tokens, training=training, **masks
        )
        dispatcher = dispatcher.for_phase(training)
        outputs = dispatcher(tokens, routing, self.experts, training=training, **masks)
        if not inside:
            tokens = clear_padding(tokens, token_mask)
        for expert in self.shared_experts:
            answers = call_expert(expert, tokens, token_mask, training=training)
            outputs = outputs + ops.cast(answers, outputs.dtype)  # (T, *answer)
        if self.shared_experts and not inside:  # they have answered padding, too
            outputs = clear_padding(outputs, token_mask)
        return ops.reshape(outputs, (*axes, *ops.shape(outputs)[1:]))

    def _choices(self, inputs, mask, training):
        """The gate's answer, in which choices that no expert is to answer are of `NO_EXPERT`."""
        answer = self.ask_gate(inputs, mask, training)
        indices, routed = answer["indices"], len(answer["indices"].shape) - 1
        tokens = None if mask is None or len(mask.shape) > routed else mask
        num_experts = answer["probabilities"].shape[-1]
        indices, weights = drop_choices(indices, answer["weights"], num_experts, tokens)
        return {**answer, "indices": indices, "weights": weights}

    def route(self, inputs, mask=None, training=None):
        """Routing of the inputs: the gate's tensors, and which of its choices an expert answers.

        Args:
            inputs, mask, training: as in a call.

        Returns:
            The gate's dict, with the index -1 for a choice of no expert (of padding, or of weight
            0), and `"kept"`, boolean, of the shape of `"indices"`: False for such a choice and for
            one that found no slot, which `dispatch="capacity"` alone knows. It is what
            `metrics.DroppedShare` takes. The gate is called anew: a noisy one in training chooses
            anew, too.
        """
        answer = self._choices(inputs, mask, training)
        kept = self._dispatchers[0].for_phase(training).kept(_routing(answer))  # (T, k)
        return {**answer, "kept": ops.reshape(kept, ops.shape(answer["indices"]))}

    def get_config(self):
        config = {
            "dispatch": keras.saving.serialize_keras_object(self.dispatch),
            "shared_experts": [serialize(expert) for expert in self.shared_experts],
        }
        return {**super().get_config(), **config}


def _in_a_row(tensor, num_axes):
    """A tensor (..., rest) as (T, rest), the first `num_axes` axes being those of the tokens."""
    if tensor is None:
        return None
    return ops.reshape(tensor, (-1, *ops.shape(tensor)[num_axes:]))


def _routing(answer):
    """A gate's answer for tokens (..., D) as that for T of them in a row."""
    return Routing(
        *(
            _in_a_row(answer[name], len(answer[name].shape) - 1)
            for name in ("indices", "weights", "probabilities")
        )
    )
