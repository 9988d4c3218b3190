import inspect

import pytest
from exit_status import exit_status

from moe_keras.commands import pretrain as command
from moe_keras.commands.main import main


def run(*arguments):
    """The exit status of `moe-keras ARGUMENTS`."""
    return exit_status(main, *arguments)


PRETRAIN = inspect.signature(command.train_network)
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

    monkeypatch.setattr(command, "train_network", pretrain)
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
