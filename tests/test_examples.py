"""Each file of examples/ runs on its own, on whichever backend Keras has, and fits its page."""

import runpy
import sys
from pathlib import Path

import keras
import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
EACH = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@EACH
def test_an_example_runs(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path), "--short"])
    runpy.run_path(str(path))
    keras.backend.clear_session()
    assert "parameters" in capsys.readouterr().out


@EACH
def test_an_example_can_be_copied(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    assert "import tensorflow" not in text and "import moe_labs" not in text


def test_there_are_examples():
    assert len(EXAMPLES) == 3
