import itertools
import os
import sqlite3
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from toy_course import LAB, OUT_OF, answered, cell_of, hand_in, make_course, marks, released

from moe_labs.course import autograde as module
from moe_labs.course.autograde import NotIsolated, autograde
from moe_labs.course.gradebook import Locked
from moe_labs.course.limits import Limits
from moe_labs.course.marks_table import read_rows
from moe_labs.course.sandbox import isolation_problem

ISOLATED = isolation_problem() is None


def test_limits_are_above_zero():
    with pytest.raises(ValueError, match=r"above 0. Received: \{'memory_mb': 0\}"):
        Limits(memory_mb=0)


def test_an_unknown_assignment_is_named_with_those_there_are(tmp_path):
    (tmp_path / "source" / "lab").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"lab\. Received: other"):
        autograde(tmp_path, "other")


def test_what_is_missing_is_said(tmp_path):
    course = tmp_path / "course"
    (course / "source" / LAB).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"submitted/STUDENT/toy"):
        autograde(course, LAB)
    (course / "submitted" / "ada" / LAB).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"submitted/bob/toy"):
        autograde(course, LAB, ["bob"])
    with pytest.raises(ValueError, match="nbgrader generate_assignment --force toy"):
        autograde(course, LAB)


def test_without_isolation_it_is_refused(tmp_path, monkeypatch):
    course = make_course(tmp_path / "course")
    hand_in(course, "ada", released(course))
    monkeypatch.setattr(module, "isolation_problem", lambda: "no namespaces")
    with pytest.raises(NotIsolated, match=r"no namespaces \(.*--no-isolation"):
        autograde(course, LAB)
    assert not (course / f"marks-{LAB}.csv").exists()


def test_marks_that_changed_since_the_release_are_told(tmp_path):
    course = make_course(tmp_path / "course")
    hand_in(course, "ada", released(course))
    path = course / "source" / LAB / f"{LAB}.ipynb"
    notebook = nbformat.read(path, 4)
    cell_of(notebook, "check-mixture").metadata.nbgrader.points = 7
    nbformat.write(notebook, path)
    with pytest.raises(ValueError, match=r"changed since: \['check-mixture'\].*--force toy"):
        autograde(course, LAB)


