"""Callbacks that look at a router in the middle of an epoch, as `make test-backends` runs them.

JAX's trainer takes the values out of the layers while it trains.
"""

import keras
import numpy as np
import pytest

import moe_keras
from moe_keras.runs import RunRecorder, recorder
from moe_keras.training import RouterLog

STEPS, BATCH = 4, 3


class Watched:
    """A mixture, its router, and what they are trained on."""

    def __init__(self, rng):
        self.x = rng.normal(size=(STEPS * BATCH, 4)).astype("float32")
        self.y = np.arange(STEPS * BATCH) % 3
        self.first = None

    def model(self):
        """A new model, with the first one's weights, and its router."""
        experts = [keras.layers.Dense(3, activation="softmax") for _ in range(2)]
        mixture = moe_keras.DenseMoE(experts, moe_keras.SoftmaxGate(2))
        model = keras.Sequential([keras.Input((4,)), mixture])
        model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
        self.first = self.first or model.get_weights()
        model.set_weights(self.first)
        inputs = keras.Input((4,))
        return model, keras.Model(inputs, mixture.gate(inputs))

    def fit(self, model, callback):
        options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
        model.fit(self.x, self.y, callbacks=[callback], **options)

    def by_hand(self):
        """Mean weights of the experts before the first step and after each, and the last model."""
        model, router = self.model()
        means = [self.mean(router)]
        for start in range(0, len(self.x), BATCH):
            part = slice(start, start + BATCH)
            model.train_on_batch(self.x[part], self.y[part])
            means.append(self.mean(router))
        return np.array(means), model

    def mean(self, router):
        return keras.ops.convert_to_numpy(router(self.x)["probabilities"]).mean(axis=0)


@pytest.fixture
def watched(rng):
    return Watched(rng)


def check(watched, model, means, steps):
    wanted, by_hand = watched.by_hand()
    assert abs(np.diff(wanted, axis=0)).max(axis=1).min() > 1e-3  # each step can be told
    np.testing.assert_allclose(means, wanted[steps], atol=1e-5)
    for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)  # to be watched changes nothing


def test_the_log_of_a_router(watched):
    model, router = watched.model()
    log = RouterLog(router, watched.x, every=2)
    watched.fit(model, log)
    assert log.steps == [0, 2, 4]
    check(watched, model, log.shares, log.steps)


def test_the_recorder_of_a_run(watched, tmp_path, monkeypatch):
    moments, means = [], []

    def note(seen, names, moment, *others):
        moments.append(moment)
        means.append(seen.weights.mean(axis=0))
        return {}

    monkeypatch.setattr(recorder, "epoch_figures", note)
    monkeypatch.setattr(recorder, "curve_figures", lambda *arguments: {})
    monkeypatch.setattr(recorder, "write_report", lambda path: None)
    model, _ = watched.model()
    log = RunRecorder(tmp_path, watched.x, watched.y, monitor="loss", batch_every=2)
    watched.fit(model, log)
    assert moments == ["before training", "epoch 1, batch 2", "epoch 1, batch 4", "epoch 1"]
    check(watched, model, means, [0, 2, 4, 4])
