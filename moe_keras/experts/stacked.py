"""Stacked experts: E two-layer perceptrons in one tensor for each kind of weight."""

import math

import keras
from keras import ops

from moe_keras.arguments import positive_integer
from moe_keras.experts.expert_set import ExpertSet
from moe_keras.serialization import output_shape


@keras.saving.register_keras_serializable(package="moe_keras")
class StackedMLP(ExpertSet):
    """A set of E two-layer perceptrons whose weights lie in one tensor of each kind.

        E_e(x) = activation(x W1_e + b1_e) W2_e + b2_e

    One batched matrix product then serves all experts. A mixture takes it in place of a list of
    experts; by itself it runs groups of rows, each through one expert. `for expert in experts`
    gives the networks one by one, each a function from (..., D) to (..., units).

    Args:
        num_experts: Integer, number of experts E.
        intermediate_dim: Integer, units of the hidden layer H.
        units: Integer, units of the output; `None`: as many as the inputs have features, D.
        activation: Activation function of the hidden layer, as in `keras.layers.Dense`.

    Call arguments:
        inputs: tensor of shape (N, S, D): N groups of S rows.
        expert_ids: integer tensor of shape (N,), from 0 to E - 1: the expert of each group.
            `None`: N = E, one group for each expert, in order.

    Returns:
        Tensor of shape (N, S, units).

    Raises:
        ValueError: if `num_experts`, `intermediate_dim` or `units` is not a whole number of at
            least 1.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, section 5.1 (such experts).
        Lepikhin et al. (2020), GShard, algorithm 2 (experts' weights as one tensor).

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts import StackedMLP
    >>> experts = StackedMLP(num_experts=3, intermediate_dim=16)
    >>> tuple(experts(np.ones((3, 5, 8), "float32")).shape)
    (3, 5, 8)
    """

    takes_expert_ids = True

    def __init__(self, num_experts, intermediate_dim, units=None, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.intermediate_dim = positive_integer("intermediate_dim", intermediate_dim)
        self.units = None if units is None else positive_integer("units", units)
        self.activation = keras.activations.get(activation)

    def __len__(self):
        return self.num_experts

    def __getitem__(self, e):
        if not 0 <= e < self.num_experts:
            raise IndexError(
                f"Expected an expert from 0 to {self.num_experts - 1}. Received: expert {e}"
            )
        return _Member([ops.cast(w, self.compute_dtype)[e] for w in self._all()], self.activation)

    def __iter__(self):
        # Cut once, not once for each expert: the gradients are then put together once as well.
        weights = [ops.unstack(ops.cast(w, self.compute_dtype), len(self)) for w in self._all()]
        return (_Member(one, self.activation) for one in zip(*weights, strict=True))

    @property
    def names(self):
        return [f"{self.name}/{e}" for e in range(len(self))]

    def layers_inside(self):
        return [self]

    def output_shapes(self, input_shape):
        *_, units = output_shape(self, (len(self), None, input_shape[-1]))
        return [(*input_shape[:-1], units)] * len(self)

    def build(self, inputs_shape, expert_ids_shape=None):
        features = inputs_shape[-1]
        units = self.units or features
        self.kernel_1, self.bias_1 = self._weights("1", features, self.intermediate_dim)
        self.kernel_2, self.bias_2 = self._weights("2", self.intermediate_dim, units)

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

    def _all(self):
        return [self.kernel_1, self.bias_1, self.kernel_2, self.bias_2]

    def call(self, inputs, expert_ids=None):
        weights = self._all()  # (E, D, H), (E, H), (E, H, units), (E, units)
        if expert_ids is not None:
            weights = [ops.take(weight, expert_ids, axis=0) for weight in weights]  # (N, ...)
        kernel_1, bias_1, kernel_2, bias_2 = weights
        hidden = ops.matmul(inputs, kernel_1) + ops.expand_dims(bias_1, 1)  # (N, S, H)
        return ops.matmul(self.activation(hidden), kernel_2) + ops.expand_dims(bias_2, 1)

    def get_config(self):
        config = {
            "num_experts": self.num_experts,
            "intermediate_dim": self.intermediate_dim,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}


class _Member:
    """One expert of a stack, called as a layer is."""

    non_trainable_weights = ()

    def __init__(self, weights, activation):
        self.weights = weights  # (D, H), (H,), (H, units), (units,)
        self.activation = activation

    def __call__(self, inputs, training=None):
        kernel_1, bias_1, kernel_2, bias_2 = self.weights
        hidden = self.activation(ops.matmul(ops.cast(inputs, kernel_1.dtype), kernel_1) + bias_1)
        return ops.matmul(hidden, kernel_2) + bias_2

    def get_weights(self):
        return [ops.convert_to_numpy(weight) for weight in self.weights]
