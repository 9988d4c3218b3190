"""How much a RunRecorder slows an epoch, and whether memory stays flat.

    python -m benchmarks.recorder_overhead [pairs] [fraction of MNIST]

Epochs without and with the recorder take turns on one and the same model. What counts is processor
time, of all threads, so that other work on the machine does not. Then 30 short epochs are recorded,
and the memory in use is noted after each. Both go to results/recorder_overhead.json.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import keras

from benchmarks.machine import describe
from moe_common.files import write_text
from moe_keras import data
from moe_keras.evaluation import mean_interval
from moe_keras.runs import RunRecorder, Settings
from moe_keras.runs.networks import build_networks

RESULTS = Path(__file__).parent / "results" / "recorder_overhead.json"
SHORT_EPOCHS = 30


class Clock(keras.callbacks.Callback):
    """Notes processor time and memory after each epoch; the last callback of all."""

    def __init__(self):
        super().__init__()
        self.seconds, self.megabytes = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.process_time() - self.start)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.megabytes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def train(nets, dataset, epochs, recorded):
    """Train, and give the clock."""
    held_out = (dataset.x_validation, dataset.y_validation)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [clock]
        if recorded:
            options = {"observe": nets.observe, "source": dataset.label}
            callbacks = [RunRecorder(folder, *held_out, **options), clock]
        nets.used.fit(
            dataset.x_train,
            dataset.y_train,
            batch_size=128,
            epochs=epochs,
            validation_data=held_out,
            callbacks=callbacks,
            verbose=0,
        )
    return clock


def main(pairs, subset):
    """Measure, print and write."""
    dataset = data.load("mnist", subset=subset)
    keras.utils.set_random_seed(0)
    nets = build_networks(Settings("dense"), dataset)
    nets.used.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    train(nets, data.load("mnist", subset=0.01), epochs=1, recorded=True)  # traces all there is
    turns = [
        [train(nets, dataset, 1, recorded).seconds[0] for recorded in (False, True)]
        for _ in range(pairs)
    ]
    slower = mean_interval([100 * (on / off - 1) for off, on in turns])
    memory = train(nets, data.load("mnist", subset=0.01), SHORT_EPOCHS, recorded=True).megabytes
    results = {
        "machine": describe(),
        "data": str(dataset),
        "processor seconds of an epoch [without, with]": turns,
        "slower, per cent [mean, low, high]": slower,
        "MB after each short epoch": [round(value) for value in memory],
    }
    write_text(RESULTS, json.dumps(results, indent=2) + "\n")
    print(dataset)
    for off, on in turns:
        print(f"{off:.1f} s without, {on:.1f} s with the recorder")
    print("slower by {:.1f} % [{:.1f}, {:.1f}]".format(*slower))
    print("MB after each short epoch:", *(f"{value:.0f}" for value in memory))


if __name__ == "__main__":
    chosen = sys.argv[1:]
    main(
        pairs=int(chosen[0]) if chosen else 6,
        subset=float(chosen[1]) if len(chosen) > 1 else None,
    )
