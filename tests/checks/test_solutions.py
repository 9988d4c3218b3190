import importlib
import pkgutil

import pytest

from moe_keras import checks
from moe_keras.checks import Exercise, exercises_of, lab01, lab04
from moe_keras.checks.solutions import MARKER, VARIABLE

LABS = [name for _, name, _ in pkgutil.iter_modules(checks.__path__) if name.startswith("lab")]


@pytest.fixture(autouse=True)
def copy_of_the_lab(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_solution_is_shown_unless_it_is_allowed(capsys):
    lab01.mixture.solution()
    out = capsys.readouterr().out
    assert "not shown in this copy: your lecturer decides when" in out and ".hint()" in out
    assert "einsum" not in out


@pytest.mark.parametrize("value", ["", "no", "1"])
def test_only_the_right_word_allows_it(monkeypatch, capsys, value):
    monkeypatch.setenv(VARIABLE, value)
    lab01.mixture.solution()
    assert "not shown" in capsys.readouterr().out


def test_a_server_allows_it_with_a_variable(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "allowed")
    lab01.mixture.solution()
    assert capsys.readouterr().out == (
        'One right answer to "mixture":\n\n'
        "def mixture(weights, outputs):\n"
        '    return ops.einsum("be,bec->bc", weights, outputs)\n'
    )


def test_a_folder_allows_it_with_a_file(copy_of_the_lab, capsys):
    (copy_of_the_lab / MARKER).touch()
    lab01.importance_gate.solution()
    assert "class ImportanceGate(PerClassGate):" in capsys.readouterr().out


def test_a_solution_comes_with_its_helpers(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "allowed")
    lab04.competitive.solution()
    out = capsys.readouterr().out
    assert "def _log_joint(" in out and "def competitive(" in out


@pytest.mark.parametrize("lab", LABS)
def test_every_exercise_has_a_solution_that_is_python(lab, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "allowed")
    for exercise in exercises_of(importlib.import_module(f"moe_keras.checks.{lab}")).values():
        exercise.solution()
        code = capsys.readouterr().out.partition("\n\n")[2]
        assert "def " in code and "_reference" not in code.lower()
        compile(code, exercise.title, "exec")


def test_a_solution_says_nothing_of_right_or_wrong(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "allowed")
    exercise = Exercise("blank", lambda answer: None, lambda: exercises_of, ["a"] * 3, 1)
    exercise.solution()
    assert exercise.status == "not attempted"
