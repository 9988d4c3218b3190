import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import moe_keras
from moe_keras.runs import Settings, resume, train
from moe_keras.runs.folder import RunFolder
from moe_keras.training.checkpoint import Checkpoint

SETTINGS = Settings(
    "guided", expert="mlp", epochs=2, batch_size=30, experts=2, guidance_anneal=2, patience=2
)
TRAINING = """
import sys
import tensorflow as tf
import keras
from tiny_dataset import tiny_dataset
from moe_keras import data
from moe_keras.runs import Settings, recorder, train

data.load = tiny_dataset
recorder.save_figure = lambda picture, path: None
recorder.epoch_figures = recorder.curve_figures = lambda *arguments: {}
tf.config.run_functions_eagerly(True)
train(Settings(**eval(sys.argv[2])), sys.argv[1])
"""


def test_a_killed_run_goes_on_to_the_same_end(ended, tmp_path, no_figures):
    killed = RunFolder(tmp_path / "killed")
    settings = {name: getattr(SETTINGS, name) for name in vars(SETTINGS)}
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(killed.path), repr(settings)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not killed.state_file.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.02)  # into the epoch after it
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # and had not ended by itself
    check_whole(killed)
    resume(killed.path)
    check_same(killed, RunFolder(ended))
    assert not list(killed.path.rglob("*.part*"))


@pytest.mark.parametrize("moment", ["metrics.csv", "state.npz"])
def test_a_run_that_ends_while_it_writes_goes_on(ended, tmp_path, no_figures, monkeypatch, moment):
    """Where a file is about to get its name, the process is gone."""
    replace, calls = os.replace, []

    def break_off(source, target):
        calls.append(Path(target).name)
        if calls.count(moment) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", break_off)
    with pytest.raises(KeyboardInterrupt):
        train(SETTINGS, tmp_path / "broken")
    monkeypatch.setattr(os, "replace", replace)
    check_whole(RunFolder(tmp_path / "broken"))
    check_same(resume(tmp_path / "broken"), RunFolder(ended))


def check_whole(folder):
    """Every file with its final name can be read to its end."""
    for path in folder.path.rglob("*"):
        if path.is_dir() or path.name[0] == ".":
            continue
        if path.suffix == ".keras":
            folder.load_model(path.stem)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                assert all(file[name] is not None for name in file.files)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".csv":
            assert path.read_text().endswith("\n")


