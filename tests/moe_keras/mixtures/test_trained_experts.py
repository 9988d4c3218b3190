"""Experts and gate that were compiled and trained on their own, as they are in every lab."""

import warnings

import keras
import numpy as np
import pytest
from draws import normal
from layer_contract import to_numpy

from moe_keras.experts import FrozenExpert
from moe_keras.gates import GroupGate, SoftmaxGate
from moe_keras.mixtures import DenseMoE

ROWS = normal(32, 5, seed=0)  # (B, D)
LABELS = np.random.default_rng(1).integers(0, 3, 32)


class UnregisteredLoss(keras.losses.SparseCategoricalCrossentropy):
    """A loss that nobody who loads the mixture has."""


def trained(num_classes):
    model = keras.Sequential([keras.layers.Dense(num_classes, activation="softmax")])
    model.compile("adam", loss=UnregisteredLoss(), metrics=["accuracy"])
    model.train_on_batch(ROWS, LABELS % num_classes)
    return model


@pytest.fixture(scope="module")
def mixture_model():
    inner = DenseMoE([FrozenExpert(trained(3)), trained(3)], SoftmaxGate(2))
    switch = GroupGate(FrozenExpert(trained(2)))
    model = keras.Sequential([keras.Input((5,)), DenseMoE([inner, trained(3)], switch)])
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.train_on_batch(ROWS, LABELS)
    return model


def test_loss_and_accuracy_are_the_mixtures(mixture_model):
    answers = to_numpy(mixture_model(ROWS)).astype("float64")
    loss, accuracy = mixture_model.evaluate(ROWS, LABELS, verbose=0)
    np.testing.assert_allclose(loss, -np.log(answers[np.arange(32), LABELS]).mean(), rtol=1e-4)
    np.testing.assert_allclose(accuracy, (answers.argmax(axis=1) == LABELS).mean(), rtol=1e-6)


def test_metrics_of_layers_inside_are_kept():
    class Counting(SoftmaxGate):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.calls = keras.metrics.Sum(name="calls")

    mixture = DenseMoE([trained(3), trained(3)], Counting(2))
    assert [metric.name for metric in mixture.metrics] == ["calls"]


def test_it_loads_without_their_losses_and_optimizers(mixture_model, tmp_path):
    mixture_model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(to_numpy(loaded(ROWS)), to_numpy(mixture_model(ROWS)))
