"""Softmax gate of the dense mixture of experts."""

import keras
from keras import ops

from moe_keras.arguments import positive_integer, positive_number
from moe_keras.gates.gate import Gate


@keras.saving.register_keras_serializable(package="moe_keras")
class SoftmaxGate(Gate):
    """Softmax gate: a linear layer, then a softmax over all experts.

        logits = (x W + b) / temperature
        probabilities = softmax(logits)

    A low temperature sharpens the choice towards one expert, a high one evens it out.

    Args:
        num_experts: Integer, number of experts E.
        temperature: Float above 0 that divides the scores.

    Call arguments:
        inputs: tensor of shape (B, ..., D).

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, ..., E), float32.

    Raises:
        ValueError: if `num_experts` is not a whole number of at least 1, or `temperature` is not a
            finite number above 0.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts.
        Shazeer et al. (2017), Outrageously large neural networks, equation (2), there without b.
        Hinton, Vinyals & Dean (2015), Distilling the knowledge in a neural network, equation (1)
        (temperature).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import SoftmaxGate
    >>> gate = SoftmaxGate(num_experts=3)
    >>> tensors = gate(np.ones((5, 8), "float32"))
    >>> sorted(tensors), tuple(tensors["probabilities"].shape)
    (['logits', 'probabilities'], (5, 3))
    """

    def __init__(self, num_experts, temperature=1.0, **kwargs):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.temperature = positive_number("temperature", temperature)
        self.dense = keras.layers.Dense(self.num_experts, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        logits = self.dense(inputs) / self.temperature  # (B, ..., E)
        return {"logits": logits, "probabilities": ops.softmax(logits)}

    def get_config(self):
        config = {"num_experts": self.num_experts, "temperature": self.temperature}
        return {**super().get_config(), **config}
