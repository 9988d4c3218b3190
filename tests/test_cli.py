import inspect
import json
from types import SimpleNamespace

import pytest
from tiny_dataset import tiny_dataset

import moe_keras
from moe_keras import cli, data, training


def run(*arguments):
    """The exit status of `moe-keras ARGUMENTS`."""
    with pytest.raises(SystemExit) as exit:
        cli.main(list(arguments))
    return exit.value.code or 0


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"moe-keras {moe_keras.__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["data"],
        ["data", "fetch"],
        ["pretrain"],
        ["train"],
        ["labs"],
        ["labs", "run"],
        ["course"],
    ],
)
def test_help_says_what_there_is(capsys, command):
    assert run(*command, "--help") == 0
    assert "Usage: " in capsys.readouterr().out


def test_a_wrong_command_is_a_usage_error(capsys):
    assert run("bake") == 2
    assert "No such command 'bake'" in capsys.readouterr().err


def test_an_error_is_one_message_on_stderr(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("labs", "list") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: Expected to be inside a checkout of moe_keras")
    assert "Traceback" not in shown.err


def test_debug_shows_the_error_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        cli.main(["--debug", "labs", "list"])


def test_an_unexpected_error_names_its_kind(capsys, monkeypatch):
    monkeypatch.setattr(data, "verify", lambda target: {}["left"])
    assert run("data", "verify", "mnist") == 1
    assert capsys.readouterr().err.startswith("Error: KeyError, which 'moe-keras --debug' explains")


def test_data_shows_every_dataset(capsys, monkeypatch):
    place = SimpleNamespace(source="local file", note="in the cupboard")
    monkeypatch.setattr(data, "locate", lambda name: place)
    assert run("data") == 0
    shown = capsys.readouterr().out
    for text in ("cifar10", "mnist", "fashion_mnist", "local file", "in the cupboard"):
        assert text in shown


def test_data_fetch_and_verify_pass_on_what_they_are_given(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(
        data, "fetch", lambda name, data_dir: SimpleNamespace(note=f"{name} in {data_dir}")
    )
    monkeypatch.setattr(data, "verify", lambda target: SimpleNamespace(note=f"{target} is whole"))
    assert run("data", "fetch", "mnist", "--data-dir", str(tmp_path)) == 0
    assert run("data", "verify", "mnist.npz") == 0
    assert capsys.readouterr().out == f"mnist in {tmp_path}\nmnist.npz is whole\n"


def test_a_damaged_file_is_refused(capsys, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 cut short")
    assert run("data", "verify", str(tmp_path / "mnist.npz")) == 1
    assert capsys.readouterr().err.startswith("Error: Expected")


PRETRAIN = inspect.signature(training.pretrain)
CARD = {
    "split": {"validation": 50, "test": 100},
    "accuracy": {
        "validation": {"one view": 0.5, "two views": 0.52},
        "test": {"one view": 0.47, "two views": 0.49},
    },
}


@pytest.fixture
def pretrained(monkeypatch):
    """The arguments that `pretrain` is called with; it trains nothing."""
    calls = []

    def pretrain(*arguments, **named):
        given = PRETRAIN.bind(*arguments, **named)
        calls.append(given.arguments)
        return CARD

    monkeypatch.setattr(training, "pretrain", pretrain)
    return calls


def test_pretrain_passes_on_what_it_is_given(capsys, pretrained, tmp_path):
    options = ["--dataset", "mnist", "--output", str(tmp_path), "--widths", "8,16"]
    options += ["--epochs", "2", "--seed", "3", "--precision", "mixed_bfloat16"]
    assert run("pretrain", "0-4", *options) == 0
    assert pretrained == [
        {
            "network": "0-4",
            "dataset": "mnist",
            "output": tmp_path,
            "widths": (8, 16),
            "epochs": 2,
            "seed": 3,
            "precision": "mixed_bfloat16",
            "verbose": 2,  # no bar where nobody watches
        }
    ]
    shown = capsys.readouterr().out
    for text in ("0-4 of mnist", "validation", "52.00%", "100", "47.00%", "49.00%"):
        assert text in shown


def test_pretrain_has_the_defaults_of_the_function(pretrained):
    wanted = PRETRAIN.parameters
    assert run("pretrain", "base") == 0
    (given,) = pretrained
    for name in ("dataset", "widths", "epochs", "seed", "precision"):
        assert given[name] == wanted[name].default, name
    assert str(given["output"]) == wanted["output"].default


@pytest.mark.parametrize("option", [["--widths", "8;16"], ["--widths", ""], ["--epochs", "0"]])
def test_pretrain_checks_its_numbers(capsys, pretrained, option):
    assert run("pretrain", "base", *option) == 2
    assert option[0] in capsys.readouterr().err
    assert pretrained == []


def test_pretrain_names_the_networks_there_are(capsys):
    assert run("pretrain", "plants") == 1
    assert "Expected one of base, natural, artificial, group-gate" in capsys.readouterr().err


LAB = """\
# ---
# jupyter:
#   moe_keras: {minutes: 1, outcomes: wait}
# ---

# %% [markdown]
# # Lab 03: waiting

# %% tags=["figures"]
print("data: none")
raise ValueError("too [late]")
"""


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A checkout with one lab, which fails; the current folder is inside."""
    source = tmp_path / "notebooks" / "source" / "03_waiting.py"
    source.parent.mkdir(parents=True)
    source.write_text(LAB)
    monkeypatch.chdir(source.parent)
    return tmp_path / "notebooks"


def test_labs_list(capsys, notebooks):
    assert run("labs", "list") == 0
    assert "waiting" in capsys.readouterr().out


def test_labs_run_shows_the_table_of_a_failing_lab_and_fails(capsys, notebooks, tmp_path):
    assert run("labs", "run", "--lab", "3", "--output", str(tmp_path / "out")) == 1
    shown = capsys.readouterr()
    assert "ValueError: too [late]" in shown.out
    assert "FAILED" in shown.out
    assert shown.err == "Error: these labs did not run to their end: 03\n"
    (result,) = json.loads((tmp_path / "out" / "summary.json").read_text())["labs"]
    assert result["figures"] == {"data": "none"}


def test_labs_check_names_the_copies_that_are_missing(capsys, notebooks):
    assert run("labs", "check") == 1
    assert "03_waiting.ipynb: the student's copy is not" in capsys.readouterr().err


def test_labs_generate_stops_at_a_failing_lab(capsys, notebooks):
    assert run("labs", "generate") == 1
    assert "Lab 03 stopped in cell 2 of 2" in capsys.readouterr().err
    assert (notebooks / "03_waiting.ipynb").exists()
    assert not (notebooks / "solutions" / "03_waiting.ipynb").exists()


TINY = ("--expert", "mlp", "--experts", "2", "--epochs", "1", "--batch-size", "20")


def test_train_report_and_compare(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", tiny_dataset)
    monkeypatch.chdir(tmp_path)
    assert run("train", "basic", *TINY, "--output", "a") == 0
    shown = capsys.readouterr().out
    assert "test_accuracy: " in shown
    assert "val_accuracy" in shown
    assert "load " in shown
    assert run("train", "guided", *TINY, "--output", "b", "--assign", "0,2,4,6,8|1,3,5,7,9") == 0
    assert run("train", "guided", "--output", "b") == 1
    assert "--resume" in capsys.readouterr().err
    assert run("train", "guided", "--resume", "b") == 0
    assert run("train", "basic", "--resume", "b") == 1
    assert "kind='guided'. Received: kind='basic'" in capsys.readouterr().err
    (tmp_path / "b" / "report.html").unlink()
    assert run("report", "b") == 0
    assert (tmp_path / "b" / "report.html").exists()
    assert run("compare", "a", "b") == 0
    assert "2. b" in capsys.readouterr().out
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_train_hands_its_options_on(monkeypatch, tmp_path):
    from moe_keras import runs

    given = {}

    def train(settings, output, callbacks, **recording):
        given.update(vars(settings), output=output, **recording)
        return runs.RunFolder(tmp_path)

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
        "guidance": 0.75,
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
