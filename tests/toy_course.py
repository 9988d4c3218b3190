"""A small course for tests: its lab starts without TensorFlow, and is graded in seconds."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from moe_labs.course.sandbox import programs_on_path
from moe_labs.notebooks.generate import METADATA, STUB

LAB = "toy"
OUT_OF = 5
CHECKS = """
from types import SimpleNamespace

import numpy as np
from moe_labs.exercises import exercise

def toy_exercises():
    @exercise(
        marks=2,
        cases=lambda random: [(random.normal(size=(images, 2)),) for images in (3, 5)],
        mistakes=[(lambda x: np.exp(x) / np.exp(x).sum(), "Each image's weights must sum to 1.")],
        hints=["Divide."] * 3,
    )
    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    @exercise(
        marks=3,
        cases=lambda random: [(random.random(e), random.random((e, 2))) for e in (3, 4)],
        hints=["Multiply."] * 3,
    )
    def mixture(weights, outputs):
        return weights @ outputs

    return SimpleNamespace(softmax=softmax, mixture=mixture)

checks = toy_exercises()
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
                f"### BEGIN HIDDEN TESTS\nchecks.{name}.grade()\n### END HIDDEN TESTS",
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
    with programs_on_path():
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
