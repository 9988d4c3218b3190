"""Accuracy on MNIST of mixtures whose experts are convolutional networks.

    python -m benchmarks.cnn_experts [--kinds sparse dense one] [--seeds 0 1 2] [--epochs 5]

Each image passes two convolutions that all share and then two experts of eight ("sparse"), all
eight ("dense") or the only one ("one"). The test set is read once, after the last epoch. Writes
`results/cnn_experts.csv`, a line for each training.
"""

import argparse
import csv
import io
import os
import time
from pathlib import Path

import keras
from keras import layers, ops

from moe_common.files import write_text
from moe_keras.data import load
from moe_keras.evaluation import mean_interval
from moe_keras.gates import NoisyTopKGate, SoftmaxGate
from moe_keras.metrics import ExpertLoad
from moe_keras.mixtures import DenseMoE, SparseMoE
from moe_keras.training import AugmentedImages, TriangularSchedule

KINDS = ("sparse", "dense", "one")
NUM_EXPERTS, TOP_K = 8, 2
BATCH, RATE = 128, 0.004


def convolution(filters):
    """A convolution, the largest of each 2 by 2 values, normalized."""
    return keras.Sequential(
        [
            layers.Conv2D(filters, 5, use_bias=False),
            layers.MaxPooling2D(),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
    )


def expert():
    """A small convolutional network, maps (B, 4, 4, 32) to logits (B, 10)."""
    # Not normalized by batches: an expert's batch is what its gate sends, at times nothing.
    return keras.Sequential(
        [
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )


def build(kind):
    """The network, images to logits, and its gate's answer to images (None for one expert)."""
    images = keras.Input((28, 28, 1))
    maps = layers.Rescaling(1 / 255)(images)
    for filters in (16, 32):
        maps = convolution(filters)(maps)
    if kind == "one":
        return keras.Model(images, expert()(maps)), None
    experts = [expert() for _ in range(NUM_EXPERTS)]
    if kind == "dense":
        gate, mixture = SoftmaxGate(NUM_EXPERTS), DenseMoE
    else:
        balancing = {"importance_loss": 0.1, "load_loss": 0.1}
        gate, mixture = NoisyTopKGate(NUM_EXPERTS, TOP_K, **balancing), SparseMoE
    gate = keras.Sequential([layers.AveragePooling2D(2), layers.Flatten(), gate])
    network = keras.Model(images, mixture(experts, gate)(maps))
    return network, keras.Model(images, gate(maps))


def train(kind, seed, digits, epochs):
    """The trained network, its gate and the last validation accuracy."""
    keras.utils.set_random_seed(seed)
    network, router = build(kind)
    batches = AugmentedImages(
        digits.x_train, digits.y_train, BATCH, shift=2, mirror=False, seed=seed
    )
    network.compile(
        keras.optimizers.Adam(TriangularSchedule(RATE, epochs * len(batches))),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = network.fit(
        batches,
        epochs=epochs,
        validation_data=(digits.x_validation, digits.y_validation),
        validation_batch_size=500,
        verbose=0,
    ).history
    return network, router, history["val_accuracy"][-1]


def measure(kind, seed, digits, epochs):
    """One line of the CSV."""
    started = time.process_time()
    network, router, validation = train(kind, seed, digits, epochs)
    seconds = time.process_time() - started
    load = ""
    if kind == "sparse":
        chosen = router.predict(digits.x_validation, batch_size=500, verbose=0)
        load = ExpertLoad(NUM_EXPERTS)
        load.update_state(chosen["indices"])
        load = f"{NUM_EXPERTS * float(ops.max(load.result())):.2f}"
    guesses = network.predict(digits.x_test, batch_size=500, verbose=0).argmax(axis=1)
    return {
        "data": digits.label,
        "kind": kind,
        "seed": seed,
        "epochs": epochs,
        "parameters": network.count_params(),
        "validation": f"{100 * validation:.2f}",
        "test": f"{100 * (guesses == digits.y_test).mean():.2f}",
        "largest load / mean": load,
        "processor seconds": round(seconds),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cnn_experts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["sparse"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--subset", type=float, help="part of the images, from 0 to 1; all")
    default = Path("benchmarks/results/cnn_experts.csv")
    parser.add_argument("--results", type=Path, default=default)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    digits = load("mnist", subset=options.subset)
    print(digits)
    lines = []
    for kind in options.kinds:
        for seed in options.seeds:
            lines.append(measure(kind, seed, digits, options.epochs))
            print(lines[-1], flush=True)
            text = io.StringIO()
            table = csv.DictWriter(text, lines[0], lineterminator="\n")
            table.writeheader()
            table.writerows(lines)
            write_text(options.results, text.getvalue())
        if len(options.seeds) > 1:
            scores = [float(line["test"]) for line in lines if line["kind"] == kind]
            print(f"{kind}: {'{:.2f} % [{:.2f}, {:.2f}]'.format(*mean_interval(scores))}")
