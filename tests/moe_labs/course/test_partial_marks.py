"""nbgrader gives the marks that an exercise says a partly right answer earns."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from nbgrader.utils import determine_grade

EXERCISE = """
from moe_labs.exercises import exercise
from moe_labs.exercises.forms import Number, Several

@exercise(
    marks=3,
    cases=lambda random: [(random.normal(size=n),) for n in (3, 4)],
    returns=Several(low=Number(), high=Number()),
    hints=["Look."] * 3,
)
def ends(x):
    return x.min(), x.max()

answers = {
    "right": lambda x: (min(x), max(x)), "partly": lambda x: (max(x), max(x)), "wrong": lambda x: 0
}
"""


@pytest.fixture(scope="module")
def graded():
    """For each answer what nbgrader makes of its test's cell."""
    names = ["right", "partly", "wrong"]
    cells = [
        new_code_cell(
            f"x = ends.check(answers['{name}'])\nends.grade()",
            metadata={"nbgrader": {"grade": True, "solution": False, "points": 3}},
        )
        for name in names
    ]
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell(EXERCISE), *cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    return dict(zip(names, map(determine_grade, notebook.cells[1:]), strict=True))


@pytest.mark.parametrize(("name", "marks"), [("right", 3), ("partly", 1), ("wrong", 0)])
def test_nbgrader_gives_the_marks_of_the_parts(graded, name, marks):
    assert graded[name] == (marks, 3)
