import dataclasses

import keras
import numpy as np
import pytest
from tiny_dataset import tiny_dataset

from moe_keras.runs import RunFolder, Settings, resume, train
from moe_keras.runs.callbacks import is_over
from moe_keras.runs.networks import build_networks

BASE = Settings("guided", expert="mlp", epochs=2, batch_size=20, experts=2)


def run(folder, **changes):
    return train(dataclasses.replace(BASE, **changes), folder)


def mark(folder):
    """What tells one run from another: the metrics without the seconds."""
    return {name: v for name, v in folder.metrics().items() if name != "seconds"}


MARKS = []


@pytest.fixture
def base_mark(tmp_path_factory, no_figures):
    """The mark of BASE, trained once."""
    if not MARKS:
        MARKS.append(mark(run(tmp_path_factory.mktemp("base"))))
    return MARKS[0]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "basic"},
        {"kind": "sparse"},
        {"kind": "soft"},
        {"experts": 3},
        {"expert": "cnn"},
        {"assign": "0,2,4,6,8|1,3,5,7,9"},
        {"epochs": 3},
        {"batch_size": 30},
        {"learning_rate": 0.01},
        {"clip": 0.01},
        {"guidance": 5.0},
        {"guidance_anneal": 1},
        {"seed": 1},
        {"subset": 0.5},
    ],
    ids=str,
)
def test_an_option_changes_the_run(tmp_path, no_figures, base_mark, change):
    assert mark(run(tmp_path, **change)) != base_mark


def test_the_same_settings_give_the_same_run(tmp_path, no_figures, base_mark):
    again = mark(run(tmp_path))
    for name, values in base_mark.items():
        np.testing.assert_allclose(again[name], values, rtol=1e-4, err_msg=name)


def test_patience_ends_a_run(tmp_path, no_figures):
    # So small a step leaves the accuracy as it was.
    folder = run(tmp_path, epochs=4, patience=1, learning_rate=1e-12)
    assert folder.metrics()["epoch"] == [1, 2]
    assert not is_over([{"a": 1}, {"a": 1}, {"a": 1}], "a", patience=0)


def test_a_backbone_with_random_weights(monkeypatch):
    settings = dataclasses.replace(BASE, backbone="MobileNetV2", backbone_weights="random")
    nets = build_networks(settings, (28, 28, 1), 10, ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)))
    assert nets.used.count_params() > 2_000_000
    answer, weights = nets.observe(np.zeros((1, 28, 28, 1)))
    assert answer.shape == (1, 10)
    assert weights.sum() == pytest.approx(1)


def test_a_backbone_whose_weights_cannot_be_had(monkeypatch):
    def no_network(**options):
        raise Exception("URL fetch failure")

    no_network.__module__ = "keras.src.applications.mobilenet_v2"
    monkeypatch.setattr(keras.applications, "MobileNetV2", no_network)
    settings = dataclasses.replace(BASE, backbone="MobileNetV2")
    with pytest.raises(ConnectionError, match="--backbone-weights random"):
        build_networks(settings, (32, 32, 3), 10, ((0,), (1,)))


def test_what_is_used_sees_no_labels_and_answers_as_what_is_taught():
    nets = build_networks(BASE, (10, 10, 1), 10, ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)))
    dataset = tiny_dataset()
    x, y = dataset.x_test.astype("float32"), dataset.y_test
    assert len(nets.used.inputs) == 1
    np.testing.assert_allclose(nets.taught([x, y]), nets.used(x), atol=1e-6)
    np.testing.assert_allclose(nets.taught([x, 9 - y]), nets.used(x), atol=1e-6)


def test_guidance_teaches_the_gate(tmp_path, no_figures):
    folder = run(tmp_path, epochs=6, learning_rate=0.02, guidance=2.0)
    assert folder.results()["test_routed"] >= 0.8  # by chance: a half


def test_the_test_set_is_read_with_the_best_model(tmp_path, no_figures):
    folder = run(tmp_path)
    dataset = tiny_dataset()
    answer = folder.load_model("best").predict(dataset.x_test, verbose=0).argmax(axis=1)
    rows = folder.table(folder.path / "csv" / "predictions_test.csv")
    assert [int(row["prediction"]) for row in rows] == answer.tolist()
    right = (answer == dataset.y_test).mean()
    assert folder.results()["test_accuracy"] == pytest.approx(right)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "wise"}, "kind to be one of"),
        ({"expert": "tree"}, "expert to be one of"),
        ({"expert": "vgg"}, "no pretrained VGG weights"),
        ({"backbone_weights": "mine"}, "backbone_weights to be one of"),
        ({"kind": "basic", "assign": "0|1"}, "for kind='guided' alone"),
        ({"experts": 0}, "experts"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"clip": -1}, "clip"),
        ({"patience": -1}, "patience"),
        ({"seed": 0.5}, "seed"),
        ({"subset": 0}, "subset"),
        ({"subset": 1.5}, "subset"),
    ],
    ids=str,
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BASE, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "letters"}, "Received: letters"),
        ({"experts": 11}, "11 experts and 10 labels"),
        ({"assign": "0,1|1,2,3,4,5,6,7,8,9"}, r"twice: \[1\]"),
        ({"assign": "0,1|2,3,4,5,6,7,8"}, r"missing: \[9\]"),
        ({"backbone": "LeNet"}, "backbone to be one of"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_leave_no_folder(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "run", **change)
    assert not (tmp_path / "run").exists()


def test_folders_that_cannot_be_had(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="new or empty"):
        run(tmp_path)
    with pytest.raises(FileExistsError, match="new or empty"):
        run(tmp_path / "note.txt")
    with pytest.raises(OSError):
        run(tmp_path / "note.txt" / "run")


def test_nan_names_the_epoch_and_the_batch_and_keeps_what_there_is(tmp_path, no_figures):
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.optimizer.variables[2].assign(
                    np.inf * np.ones_like(self.model.optimizer.variables[2])
                )

    with pytest.raises(FloatingPointError, match=r"epoch 2, batch [12]$"):
        train(BASE, tmp_path, [Poison()])
    folder = RunFolder(tmp_path)
    assert folder.metrics()["epoch"] == [1]
    assert folder.load_model("best").count_params() > 0
    assert resume(tmp_path).metrics()["epoch"] == [1, 2]  # from the state before the poison
