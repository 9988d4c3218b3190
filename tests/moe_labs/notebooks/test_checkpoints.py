"""No failed answer blocks the rest of a lab: each check hands on a right one, whatever came in."""

import ast
import importlib
import re

import pytest

from moe_labs.exercises import exercises_of
from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.generate import solution_copy

LABS = find_labs()
CHECK = re.compile(r"^(\w+) = (lab\d\d)\.(\w+)\.check\(\1\)\n", re.MULTILINE)


def code_cells(lab):
    return [cell for cell in solution_copy(lab).cells if cell.cell_type == "code"]


def is_answer(cell):
    return cell.metadata.get("nbgrader", {}).get("solution", False)


def names_in(code):
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def set_to_none(code):
    return [
        target.id
        for node in ast.parse(code).body
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "None"
        for target in node.targets
    ]


# Of the session, as Spark is: what that changes is then no test's.
@pytest.fixture(params=LABS, ids=lambda lab: lab.number, scope="session")
def lab(request):
    if request.param.number == "09":
        request.getfixturevalue("spark")
    return request.param


def test_each_answer_is_checked_before_anything_uses_it(lab):
    cells = code_cells(lab)
    checked = []
    for place, cell in enumerate(cells):
        if not is_answer(cell):
            continue
        check = CHECK.match(cells[place + 1].source)
        assert check, f"lab {lab.number}: no check below\n{cell.source}"
        name = check[1]
        for earlier in cells[1:place]:
            assert name not in names_in(earlier.source), f"lab {lab.number}: {name} is used early"
        checked.append(check.groups())
    module = f"lab{lab.number}"
    exercises = exercises_of(importlib.import_module(f"moe_labs.exercises.{module}"))
    assert [(of, exercise) for _, of, exercise in checked] == [(module, name) for name in exercises]
    # A cell with a syntax error, or a deleted one, leaves the name as the first cell set it.
    assert set_to_none(cells[0].source) == [name for name, *_ in checked]


def test_a_lab_closes_with_the_progress(lab):
    assert code_cells(lab)[-1].source == f"summary(lab{lab.number})"


BROKEN = {
    "blank": "def {name}(*args, **kwargs):\n    raise NotImplementedError",
    "error": "def {name}(*args, **kwargs):\n    return 1 / 0",
    "syntax error": "def {name}(:",
    "deleted": "",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_lab_goes_on_whatever_the_answers_are(lab, broken, capsys, monkeypatch):
    module = importlib.import_module(f"moe_labs.exercises.lab{lab.number}")
    for exercise in exercises_of(module).values():
        monkeypatch.setattr(exercise, "status", "not attempted")
    names = {"__name__": "__main__"}
    for cell in code_cells(lab):
        if cell.source.startswith("import") or is_answer(cell) or CHECK.match(cell.source):
            code = cell.source.partition("### BEGIN HIDDEN")[0]
            if is_answer(cell):
                name = re.search(r"^(?:def|class) (\w+)", code, re.MULTILINE)[1]
                code = BROKEN[broken].format(name=name)
            try:
                exec(compile(code, "cell", "exec"), names)
            except SyntaxError:
                assert is_answer(cell)  # Jupyter shows it there and goes on to the check
    for name in set_to_none(code_cells(lab)[0].source):
        assert callable(names[name])
    capsys.readouterr()
    names["summary"](module)
    expected = f"{len(exercises_of(module)) * (broken == 'error')} of"
    assert capsys.readouterr().out.startswith(f"lab{lab.number}: {expected}")
    assert not any(exercise.is_right for exercise in exercises_of(module).values())
