"""What `dispatch="auto"` costs on one backend, compiled or not; rows are written as they are made.

`KERAS_BACKEND=jax python -m benchmarks.backend_rows --compiler jit`
"""

import argparse
import datetime
import itertools
import os
import pathlib
import time

import keras
import numpy as np

from benchmarks.rows import write_rows
from benchmarks.timing import ratio
from moe_keras import SparseMoE, StackedMLP, TopKGate

RESULTS = pathlib.Path("benchmarks/results/backend_rows.csv")
COLUMNS = ("date", "backend", "compiler", "experts", "T", "E", "ratio", "low", "high", "load")
COMPILERS = {"tensorflow": ("graph", "XLA"), "jax": ("jit",), "torch": ("eager",)}


def mlp(features, hidden):
    """An expert with one hidden layer of ReLUs."""
    layers = [keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(features)]
    return keras.Sequential([keras.Input((features,)), *layers])


def training_step(layer, inputs, compiler):
    """A function that runs a layer forward and backward, for its inputs and weights."""
    layer(inputs)  # built
    variables = layer.trainable_variables
    if compiler == "jit":
        import jax

        def loss(inputs, values):
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                return keras.ops.mean(keras.ops.square(layer(inputs)))

        step, values = jax.jit(jax.grad(loss, (0, 1))), [v.value for v in variables]
        return lambda: jax.block_until_ready(step(inputs, values))
    if compiler == "eager":
        import torch

        inputs = torch.tensor(np.array(inputs), requires_grad=True)
        values = [inputs, *[v.value for v in variables]]
        return lambda: torch.autograd.grad(layer(inputs).square().mean(), values, allow_unused=True)
    import tensorflow as tf

    @tf.function(jit_compile=compiler == "XLA")
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(layer(inputs)))
        return tape.gradient(loss, [inputs, *[v.value for v in variables]])

    return lambda: step(tf.constant(inputs))[0].numpy()


def processor_times(steps, rounds):
    """Seconds of all threads for each step in each round, in turns, so that load hits all alike."""
    taken = {name: [] for name in steps}
    for step in steps.values():
        step()  # compiled
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            taken[name].append(time.process_time() - start)
    return taken


def measure(num_tokens, num_experts, options):
    """(experts, ratio, low, high) for a list of layers and for a stack."""
    features, hidden, k = options.features, options.hidden, options.k
    tokens = np.random.default_rng(0).normal(size=(num_tokens, features)).astype("float32")

    def mixture(experts):
        return SparseMoE(experts, TopKGate(num_experts, k))

    layers = {
        "limit": mlp(features, hidden),
        "list": mixture([mlp(features, hidden) for _ in range(num_experts)]),
        "stack": mixture(StackedMLP(num_experts, hidden)),
    }
    steps = {
        name: training_step(
            layer, np.repeat(tokens, k, axis=0) if name == "limit" else tokens, options.compiler
        )
        for name, layer in layers.items()
    }
    times = processor_times(steps, options.rounds)
    return [(name, *ratio(times[name], times["limit"])) for name in ("list", "stack")]


def rows(backend, options):
    """A row for each number of tokens and of experts, for a list and for a stack."""
    for num_tokens, num_experts in itertools.product(options.tokens, options.experts):
        for experts, *values in measure(num_tokens, num_experts, options):
            yield [
                *(datetime.date.today().isoformat(), backend, options.compiler, experts),
                *(num_tokens, num_experts, *(f"{value:.3f}" for value in values)),
                f"{os.getloadavg()[0]:.1f}",
            ]


def main():
    backend = keras.backend.backend()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", choices=COMPILERS[backend], default=COMPILERS[backend][0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 4096], help="T")
    parser.add_argument("--experts", type=int, nargs="+", default=[4, 16, 64], help="E")
    parser.add_argument("--k", type=int, default=2, help="experts a token")
    parser.add_argument("--features", type=int, default=128, help="D")
    parser.add_argument("--hidden", type=int, default=512, help="units of a hidden layer")
    parser.add_argument("--rounds", type=int, default=10, help="times that each step is timed")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    options = parser.parse_args()
    write_rows(options.results, COLUMNS, rows(backend, options))


if __name__ == "__main__":
    main()
