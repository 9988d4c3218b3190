"""Two tasks about the same images: networks of equal size that share more or less.

    python -m benchmarks.multi_task [--data mnist] [--seeds 0 1 2] [--epochs 6]

MNIST: the digit, and whether it is odd. Fashion-MNIST: the garment, and whether it has long
sleeves. All kinds have as many parameters as a network with a shared bottom, to within three per
cent: two networks of their own ("single"), one ("shared bottom"), a mixture with a gate for each
task ("multi-gate"), two levels of progressive extraction ("progressive"). Trained on 10,000 images;
the test set is read once, at the end. Writes `results/multi_task.json`.
"""

import argparse
import json
import os
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers

from benchmarks.machine import describe
from moe_common.files import write_text
from moe_keras.data import load
from moe_keras.evaluation import mean_interval, paired_interval
from moe_keras.mixtures import MultiGateMoE, ProgressiveExtraction
from moe_keras.training import TriangularSchedule

RESULTS = Path(__file__).parent / "results" / "multi_task.json"
SECOND_TASK = {"mnist": ("odd", (1, 3, 5, 7, 9)), "fashion_mnist": ("long sleeves", (2, 4, 6))}
TASKS = ("class", "second")
SHARED_UNITS, TOWER = 64, 16
IMAGES, BATCH, RATE = 10_000, 100, 0.004


def experts(count, units):
    return [layers.Dense(units, "relu") for _ in range(count)]


def single(images, units):
    return {task: layers.Dense(units, "relu")(images) for task in TASKS}


def shared_bottom(images, units):
    return dict.fromkeys(TASKS, layers.Dense(units, "relu")(images))


def multi_gate(images, units):
    return MultiGateMoE(experts(4, units), gates=TASKS)(images)


def progressive(images, units):
    own = {task: [experts(1, units), experts(1, units)] for task in TASKS}
    return ProgressiveExtraction([experts(2, units), experts(2, units)], own)(images)


KINDS = {
    "single": single,
    "shared bottom": shared_bottom,
    "multi-gate": multi_gate,
    "progressive": progressive,
}


def build(kind, units):
    inputs = keras.Input((28, 28, 1))
    images = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    features = KINDS[kind](images, units)
    outputs = {
        task: layers.Dense(size)(layers.Dense(TOWER, "relu")(features[task]))
        for task, size in zip(TASKS, (10, 1), strict=True)
    }
    return keras.Model(inputs, outputs)


def units_for(kind):
    """How wide to make it, to have as many parameters as the shared bottom."""
    wanted = build("shared bottom", SHARED_UNITS).count_params()
    return min(range(4, 100), key=lambda u: abs(build(kind, u).count_params() - wanted))


def answers(labels, second):
    return {"class": labels, "second": np.isin(labels, second).astype("float32")[:, None]}


def train(kind, units, seed, images, epochs, second):
    keras.utils.set_random_seed(seed)
    model = build(kind, units)
    model.compile(
        keras.optimizers.Adam(TriangularSchedule(RATE, epochs * (IMAGES // BATCH))),
        {
            "class": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "second": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        steps_per_execution=50,
    )
    x, y = images.x_train[:IMAGES], answers(images.y_train[:IMAGES], second)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def correct(model, images, second):
    """Which test images each task gets right."""
    found = model.predict(images.x_test, batch_size=500, verbose=0)
    wanted = answers(images.y_test, second)
    return {
        "class": found["class"].argmax(axis=1) == wanted["class"],
        "second": ((found["second"] > 0) == (wanted["second"] > 0.5))[:, 0],
    }


def percent(interval):
    return [round(100 * value, 2) for value in interval]


def compare(name, seeds, epochs):
    """All kinds and seeds on one dataset; differences are paired, seed by seed."""
    images = load(name)
    title, second = SECOND_TASK[name]
    print(images)
    right = {}
    rows = {}
    for kind in KINDS:
        units, started = units_for(kind), time.process_time()
        models = [train(kind, units, seed, images, epochs, second) for seed in seeds]
        right[kind] = [correct(model, images, second) for model in models]
        rows[kind] = {
            "units": units,
            "parameters": models[0].count_params(),
            "processor seconds": round(time.process_time() - started),
            "accuracy": {
                task: percent(mean_interval([r[task].mean() for r in right[kind]]))
                for task in TASKS
            },
        }
        print(kind, rows[kind], flush=True)
    for kind in ("multi-gate", "progressive"):
        for other in ("single", "shared bottom"):
            pairs = list(zip(right[kind], right[other], strict=True))
            rows[kind][f"minus {other}"] = {
                task: {
                    "over seeds": percent(
                        mean_interval([a[task].mean() - b[task].mean() for a, b in pairs])
                    ),
                    "over images, each seed": [
                        percent(paired_interval(a[task], b[task])) for a, b in pairs
                    ],
                }
                for task in TASKS
            }
    return {"data": images.label, "second task": title, "kinds": rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.multi_task",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", nargs="+", choices=SECOND_TASK, default=["mnist"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    results = {
        "machine": describe(),
        "images": IMAGES,
        "epochs": options.epochs,
        "seeds": options.seeds,
        "results": [compare(name, options.seeds, options.epochs) for name in options.data],
    }
    write_text(options.results, json.dumps(results, indent=1) + "\n")