def check_same(mine, theirs):
    metrics, others = mine.metrics(), theirs.metrics()
    assert metrics["epoch"] == others["epoch"]
    for name in set(others) - {"seconds"}:
        np.testing.assert_allclose(metrics[name], others[name], rtol=1e-3, atol=1e-5, err_msg=name)
    for a, b in zip(
        mine.load_model("last").get_weights(), theirs.load_model("last").get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert mine.results()["test_accuracy"] == theirs.results()["test_accuracy"]


def test_a_run_that_has_ended_is_only_evaluated(ended, tmp_path, no_figures):
    folder = RunFolder(damaged(ended, tmp_path, "state.npz", bytes))
    before, metrics = folder.results(), folder.metrics_file.read_bytes()
    after = resume(folder.path).results()
    assert folder.metrics_file.read_bytes() == metrics
    assert after["test_accuracy"] == before["test_accuracy"]


def test_router_biases_moments_and_random_states_are_restored(tmp_path):
    def model():
        experts = [keras.layers.Dense(3, activation="softmax") for _ in range(2)]
        gate = moe_keras.BiasBalancedGate(2, top_k=1, update_rate=0.1)
        stack = [keras.Input((4,)), keras.layers.Dropout(0.5), moe_keras.SparseMoE(experts, gate)]
        built = keras.Sequential(stack)
        # So long steps that moments which were lost would show far beyond rounding.
        built.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
        return built

    keras.utils.set_random_seed(1)
    x, y = np.random.default_rng(0).normal(1, size=(31, 4)), np.arange(31) % 3
    first, second = model(), model()
    first.train_on_batch(x, y)
    Checkpoint.of(first, {"history": [{"loss": 1.0}]}).write(tmp_path / "state.npz")
    checkpoint = Checkpoint.read(tmp_path / "state.npz")
    assert checkpoint.about == {"history": [{"loss": 1.0}]}
    checkpoint.restore(second)
    # An odd number of images: one expert of the two had more, and its bias went down.
    assert sorted(ops.convert_to_numpy(second.layers[1].gate.bias)) == pytest.approx([-0.1, 0.1])
    for a, b in zip(state_of(first), state_of(second), strict=True):
        np.testing.assert_array_equal(a, b)
    for each in (first, second):
        each.train_on_batch(x, y)
    for a, b in zip(state_of(first), state_of(second), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match="checkpoint of this model"):
        checkpoint.restore(other)


def state_of(model):
    own = [v for v in model.variables if v.name not in ("total", "count")]  # without the metrics
    return [ops.convert_to_numpy(v) for v in (*own, *model.optimizer.variables)]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Files of a run that has ended, to damage copies of."""
    from tiny_dataset import tiny_dataset

    from moe_keras import data
    from moe_keras.runs import recorder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", tiny_dataset)
        for name in ("epoch_figures", "curve_figures"):
            patch.setattr(recorder, name, lambda *arguments: {})
        patch.setattr(recorder, "write_report", lambda path: None)
        patch.setattr(sys.modules["moe_keras.runs.train"], "write_report", lambda path: None)
        return train(SETTINGS, tmp_path_factory.mktemp("ended")).path


def damaged(ended, tmp_path, name, change):
    copy = tmp_path / "copy"
    shutil.copytree(ended, copy)
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(change(content))
    return copy


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", lambda b: b[:40], "damaged"),
        ("config.json", lambda b: b.replace(b'"format": 1', b'"format": 99'), "another version"),
        ("config.json", lambda b: b.replace(b'"settings"', b'"wishes"'), "moe-keras train"),
        ("config.json", lambda b: b.replace(b'"label": "tiny"', b'"label": "huge"'), "the data of"),
        ("config.json", lambda b: b.replace(b'"experts": 2', b'"experts": 3'), "of this model"),
        ("state.npz", lambda b: b[: len(b) // 2], "damaged"),
        ("state.npz", lambda b: b"", "damaged"),
        ("state.npz", lambda b: b[:5000] + b"\0" * 500 + b[5500:], "damaged"),
        ("models/best.keras", lambda b: b[: len(b) // 2], "damaged"),
    ],
)
def test_a_damaged_folder(ended, tmp_path, no_figures, name, change, message):
    with pytest.raises(ValueError, match=message):
        resume(damaged(ended, tmp_path, name, change))


@pytest.mark.parametrize("lost", ["metrics.csv", "results.json"])
def test_a_lost_state_is_not_nothing_done(ended, tmp_path, no_figures, lost):
    """Files that people leave out when they copy a folder, with and without the results."""
    copy = tmp_path / "copy"
    shutil.copytree(ended, copy)
    (copy / "state.npz").unlink()
    next(copy.rglob(lost)).unlink()
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(FileNotFoundError, match=r"Expected state\.npz .*without it"):
        resume(copy)
    after = {path: path.read_bytes() for path in before}
    assert {path.name for path in before if before[path] != after[path]} <= {".lock"}


def test_a_run_that_ended_before_its_first_step_begins(ended, tmp_path, no_figures):
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(ended / "config.json", copy)
    check_same(resume(copy), RunFolder(ended))


def test_lost_metrics_are_written_anew(ended, tmp_path, no_figures):
    copy = tmp_path / "copy"
    shutil.copytree(ended, copy)
    before = RunFolder(copy).metrics()
    RunFolder(copy).metrics_file.unlink()
    assert resume(copy).metrics() == before


def test_a_run_that_is_written_is_locked(ended, tmp_path, no_figures):
    copy = tmp_path / "copy"
    shutil.copytree(ended, copy)
    message = f"in use by process {os.getpid()}"
    with RunFolder(copy).locked(), pytest.raises(BlockingIOError, match=message):
        resume(copy)
    new = tmp_path / "new"
    with RunFolder(new).locked(), pytest.raises(BlockingIOError, match="in use by process"):
        train(SETTINGS, new)


@pytest.mark.parametrize("part", ["x_train", "y_train", "x_validation", "y_test"])
def test_data_that_changed_is_noticed(ended, tmp_path, no_figures, monkeypatch, part):
    from tiny_dataset import tiny_dataset

    from moe_keras import data

    def changed(*arguments, **options):
        dataset = tiny_dataset(*arguments, **options)
        getattr(dataset, part).flat[3] ^= 1
        return dataset

    monkeypatch.setattr(data, "load", changed)
    copy = tmp_path / "copy"
    shutil.copytree(ended, copy)
    with pytest.raises(ValueError, match="with other images or labels"):
        resume(copy)


def test_no_folder_to_resume(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a run folder"):
        resume(tmp_path / "nowhere")
