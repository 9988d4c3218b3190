"""Gate with a guidance loss: labels teach it which experts to choose."""

import keras
import numpy as np

from moe_keras.arguments import non_negative_float
from moe_keras.call_expert import call_expert
from moe_keras.gates.gate import Gate
from moe_keras.losses import guidance_loss
from moe_keras.serialization import output_shape, serialize


@keras.saving.register_keras_serializable(package="moe_keras")
class LabelGuidedGate(Gate):
    """Adds a guidance loss to a gate: in training, labels teach it which experts to choose.

        tensors = gate(inputs)
        loss = guidance_weight * guidance_loss(labels, tensors["logits"], label_to_expert)

    The labels have no part in the weights: in training as in use the gate sees the inputs alone,
    and what it says to an input is the same. (A gate that is handed the right expert in training,
    by masking or shifting its logits, never learns to find it.) The loss is added in training, and
    only if there are labels.

    Labels come as a second input, for which a mixture that calls its gate itself has no place: wire
    the weights with `Combine`, as below, or train the gate alone first.

    Args:
        gate: `Gate` to teach, any that gives `"logits"` of shape (B, ..., E).
        label_to_expert: Matrix (C, E) of numbers of 0 or more: how each label's weight should be
            shared among the experts. Each row is divided by its sum.
        guidance_weight: Float, coefficient of the loss, 0 or more. Once built, the gate holds it
            as the variable `guidance_weight`, which a callback may assign to anneal it.

    Call arguments:
        inputs: what the gate takes.
        labels: integer tensor of shape (B, ...), from 0 to C - 1; may be left out. What has any
            other label, -1 say, is not guided.
        mask: boolean tensor of shape (B, ...); the loss leaves out what is False.

    Returns:
        What the gate returns.

    Raises:
        ValueError: if the gate is no Keras layer or gives no `"logits"`, the matrix is not one of
            numbers of 0 or more with E columns and something in each row, `guidance_weight` is
            below 0, or the labels are not of the shape of the logits before the last axis.

    Reference:
        Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm, section 4.

    Example:

    Classes 0 and 1 belong to expert 0, class 2 to expert 1. One model for training, which takes
    labels, one for use, which does not; they share every layer.

    >>> from moe_keras.gates import LabelGuidedGate, SoftmaxGate
    >>> from moe_keras.mixtures import Combine
    >>> gate = LabelGuidedGate(SoftmaxGate(2), label_to_expert=[[1, 0], [1, 0], [0, 1]])
    >>> inputs, labels = keras.Input((8,)), keras.Input((), dtype="int32")
    >>> outputs = [keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)]
    >>> with_labels = Combine()(gate(inputs, labels)["probabilities"], outputs)
    >>> training_model = keras.Model([inputs, labels], with_labels)
    >>> inference_model = keras.Model(inputs, Combine()(gate(inputs)["probabilities"], outputs))
    >>> tuple(inference_model(np.ones((5, 8), "float32")).shape)
    (5, 3)
    """

    def __init__(self, gate, label_to_expert, guidance_weight=1.0, **kwargs):
        # No autocast: the gate casts its inputs itself.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(gate, keras.layers.Layer):
            raise ValueError(f"Expected the gate to be a Keras layer. Received: {gate!r}")
        self.gate = gate
        self.label_to_expert = _rows(label_to_expert)
        self.initial_guidance_weight = non_negative_float("guidance_weight", guidance_weight)

    def build(self, inputs_shape, labels_shape=None):
        # A weight, for a number would be a constant of the compiled training step.
        self.guidance_weight = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.initial_guidance_weight),
            dtype="float32",
            trainable=False,
            name="guidance_weight",
        )
        shapes = output_shape(self.gate, inputs_shape)
        if not isinstance(shapes, dict) or "logits" not in shapes:
            raise ValueError(
                f"Expected a gate that gives \"logits\". Received: '{self.gate.name}', which gives "
                f"{sorted(shapes) if isinstance(shapes, dict) else shapes}"
            )
        *axes, num_experts = shapes["logits"]
        if num_experts != len(self.label_to_expert[0]):
            raise ValueError(
                f"Expected label_to_expert to have a column for each of {num_experts} experts. "
                f"Received: {len(self.label_to_expert[0])} columns"
            )
        if labels_shape is not None and len(labels_shape) != len(axes):
            raise ValueError(
                f"Expected a label for each choice of the gate, shape {tuple(axes)}. "
                f"Received: labels of shape {tuple(labels_shape)}"
            )

    def call(self, inputs, labels=None, mask=None, inputs_mask=None, training=None):
        # Keras names a mask by its argument where a layer takes several.
        mask = inputs_mask if mask is None else mask
        tensors = call_expert(self.gate, inputs, mask, training=training)
        if training and labels is not None:  # and be the weight 0 now: it may grow
            wanted = np.array(self.label_to_expert)
            wanted = wanted / wanted.sum(axis=1, keepdims=True)  # (C, E)
            loss = guidance_loss(labels, tensors["logits"], wanted, mask)
            self.add_loss(self.guidance_weight * loss)
        return tensors

    def compute_output_shape(self, inputs_shape, labels_shape=None):
        return output_shape(self.gate, inputs_shape)

    def get_config(self):
        config = {
            "gate": serialize(self.gate),
            "label_to_expert": self.label_to_expert,
            "guidance_weight": self.initial_guidance_weight,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        gate = keras.saving.deserialize_keras_object(config["gate"])
        return cls(**{**config, "gate": gate})


def _rows(label_to_expert):
    """The matrix as tuples of floats."""
    try:
        matrix = np.array(label_to_expert, dtype="float64")
    except (TypeError, ValueError):
        matrix = np.empty(0)
    fits = matrix.ndim == 2 and matrix.size and np.isfinite(matrix).all() and (matrix >= 0).all()
    if not fits or not matrix.any(axis=1).all():
        raise ValueError(
            "Expected label_to_expert to be a matrix of numbers of 0 or more, a row for each label "
            "and a column for each expert, with an expert in each row. "
            f"Received: {label_to_expert!r}"
        )
    return tuple(tuple(row) for row in matrix.tolist())
