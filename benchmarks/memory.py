"""Peak memory of a step, in a process of its own: `python -m benchmarks.memory T E D H k DISPATCH`.

Prints MiB: the process's largest resident size in a step forward and backward, less its size before
the mixture was built, less the weights and their gradients. What is left is activations, what the
runtime holds, and the trace of the function, which grows a little with E. Linux alone.
"""

import pathlib
import re
import sys

import numpy as np

from benchmarks.keras_models import SparseMoE, TopKGate, mlp, training_step

MIB = 2**20


def resident(field):
    """Bytes: "VmRSS" now, "VmHWM" the most since the last reset."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def reset_peak():
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def main(dispatch, num_tokens, num_experts, features, hidden, k):
    tokens = np.random.default_rng(0).normal(size=(num_tokens, features)).astype("float32")
    # A step of one small network first: the libraries' own memory belongs to the baseline.
    training_step(mlp(features, 8), tokens[:8])()
    baseline = resident("VmRSS")
    experts = [mlp(features, hidden) for _ in range(num_experts)]
    layer = SparseMoE(experts, TopKGate(num_experts, k), dispatch=dispatch)
    step = training_step(layer, tokens)
    reset_peak()
    step()
    step()
    weights = sum(4 * np.prod(weight.shape) for weight in layer.trainable_weights)
    print((resident("VmHWM") - baseline - 2 * weights) / MIB)


if __name__ == "__main__":
    main(sys.argv[6], *map(int, sys.argv[1:6]))
