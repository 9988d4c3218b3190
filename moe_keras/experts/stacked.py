"""Stacked experts: E two-layer perceptrons in one tensor for each kind of weight."""

import math

import keras
from keras import ops

from moe_keras.arguments import positive_integer
from moe_keras.experts.expert_set import ExpertSet
from moe_keras.ops.map_groups import map_groups
from moe_keras.ops.ragged_dot import on_accelerator, ragged_dot
from moe_keras.serialization import output_shape


@keras.saving.register_keras_serializable(package="moe_keras")
class StackedMLP(ExpertSet):
    """A set of E two-layer perceptrons whose weights lie in one tensor of each kind.

        E_e(x) = activation(x W1_e + b1_e) W2_e + b2_e

    or, gated (SwiGLU with "silu", GeGLU with "gelu"),

        E_e(x) = (activation(x Wg_e + bg_e) * (x W1_e + b1_e)) W2_e + b2_e

    One batched matrix product then serves all experts. A mixture takes it in place of a list of
    experts; by itself it runs groups of rows, each through one expert. `for expert in experts`
    gives the networks one by one, each a function from (..., D) to (..., units).

    Args:
        num_experts: Integer, number of experts E.
        intermediate_dim: Integer, units of the hidden layer H.
        units: Integer, units of the output; `None`: as many as the inputs have features, D.
        activation: Activation function of the hidden layer, as in `keras.layers.Dense`.
        gated: Boolean, whether the activation is that of a gate, which the hidden layer is
            multiplied by.
        use_bias: Boolean, whether the layers have biases.

    Call arguments:
        inputs: tensor of shape (E, S, ..., D): a group of S rows for each expert, in order. Axes
            inside a row are further rows of the same expert.

    Returns:
        Tensor of shape (E, S, ..., units).

    Raises:
        ValueError: if `num_experts`, `intermediate_dim` or `units` is not a whole number of at
            least 1, there is an `activity_regularizer` (each expert's would be of its own rows: add
            a loss to what the mixture gives), or the inputs are not of this shape.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, section 5.1 (such experts).
        Lepikhin et al. (2020), GShard, algorithm 2 (experts' weights as one tensor).
        Shazeer (2020), GLU variants improve transformer, equation (6) (gated).

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts import StackedMLP
    >>> experts = StackedMLP(num_experts=3, intermediate_dim=16)
    >>> tuple(experts(np.ones((3, 5, 8), "float32")).shape)
    (3, 5, 8)
    """

    is_stacked = True
    takes_groups = True

    def __init__(
        self,
        num_experts,
        intermediate_dim,
        units=None,
        activation="relu",
        gated=False,
        use_bias=True,
        **kwargs,
    ):
        if kwargs.get("activity_regularizer") is not None:
            raise ValueError(
                "Expected a stack without an activity regularizer, for its groups hold rows that "
                "are not there. Regularize what the mixture gives, or list the experts. Received: "
                f"activity_regularizer={kwargs['activity_regularizer']!r}"
            )
        super().__init__(**kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.intermediate_dim = positive_integer("intermediate_dim", intermediate_dim)
        self.units = None if units is None else positive_integer("units", units)
        self.activation = keras.activations.get(activation)
        self.gated = bool(gated)
        self.use_bias = bool(use_bias)

    def __len__(self):
        return self.num_experts

    def __getitem__(self, e):
        if not 0 <= e < self.num_experts:
            raise IndexError(
                f"Expected an expert from 0 to {self.num_experts - 1}. Received: expert {e}"
            )
        return _Member(self, [ops.cast(w, self.compute_dtype)[e] for w in self._all()])

    def __iter__(self):
        # Cut once, not once for each expert: the gradients are then put together once as well.
        weights = [ops.unstack(ops.cast(w, self.compute_dtype), len(self)) for w in self._all()]
        return (_Member(self, one) for one in zip(*weights, strict=True))

    @property
    def names(self):
        return [f"{self.name}/{e}" for e in range(len(self))]

    def layers_inside(self):
        return [self]

    def output_shapes(self, input_shape):
        *_, units = output_shape(self, (len(self), None, input_shape[-1]))
        return [(*input_shape[:-1], units)] * len(self)

    def build(self, input_shape):
        features = input_shape[-1]
        units = self.units or features
        hidden = self.intermediate_dim
        if self.gated:
            self.kernel_gate, self.bias_gate = self._weights("gate", features, hidden)
        self.kernel_1, self.bias_1 = self._weights("1", features, hidden)
        self.kernel_2, self.bias_2 = self._weights("2", hidden, units)

    def _weights(self, name, inputs, outputs):
        # Glorot's for one expert's matrix: Keras would take E for the size of a convolution.
        limit = math.sqrt(6 / (inputs + outputs))
        kernel = self.add_weight(
            shape=(self.num_experts, inputs, outputs),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name=f"kernel_{name}",
        )
        if not self.use_bias:
            return kernel, None
        shape = (self.num_experts, outputs)
        return kernel, self.add_weight(shape=shape, initializer="zeros", name=f"bias_{name}")

    def _all(self):
        """In the order in which `network` takes them: (E, D, H), (E, H), (E, H, units), ..."""
        weights = [self.kernel_gate, self.bias_gate] if self.gated else []
        weights += [self.kernel_1, self.bias_1, self.kernel_2, self.bias_2]
        return [weight for weight in weights if weight is not None]

    def network(self, inputs, *weights, dot=ops.matmul, add=ops.add):
        """One expert's answers: inputs (..., D) to (..., units); its weights lack the first axis.

        Of several experts with other products, `dot`, and biases, `add`.
        """
        weights = iter(weights)

        def layer(inputs):
            outputs = dot(inputs, next(weights))
            return add(outputs, next(weights)) if self.use_bias else outputs

        hidden = self.activation(layer(inputs))  # (..., H)
        if self.gated:
            hidden = hidden * layer(inputs)
        return layer(hidden)

    def call(self, inputs):
        if len(inputs.shape) < 3 or inputs.shape[0] not in (None, len(self)):
            raise ValueError(
                f"Expected inputs of shape ({len(self)}, S, ..., D), a group of rows an expert. "
                f"Received: shape {tuple(inputs.shape)}"
            )
        if len(inputs.shape) > 3:
            *axes, features = ops.shape(inputs)
            answers = self.call(ops.reshape(inputs, (axes[0], math.prod(axes[1:]), features)))
            return ops.reshape(answers, (*axes, answers.shape[-1]))
        return self.network(inputs, *self._all(), add=lambda x, b: x + ops.expand_dims(b, 1))

    def run_groups(self, rows, group_sizes, mask=None, training=None):
        if len(rows.shape) > 2:
            *axes, features = ops.shape(rows)
            inside = math.prod(axes[1:])
            answers = self.run_groups(
                ops.reshape(rows, (axes[0] * inside, features)), group_sizes * inside
            )
            return ops.reshape(answers, (*axes, answers.shape[-1]))
        rows = ops.cast(rows, self.compute_dtype)
        weights = [ops.cast(weight, self.compute_dtype) for weight in self._all()]
        if not on_accelerator() and keras.backend.backend() != "torch":
            # Block by block through both layers: what is between them stays in the cache.
            units = self.units or rows.shape[-1]
            return map_groups(self.network, rows, weights, group_sizes, (units,))
        row = ops.arange(ops.shape(rows)[0], dtype="int32")  # (m,)
        expert = ops.searchsorted(ops.cumsum(group_sizes), row, side="right")  # (m,)
        expert = ops.minimum(expert, len(self) - 1)  # rows beyond: anyone's
        return self.network(
            rows,
            *weights,
            dot=lambda x, kernel: ragged_dot(x, kernel, group_sizes),
            add=lambda x, bias: x + ops.take(bias, expert, axis=0),
        )

    def get_config(self):
        config = {
            "num_experts": self.num_experts,
            "intermediate_dim": self.intermediate_dim,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "gated": self.gated,
            "use_bias": self.use_bias,
        }
        return {**super().get_config(), **config}


class _Member:
    """One expert of a stack, called as a layer is."""

    non_trainable_weights = ()

    def __init__(self, stack, weights):
        self.stack, self.weights = stack, weights

    def __call__(self, inputs, training=None):
        return self.stack.network(ops.cast(inputs, self.weights[0].dtype), *self.weights)

    def get_weights(self):
        return [ops.convert_to_numpy(weight) for weight in self.weights]