def graded(worker, **more):
    """What `autograde` gives where a worker leaves a result, or something else."""

    def run(order, limits, running):
        scratch = Path(order["scratch"])
        if order.get("calibrate"):
            (scratch / "left-out.json").write_text("[]")
            return None
        return worker(scratch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_run_worker", run)
        return autograde(more.pop("course"), LAB, isolation=False, **more)


NAMES = ["ada", "[b]", "{c}", "a\nb", "=1+1", "*", "é", "-x", "x" * 120, "\udc80"]
LEFT = [
    *(b"", b"[]", b"{}", b'{"failure": 3, "notes": [[], "[/b]\\u0000"]}', b"\xff", b"[" * 9000),
    b'{"failure": null, "notes": []}',
]


def test_whatever_one_submission_does_the_others_are_graded(tmp_path):
    course = make_course(tmp_path / "course")
    for name in NAMES:
        try:
            hand_in(course, name, "{}")
        except OSError:  # no folder here can be called so
            continue
    (course / "submitted" / "ada" / LAB / "timestamp.txt").mkdir()
    (course / "submitted" / "é" / LAB / "timestamp.txt").write_text("[/quote]")
    left = itertools.cycle(LEFT)

    def worker(scratch):
        (scratch / "result.json").write_bytes(next(left))

    results = graded(worker, course=course)
    there = [path for path in (course / "submitted").iterdir()]
    assert len(results) == len(there) == len(read_rows(course / f"marks-{LAB}.csv"))
    assert all(result.failure for result in results)
    by_name = {result.student: result for result in results}
    assert "is no date" in by_name["ada"].notes[0]
    feedback = nbformat.read(course / "autograded" / "[b]" / LAB / f"{LAB}.ipynb", 4)
    assert "could not be graded" in feedback.cells[0].source
    (only,) = graded(worker, course=course, students=["[b]"])
    assert only.student == "[b]"
    assert len(read_rows(course / f"marks-{LAB}.csv")) == len(there)
    assert graded(worker, course=course, resume=True) == []


def test_what_was_marked_by_hand_in_another_file_goes(tmp_path):
    course = make_course(tmp_path / "course")
    hand_in(course, "ada", "{}")
    graded(lambda scratch: "broken", course=course)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.find_grade("why", LAB, LAB, "ada").manual_score = 2
        gradebook.db.commit()
    (ada,) = graded(lambda scratch: "broken", course=course)
    assert ada.failure == "broken"
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_submission(LAB, "ada").score == 0


def test_the_courses_own_settings_count(tmp_path):
    course = make_course(tmp_path / "course")
    (course / "gradebook.db").rename(course / "other.db")
    settings = "c = get_config()\nc.CourseDirectory.db_url = 'sqlite:///DB'\n"
    (course / "nbgrader_config.py").write_text(settings.replace("DB", str(course / "other.db")))
    hand_in(course, "ada", "{}")
    (ada,) = graded(lambda scratch: "broken", course=course)
    assert ada.out_of == OUT_OF
    assert not (course / "gradebook.db").exists()
    (course / "nbgrader_config.py").write_text("1 / 0")
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        autograde(course, LAB)


def test_a_test_that_came_later_gets_a_place_for_its_marks(tmp_path):
    course = make_course(tmp_path / "course")
    hand_in(course, "ada", "{}")
    graded(lambda scratch: "broken", course=course)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        where = {"max_score": 4, "cell_type": "code"}
        gradebook.add_grade_cell("check-new", LAB, LAB, **where)
    path = course / "source" / LAB / f"{LAB}.ipynb"
    notebook = nbformat.read(path, 4)
    new = nbformat.v4.new_code_cell("1", metadata=marks("check-new", grade=True, points=4))
    notebook.cells.append(new)
    nbformat.write(notebook, path)
    (ada,) = graded(lambda scratch: "broken", course=course)
    assert (ada.out_of, ada.failure) == (OUT_OF + 4, "broken")


def test_a_gradebook_that_somebody_else_writes_to_is_told(tmp_path):
    course = make_course(tmp_path / "course")
    hand_in(course, "ada", "{}")
    how = {"isolation_level": None, "check_same_thread": False}  # a worker has its own thread
    other = sqlite3.connect(course / "gradebook.db", **how)

    def worker(scratch):
        other.execute("BEGIN IMMEDIATE")
        return "broken"

    (ada,) = graded(worker, course=course)
    assert "could not be entered in the gradebook" in ada.failure
    assert "is locked" in ada.failure
    other.execute("ROLLBACK")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Locked, match="then grade again"):
        autograde(course, LAB)
    other.close()


@pytest.mark.slow
def test_grading_again_keeps_what_was_marked_by_hand(tmp_path):
    course = make_course(tmp_path / "course")
    notebook = answered(course)
    cell_of(notebook, "why").source = "Because."
    hand_in(course, "ada", notebook)
    hand_in(course, "bob", released(course))
    told = []
    (ada,) = autograde(
        course, LAB, ["ada"], isolation=ISOLATED, on_result=lambda *what: told.append(what)
    )
    assert (ada.marks, ada.out_of, ada.by_hand, ada.notes) == (OUT_OF, OUT_OF, 1, ())
    assert told == [(ada, 1)]
    url = f"sqlite:///{course / 'gradebook.db'}"
    with Gradebook(url) as gradebook:
        grade = gradebook.find_grade("why", LAB, LAB, "ada")
        grade.manual_score, grade.needs_manual_grade = 2, False
        gradebook.db.commit()
    autograde(course, LAB, ["ada"], isolation=ISOLATED)
    with Gradebook(url) as gradebook:
        assert gradebook.find_submission(LAB, "ada").score == OUT_OF + 2
        assert [student.id for student in gradebook.students] == ["ada"]
    executed = nbformat.read(course / "autograded" / "ada" / LAB / f"{LAB}.ipynb", 4)
    assert (
        cell_of(executed, "check-mixture").outputs[0].text.startswith('Exercise "mixture": right')
    )


@pytest.mark.slow
def test_grading_needs_no_keras(tmp_path, monkeypatch):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in ("keras", "moe_keras", "tensorflow"):
        (hidden / f"{name}.py").write_text(f"raise ImportError({name!r})")
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(hidden), before])))
    course = make_course(tmp_path / "course")
    hand_in(course, "ada", answered(course))
    (ada,) = autograde(course, LAB, isolation=ISOLATED)
    assert (ada.marks, ada.failure) == (OUT_OF, None)
