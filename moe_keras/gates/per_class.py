"""Per-class gate: weights over experts for each class."""

import keras
from keras import ops

from moe_keras.arguments import positive_integer
from moe_keras.gates.gate import Gate


@keras.saving.register_keras_serializable(package="moe_keras")
class PerClassGate(Gate):
    """Per-class softmax gate: weighs the experts once for each class.

        logits = reshape(x W + b, (C, E))
        probabilities[c] = softmax(logits[c])

    The softmax runs over the experts, one class at a time, so that each class's weights sum to 1.
    (One softmax over all C * E numbers would let the classes compete with each other.)

    Args:
        num_classes: Integer, number of classes C.
        num_experts: Integer, number of experts E.

    Call arguments:
        inputs: tensor of shape (B, D).

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, C, E), float32.

    Raises:
        ValueError: if `num_classes` or `num_experts` is not a whole number of at least 1, or the
            inputs are not of rank 2.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts: their gate, here
        one for each class.

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import PerClassGate
    >>> gate = PerClassGate(num_classes=10, num_experts=2)
    >>> tuple(gate(np.ones((5, 8), "float32"))["probabilities"].shape)
    (5, 10, 2)
    """

    def __init__(self, num_classes, num_experts, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = positive_integer("num_classes", num_classes)
        self.num_experts = positive_integer("num_experts", num_experts)
        units = self.num_classes * self.num_experts
        self.dense = keras.layers.Dense(units, dtype=self.dtype_policy)

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(
                "Expected inputs of shape (B, D): flatten or pool images before PerClassGate. "
                f"Received: shape {tuple(input_shape)}"
            )
        self.dense.build(input_shape)

    def call(self, inputs):
        scores = self.dense(inputs)  # (B, C * E)
        logits = ops.reshape(scores, (-1, self.num_classes, self.num_experts))  # (B, C, E)
        return {"logits": logits, "probabilities": ops.softmax(logits)}

    def get_config(self):
        config = {"num_classes": self.num_classes, "num_experts": self.num_experts}
        return {**super().get_config(), **config}
