"""What the process that grades one submission does by itself."""

import json
import os

import nbformat
import pytest
from toy_course import LAB, hand_in, make_course, released

from moe_labs.course import worker
from moe_labs.course.autograde import autograde
from moe_labs.course.handed_in import Unreadable
from moe_labs.course.record import remarks_cell
from moe_labs.exercises.exercise import COURSE_WORD

WORD = "0123456789abcdef"


def test_words_of_labs_tell_nothing_of_each_other():
    words = {
        worker.word_of_assignment({COURSE_WORD: word}, lab)[COURSE_WORD]
        for word in (WORD, WORD[:-1], "f0")
        for lab in ("lab", "lab-1", "1-lab", "fab")
    }
    assert len(words) == 12
    assert not any(word[i : i + 6] in WORD for word in words for i in range(len(word) - 5))


@pytest.mark.slow
def test_a_notebook_meets_the_word_of_its_lab_alone(tmp_path, monkeypatch):
    course = make_course(tmp_path / "course")
    notebook = released(course)
    notebook.cells.append(
        nbformat.v4.new_code_cell(
            f"import os; found = os.environ[{COURSE_WORD!r}]\nprint(found[::-1])"
        )
    )
    hand_in(course, "ada", notebook)
    monkeypatch.setenv(COURSE_WORD, WORD)
    autograde(course, LAB, isolation=False)
    executed = nbformat.read(course / "autograded" / "ada" / LAB / f"{LAB}.ipynb", 4)
    (printed,) = [
        output.text.strip()[::-1]
        for cell in executed.cells
        if cell.cell_type == "code" and cell.source.endswith("print(found[::-1])")
        for output in cell.outputs
    ]
    assert printed == worker.word_of_assignment({COURSE_WORD: WORD}, LAB)[COURSE_WORD]
    assert printed != WORD


@pytest.mark.parametrize(
    ("error", "failure", "ours"),
    [
        (None, None, False),
        (Unreadable("not a notebook: could not be graded"), "not a notebook", False),
        (ValueError("[/b]"), "could not be graded: ValueError: [/b]", True),
        (MemoryError(), "could not be graded: MemoryError", True),
    ],
)
def test_whose_fault_it_is_is_left_beside_what_went_wrong(
    tmp_path, monkeypatch, error, failure, ours
):
    def grade(*_):
        if error is not None:
            raise error

    monkeypatch.setattr(worker, "grade", grade)
    monkeypatch.setattr(worker, "die_with_parent", lambda: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    order = {"scratch": str(tmp_path), "assignment": LAB, "limits": {}, "isolate": False}
    monkeypatch.setattr("sys.argv", ["worker", json.dumps(order)])
    worker.main()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["ours"] is ours
    assert (result["failure"] or "").startswith(failure or "")
    assert (result["failure"] is None) == (failure is None)


@pytest.mark.parametrize(
    "remark",
    ["[see](javascript:alert(1))", "<script>alert(1)</script>", "[x]: data:text/html,1", "a < b"],
)
def test_a_remark_runs_nothing(remark):
    source = remarks_cell([remark]).source
    assert "<" not in source
    assert "](" not in source
    assert "]:" not in source
