"""Ratios on TensorFlow for one number of tokens and of experts."""

import numpy as np

from benchmarks.keras_models import (
    SparseMoE,
    SwiGLU,
    TopKGate,
    mixtral_of_keras_hub,
    mlp,
    relu_rows,
    training_step,
)
from benchmarks.timing import ratio, times_in_turns


def measure(num_tokens, num_experts, options):
    """Rows (experts, way, ratio, low, high)."""
    features, hidden, k = options.features, options.hidden, options.k
    tokens = np.random.default_rng(0).normal(size=(num_tokens, features)).astype("float32")
    repeated = np.repeat(tokens, k, axis=0)
    steps = {("ReLU", "limit"): training_step(mlp(features, hidden), repeated)}
    for name, layer in relu_rows(num_experts, tokens, hidden, k).items():
        steps["ReLU", name] = training_step(layer, tokens)

    steps["SwiGLU", "limit"] = training_step(SwiGLU(features, hidden), repeated)
    experts = [SwiGLU(features, hidden) for _ in range(num_experts)]
    ours = SparseMoE(experts, TopKGate(num_experts, k), dispatch="grouped")
    steps["SwiGLU", "grouped"] = training_step(ours, tokens)
    block, call = mixtral_of_keras_hub(num_experts, features, hidden, k)
    call(tokens)
    steps["SwiGLU", "keras-hub"] = training_step(call, tokens, block.trainable_variables)

    times = times_in_turns(steps, options.rounds)
    return [
        (kind, name, *ratio(taken, times[kind, "limit"]))
        for (kind, name), taken in times.items()
        if name != "limit"
    ]
