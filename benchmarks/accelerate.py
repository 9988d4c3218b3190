"""What `accelerate` makes of keras-hub's mixtures: processor time of a step before and after.

`python -m benchmarks.accelerate` needs keras-hub (`make bench` installs it). Rows are written as
they are made. Before and after take turns in one process.
"""

import argparse
import datetime
import itertools
import os
import pathlib

import keras
import numpy as np

from benchmarks.backend_rows import processor_times
from benchmarks.rows import write_rows
from benchmarks.timing import ratio
from moe_keras.mixtures import accelerate

RESULTS = pathlib.Path("benchmarks/results/accelerate.csv")
COLUMNS = ("date", "model", "E", "k", "tokens", "phase", "before", "after")
COLUMNS += ("times faster", "low", "high", "load")
MODELS = {
    "Mixtral": ("MixtralBackbone", {"intermediate_dim": 128}),
    "Qwen3-MoE": (
        "Qwen3MoeBackbone",
        {"intermediate_dim": 128, "moe_intermediate_dim": 128, "head_dim": 32},
    ),
    "gpt-oss": ("GptOssBackbone", {"intermediate_dim": 128}),
}


def backbone(name, num_experts, top_k):
    """One decoder block of 64 features with experts of 128 hidden units."""
    import keras_hub

    kind, options = MODELS[name]
    sizes = {"vocabulary_size": 256, "num_layers": 1, "hidden_dim": 64}
    heads = {"num_query_heads": 2, "num_key_value_heads": 1}
    keras.utils.set_random_seed(0)
    make = getattr(keras_hub.models, kind)
    return make(**sizes, **heads, **options, num_experts=num_experts, top_k=top_k)


def step_of(model, words, phase):
    """A function that runs the model, or a training step of it, compiled."""
    x = {"token_ids": words, "padding_mask": np.ones_like(words)}
    if phase == "inference":
        return lambda: model.predict_on_batch(x)
    model.compile("sgd", "mse")
    targets = np.zeros((*words.shape, 64), "float32")
    return lambda: model.train_on_batch(x, targets)


def measure(name, num_experts, phase, options):
    """Median seconds (before, after), and how many times faster: (median, low, high)."""
    shape = (options.tokens // 64, 64)
    words = np.random.default_rng(0).integers(0, 256, shape).astype("int32")
    before, after = (backbone(name, num_experts, options.k) for _ in range(2))
    accelerate(after)
    steps = {"before": step_of(before, words, phase), "after": step_of(after, words, phase)}
    times = processor_times(steps, options.rounds)
    medians = [float(np.median(times[key])) for key in steps]
    return medians, ratio(times["before"], times["after"])


def rows(options):
    """A row for each model, number of experts and phase."""
    for case in itertools.product(options.models, options.experts, options.phases):
        name, num_experts, phase = case
        seconds, times_faster = measure(*case, options)
        yield [
            *(datetime.date.today().isoformat(), name, num_experts, options.k),
            *(options.tokens, phase, *(f"{value:.4f}" for value in seconds)),
            *(f"{value:.2f}" for value in times_faster),
            f"{os.getloadavg()[0]:.1f}",
        ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--experts", type=int, nargs="+", default=[8, 64, 128], help="E")
    parser.add_argument("--phases", nargs="+", default=["inference", "training"])
    parser.add_argument("--tokens", type=int, default=256, help="a multiple of 64")
    parser.add_argument("--k", type=int, default=2, help="experts a token")
    parser.add_argument("--rounds", type=int, default=10, help="times that each step is timed")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    options = parser.parse_args()
    write_rows(options.results, COLUMNS, rows(options))


if __name__ == "__main__":
    main()
