"""What one step of an expert-parallel mixture computes, keeps and sends on each device, counted.

`python -m benchmarks.scaling` (JAX) compiles the step for some devices of this machine's processor
and reads the compiled program: no time is measured, and none can be on devices that share a
processor. Rows are written as they are made.
"""

import argparse
import itertools
import os
import pathlib
import re
from collections import Counter

from benchmarks.rows import write_rows

RESULTS = pathlib.Path("benchmarks/results/scaling.csv")
COLUMNS = (
    "devices", "experts", "tokens", "dispatch", "million multiply-adds a device",
    "expert weights a device", "all-to-all bytes a device", "its formula",
    "all-gather bytes a device", "all-reduce bytes a device", "other bytes a device",
)  # fmt: skip
DISPATCHERS = ("expert parallel", "capacity", "blocked")
BYTES = {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "bf16": 2, "f16": 2, "pred": 1, "u8": 1}
COLLECTIVE = re.compile(
    r"= (.*?) (all-to-all|all-gather|all-reduce|reduce-scatter|collective-permute)(?:-start)?\("
)
SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")


def collective_bytes(program):
    """Bytes that each kind of collective gives a device, by the text of a compiled program.

    >>> line = "%all-to-all.1 = f32[8,4]{1,0} all-to-all(%copy), channel_id=1"
    >>> dict(collective_bytes(line))
    {'all-to-all': 128}
    """
    counts = Counter()
    for shapes, kind in COLLECTIVE.findall(program):
        for dtype, sizes in SHAPE.findall(shapes):
            size = 1
            for axis in filter(None, sizes.split(",")):
                size *= int(axis)
            counts[kind] += size * BYTES[dtype]
    return counts


def exchanged_bytes(tokens, k, features, factor, devices, itemsize=4):
    """What a device gets by all-to-all in one step: E S rows, there and back, and their gradients.

    E S = factor * t * k, where t is the number of tokens of a device.

    >>> exchanged_bytes(tokens=1024, k=2, features=64, factor=1.0, devices=8)
    262144
    """
    return int(4 * factor * (tokens // devices) * k * features * itemsize)


def compiled_step(mixture, tokens):
    """Forward and backward for the inputs and weights, compiled for where these lie."""
    import jax
    import keras

    variables = mixture.trainable_variables

    def loss(tokens, values):
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return keras.ops.mean(keras.ops.square(mixture(tokens)))

    values = [variable.value for variable in variables]
    shardings = jax.tree.map(lambda array: array.sharding, (tokens, values))
    step = jax.jit(jax.grad(loss, (0, 1)), in_shardings=shardings, out_shardings=shardings)
    return step.lower(tokens, values).compile()


def shared_out(array, mesh):
    """An array with its first axis over the devices of a mesh of one axis."""
    import keras

    layout = keras.distribution.TensorLayout(["batch", *[None] * (array.ndim - 1)], mesh)
    return keras.distribution.distribute_tensor(keras.ops.convert_to_tensor(array), layout)


def measure(devices, num_experts, num_tokens, dispatch, options):
    """One row of the table."""
    import keras
    import numpy as np

    from moe_keras import SparseMoE, StackedMLP, TopKGate
    from moe_keras.mixtures import (
        CapacityDispatcher,
        ExpertParallelDispatcher,
        expert_parallel_layout,
    )

    names = [f"cpu:{n}" for n in range(devices)]
    mesh = keras.distribution.DeviceMesh((devices,), ["batch"], names)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=expert_parallel_layout(mesh))
    )
    dispatcher = {
        "expert parallel": ExpertParallelDispatcher(devices, options.factor),
        "capacity": CapacityDispatcher(options.factor),
        "blocked": "blocked",
    }[dispatch]
    experts = StackedMLP(num_experts, options.hidden)
    mixture = SparseMoE(experts, TopKGate(num_experts, options.k), dispatch=dispatcher)
    tokens = np.zeros((num_tokens, options.features), "float32")
    mixture.build(tokens.shape)
    program = compiled_step(mixture, shared_out(tokens, mesh))
    counts = collective_bytes(program.as_text())
    shard = experts.kernel_1.value.sharding.shard_shape(experts.kernel_1.shape)
    known = [counts[name] for name in ("all-to-all", "all-gather", "all-reduce")]
    formula = exchanged_bytes(num_tokens, options.k, options.features, options.factor, devices)
    # Of a loop, such as that over blocks, the compiler counts one pass.
    multiply_adds = "" if dispatch == "blocked" else program.cost_analysis()["flops"] / 2e6
    return [
        devices, num_experts, num_tokens, dispatch, multiply_adds and round(multiply_adds, 1),
        shard[0] * sum(w.value.size for w in experts.weights) // num_experts,
        known[0], formula if dispatch == "expert parallel" and devices > 1 else "",
        *known[1:], sum(counts.values()) - sum(known),
    ]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8], help="G")
    parser.add_argument("--experts", type=int, nargs="+", default=[16, 64], help="E")
    parser.add_argument("--tokens", type=int, default=1024, help="T for each device")
    parser.add_argument("--features", type=int, default=64, help="D")
    parser.add_argument("--hidden", type=int, default=128, help="units of a hidden layer")
    parser.add_argument("--k", type=int, default=2, help="experts a token")
    parser.add_argument("--factor", type=float, default=1.0, help="capacity factor")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    flags = os.environ.get("XLA_FLAGS", "")
    count = max(options.devices)
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={count}"
    cases = itertools.product(options.devices, options.experts, DISPATCHERS)
    rows = (
        measure(devices, num_experts, options.tokens * devices, dispatch, options)
        for devices, num_experts, dispatch in cases
    )
    write_rows(options.results, COLUMNS, rows, mode="w")


if __name__ == "__main__":
    main()
