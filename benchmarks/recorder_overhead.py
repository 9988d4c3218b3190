"""How much a RunRecorder slows an epoch, and whether memory stays flat.

    python benchmarks/recorder_overhead.py [epochs] [fraction of MNIST]

Prints the median seconds of an epoch without and with the recorder (processor time, so that other
work on the machine does not count), and the memory in use after each epoch.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import keras

from moe_keras import data
from moe_keras.runs import RunRecorder, Settings
from moe_keras.runs.networks import build_networks


class Clock(keras.callbacks.Callback):
    """Notes processor time and memory after each epoch."""

    def __init__(self):
        super().__init__()
        self.seconds, self.megabytes = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.process_time() - self.start)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.megabytes.append(pages * 4096 / 2**20)


def measure(dataset, epochs, recorded):
    """A training's clock."""
    keras.utils.set_random_seed(0)
    nets = build_networks(Settings("basic"), dataset.x_train.shape[1:], dataset.num_classes)
    nets.used.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    held_out = (dataset.x_validation, dataset.y_validation)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        recorder = RunRecorder(folder, *held_out, observe=nets.observe, source=dataset.label)
        nets.used.fit(
            dataset.x_train,
            dataset.y_train,
            batch_size=128,
            epochs=epochs,
            validation_data=held_out,
            callbacks=[recorder, clock] if recorded else [clock],
            verbose=0,
        )
    return clock


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    images = data.load("mnist", subset=float(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(images)
    clocks = {recorded: measure(images, epochs, recorded) for recorded in (False, True)}
    # The first epoch traces; figures fall into every one of the first ten.
    off, on = (statistics.median(clocks[recorded].seconds[1:]) for recorded in (False, True))
    print(f"seconds an epoch: {off:.2f} without, {on:.2f} with the recorder ({on / off - 1:+.1%})")
    print("MB after each epoch:", *(f"{m:.0f}" for m in clocks[True].megabytes))
