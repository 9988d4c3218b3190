import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from unittest import mock

import nbformat
import pytest
from nbgrader.api import Gradebook
from nested_folders import nest
from toy_course import LAB, OUT_OF, answered, cell_of, hand_in, make_course, marks, released

from moe_labs.course import autograde as module
from moe_labs.course.autograde import NotIsolated, autograde
from moe_labs.course.gradebook import Locked
from moe_labs.course.limits import MEGABYTE, Limits
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
    *(
        b"",
        b"[]",
        b"{}",
        b'{"failure": 3, "ours": 1, "notes": [[], "[/b]\\u0000"]}',
        b"\xff",
        b"[" * 9000,
    ),
    b'{"failure": null, "ours": false, "notes": []}',
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
    missing = [row for row in read_rows(course / f"marks-{LAB}.csv").values() if not row["graded"]]
    assert 0 < len(missing) < len(there)
    again = graded(lambda scratch: leave(scratch, "no notebook"), course=course, resume=True)
    assert len(again) == len(missing)
    left = graded(worker, course=course, resume=True)
    assert len(left) < len(again)
    assert all("could not be entered" in result.failure for result in left)


def hand_in_long_ago(course, student, text="{}"):
    """Long enough before any grading: a row's moment is told in seconds."""
    hand_in(course, student, text)
    folder = course / "submitted" / student / LAB
    for path in (*folder.iterdir(), folder):
        os.utime(path, (10**9, 10**9))


def leave(scratch, failure, ours=False):
    """What a worker does: leave a result."""
    result = {"failure": failure, "ours": ours, "notes": []}
    (scratch / "result.json").write_text(json.dumps(result))


def raise_in_it(error):
    def worker(scratch):
        raise error

    return worker


