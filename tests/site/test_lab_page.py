"""A lab as a page: answers open or shown, a text for every image."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import lab_page
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

LAB = SimpleNamespace(source=Path("01_x.py"))


def image(alt):
    return new_output("display_data", {"image/png": "iVBO"}, metadata={"image/png": {"alt": alt}})


@pytest.fixture(autouse=True)
def copies(monkeypatch):
    answer = "def f():\n    ### BEGIN SOLUTION\n    return 42\n    ### END SOLUTION"
    said = new_output("stream", name="stdout", text="42")
    cells = [
        new_markdown_cell("# Lab 01: x", id="title"),
        new_code_cell(
            answer, id="f", metadata={"nbgrader": {"solution": True}}, outputs=[deepcopy(said)]
        ),
        new_code_cell("f()", id="g", outputs=[said, image("one"), image("two")]),
    ]
    solved = new_notebook(cells=cells)
    student = deepcopy(solved)
    student.cells[1].source = "def f():\n    # TODO"
    monkeypatch.setattr(lab_page, "committed_solution", lambda lab: solved)
    monkeypatch.setattr(lab_page, "student_copy", lambda lab: student)
    return student


def test_answers_are_open():
    title, about, exercise, first, second = lab_page.lab_page(LAB, "How to").cells
    assert (title.source, about.source) == ("# Lab 01: x", "How to")
    assert (exercise.source, exercise.outputs) == ("def f():\n    # TODO", [])
    assert [output.output_type for output in first.outputs] == ["stream", "display_data"]
    alts = [cell.metadata["mystnb"]["image"]["alt"] for cell in (first, second)]
    assert alts == ["one", "two"]
    assert (second.source, second.metadata["tags"]) == ("", ["remove-input"])


def test_answers_are_shown_to_a_lecturer():
    page = lab_page.lab_page(LAB, "How to", solutions=True)
    assert page.cells[2].source == "def f():\n    return 42"
    assert len(page.cells[2].outputs) == 1


def test_an_older_solution_is_refused(copies):
    copies.cells[1].id = "other"
    with pytest.raises(ValueError, match=r"executed solution of 01_x\.py.*make notebooks"):
        lab_page.lab_page(LAB, "How to")
