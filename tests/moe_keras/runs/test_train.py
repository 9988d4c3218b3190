import dataclasses

import keras
import numpy as np
import pytest
from tiny_dataset import tiny_dataset

from moe_keras.experts import FrozenExpert, pretrained_vgg
from moe_keras.gates import LabelGuidedGate, SoftmaxGate
from moe_keras.runs import Settings, resume, train
from moe_keras.runs.callbacks import AnnealGuidance, is_over
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.networks import build_networks

# Two steps: with one alone, Adam would go the same way whatever the length of the gradient.
BASE = Settings("guided", expert="mlp", epochs=1, batch_size=30, experts=2)
HALVES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))


def run(folder, **changes):
    return train(dataclasses.replace(BASE, **changes), folder)


def mark(folder):
    """What tells one run from another: the metrics without the seconds."""
    return {name: v for name, v in folder.metrics().items() if name != "seconds"}


MARKS = []


@pytest.fixture
def base_mark(tmp_path_factory, metrics_alone):
    """The mark of BASE, trained once."""
    if not MARKS:
        MARKS.append(mark(run(tmp_path_factory.mktemp("base"))))
    return MARKS[0]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "dense"},
        {"kind": "sparse"},
        {"kind": "soft"},
        {"experts": 3},
        {"expert": "cnn"},
        {"assign": "0,2,4,6,8|1,3,5,7,9"},
        {"epochs": 2},
        {"batch_size": 60},
        {"learning_rate": 0.01},
        {"clip": 0.01},
        {"guidance_weight": 5.0},
        {"seed": 1},
        {"subset": 0.5},
    ],
    ids=str,
)
def test_an_option_changes_the_run(tmp_path, metrics_alone, base_mark, change):
    assert mark(run(tmp_path, **change)) != base_mark


def test_the_same_settings_give_the_same_run(tmp_path, metrics_alone, base_mark):
    again = mark(run(tmp_path))
    for name, values in base_mark.items():
        np.testing.assert_allclose(again[name], values, rtol=1e-4, err_msg=name)


def test_patience_ends_a_run(tmp_path, metrics_alone):
    # So small a step leaves the accuracy as it was.
    folder = run(tmp_path, epochs=4, patience=1, learning_rate=1e-12, batch_size=60)
    assert folder.metrics()["epoch"] == [1, 2]
    assert not is_over([{"a": 1}, {"a": 1}, {"a": 1}], "a", patience=0)


@pytest.mark.parametrize(("anneal", "wanted"), [(2, [8, 4, 0, 0]), (4, [8, 6, 4, 2])])
def test_guidance_falls_to_0_along_a_line(anneal, wanted):
    gate = LabelGuidedGate(SoftmaxGate(2), [[1, 0], [0, 1]], guidance_weight=8.0)
    gate.build((None, 3))
    callback, weights = AnnealGuidance(gate, anneal), []
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        weights.append(float(gate.guidance_weight))
    assert weights == wanted


def test_a_run_that_is_told_to_anneal_does(tmp_path, metrics_alone):
    weights = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.extend(
            float(v) for v in watch.model.variables if v.name == "guidance_weight"
        )
    )
    settings = dataclasses.replace(BASE, epochs=2, guidance_anneal=2, batch_size=60)
    train(settings, tmp_path, [watch])
    assert weights == [0.5, 0.25]


def one_image(side, channels):
    """A dataset that says no more than what a network must fit."""
    image, label = np.zeros((1, side, side, channels), "uint8"), np.zeros(1, "int32")
    return dataclasses.replace(
        tiny_dataset(),
        name="cifar10",
        **{f"x_{part}": image for part in ("train", "validation", "test")},
        **{f"y_{part}": label for part in ("train", "validation", "test")},
    )


@pytest.mark.parametrize(
    ("name", "side", "channels"), [("VGG16", 28, 1), ("vgg", 32, 3), ("vgg", 28, 1)]
)
def test_a_backbone_with_random_weights(name, side, channels):
    settings = dataclasses.replace(BASE, backbone=name, backbone_weights="random")
    nets = build_networks(settings, one_image(side, channels), HALVES)
    first = next(v for v in nets.training_model.trainable_variables if v.path.endswith("kernel"))
    assert first.shape[-1] in (64, 24)  # filters of the backbone's first layer: it is trained
    answer, weights = nets.observe(np.zeros((1, side, side, channels)))
    assert answer.shape == (1, 10)
    assert weights.sum() == pytest.approx(1)