THE_FILES = ["not a notebook: toy.ipynb (it has no cells)", "file missing: expected toy.ipynb"]
THE_FILES += ["another notebook: could not be graded.ipynb", "too large: 600 MB"]
SAID = "could not be graded: "
OURS = {
    "no space": lambda scratch: leave(
        scratch, f"{SAID}OSError: [Errno 28] No space left", ours=True
    ),
    "no memory": lambda scratch: leave(scratch, f"{SAID}RuntimeError: MemoryError", ours=True),
    "a fault": lambda scratch: leave(scratch, f"{SAID}ValueError: a fault", ours=True),
    "killed": lambda scratch: "grading ended with status -9",
    "too slow": lambda scratch: "time limit: 600 seconds for the whole lab",
    "nothing": lambda scratch: None,
    "no process": raise_in_it(BlockingIOError("no process")),
    "a recursion": raise_in_it(RecursionError("too deep")),
    "no notebook after all": lambda scratch: leave(scratch, None),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A course, made once: it takes seconds."""
    with mock.patch.dict(os.environ):  # nbgrader leaves it changed
        return make_course(tmp_path_factory.mktemp("made") / "course")


@pytest.fixture
def course(made, tmp_path):
    return shutil.copytree(made, tmp_path / "course")


def by_kind(kinds):
    """A worker for a class in which each student hands in the name of a kind."""
    return lambda scratch: kinds[(scratch / "handed-in" / f"{LAB}.ipynb").read_text()](scratch)


def scores_of(course, students):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {student: gradebook.find_submission(LAB, student).score for student in students}


def test_trouble_of_ours_takes_no_marks_and_the_files_fault_takes_all(course):
    files = {failure: lambda scratch, said=failure: leave(scratch, said) for failure in THE_FILES}
    students = {f"s{number}": kind for number, kind in enumerate([*OURS, *files])}
    for student, kind in students.items():
        hand_in_long_ago(course, student, kind)

    def results(worker, **how):
        return {students[each.student]: each for each in graded(worker, course=course, **how)}

    first = results(by_kind(OURS | files))
    assert {result.marks for result in first.values()} == {0}
    assert {kind for kind, result in first.items() if not result.graded} == set(OURS)
    for student, kind in students.items():
        feedback = course / "autograded" / student / LAB / f"{LAB}.ipynb"
        if kind != "no notebook after all":
            told = nbformat.read(feedback, 4).cells[0].source
            assert told.count("could not be graded: ") == 1, kind
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for student in students:
            gradebook.find_grade("why", LAB, LAB, student).manual_score = 2
            gradebook.find_grade("check-mixture", LAB, LAB, student).auto_score = 3
        gradebook.db.commit()
    for student in students:
        feedback = course / "autograded" / student / LAB / f"{LAB}.ipynb"
        feedback.parent.mkdir(parents=True, exist_ok=True)
        feedback.write_text("as it was graded")
    again = results(by_kind(OURS | files))
    rows = read_rows(course / f"marks-{LAB}.csv")
    assert {students[student] for student, row in rows.items() if not row["graded"]} == set(OURS)
    scores = scores_of(course, students)
    for student, kind in students.items():
        assert scores[student] == (5 if kind in OURS else 0), kind
        if kind == "no notebook after all":  # it was to be entered
            assert "could not be entered in the gradebook" in again[kind].failure
        elif kind in OURS:
            said = "not graded again (its marks are those of before): "
            assert again[kind].failure.startswith(said), kind
            assert again[kind].marks == 3
            feedback = course / "autograded" / student / LAB / f"{LAB}.ipynb"
            assert feedback.read_text() == "as it was graded"
        else:
            assert (again[kind].failure, again[kind].marks) == (kind, 0)
    resumed = results(lambda scratch: leave(scratch, THE_FILES[0]), resume=True)
    assert set(resumed) == set(OURS)
    assert set(scores_of(course, students).values()) == {0}


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


@pytest.fixture
def scratch_folders(tmp_path, monkeypatch):
    """Where `autograde` makes its folder; emptied even where it could not."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(module, "short_temporary_folder", lambda: str(folder))
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


ENDLESS = {"deep": ("d", 1500), "long": ("d" * 250, 30), "half as deep": ("d", 400)}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such paths")
def test_what_one_leaves_behind_stops_nobody(course, scratch_folders):
    for student in (*ENDLESS, "nothing"):
        hand_in(course, student, student)

    def worker(scratch):
        (scratch / "box").mkdir()
        kind = (scratch / "handed-in" / f"{LAB}.ipynb").read_text()
        os.close(nest(scratch / "box", *ENDLESS.get(kind, ("d", 1))))
        leave(scratch, "no notebook")

    results = graded(worker, course=course)
    assert [result.student for result in results] == sorted((*ENDLESS, "nothing"))
    assert list(scratch_folders.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such paths")
def test_folders_without_end_are_handed_in(course, scratch_folders):
    submitted = course / "submitted"
    for student in (*ENDLESS, "nothing"):
        hand_in_long_ago(course, student)
    try:
        for student, (name, depth) in ENDLESS.items():
            os.close(nest(submitted / student / LAB, name, depth))
        for resume in (False, True):
            results = graded(
                lambda scratch: leave(scratch, "no notebook"), course=course, resume=resume
            )
            by_name = {result.student: result.failure for result in results}
            assert set(by_name) == set(ENDLESS) | (set() if resume else {"nothing"})
            for student, (name, _) in ENDLESS.items():
                told = "more than 50 folders in each other" in by_name[student]
                assert told == (name == "d"), by_name[student]
    finally:
        subprocess.run(["rm", "-rf", submitted], check=True)


def test_a_folder_that_is_closed_to_us_stops_nobody(course, monkeypatch):
    for student in ("ada", "bob"):
        hand_in(course, student, "{}")
    closed, is_dir = course / "submitted" / "ada" / LAB, Path.is_dir

    def ask(path, **how):
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return is_dir(path, **how)

    monkeypatch.setattr(Path, "is_dir", ask)
    results = graded(lambda scratch: leave(scratch, "no notebook"), course=course)
    assert [result.student for result in results] == ["ada", "bob"]


WORKERS = {
    "limits": (
        "import resource as r; from pathlib import Path\n"
        "names = (r.RLIMIT_DATA, r.RLIMIT_CPU)\n"
        "Path('said').write_text(repr([r.getrlimit(name) for name in names]))",
        None,
    ),
    "too much memory": ("bytearray(10**9)", "grading ended with status 1"),
    "too much memory, in C": ("import os; os.abort()", "status -6, as it does where 300 MB of"),
    "too much processor time": (
        "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)",
        "time limit: 600 seconds",
    ),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended with status -9"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="these limits are Linux's")
@pytest.mark.parametrize("name", WORKERS)
def test_the_process_that_grades_has_limits_of_its_own(tmp_path, monkeypatch, name):
    code, expected = WORKERS[name]
    start = "import time; time.sleep(0.5)\n"  # the limits come just after its start
    monkeypatch.setattr(module, "WORKER_MB", 300)
    monkeypatch.setattr(module, "python_module", lambda _: [sys.executable, "-c", start + code])
    failure = module._run_worker({"scratch": str(tmp_path)}, Limits(), set())
    if expected is None:
        import resource

        assert failure is None
        said = eval((tmp_path / "worker" / "said").read_text())
        highest = [
            resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)
        ]
        assert [lower for lower, _ in said] == [300 * MEGABYTE, 2 * 600 + module.GRACE]
        assert [higher for _, higher in said] == highest  # what it starts may have more
    else:
        assert expected in failure


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
