"""In nbgrader's own terms, a blank copy of a lab scores 0 and its solution every mark.

What is run: each lab's imports, definitions, answers and graded cells, hidden tests included, in
this process. What is left out: the cells that load data, train and draw, on which no check depends.
"""

import contextlib
import io

import keras
import pytest
from nbformat.v4 import new_output
from nbgrader.utils import determine_grade, is_grade, is_solution

from moe_labs.notebooks.catalogue import installed_labs
from moe_labs.notebooks.generate import solution_copy, student_copy

pytestmark = pytest.mark.slow


def in_spark(lab):
    return "pyspark" in lab.source.read_text("utf-8")


def each(labs):
    return pytest.mark.parametrize("lab", list(labs), ids=lambda lab: lab.number)


IN_SPARK = each(filter(in_spark, installed_labs()))
LABS = each(lab for lab in installed_labs() if not in_spark(lab))
HEAVY = {"nbval-ignore-output", "figures", "verdicts"}


def score(notebook):
    """Marks given and marks possible, of the cells that nbgrader marks by itself."""
    names = {"display": lambda *things: None}
    given, possible = 0, 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        graded = is_grade(cell) and not is_solution(cell)
        marked = graded or is_solution(cell)
        if not marked and HEAVY.intersection(cell.metadata.get("tags", [])):
            continue
        cell.outputs = []
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, cell.id, "exec"), names)
        except Exception as error:
            cell.outputs = [new_output("error", ename=type(error).__name__, evalue=str(error))]
            # What stands between may need data; what is answered and graded needs none.
            if is_solution(cell):
                raise
        if graded:
            marks, points = determine_grade(cell)
            given, possible = given + marks, possible + points
    return given, possible


def with_hidden_tests(student, solved):
    """A blank copy as nbgrader runs it: it puts every graded cell back as it was."""
    whole = {cell.id: cell.source for cell in solved.cells if is_grade(cell)}
    for cell in student.cells:
        if is_grade(cell) and not is_solution(cell):
            cell.source = whole[cell.id]
    return student


@LABS
def test_the_solution_scores_every_mark(lab):
    require_every_mark(lab)


@LABS
def test_a_blank_copy_scores_nothing(lab):
    require_no_mark(lab)


@IN_SPARK
def test_the_solution_scores_every_mark_on_spark(lab, spark):
    require_every_mark(lab)


@IN_SPARK
def test_a_blank_copy_scores_nothing_on_spark(lab, spark):
    require_no_mark(lab)


def require_every_mark(lab):
    keras.utils.set_random_seed(0)
    given, possible = score(solution_copy(lab))
    assert given == possible > 0


def require_no_mark(lab):
    given, possible = score(with_hidden_tests(student_copy(lab), solution_copy(lab)))
    assert given == 0 < possible
