import importlib
import pkgutil

import pytest

from moe_labs import exercises
from moe_labs.exercises import exercises_of, lab04
from moe_labs.exercises.solutions import MARKER, VARIABLE

LABS = [
    importlib.import_module(f"moe_labs.exercises.{name}")
    for _, name, _ in pkgutil.iter_modules(exercises.__path__)
    if name.startswith("lab")
]


@pytest.fixture(autouse=True)
def copy_of_the_lab(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_solution_is_shown_unless_it_is_allowed(capsys):
    lab04.mix.solution()
    out = capsys.readouterr().out
    assert "not shown in this copy: your lecturer decides when" in out and ".hint()" in out
    assert "softmax" not in out


@pytest.mark.parametrize("value", ["", "no", "1"])
def test_only_the_right_word_allows_it(monkeypatch, capsys, value):
    monkeypatch.setenv(VARIABLE, value)
    lab04.mix.solution()
    assert "not shown" in capsys.readouterr().out


def test_a_server_allows_it_with_a_variable(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "allowed")
    lab04.mix.solution()
    out = capsys.readouterr().out
    assert out.startswith('One right answer to "mix":\n\ndef mix(logits, outputs):\n    """The')
    assert out.endswith(
        "    weights = ops.softmax(logits)\n"
        "    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)\n"
    )


def test_a_folder_allows_it_with_a_file(copy_of_the_lab, capsys):
    (copy_of_the_lab / MARKER).touch()
    lab04.competitive.solution()
    assert "def competitive(logits, outputs, targets, sigma):" in capsys.readouterr().out


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.__name__[-5:])
def test_every_exercise_has_a_solution_that_is_python(lab, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "allowed")
    for exercise in exercises_of(lab).values():
        before = exercise.status
        exercise.solution()
        code = capsys.readouterr().out.partition("\n\n")[2]
        assert code.startswith(("def ", "class ")) and "SOLUTION" not in code
        compile(code, exercise.title, "exec")
        assert exercise.status == before
