"""Ten times the rows: what `moe_keras.spark` then takes of time and memory.

    python -m benchmarks.spark_rows [rows] [times]

MNIST's training images, and for more rows seeded affine copies of them (turned, stretched, slanted
and moved a little), go to Parquet files. For each of the two sizes a process of its own fits six
trees of depth 10 on four fifths of them, trains the gate for one epoch on the rest, and answers the
10,000 test images. Noted are the seconds of each stage, and of the two processes on the driver,
Python and Spark's Java (which holds the workers as well when Spark runs here), the largest resident
memory and the processor time, on which other work on the machine weighs less than on the seconds.
The results go to results/spark_rows.json.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from moe_common.files import write_text
from moe_keras import data

RESULTS = Path(__file__).parent / "results" / "spark_rows.json"
CHUNK = 10_000
MEMORY = "2g"


def affine_copies(images, rng):
    """Each image turned, stretched, slanted and moved at random, by bilinear interpolation."""
    count, side = images.shape[:2]
    angle = rng.uniform(-0.2, 0.2, count)
    size = rng.uniform(0.9, 1.1, (count, 2))
    slant = rng.uniform(-0.15, 0.15, count)
    cosine, sine = np.cos(angle), np.sin(angle)
    maps = np.stack([cosine, slant - sine, sine, cosine], -1).reshape(count, 2, 2) / size[..., None]
    center = (side - 1) / 2
    grid = np.stack(np.meshgrid(*[np.arange(side) - center] * 2, indexing="ij")).reshape(2, -1)
    shift = rng.uniform(-1.5, 1.5, (count, 2, 1)) + center
    y, x = np.clip(np.moveaxis(maps @ grid + shift, 1, 0), 0, side - 1.001)  # (N, side * side)
    top, left = y.astype(int), x.astype(int)
    down, right = y - top, x - left
    flat, row = images.reshape(count, -1).astype("float32"), np.arange(count)[:, None]
    at = top * side + left
    above = flat[row, at] * (1 - right) + flat[row, at + 1] * right
    below = flat[row, at + side] * (1 - right) + flat[row, at + side + 1] * right
    return np.rint(above * (1 - down) + below * down).astype("uint8").reshape(images.shape)


def write_rows(folder, images, labels, rows):
    """Parquet files of so many rows for the trees and the gate, 4 to 1."""
    from moe_keras.spark import write_parquet

    for number, start in enumerate(range(0, rows, CHUNK)):
        rng = np.random.default_rng(number)
        chosen = np.arange(start, min(start + CHUNK, rows))
        pictures, answers = images[chosen % len(images)], labels[chosen % len(images)]
        if start >= len(images):
            pictures = affine_copies(pictures, rng)
        cut = len(pictures) * 4 // 5
        for part, rows_of in (("trees", slice(cut)), ("gate", slice(cut, None))):
            path = folder / part / f"{number:03}.parquet"
            write_parquet(pictures[rows_of], answers[rows_of], path)


def run(folder, test):
    """One size, in a process of its own: a line of JSON on standard output."""
    from pyspark import SparkContext

    from moe_keras.spark import TreeMixture, read_parquet, session

    seconds, last = {}, time.perf_counter()

    def lap(name):
        nonlocal last
        seconds[name], last = round(time.perf_counter() - last, 1), time.perf_counter()

    spark = session(memory=MEMORY)
    lap("start")
    mixture = TreeMixture(clusters=6, depth=10, workspace=folder)
    mixture.fit_experts(
        read_parquet(spark, f"{folder}/trees"), lambda what, done, of: done == of and lap(what)
    )
    mixture.fit_gate(read_parquet(spark, f"{folder}/gate"), epochs=1)
    lap("gate, one epoch")
    accuracy = mixture.evaluate(read_parquet(spark, test))["gate"]
    lap("10,000 answers")
    processes = {"Python": os.getpid(), "Java": SparkContext._gateway.proc.pid}
    measured = {
        "seconds": seconds,
        "processor seconds": {name: processor(pid) for name, pid in processes.items()},
        "peak MB": {name: peak(pid) for name, pid in processes.items()},
        "accuracy": accuracy,
    }
    print(json.dumps(measured))


def peak(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024


def processor(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 1)


def main(rows, times):
    """Measure both sizes, print and write."""
    from moe_keras.spark import write_parquet

    dataset = data.load("mnist", fallback=False)
    images = np.concatenate([dataset.x_train, dataset.x_validation])[..., 0]
    labels = np.concatenate([dataset.y_train, dataset.y_validation])
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder) / "test.parquet"
        write_parquet(dataset.x_test[..., 0], dataset.y_test, test)
        for size in (rows * times, rows):  # what may not fit first
            place = Path(folder) / str(size)
            write_rows(place, images, labels, size)
            load = os.getloadavg()[0]
            command = [sys.executable, "-m", "benchmarks.spark_rows", "run", place, test]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            measured[size] = json.loads(done.stdout.splitlines()[-1])
            measured[size]["load of the machine before"] = round(load, 1)
            print(size, measured[size], flush=True)
    small, large = measured[rows], measured[rows * times]
    work = [sum(each["seconds"].values()) - each["seconds"]["start"] for each in (small, large)]
    results = {
        "machine": describe(),
        "data": str(dataset),
        "memory given to Spark": MEMORY,
        "rows": measured,
        "time ratio, without the start": round(work[1] / work[0], 2),
        "processor time ratio": ratio("processor seconds", small, large)["both"],
        "memory ratio": ratio("peak MB", small, large),
    }
    write_text(RESULTS, json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def ratio(what, small, large):
    """How many times as much the large one took, of each process and of both."""
    small, large = ({**each[what], "both": sum(each[what].values())} for each in (small, large))
    return {name: round(large[name] / small[name], 2) for name in small}


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:] or (60_000, 10)))
