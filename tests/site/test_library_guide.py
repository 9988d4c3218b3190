"""The examples of the guide to the library do what the guide says."""

import re
from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import tiny_dataset

from moe_keras import data

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "library.md"
WATCH, STACKED, PADDING, DATASET, RUNS = re.findall(
    r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL
)


def run(code):
    scope = {}
    exec(compile(code, "library.md", "exec"), scope)
    return scope


def test_a_router_is_watched():
    scope = run(WATCH)
    # Two assignments for each of 64 tokens, over 4 experts.
    assert np.sum(scope["load"].result()) == pytest.approx(1)
    assert np.sum(scope["load"].counts) == 128


def test_experts_in_one_stack(capsys):
    run(STACKED)
    assert capsys.readouterr().out == "(2, 5, 16)\n(6, 2)\n"


def test_padding_changes_nothing():
    run(PADDING)


def test_a_dataset_is_one_spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        assert run(DATASET)["shapes"].x_train.shape == (30, 8, 8, 1)
    finally:
        data.SPECS.pop("shapes", None)


@pytest.mark.slow
def test_runs_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", tiny_dataset)
    run(RUNS)
    assert "2. guided" in capsys.readouterr().out
