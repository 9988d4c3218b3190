"""E small networks in one tensor for each kind of weight."""

import math

import keras
from keras import ops

from moe_keras.arguments import positive_integer
from moe_keras.layer import MoELayer


@keras.saving.register_keras_serializable(package="moe_keras")
class StackedMLP(MoELayer):
    """E networks with one hidden layer each, whose weights lie in one tensor of each kind.

        E_e(x) = activation(x W1_e + b1_e) W2_e + b2_e

    One batched matrix product then serves all experts. `SparseMoE` and `DenseMoE` take it in place
    of a list of experts; by itself it runs groups of rows, each through one expert.

    Args:
        num_experts: E.
        hidden: H, units of the hidden layer.
        units: of the output; `None`: as many as the inputs have features, D.
        activation: of the hidden layer, as in `keras.layers.Dense`.

    Call arguments:
        inputs: tensor of shape (N, S, D): N groups of S rows.
        owners: whole numbers of shape (N,), from 0 to E - 1: the expert that each group is for.
            `None`: N = E, one group for each expert, in order.

    Returns:
        Tensor of shape (N, S, units).

    Raises:
        ValueError: if `num_experts`, `hidden` or `units` is not a whole number of at least 1.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, section 5.1 (such experts).
        Lepikhin et al. (2020), GShard, algorithm 2 (experts' weights as one tensor).

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts import StackedMLP
    >>> experts = StackedMLP(num_experts=3, hidden=16)
    >>> tuple(experts(np.ones((3, 5, 8), "float32")).shape)
    (3, 5, 8)
    """

    def __init__(self, num_experts, hidden, units=None, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.hidden = positive_integer("hidden", hidden)
        self.units = None if units is None else positive_integer("units", units)
        self.activation = keras.activations.get(activation)

    def build(self, inputs_shape, owners_shape=None):
        features = inputs_shape[-1]
        units = self.units or features
        self.kernel_1, self.bias_1 = self._weights("1", features, self.hidden)
        self.kernel_2, self.bias_2 = self._weights("2", self.hidden, units)

    def _weights(self, name, inputs, outputs):
        # Glorot's for one expert's matrix: Keras would take E for the size of a convolution.
        limit = math.sqrt(6 / (inputs + outputs))
        kernel = self.add_weight(
            shape=(self.num_experts, inputs, outputs),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name=f"kernel_{name}",
        )
        shape = (self.num_experts, outputs)
        return kernel, self.add_weight(shape=shape, initializer="zeros", name=f"bias_{name}")

    def call(self, inputs, owners=None):
        weights = [self.kernel_1, self.bias_1, self.kernel_2, self.bias_2]
        if owners is not None:
            weights = [ops.take(weight, owners, axis=0) for weight in weights]
        kernel_1, bias_1, kernel_2, bias_2 = weights
        hidden = ops.matmul(inputs, kernel_1) + ops.expand_dims(bias_1, 1)  # (N, S, H)
        return ops.matmul(self.activation(hidden), kernel_2) + ops.expand_dims(bias_2, 1)

    def unstacked(self):
        """The E experts one by one, each a function from (..., D) to (..., units)."""
        weights = [self.kernel_1, self.bias_1, self.kernel_2, self.bias_2]
        weights = [ops.unstack(ops.cast(w, self.compute_dtype), self.num_experts) for w in weights]
        return [_One(*one, self.activation) for one in zip(*weights, strict=True)]

    def get_config(self):
        config = {
            "num_experts": self.num_experts,
            "hidden": self.hidden,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}


class _One:
    """One expert of a stack, called as a layer is."""

    non_trainable_weights = ()

    def __init__(self, kernel_1, bias_1, kernel_2, bias_2, activation):
        self.first, self.second = (kernel_1, bias_1), (kernel_2, bias_2)
        self.activation = activation

    def __call__(self, inputs, training=None):
        (kernel_1, bias_1), (kernel_2, bias_2) = self.first, self.second
        hidden = self.activation(ops.matmul(ops.cast(inputs, kernel_1.dtype), kernel_1) + bias_1)
        return ops.matmul(hidden, kernel_2) + bias_2
