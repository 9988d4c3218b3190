import csv
import json

import keras
import numpy as np
import pytest

import moe_keras
from moe_keras.runs import RunRecorder
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.recorder import best_epoch

X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
Y = np.arange(40) % 3


def mixture(gate=None):
    experts = [keras.layers.Dense(3, activation="softmax") for _ in range(2)]
    gate = gate or moe_keras.SoftmaxGate(2)
    kind = moe_keras.SparseMoE if hasattr(gate, "top_k") else moe_keras.DenseMoE
    model = keras.Sequential([keras.Input((6,)), kind(experts, gate)])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(folder, gate=None, epochs=2, **options):
    model = mixture(gate)
    recorder = RunRecorder(folder, X, Y, **options)
    history = model.fit(
        X, Y, validation_data=(X, Y), epochs=epochs, callbacks=[recorder], verbose=0
    )
    return model, recorder, history


def test_a_fit_of_ones_own_leaves_the_whole_folder(tmp_path):
    model, _, history = fit(
        tmp_path / "run", source="noise", rows=20, save_every=2, batch_every=2, tensorboard=True
    )
    names = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*.*")}
    figures = ("heatmap", "usage", "weights", "confusion")
    assert names >= {
        "config.json",
        "report.html",
        "csv/metrics.csv",
        "csv/activations_validation_001.csv",
        "csv/activations_validation_002.csv",
        *(f"models/{name}.keras" for name in ("best", "last", "epoch_002")),
        *(f"plots/epoch_{n:03d}_{figure}.png" for n in (0, 1, 2) for figure in figures),
        *(f"plots/{name}.png" for name in ("accuracy", "loss", "router_entropy")),
        "plots/epoch_001_batch_00002_heatmap.png",
    }
    assert any(name.startswith("tensorboard/") for name in names)
    assert not any(".part" in name for name in names)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["label"] == "noise"
    assert config["versions"]["moe_keras"] == moe_keras.__version__
    metrics = RunFolder(tmp_path / "run").metrics()
    assert metrics["epoch"] == [1, 2]
    assert metrics["val_loss"] == pytest.approx(history.history["val_loss"])
    with (tmp_path / "run/csv/activations_validation_002.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20  # ten samples, two experts
    last = RunFolder(tmp_path / "run").load_model("last")
    np.testing.assert_allclose(last(X), model(X), atol=1e-6)
    weights = model.layers[0].gate(X)["probabilities"]
    for row in rows:
        wanted = float(weights[int(row["sample"]), int(row["expert"])])
        assert float(row["weight"]) == pytest.approx(wanted, abs=1e-5)
        assert int(row["label"]) == Y[int(row["sample"])]


class Fame(keras.callbacks.Callback):
    """A metric whose values are given, before the recorder; and the weights of each epoch."""

    def __init__(self, values):
        super().__init__()
        self.values, self.weights = iter(values), []

    def on_epoch_end(self, epoch, logs=None):
        logs["fame"] = next(self.values)
        self.weights.append(self.model.get_weights())


@pytest.mark.parametrize(("fame", "best"), [([2, 1, 4, 3], 3), ([4, 1, 2, 3], 1)])
@pytest.mark.parametrize("firsts", [(0, 0), (0, 2), (5, 1)])
def test_epochs_are_counted_over_all_fits(tmp_path, no_figures, fame, best, firsts):
    model = mixture()
    recorder = RunRecorder(tmp_path, X, Y, monitor="fame", save_every=3)
    fame = Fame(fame)
    for first in firsts:
        epochs = {"epochs": first + 2, "initial_epoch": first}
        model.fit(X, Y, callbacks=[fame, recorder], verbose=0, **epochs)
    folder = RunFolder(tmp_path)
    assert folder.metrics()["epoch"] == [1, 2, 3, 4]
    assert list(folder.activation_files()) == [1, 2, 3, 4]
    for name, number in {"best": best, "epoch_003": 3, "last": 4}.items():
        saved, wanted = folder.load_model(name).get_weights(), fame.weights[number - 1]
        for a, b in zip(saved, wanted, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_a_sparse_mixture_has_weight_0_for_who_is_not_asked(tmp_path, no_figures):
    _, recorder, _ = fit(tmp_path, moe_keras.TopKGate(2, top_k=1), epochs=1)
    assert (np.sort(recorder.seen.weights)[:, 0] == 0).all()
    assert (recorder.seen.weights.max(axis=1) > 0.4).all()


def test_a_second_run_in_the_folder_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="new or empty folder"):
        RunRecorder(tmp_path, X, Y)


def test_labels_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="40 inputs and 39 labels"):
        RunRecorder(tmp_path, X, Y[1:])
    with pytest.raises(ValueError, match="rows"):
        RunRecorder(tmp_path, X, Y, rows=0)


def test_an_unknown_metric(tmp_path, no_figures):
    with pytest.raises(ValueError, match=r"monitor to be one of .*Received: monitor='fame'"):
        fit(tmp_path, monitor="fame")


def test_the_best_epoch_is_the_first_of_the_best():
    history = [{"a": 1, "loss": 3}, {"a": 2, "loss": 1}, {"a": 2, "loss": 1}]
    assert best_epoch(history, "a") == 2
    assert best_epoch(history, "loss") == 2
    assert best_epoch([], "a") == 0
