"""Cost of convolutional experts: one VGG block on images, k = 1, grouped."""

import keras
import numpy as np
from keras import layers

from benchmarks.keras_models import SparseMoE, TopKGate, training_step
from benchmarks.timing import ratio, times_in_turns

SHAPE = (32, 32, 3)


def block():
    """Convolution, pooling, convolution, largest value of each filter."""
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling2D(),
        ]
    )


def mixture(num_experts):
    gate = keras.Sequential(
        [keras.Input(SHAPE), layers.AveragePooling2D(8), layers.Flatten(), TopKGate(num_experts, 1)]
    )
    return SparseMoE([block() for _ in range(num_experts)], gate, dispatch="grouped")


def measure(experts, batch, rounds):
    """Rows (E, ratio to one block on the batch, low, high)."""
    images = np.random.default_rng(0).normal(size=(batch, *SHAPE)).astype("float32")
    steps = {"limit": training_step(block(), images)}
    for num_experts in experts:
        steps[num_experts] = training_step(mixture(num_experts), images)
    times = times_in_turns(steps, rounds)
    limit = times.pop("limit")
    return [(num_experts, *ratio(taken, limit)) for num_experts, taken in times.items()]
