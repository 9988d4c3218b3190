"""A small course for tests: its lab starts without TensorFlow, and is graded in seconds."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import setenv
from traitlets.config import Config

from moe_keras.course.sandbox import path_with_programs
from moe_keras.labs.generate import METADATA, STUB

LAB = "toy"
OUT_OF = 5
# The package without its __init__, which imports Keras; the checks themselves need none.
CHECKS = """
import sys, types
from importlib.util import find_spec
package = types.ModuleType("moe_keras")
package.__path__ = list(find_spec("moe_keras").submodule_search_locations)
sys.modules["moe_keras"] = package
import numpy as np
from moe_keras.checks.exercise import Exercise, WrongAnswer

def verify_softmax(softmax):
    weights = softmax(np.array([[0.0, 0.0], [1.0, 1.0], [0.0, np.log(3)]]))
    if not np.allclose(np.sum(weights, axis=-1), 1):
        raise WrongAnswer("Each image's weights must sum to 1.")
    if not np.allclose(weights[2], [0.25, 0.75]):
        raise WrongAnswer("The weights of the third image are 1/4 and 3/4.")

def verify_mixture(mixture):
    answer = mixture(np.array([0.25, 0.75]), np.array([[1.0, 0.0], [0.0, 2.0]]))
    if not np.allclose(answer, [0.25, 1.5]):
        raise WrongAnswer("Every expert counts by its weight.")

checks = types.SimpleNamespace(
    softmax=Exercise("softmax", verify_softmax, lambda: None, ["Divide."] * 3, marks=2),
    mixture=Exercise("mixture", verify_mixture, lambda: None, ["Multiply."] * 3, marks=3),
)
"""
RIGHT = {
    "softmax": "def softmax(x):\n    e = np.exp(x)\n    return e / e.sum(axis=-1, keepdims=True)",
    "mixture": "def mixture(weights, outputs):\n    return weights @ outputs",
}
POINTS = {"softmax": 2, "mixture": 3}


def marks(grade_id, **kinds):
    kinds = {"grade": False, "solution": False, "locked": False, "task": False} | kinds
    return {"nbgrader": {"grade_id": grade_id, "schema_version": 3, **kinds}}


def lab():
    """The lab with solutions and hidden tests: two checked exercises and a written answer."""
    cells = [
        new_markdown_cell("# Toy lab"),
        new_code_cell(CHECKS.strip(), metadata=marks("setup", locked=True)),
    ]
    for name, solution in RIGHT.items():
        head, body = solution.split("\n", 1)
        cells += [
            new_code_cell(
                f"{head}\n    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION",
                metadata=marks(name, solution=True),
            ),
            new_code_cell(
                f"{name} = checks.{name}.check({name})\n"
                f"### BEGIN HIDDEN TESTS\nchecks.{name}.require()\n### END HIDDEN TESTS",
                metadata=marks(f"check-{name}", grade=True, locked=True, points=POINTS[name]),
            ),
        ]
    essay = marks("why", grade=True, solution=True, points=2)
    cells.append(new_markdown_cell("### BEGIN SOLUTION\nWhy.\n### END SOLUTION", metadata=essay))
    for index, cell in enumerate(cells):
        cell.id = f"cell{index}"
    return new_notebook(cells=cells, metadata=METADATA)


def make_course(folder):
    """A course with the lab, released."""
    path = folder / "source" / LAB / f"{LAB}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(lab(), path)
    config = Config()
    config.ClearSolutions.code_stub = {"python": STUB}
    coursedir = CourseDirectory(root=str(folder), assignment_id=LAB)
    with setenv(PATH=path_with_programs()):
        GenerateAssignment(coursedir=coursedir, config=config).start()
    return folder


def released(course):
    """The student's copy."""
    return nbformat.read(course / "release" / LAB / f"{LAB}.ipynb", as_version=4)


def cell_of(notebook, grade_id):
    return next(
        cell
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    )


def answered(course, **answers):
    """The student's copy with right answers, apart from those given."""
    notebook = released(course)
    for name, source in {**RIGHT, **answers}.items():
        cell_of(notebook, name).source = source
    return notebook


def hand_in(course, student, notebook, name=f"{LAB}.ipynb"):
    """Put a notebook, or a text that is none, where a student's work goes."""
    path = course / "submitted" / student / LAB / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(notebook, str):
        path.write_text(notebook)
    else:
        nbformat.write(notebook, path)
