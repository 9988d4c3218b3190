"""An expert of weight 0 is not there: what it would say, and how steeply, counts for nothing."""

import keras
import numpy as np
import pytest
from keras import ops

import moe_keras as moe

ROWS = np.array([[1.0, 2.0], [0.0, 0.0], [2.0, 1.0], [0.0, 3.0]], "float32")


class Pole(keras.layers.Layer):
    """Infinite, and infinitely steep, where an input is 0."""

    def __init__(self, units=3):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, inputs):
        return self.dense(1 / inputs)


class Hard(keras.layers.Layer):
    """All weight to the first expert where the first input is above 0, else to the last."""

    def __init__(self, num_experts=2):
        super().__init__()
        self.num_experts = num_experts

    def call(self, inputs):
        first = ops.cast(inputs[:, :1] > 0, "float32")  # (B, 1)
        nobody = ops.zeros((ops.shape(inputs)[0], self.num_experts - 2))
        return ops.concatenate([first, nobody, 1 - first], axis=-1)


def experts():
    return [Pole(), keras.layers.Dense(3)]


MIXTURES = {
    "DenseMoE": lambda: moe.DenseMoE(experts(), Hard()),
    "GaussianMoE": lambda: moe.GaussianMoE(experts(), Hard()),
    "GaussianMoE with scales of inputs": lambda: moe.GaussianMoE(
        [Pole(4), keras.layers.Dense(4)], Hard(), scales="input"
    ),
    "MultiGateMoE": lambda: moe.MultiGateMoE(experts(), {"a": Hard(), "b": Hard()}),
    "ProgressiveExtraction": lambda: moe.ProgressiveExtraction(
        [[Pole()]], {task: [experts()[1:]] for task in "ab"}, gates=[{"a": Hard(), "b": Hard()}]
    ),
    "ProgressiveExtraction with own poles": lambda: moe.ProgressiveExtraction(
        [[Pole()]], {"a": [[Pole(), *experts()[1:]]]}, gates=[{"a": Hard(3)}]
    ),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_neither_an_output_nor_a_gradient_meets_it(name):
    inputs = keras.Input((2,))
    outputs = keras.tree.flatten(MIXTURES[name]()(inputs))
    model = keras.Model(inputs, outputs)
    assert all(np.isfinite(y).all() for y in keras.tree.flatten(model.predict(ROWS, verbose=0)))
    model.compile(keras.optimizers.SGD(0.01), ["mse"] * len(outputs))
    before = model.get_weights()
    model.train_on_batch(ROWS, [np.ones(y.shape) for y in keras.tree.flatten(model(ROWS))])
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