def test_the_vgg_that_comes_with_the_package_is_a_frozen_backbone():
    dataset = one_image(32, 3)
    nets = build_networks(dataclasses.replace(BASE, backbone="vgg"), dataset, HALVES)
    whole = pretrained_vgg("base").layer
    (inside,) = (layer for layer in nets.inference_model.layers if isinstance(layer, FrozenExpert))
    assert not inside.trainable_variables
    images = np.random.default_rng(0).integers(0, 256, size=(2, 32, 32, 3)).astype("float32")
    pooled = np.max(inside(images), axis=(1, 2))
    np.testing.assert_allclose(whole.layers[-1](pooled), whole(images), atol=1e-5)


def test_a_dataset_without_a_pretrained_vgg():
    dataset = dataclasses.replace(one_image(32, 3), source="stand-in", name="letters")
    with pytest.raises(ValueError, match=r"letters-stand-in\. .*--backbone-weights random"):
        build_networks(dataclasses.replace(BASE, backbone="vgg"), dataset, HALVES)


def test_a_backbone_whose_weights_cannot_be_had(monkeypatch):
    def no_network(**options):
        raise Exception("URL fetch failure")

    no_network.__module__ = "keras.src.applications.mobilenet_v2"
    monkeypatch.setattr(keras.applications, "MobileNetV2", no_network)
    settings = dataclasses.replace(BASE, backbone="MobileNetV2")
    with pytest.raises(ConnectionError, match="--backbone-weights random"):
        build_networks(settings, one_image(32, 3), HALVES)


def test_the_inference_model_sees_no_labels_and_answers_as_the_training_model():
    dataset = tiny_dataset()
    nets = build_networks(BASE, dataset, HALVES)
    x, y = dataset.x_test.astype("float32"), dataset.y_test
    assert len(nets.inference_model.inputs) == 1
    np.testing.assert_allclose(nets.training_model([x, y]), nets.inference_model(x), atol=1e-6)
    np.testing.assert_allclose(nets.training_model([x, 9 - y]), nets.inference_model(x), atol=1e-6)


def test_the_loss_is_that_of_the_answer_and_the_strength_times_that_of_the_gate():
    dataset = tiny_dataset()
    nets = build_networks(dataclasses.replace(BASE, guidance_weight=3.0), dataset, HALVES)
    switch_dropout_off(nets.training_model)
    nets.training_model.compile(loss="sparse_categorical_crossentropy")
    x, y = dataset.x_train.astype("float32"), dataset.y_train
    answers, weights = nets.observe(x)
    of_the_answer = -np.log(answers[np.arange(60), y]).mean()
    of_the_gate = -np.log(weights[np.arange(60), np.where(y < 5, 0, 1)]).mean()
    found = nets.training_model.train_on_batch([x, y], y)  # the loss before its step
    assert found == pytest.approx(of_the_answer + 3 * of_the_gate, rel=1e-4)


def switch_dropout_off(model):
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0


def test_guidance_teaches_the_gate():
    """Columns can be told apart by a plane, so a gate that is guided must find all of them."""
    dataset, shares = tiny_dataset(), {}
    x, y = dataset.x_train.astype("float32"), dataset.y_train
    for weight in (0.0, 2.0):
        keras.utils.set_random_seed(0)
        nets = build_networks(dataclasses.replace(BASE, guidance_weight=weight), dataset, HALVES)
        switch_dropout_off(nets.training_model)
        nets.training_model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        for _ in range(6):
            nets.training_model.train_on_batch([x, y], y)
        _, weights = nets.observe(dataset.x_test)
        shares[weight] = np.mean(weights.argmax(axis=1) == np.where(dataset.y_test < 5, 0, 1))
    assert shares[2.0] == 1
    assert shares[0.0] < 0.8  # who is not guided has no reason to split 0 to 4 from 5 to 9


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
        ({"backbone_weights": "mine"}, "backbone_weights to be one of"),
        ({"kind": "dense", "assign": "0|1"}, "for kind='guided' alone"),
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


def test_recording_that_will_not_do_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="rows"):
        train(BASE, tmp_path / "run", rows=0)
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
        train(dataclasses.replace(BASE, epochs=2), tmp_path, [Poison()])
    folder = RunFolder(tmp_path)
    assert folder.metrics()["epoch"] == [1]
    assert folder.load_model("best").count_params() > 0
    assert resume(tmp_path).metrics()["epoch"] == [1, 2]  # from the state before the poison
