"""Mixtral's experts as Keras layers with given weights, for tests against its other versions."""

import keras
import numpy as np

from moe_keras.gates import TopKGate
from moe_keras.mixtures import SparseMoE


class SwiGLU(keras.layers.Layer):
    """(silu(x W_gate) * x W_up) W_down, without biases."""

    def __init__(self, hidden, units):
        super().__init__()
        self.gate = keras.layers.Dense(hidden, activation="silu", use_bias=False)
        self.up = keras.layers.Dense(hidden, use_bias=False)
        self.down = keras.layers.Dense(units, use_bias=False)

    def build(self, shape):
        self.gate.build(shape)
        self.up.build(shape)
        self.down.build((*shape[:-1], self.gate.units))

    def call(self, inputs):
        return self.down(self.gate(inputs) * self.up(inputs))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.down.units)


def mixture(router, gate, up, down, k, dispatch="grouped"):
    """A SparseMoE: router (D, E), gate and up (E, D, H), down (E, H, D)."""
    num_experts, features, hidden = gate.shape
    experts = [SwiGLU(hidden, features) for _ in range(num_experts)]
    layer = SparseMoE(experts, TopKGate(num_experts, k), dispatch=dispatch)
    layer(np.zeros((1, 1, features), "float32"))
    layer.gate.dense.kernel.assign(router)
    for expert, *weights in zip(experts, gate, up, down, strict=True):
        expert.set_weights(weights)
    return layer
