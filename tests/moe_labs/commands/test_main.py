from importlib.metadata import version

import pytest
from exit_status import exit_status

from moe_labs.commands.main import main


def run(*arguments):
    """The exit status of `moe-labs ARGUMENTS`."""
    return exit_status(main, *arguments)


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"moe-labs {version('moe-keras')}\n"


@pytest.mark.parametrize("command", [[], ["run"], ["check"], ["course"], ["course", "init"]])
def test_help_says_what_there_is(capsys, command):
    assert run(*command, "--help") == 0
    assert "Usage: moe-labs" in capsys.readouterr().out


def test_a_wrong_command_is_a_usage_error(capsys):
    assert run("bake") == 2
    assert "No such command 'bake'" in capsys.readouterr().err


def test_an_error_is_one_message_on_stderr(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("list") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: Expected to be inside a checkout of moe_keras")
    assert "Traceback" not in shown.err


def test_debug_shows_the_error_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        main(["--debug", "list"])
