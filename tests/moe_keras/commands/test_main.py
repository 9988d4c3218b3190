import pytest
from exit_status import exit_status

import moe_keras
from moe_keras import data
from moe_keras.commands.main import main


def run(*arguments):
    """The exit status of `moe-keras ARGUMENTS`."""
    return exit_status(main, *arguments)


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
        ["resume"],
        ["spark", "fit"],
    ],
)
def test_help_says_what_there_is(capsys, command):
    assert run(*command, "--help") == 0
    assert "Usage: " in capsys.readouterr().out


def test_a_wrong_command_is_a_usage_error(capsys):
    assert run("bake") == 2
    assert "No such command 'bake'" in capsys.readouterr().err


def test_a_dataset_that_is_not_there_is_one_message_on_stderr(capsys):
    assert run("data", "verify", "nowhere.npz") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: Expected")
    assert "Traceback" not in shown.err


def test_debug_shows_the_error_itself():
    with pytest.raises((ValueError, OSError)):
        main(["--debug", "data", "verify", "nowhere.npz"])


def test_an_unexpected_error_names_its_kind(capsys, monkeypatch):
    monkeypatch.setattr(data, "verify", lambda target: {}["left"])
    assert run("data", "verify", "mnist") == 1
    assert capsys.readouterr().err.startswith("Error: KeyError, which 'moe-keras --debug' explains")
