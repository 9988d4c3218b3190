"""Time the dispatchers and their peers, and say which targets are met."""

import argparse
import json
import os
import pathlib
import subprocess
import sys


def arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 4096], help="T")
    parser.add_argument("--experts", type=int, nargs="+", default=[4, 8, 16, 64], help="E")
    parser.add_argument("--k", type=int, default=2, help="experts a token")
    parser.add_argument("--features", type=int, default=128, help="D")
    parser.add_argument("--hidden", type=int, default=512, help="units of a hidden layer")
    parser.add_argument("--rounds", type=int, default=10, help="times that each step is timed")
    parser.add_argument("--batch", type=int, default=256, help="images")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each framework")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch's rows out")
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path("benchmarks/results"))
    return parser.parse_args()


def child(module, *numbers):
    """What a benchmark in a process of its own printed last."""
    command = [sys.executable, "-m", module, *map(str, numbers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _middle(values):
    """Median, smallest and largest of three."""
    low, median, high = values
    return median, low, high


def collect(options, console):
    """Rows of all parts, each a dict."""
    from benchmarks import images, keras_times
    from moe_common.terminal import show

    rows = []

    def add(what, num_tokens, num_experts, kind, way, value, low=None, high=None):
        cells = (what, num_tokens, num_experts, kind, way, value, low, high)
        rows.append(dict(zip(COLUMNS, cells, strict=True)))

    sizes = (options.features, options.hidden, options.k)
    for num_tokens in options.tokens:
        for num_experts in options.experts:
            show(console, f"T={num_tokens}, E={num_experts} ...")
            found = keras_times.measure(num_tokens, num_experts, options)
            if not options.no_torch:
                numbers = (num_tokens, num_experts, *sizes, options.rounds, options.threads)
                found += child("benchmarks.torch_times", *numbers)
            for row in found:
                add("cost", num_tokens, num_experts, *row)
    show(console, "images ...")
    few = [num_experts for num_experts in options.experts if num_experts <= 16]
    for num_experts, *values in images.measure(few, options.batch, options.rounds):
        add("images", options.batch, num_experts, "VGG block", "grouped", *values)
    show(console, "memory ...")
    for dispatch in ("grouped", "dense"):
        for num_experts in options.experts:
            values = sorted(
                child("benchmarks.memory", max(options.tokens), num_experts, *sizes, dispatch)
                for _ in range(3)
            )
            add("memory", max(options.tokens), num_experts, "ReLU", dispatch, *_middle(values))
    return rows


if __name__ == "__main__":
    options = arguments()
    # Before TensorFlow and NumPy start their threads.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(options.threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = str(options.threads)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

    from rich.console import Console

    from benchmarks import machine, report, targets
    from benchmarks.report import COLUMNS
    from moe_common.terminal import show

    console = Console()
    rows = collect(options, console)
    judged = targets.judge(rows)
    report.show(console, rows, judged)
    facts = {**machine.describe(), "threads": str(options.threads), "rounds": str(options.rounds)}
    report.write(options.results, rows, judged, facts)
    show(console, f"Written to {options.results}")
