"""What is timed on TensorFlow: ours, the limits, and the peers in Keras."""

import keras
import tensorflow as tf
from keras import layers, ops

from moe_keras.experts import StackedMLP
from moe_keras.gates import TopKGate
from moe_keras.mixtures import SparseMoE


def mlp(features, hidden):
    """An expert with one hidden layer of ReLUs."""
    first, last = layers.Dense(hidden, activation="relu"), layers.Dense(features)
    return keras.Sequential([keras.Input((features,)), first, last])


class SwiGLU(layers.Layer):
    """An expert of Mixtral: (silu(x W_gate) * x W_up) W_down, without biases."""

    def __init__(self, features, hidden):
        super().__init__()
        self.gate = layers.Dense(hidden, activation="silu", use_bias=False)
        self.up = layers.Dense(hidden, use_bias=False)
        self.down = layers.Dense(features, use_bias=False)

    def build(self, shape):
        self.gate.build(shape)
        self.up.build(shape)
        self.down.build((*shape[:-1], self.gate.units))

    def call(self, inputs):
        return self.down(self.gate(inputs) * self.up(inputs))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.down.units)


class OneHotEinsum(layers.Layer):
    """GShard's dispatch by a one-hot tensor (T, E, C), with slots for 1.25 times an even load."""

    def __init__(self, num_experts, hidden, k):
        super().__init__()
        self.gate = TopKGate(num_experts, k)
        self.experts = StackedMLP(num_experts, hidden)
        self.num_experts, self.k = num_experts, k

    def build(self, shape):
        self.gate.build(shape)
        self.experts.build((self.num_experts, None, shape[-1]))

    def call(self, tokens):
        answer = self.gate(tokens)
        num_tokens = tokens.shape[0]
        slots = min(num_tokens, -(-5 * num_tokens * self.k // (4 * self.num_experts)))
        chosen = ops.one_hot(ops.transpose(answer["indices"]), self.num_experts)  # (k, T, E)
        flat = ops.reshape(chosen, (-1, self.num_experts))  # first choices first
        # Exclusive: the first token of an expert gets slot 0. Too late ones get a row of zeros.
        slot = ops.sum((ops.cumsum(flat, axis=0) - flat) * flat, axis=-1)
        places = ops.reshape(ops.one_hot(ops.cast(slot, "int32"), slots), (self.k, -1, slots))
        dispatch = ops.einsum("kte,ktc->tec", chosen, places)
        combine = ops.einsum("tk,kte,ktc->tec", answer["weights"], chosen, places)
        outputs = self.experts(ops.einsum("tec,td->ecd", dispatch, tokens))
        return ops.einsum("tec,ecd->td", combine, outputs)


def mixtral_of_keras_hub(num_experts, features, hidden, k):
    """keras-hub's block; it takes (B, T, D)."""
    from keras_hub.src.models.mixtral.mixtral_decoder import MixtralSparseMoeBlock

    block = MixtralSparseMoeBlock(
        hidden_dim=features, intermediate_dim=hidden, num_experts=num_experts, top_k=k
    )

    def call(tokens, training=None):
        answer = block(ops.expand_dims(tokens, 0), training=training)
        return (answer[0] if isinstance(answer, tuple) else answer)[0]

    return block, call


class GivenRoute(layers.Layer):
    """A gate that chose beforehand: what is left of a mixture's cost is dispatch and experts."""

    def __init__(self, gate, tokens):
        super().__init__()
        self.answer = {name: tf.constant(tensor) for name, tensor in gate(tokens).items()}

    def call(self, tokens):
        return self.answer


def relu_rows(num_experts, tokens, hidden, k):
    """{name: layer} of experts with ReLUs."""
    features = tokens.shape[-1]

    def ours(experts, dispatch):
        return SparseMoE(experts, TopKGate(num_experts, k), dispatch=dispatch)

    def separate():
        return [mlp(features, hidden) for _ in range(num_experts)]

    route = GivenRoute(TopKGate(num_experts, k), tokens)
    return {
        "grouped": ours(separate(), "grouped"),
        "grouped, routing given": SparseMoE(separate(), route, dispatch="grouped"),
        "grouped, stack": ours(StackedMLP(num_experts, hidden), "grouped"),
        "blocked, stack": ours(StackedMLP(num_experts, hidden), "blocked"),
        "capacity": ours(separate(), "capacity"),
        "dense": ours(separate(), "dense"),
        "one-hot einsum": OneHotEinsum(num_experts, hidden, k),
    }


def training_step(call, inputs, variables=None, jit_compile=False):
    """A function that runs `call` on `inputs` forward and backward, and waits for it."""
    tensor = tf.constant(inputs)
    call(tensor)  # built
    variables = variables if variables is not None else call.trainable_variables
    values = [variable.value for variable in variables]

    @tf.function(jit_compile=jit_compile)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(call(inputs)))
        return tape.gradient(loss, [inputs, *values])

    return lambda: step(tensor)[0].numpy()
