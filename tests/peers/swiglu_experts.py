"""Mixtral's experts as Keras layers with given weights, for tests against its other versions."""

import numpy as np

from benchmarks.keras_models import SwiGLU
from moe_keras.gates import TopKGate
from moe_keras.mixtures import SparseMoE


def mixture(router, gate, up, down, k, dispatch="grouped"):
    """A SparseMoE: router (D, E), gate and up (E, D, H), down (E, H, D)."""
    num_experts, features, hidden = gate.shape
    experts = [SwiGLU(features, hidden) for _ in range(num_experts)]
    layer = SparseMoE(experts, TopKGate(num_experts, k), dispatch=dispatch)
    layer(np.zeros((1, 1, features), "float32"))
    layer.gate.dense.kernel.assign(router)
    for expert, *weights in zip(experts, gate, up, down, strict=True):
        expert.set_weights(weights)
    return layer
