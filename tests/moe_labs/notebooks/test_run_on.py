"""Students can always run on: copies run to their end unsolved, half solved, wrongly solved, and
with right answers of every style.

The cells run in one process, with few images and short trainings: what is tried is that whatever an
exercise hands on fits the cells after it, not what comes out.
"""

import functools
import importlib.util
import inspect
import os
import re
import sys
from pathlib import Path
from unittest import mock

import keras
import matplotlib.pyplot
import pytest

import moe_keras.data
from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.generate import solution_copy, student_copy

ROOT = Path(__file__).parents[3]
LABS = {lab.number: lab for lab in find_labs(ROOT / "notebooks")}
CHECK = re.compile(r"^(\w+) = lab\d\d\.\w+\.check\(\1\)$", re.MULTILINE)
WRONG = {
    "returns nothing": "lambda *arguments, **options: None",
    "returns text": "lambda *arguments, **options: 'I do not know'",
    "returns its input": "lambda first=None, *arguments, **options: first",
    "raises": "lambda *arguments, **options: 1 / 0",
    "no function": "0.5",
}


def exercises(lab):
    """The names of a lab's exercises, in order."""
    return [name for cell in student_copy(lab).cells for name in CHECK.findall(cell.source)]


def run(lab, solved=(), wrong=None, right=None):
    """Run a student's copy to its end.

    Args:
        lab: a `Lab`.
        solved: names of the exercises that the student has solved; the others are as handed out.
        wrong: dictionary of names to code that stands for the student's answer.
        right: dictionary of names to functions that stand for it.
    """
    cells = [cell for cell in student_copy(lab).cells if cell.cell_type == "code"]
    solutions = {cell.id: cell.source for cell in solution_copy(lab).cells}
    namespace = {"__name__": "__main__", "display": lambda *things: None}
    for number, (cell, following) in enumerate(zip(cells, [*cells[1:], None], strict=True), 1):
        name = following and CHECK.search(following.source)
        name = name and name[1]
        source = solutions[cell.id] if name in solved else cell.source
        if wrong and name in wrong:
            source += f"\n{name} = {wrong[name]}"
        try:
            exec(compile(source, f"<lab {lab.number}, code cell {number}>", "exec"), namespace)
            if right and name in right:
                namespace[name] = right[name]
        except Exception as error:
            error.add_note(f"in lab {lab.number}, code cell {number}:\n{source}")
            raise


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Few images, short trainings, figures that nobody sees, a folder of its own."""
    style = dict(matplotlib.rcParams)
    matplotlib.use("Agg")
    monkeypatch.setenv("MOE_KERAS_LAB", "quick")
    (tmp_path / "labs").mkdir()
    monkeypatch.chdir(tmp_path / "labs")
    load = moe_keras.data.load

    @functools.wraps(load)
    def few(name, *arguments, **options):
        return load(name, *arguments, **options | {"subset": 0.03})

    monkeypatch.setattr(moe_keras.data, "load", few)
    path = list(sys.path)
    with mock.patch.dict(os.environ):  # PySpark adds to both
        yield
    sys.path[:] = path
    keras.backend.clear_session()
    matplotlib.pyplot.close("all")
    matplotlib.rcParams.update(style)
    if "pyspark" in sys.modules:  # lab 09 leaves its session to the kernel's end
        session = sys.modules["pyspark.sql"].SparkSession.getActiveSession()
        if session is not None:
            session.stop()


# In this one answers meet later cells most; all ten take many minutes, even with few images.
BY_DAY = ("07",)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=[] if number in BY_DAY else [pytest.mark.nightly])
        for number in LABS
    ],
)
def test_as_handed_out(number):
    run(LABS[number])


SINGLE = [(number, name) for number, lab in LABS.items() for name in exercises(lab)]


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("number", LABS)
def test_every_other_one_solved(number):
    run(LABS[number], solved=exercises(LABS[number])[::2])


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize(("number", "name"), SINGLE)
def test_one_solved(number, name):
    run(LABS[number], solved=[name])


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize(("number", "name"), SINGLE)
def test_one_wrong(number, name):
    kinds = list(WRONG.values())  # in turn: each lab meets all of them
    run(LABS[number], wrong={name: kinds[SINGLE.index((number, name)) % len(kinds)]})


def right_answers(number):
    """What the tests of a lab's exercises call right: dictionary of names to answers."""
    path = ROOT / "tests" / "moe_labs" / "exercises" / f"test_lab{number}.py"
    spec = importlib.util.spec_from_file_location(f"right_answers_of_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lab = getattr(module, f"lab{number}")
    return {
        name: [as_handed_out(getattr(lab, name).function, answer) for answer in answers]
        for name, answers in module.RIGHT.items()
    }


def as_handed_out(solution, answer):
    """An answer whose arguments are called as in the student's copy, which may name them."""
    if inspect.isclass(answer):
        return answer
    signature = inspect.signature(solution)

    @functools.wraps(answer)
    def named(*arguments, **options):
        return answer(*signature.bind(*arguments, **options).args)

    return named


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("number", LABS)
def test_right_answers_of_every_style(number):
    right = right_answers(number)
    for style in range(max(map(len, right.values()))):
        answers = {name: each[style % len(each)] for name, each in right.items()}
        run(LABS[number], right=answers)
