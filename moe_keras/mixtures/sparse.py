"""The sparse mixture: each token is answered by the few experts that its gate chose."""

import functools

import keras
from keras import ops

from moe_keras.arguments import positive_number
from moe_keras.mixtures import dispatch as ways
from moe_keras.mixtures.combine import check_shapes
from moe_keras.mixtures.mixture import Mixture
from moe_keras.nested import serialize

DISPATCHES = ("auto", "grouped", "blocked", "capacity", "dense")


@keras.saving.register_keras_serializable(package="moe_keras")
class SparseMoE(Mixture):
    """Runs, for each token, the k experts that the gate chose, and sums what they say.

        y = sum_{j=1..k} w_j E_{i_j}(x)        i_j, w_j: the gate's "indices" and "weights"

    What is routed as one token follows from the gate, as in a `DenseMoE`: indices (B, k) send whole
    inputs (B, ...), say images, each to k experts; indices (B, T, k) send each token of (B, T, D).
    An expert sees the tokens that chose it as one batch, (tokens, ...): the axes before are gone.

    The ways to dispatch give the same output and gradients (for experts that treat each token by
    itself) and differ in cost:

    - `"grouped"`: each expert runs on the tokens that chose it. Cost and memory grow with k, not
      with E. Where a compiler must know every size beforehand (XLA, JAX under `jit`) it computes as
      `"dense"` does.
    - `"capacity"`: each expert has `ceil(capacity_factor * T * k / E)` slots, at most T. Choices
      that find none left are dropped: first choices go first, then earlier tokens. All sizes follow
      from T, for compilers; a factor of E / k drops nothing. Empty slots hold zeros.
    - `"blocked"`, for a `StackedMLP` only: each expert's tokens are padded to whole blocks, all
      blocks are one batched matrix product. Nothing is dropped and all sizes follow from T.
    - `"dense"`: every expert runs on every token. E / k times the cost; an oracle for tests.
    - `"auto"`: `"grouped"`, or `"blocked"` for a `StackedMLP` where sizes must be known beforehand.

    Shared experts answer every token besides, and nobody weighs them: what all tokens need is then
    learned once, and the routed experts can differ.

        y = sum_s E_s(x) + sum_{j=1..k} w_j E_{i_j}(x)

    An expert that no token chose gets gradients of zeros, and what it learns without a gradient
    stays, such as the moving statistics of a `BatchNormalization`. (Those of no tokens are NaN.)

    Args:
        experts: list of Keras layers or models that give one shape for one token, the first axis
            being the tokens. The same instance twice is refused; two `Expert` wrappers around one
            layer share it on purpose. Or a `StackedMLP`.
        gate: layer or model that gives a dict with `"indices"`, whole numbers of shape (..., k),
            distinct for each token, `"weights"` (..., k) and `"probabilities"` (..., E).
        dispatch: how tokens reach experts.
        capacity_factor: slots for each choice, were the load even; for `"capacity"` alone.
        prioritised: whether the tokens that the gate is surest of (the largest probability) come
            first, and not the earlier ones, when slots are given out; for `"capacity"` alone.
        shared_experts: list of layers or models that every token passes.

    Call arguments:
        inputs: tensor whose first axes are those of the gate's indices before the last.
        training: passed on to the experts and the gate.

    Returns:
        Tensor of the experts' dtype, of shape (..., *answer): the routed axes, then the shape of an
        expert's answer to one token.

    Raises:
        ValueError: if `dispatch` is none of the ways or not for these experts; `capacity_factor` is
            not a finite number above 0; `prioritised` is set without slots; there are no experts,
            one of them or the gate is not a Keras layer, or an expert comes twice; the experts'
            outputs differ in shape; or the gate does not give what is listed above for as many
            experts.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, section 2 and equation (1).
        Lepikhin et al. (2020), GShard, section 2.2 (capacity).
        Riquelme et al. (2021), Scaling vision with sparse mixture of experts, section 4.1 and
        algorithm 2 (priority).
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

    def __init__(
        self,
        experts,
        gate,
        dispatch="auto",
        capacity_factor=1.25,
        prioritised=False,
        shared_experts=(),
        **kwargs,
    ):
        super().__init__(experts, gate, **kwargs)
        self.shared_experts = list(shared_experts)
        routed = [self.experts] if self.stacked else self.experts
        self._check(gate, [*routed, *self.shared_experts])
        if dispatch not in DISPATCHES:
            raise ValueError(
                f"Expected dispatch to be one of {', '.join(DISPATCHES)}. "
                f"Received: dispatch={dispatch!r}"
            )
        if dispatch == "blocked" and not self.stacked:
            raise ValueError(
                "Expected a StackedMLP as experts for dispatch='blocked'. "
                f"Received: a list of {len(self.experts)} experts"
            )
        self.dispatch = dispatch
        self.capacity_factor = positive_number("capacity_factor", capacity_factor)
        if prioritised and dispatch != "capacity":
            raise ValueError(
                "Expected dispatch='capacity' for prioritised=True: elsewhere no token is dropped, "
                f"so none needs to come first. Received: dispatch={dispatch!r}"
            )
        self.prioritised = bool(prioritised)

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
        shared_names, shared = self._shapes("shared expert", self.shared_experts, token_shape)
        check_shapes((None, 1 + len(shared)), [outputs[0], *shared], [names[0], *shared_names])
        if k is None or not 1 <= k <= num_experts:
            raise ValueError(
                f"Expected the gate to choose from 1 to {num_experts} experts a token. "
                f"Received: indices of shape {shapes['indices']} from '{self.gate.name}'"
            )

    def call(self, inputs, training=None):
        answer = self.gate(inputs, training=training)
        indices, weights = answer["indices"], answer["weights"]
        axes, k = ops.shape(inputs)[: len(indices.shape) - 1], indices.shape[-1]
        tokens = ops.reshape(inputs, (-1, *ops.shape(inputs)[len(axes) :]))  # (T, ...)
        way = self._way(tokens, answer)
        outputs = way(
            tokens,
            ops.reshape(indices, (-1, k)),
            ops.reshape(weights, (-1, k)),
            self.experts if way is ways.blocked else self.members(),
            training,
        )
        for expert in self.shared_experts:
            outputs = outputs + ops.cast(expert(tokens, training=training), outputs.dtype)
        return ops.reshape(outputs, (*axes, *ops.shape(outputs)[1:]))

    def route(self, inputs, training=None):
        """Where tokens go: the gate's dict, and which of its choices an expert answers.

        Args:
            inputs, training: as in a call.

        Returns:
            The gate's dict, and `"kept"`, boolean, of the shape of `"indices"`: False for a choice
            that found no slot, which `dispatch="capacity"` alone knows. It is what
            `metrics.DroppedShare` takes. The gate is asked anew: a noisy one in training chooses
            anew, too.
        """
        answer = super().route(inputs, training)
        indices = answer["indices"]
        if self.dispatch != "capacity":
            return {**answer, "kept": ops.ones_like(indices, dtype="bool")}
        num_experts = answer["probabilities"].shape[-1]
        choices = ops.reshape(indices, (-1, indices.shape[-1]))
        kept = ways.kept(choices, num_experts, self.capacity_factor, self._priority(answer))
        return {**answer, "kept": ops.reshape(kept, ops.shape(indices))}

    def _priority(self, answer):
        """How sure the gate is of each token, of shape (T,), if that matters."""
        if not self.prioritised:
            return None
        return ops.reshape(ops.max(answer["probabilities"], axis=-1), (-1,))

    def _way(self, tokens, answer):
        if self.dispatch == "capacity":
            return functools.partial(
                ways.capacity, factor=self.capacity_factor, priority=self._priority(answer)
            )
        if self.dispatch == "auto":
            fixed = self.stacked and not ways.sizes_may_vary(tokens)
            return ways.blocked if fixed else ways.grouped
        return getattr(ways, self.dispatch)

    def get_config(self):
        config = {
            "dispatch": self.dispatch,
            "capacity_factor": self.capacity_factor,
            "prioritised": self.prioritised,
            "shared_experts": [serialize(expert) for expert in self.shared_experts],
        }
        return {**super().get_config(), **config}
