import json

import pytest
from exit_status import exit_status

from moe_labs.commands.main import main


def run(*arguments):
    """The exit status of `moe-labs ARGUMENTS`."""
    return exit_status(main, *arguments)


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
    assert run("list") == 0
    assert "waiting" in capsys.readouterr().out


def test_labs_run_shows_the_table_of_a_failing_lab_and_fails(capsys, notebooks, tmp_path):
    assert run("run", "--lab", "3", "--output", str(tmp_path / "out")) == 1
    shown = capsys.readouterr()
    assert "ValueError: too [late]" in shown.out
    assert "FAILED" in shown.out
    assert shown.err == "Error: these labs did not run to their end: 03\n"
    (result,) = json.loads((tmp_path / "out" / "summary.json").read_text())["labs"]
    assert result["figures"] == {"data": "none"}


def test_labs_check_names_the_copies_that_are_missing(capsys, notebooks):
    assert run("check") == 1
    assert "03_waiting.ipynb: the student's copy is not" in capsys.readouterr().err


def test_labs_generate_stops_at_a_failing_lab(capsys, notebooks):
    assert run("generate") == 1
    assert "Lab 03 stopped in cell 2 of 2" in capsys.readouterr().err
    assert (notebooks / "03_waiting.ipynb").exists()
    assert not (notebooks / "solutions" / "03_waiting.ipynb").exists()
