import pytest
from exit_status import exit_status
from tiny_dataset import tiny_dataset

from moe_keras import data, runs
from moe_keras.commands.main import main
from moe_keras.runs.folder import RunFolder


def run(*arguments):
    """The exit status of `moe-keras ARGUMENTS`."""
    return exit_status(main, *arguments)


TINY = ("--expert", "mlp", "--experts", "2", "--epochs", "1", "--batch-size", "20")


def test_train_report_and_compare(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", tiny_dataset)
    monkeypatch.chdir(tmp_path)
    assert run("train", "dense", *TINY, "--output", "a") == 0
    shown = capsys.readouterr().out
    assert "test_accuracy: " in shown
    assert "val_accuracy" in shown
    assert "load " in shown
    assert run("train", "guided", *TINY, "--output", "b", "--assign", "0,2,4,6,8|1,3,5,7,9") == 0
    assert run("train", "guided", "--output", "b") == 1
    assert "moe-keras resume" in capsys.readouterr().err
    assert run("resume", "b") == 0
    assert "test_accuracy: " in capsys.readouterr().out
    (tmp_path / "b" / "report.html").unlink()
    assert run("report", "b") == 0
    assert (tmp_path / "b" / "report.html").exists()
    assert run("compare", "a", "b") == 0
    assert "2. b" in capsys.readouterr().out
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_train_hands_its_options_on(monkeypatch, tmp_path):
    given = {}

    def train(settings, output, callbacks, **recording):
        given.update(vars(settings), output=output, **recording)
        return RunFolder(tmp_path)

    monkeypatch.setattr(runs, "train", train)
    wanted = {
        "kind": "guided",
        "dataset": "cifar10",
        "experts": 3,
        "expert": "mlp",
        "backbone": "MobileNetV2",
        "backbone_weights": "random",
        "assign": "0|1|2",
        "epochs": 4,
        "batch_size": 5,
        "learning_rate": 0.25,
        "patience": 6,
        "clip": 0.5,
        "guidance_weight": 0.75,
        "guidance_anneal": 7,
        "seed": 8,
        "subset": 0.125,
        "output": tmp_path,
        "rows": 9,
        "save_every": 10,
        "batch_every": 11,
    }
    options = [
        text
        for name, value in wanted.items()
        if name != "kind"
        for text in (f"--{name.replace('_', '-')}", str(value))
    ]
    assert run("train", "guided", *options, "--parquet", "--tensorboard") == 0
    assert given == {**wanted, "parquet": True, "tensorboard": True}


def test_train_has_the_defaults_of_the_settings_and_the_recorder(monkeypatch, tmp_path):
    given = {}

    def train(settings, output, callbacks, **recording):
        given.update(settings=settings, output=output, recording=recording)
        return RunFolder(tmp_path)

    monkeypatch.setattr(runs, "train", train)
    assert run("train", "soft") == 0
    assert given["settings"] == runs.Settings("soft")
    assert given["output"] is None
    assert given["recording"] == {
        "rows": 5000,
        "save_every": 0,
        "batch_every": 0,
        "parquet": False,
        "tensorboard": False,
    }


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "Missing argument"),
        (("guided", "--epoch", "3"), 2, "No such option"),
        (("guided", "--epochs", "three"), 2, "--epochs"),
        (("clever",), 1, "Error: Expected kind to be one of dense, guided, sparse, soft. Rec"),
        (("guided", "--epochs", "0"), 1, "Error: Expected epochs to be a whole number of at le"),
        (("soft", "--subset", "1.5"), 1, "Error: Expected a subset above 0 and at most 1. Rec"),
        (("soft", "--clip", "nan"), 1, "Error: Expected clip to be a finite number of at least"),
    ],
)
def test_a_wrong_value_is_one_message(capsys, tmp_path, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    assert run("train", *arguments) == status
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
