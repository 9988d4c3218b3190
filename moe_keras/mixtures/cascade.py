"""Cascade: a base answers what it is confident of, and experts are asked about the rest."""

import keras
from keras import ops

from moe_keras.arguments import non_negative_float
from moe_keras.call_expert import call_expert
from moe_keras.experts.expert_list import check_distinct, check_layers
from moe_keras.masks import NO_EXPERT, clear_padding, drop_choices
from moe_keras.mixtures.combine import check_shapes
from moe_keras.mixtures.confidence import check_measure, confidence_of
from moe_keras.mixtures.dense import _weights
from moe_keras.mixtures.dispatchers import Routing, candidates, first_that_works
from moe_keras.mixtures.mixture import Mixture
from moe_keras.precision import as_float
from moe_keras.serialization import output_shape, serialize


@keras.saving.register_keras_serializable(package="moe_keras")
class CascadeMoE(Mixture):
    """Cascade with confidence-based deferral: experts answer only what the base is unsure of.

        p = base(x)
        y = p                                            where confidence(p) >= threshold
        y = (1 - w) p + (1 - b) sum_e g_e E_e(x)         elsewhere: x is deferred to the experts
            g = G(p), w = (1 - b) sum_e g_e

        confidence(p) = p_1 - p_2                        "margin": largest minus second largest
        confidence(p) = 1 - H(p) / log C                 "entropy"

    Where the gate's weights sum to 1 the base has weight b; what they lack of it, and the weight of
    an expert that has no slot, is the base's.

    The experts run on the deferred inputs alone, as one batch, so that the mean cost is that of the
    base and a share of theirs; an expert of weight 0 does not run at all. The gate sees the base's
    answer: it costs next to nothing, and `GroupGate(keras.layers.Identity(), groups)` sends an
    input to the experts of the classes that the base considers. For a gate that sees the inputs
    make a `DenseMoE` of the experts and let it be the one expert here. `fit_threshold` of
    `moe_keras.evaluation` chooses the threshold for a share of inputs, on held-out ones.

    Training and inference compute the same: an expert learns from what is deferred to it. No
    gradient flows through the decision to defer; base, gate and experts get one through the answer.

    Where a compiler must know every size beforehand (XLA, JAX under `jit`, and so Keras's own
    `predict` on JAX) experts run block by block, as in a `SparseMoE`; one that cannot runs on all
    inputs, and the answers are selected: the same output, at full cost. A fixed share of each batch
    has a size that is known: `threshold=1, dispatch=CapacityDispatcher(0.15,
    batch_prioritized=True)` defers the 15 % of which the base is least confident.

    Args:
        base: Keras layer or model that gives probabilities (B, C).
        experts: List of Keras layers, models or mixtures that give (B, C), no instance twice; or a
            `StackedMLP`.
        gate: Keras layer or model from the base's answers (B, C) to a weight for each expert, (B,
            E), or to a dict with `"probabilities"`. `None`: all experts have the same weight.
        threshold: Float of 0 or more, confidence below which an input is deferred; 0: never.
        confidence: String, "margin" or "entropy".
        base_weight: Float from 0 to 1, weight b of the base's answer to a deferred input; 0: the
            experts' answers replace it.
        dispatch: String or `Dispatcher`, how inputs reach the experts, as for a `SparseMoE`.

    Call arguments:
        inputs: tensor of shape (B, ...).
        mask: boolean tensor of shape (B,), False for padding, which is never deferred; or of
            further axes, inside each input: passed on to the base and the experts.
        training: passed on to base, gate and experts.

    Returns:
        Tensor of shape (B, C), of the dtype of the base's answers.

    Raises:
        ValueError: if there are no experts, one of all these is not a Keras layer or comes twice,
            base and experts do not all give (B, C), the gate weighs another number of experts, or
            an argument is out of its range.

    Reference:
        Viola & Jones (2001), Rapid object detection using a boosted cascade (cascades).
        Jitkrittum et al. (2023), When does confidence-based cascade deferral suffice?, section 2.2.
        Royer et al. (2023), Revisiting single-gated mixtures of experts, section 3 (a base that
        answers, and gates).

    Example:

    >>> import numpy as np
    >>> from moe_keras.mixtures import CascadeMoE
    >>> base, expert = keras.layers.Softmax(), keras.layers.Rescaling(0.0, offset=0.5)
    >>> cascade = CascadeMoE(base, [expert], threshold=0.5, base_weight=0.0)
    >>> logits = np.array([[3.0, 0.0], [0.2, 0.0]], "float32")  # sure, and not sure
    >>> (100 * ops.convert_to_numpy(cascade(logits))).round().astype(int).tolist()
    [[95, 5], [50, 50]]
    >>> ops.convert_to_numpy(cascade.route(logits)["indices"]).tolist()  # -1: nobody is asked
    [[-1], [0]]
    """

    needs_gate = False

    def __init__(
        self,
        base,
        experts,
        gate=None,
        threshold=0.5,
        confidence="margin",
        base_weight=0.5,
        dispatch="auto",
        **kwargs,
    ):
        super().__init__(experts, gate, **kwargs)
        check_layers([base])
        check_distinct([base, *self.experts.layers_inside()])
        check_measure(confidence)
        self.base = base
        self.threshold = non_negative_float("threshold", threshold)
        self.confidence = confidence
        self.base_weight = non_negative_float("base_weight", base_weight)
        if self.base_weight > 1:
            raise ValueError(
                "Expected base_weight to be a number from 0 to 1. "
                f"Received: base_weight={base_weight!r}"
            )
        self.dispatch = dispatch
        self._dispatchers = candidates(dispatch, self.experts)

    def build(self, input_shape):
        answer = output_shape(self.base, input_shape)
        if not isinstance(answer, tuple) or len(answer) != 2 or answer[-1] in (None, 0, 1):
            raise ValueError(
                "Expected a base that gives probabilities (B, C) of two classes or more. "
                f"Received: '{self.base.name}', which gives {answer}"
            )
        answer = (None, answer[-1])
        names, shapes = self.expert_shapes((None, *input_shape[1:]))
        weights = (None, len(names))
        if self.gate is not None:
            weights = _weights(output_shape(self.gate, answer), self.gate)
        names, shapes = [f"base ('{self.base.name}')", *names], [answer, *shapes]
        # One more: the base is not weighed by the gate, but its answer has the experts' shape.
        check_shapes((*weights[:-1], weights[-1] + 1), shapes, names)

    def call(self, inputs, mask=None, training=None):
        answer = as_float(call_expert(self.base, inputs, mask, training=training))  # (B, C)
        routing = self._routing(answer, mask, training)
        inside = mask is not None and len(mask.shape) > 1
        rows = inputs if inside else clear_padding(inputs, mask)
        masks = {"mask": mask} if inside else {}
        dispatcher = first_that_works(
            self._dispatchers, routing, self.experts, rows, training=training, **masks
        )
        dispatcher = dispatcher.for_phase(training)
        if not training:  # most batches of one input ask nobody: then no expert may cost anything
            dispatcher = dispatcher.skipping_empty((answer.shape[1:], answer.dtype))
        outputs = dispatcher(rows, routing, self.experts, training=training, **masks)  # (B, C)
        weights = routing.weights
        if dispatcher.drops_tokens:
            weights = ops.where(dispatcher.kept(routing), weights, ops.zeros_like(weights))
        asked = ops.cast(ops.sum(weights, axis=-1, keepdims=True), answer.dtype)  # (B, 1)
        outputs = ops.cast(outputs, answer.dtype)
        return (1 - (1 - self.base_weight) * asked) * answer + (1 - self.base_weight) * outputs

    def route(self, inputs, mask=None, training=None):
        """Routing of the inputs: which are deferred, to whom, and how confident the base is.

        Args:
            inputs, mask, training: as in a call.

        Returns:
            A dict: `"confidence"` (B,), of the base; `"probabilities"` (B, E), the gate's;
            `"indices"` (B, E), the experts that are asked, -1 for one that is not; `"weights"`
            (B, E), and `"kept"`, boolean, False also for what found no slot.
        """
        answer = as_float(call_expert(self.base, inputs, mask, training=training))
        routing = self._routing(answer, mask, training)
        dispatcher = self._dispatchers[0].for_phase(training)
        return {
            "confidence": confidence_of(answer, self.confidence),
            "probabilities": self._gate_weights(answer, mask, training),
            "indices": routing.indices,
            "weights": routing.weights,
            "kept": dispatcher.kept(routing),
        }

    def _gate_weights(self, answer, mask, training):
        """The gate's weights (B, E) for the base's answers (B, C); even ones without a gate."""
        if self.gate is None:
            even = ops.ones_like(answer[:, :1], dtype="float32") / len(self.experts)
            return ops.repeat(even, len(self.experts), axis=-1)
        # Of a mask with axes inside the inputs the answers have nothing.
        mask = None if mask is None or len(mask.shape) > 1 else mask
        return _weights(call_expert(self.gate, answer, mask, training=training), self.gate)

    def _routing(self, answer, mask, training):
        """Who is asked about which input: all experts with a weight, about what is deferred."""
        confidence = confidence_of(answer, self.confidence)  # (B,)
        deferred = confidence < self.threshold
        if mask is not None and len(mask.shape) == 1:
            deferred = ops.logical_and(deferred, ops.cast(mask, "bool"))
        deferred = ops.expand_dims(deferred, -1)  # (B, 1)
        weights = self._gate_weights(answer, mask, training)  # (B, E)
        num_experts = weights.shape[-1]
        indices = ops.where(deferred, ops.arange(num_experts, dtype="int32"), NO_EXPERT)
        indices, weights = drop_choices(indices, weights, num_experts)
        # By these a dispatcher with few slots tells who comes first: the least confident.
        unsure = ops.ones_like(weights) - ops.cast(ops.expand_dims(confidence, -1), weights.dtype)
        return Routing(indices, weights, unsure)

    def get_config(self):
        config = {
            "base": serialize(self.base),
            "threshold": self.threshold,
            "confidence": self.confidence,
            "base_weight": self.base_weight,
            "dispatch": keras.saving.serialize_keras_object(self.dispatch),
        }
        return {**super().get_config(), **config}
