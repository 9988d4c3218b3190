"""A class of thirty, with all that a student may hand in: every mark is right, nothing spreads."""

import contextlib
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell
from nbgrader.api import Gradebook
from toy_course import LAB, OUT_OF, answered, cell_of, hand_in, make_course, released

from moe_labs.course import autograde as grading
from moe_labs.course.autograde import autograde
from moe_labs.course.limits import Limits
from moe_labs.course.sandbox import Sandbox, isolation_problem, short_temporary_folder

pytestmark = pytest.mark.slow
SECRET = "a-token-of-the-lecturer"
# Short limits, but long enough for a kernel to start on a busy computer.
LIMITS = Limits(seconds=90, cell_seconds=5, memory_mb=2000, output_mb=0.5, file_mb=5, upload_mb=5)
SUM_OF_ALL = "def softmax(x):\n    e = np.exp(x)\n    return e / e.sum()"
OVER_THE_IMAGES = "def softmax(x):\n    e = np.exp(x)\n    return e / e.sum(axis=0)"
ALLOCATES = "def mixture(weights, outputs):\n    return np.ones(10 * 2**30 // 8)"
STUBBORN = """def mixture(weights, outputs):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
BODY = "    return weights @ outputs"


def mixture(*lines):
    """A right answer that does something else first."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"def mixture(weights, outputs):\n{body}{BODY}"


def changed(notebook, grade_id, **changes):
    """A notebook with another source, other marks or other tags in one cell."""
    cell = cell_of(notebook, grade_id)
    cell.source = changes.pop("source", cell.source)
    cell.metadata.tags = changes.pop("tags", [])
    cell.metadata.nbgrader.update(changes)
    return notebook


def without(notebook, *grade_ids):
    gone = [cell_of(notebook, grade_id) for grade_id in grade_ids]
    notebook.cells = [cell for cell in notebook.cells if cell not in gone]
    return notebook


def with_cell(notebook, source, place=2):
    notebook.cells.insert(place, new_code_cell(source))
    return notebook


def with_an_old_attempt(notebook):
    """The answer and its test twice, with the same grade ids: at first it was wrong."""
    old = [cell.copy() for cell in notebook.cells[2:4]]
    old[0].source = SUM_OF_ALL
    notebook.cells[2:2] = old
    return notebook


def handed_in(course, outside):
    """Student: (notebook, marks of 5, what the remarks must say)."""

    def right(**answers):
        return answered(course, **answers)

    gradebook, other = course / "gradebook.db", course / "submitted" / "perfect"
    return {
        "perfect": (right(), 5, ""),
        "in-other-words": (
            right(mixture="mixture = lambda w, outputs: np.einsum('e,ec->c', w, outputs)"),
            *(5, ""),
        ),
        "blank": (released(course), 0, ""),
        "sum-of-all": (right(softmax=SUM_OF_ALL), 3, ""),
        "over-the-images": (right(softmax=OVER_THE_IMAGES), 3, ""),
        "not-normalised": (right(softmax="def softmax(x):\n    return np.exp(x)"), 3, ""),
        "plain-average": (right(mixture="def mixture(w, o):\n    return o.mean(axis=0)"), 2, ""),
        "no-return": (right(mixture="def mixture(w, o):\n    w @ o"), 2, ""),
        "syntax-error": (right(softmax="def softmax(x)\n    return x"), 3, "syntax error: cell 3"),
        "endless-loop": (right(softmax="def softmax(x):\n    while True: pass"), 3, "time limit"),
        "endless-and-stubborn": (right(mixture=STUBBORN), 2, "could not be interrupted"),
        "ten-gigabytes": (right(mixture=ALLOCATES), 2, ""),
        "ten-gigabytes-by-itself": (
            with_cell(right(), "memory = np.ones(10 * 2**30 // 8)"),
            *(5, "memory limit: cell 3"),
        ),
        "test-deleted": (without(right(), "check-softmax"), 5, "deleted cells: check-softmax"),
        "answer-deleted": (without(right(), "softmax"), 3, "deleted cells: softmax"),
        "all-deleted": (
            without(right(), *("softmax", "check-softmax", "mixture", "check-mixture")),
            *(0, "deleted cells: softmax, check-softmax, mixture, check-mixture"),
        ),
        "duplicated-ids": (
            with_an_old_attempt(right()),
            *(5, "duplicated grade ids: softmax, check-softmax"),
        ),
        "test-changed": (
            changed(right(softmax=SUM_OF_ALL), "check-softmax", source="print('right')"),
            *(3, "changed test cells: check-softmax"),
        ),
        "marks-changed": (changed(right(softmax=SUM_OF_ALL), "check-mixture", points=99), 3, ""),
        "test-unlocked": (
            changed(right(softmax=SUM_OF_ALL), "check-softmax", solution=True, locked=False),
            *(3, ""),
        ),
        "test-skipped": (
            changed(right(softmax=SUM_OF_ALL), "check-softmax", tags=["skip-execution"]),
            *(3, ""),
        ),
        "status-set": (
            with_cell(right(softmax=SUM_OF_ALL), "checks.softmax.status = 'right'"),
            *(3, "to be read: cell 3"),
        ),
        "network": (
            right(
                mixture=mixture(
                    "import socket", "socket.create_connection(('127.0.0.1', PORT), 2)"
                ).replace("PORT", str(outside["port"]))
            ),
            *(5 if isolation_problem() else 2, ""),
        ),
        "writes-elsewhere": (
            with_cell(
                right(),
                "for path in ("
                f"{str(gradebook)!r}, {str(other / LAB / 'toy.ipynb')!r}, {outside['file']!r}):\n"
                "    try:\n        open(path, 'w').write('mine')\n"
                "    except OSError as error:\n        print(error)\n"
                "open('allowed.txt', 'w').write('mine')",
            ),
            *(5, ""),
        ),
        "reads-secrets": (
            with_cell(
                right(),
                "import glob, os\nprint(dict(os.environ))\n"
                "for path in (*glob.glob('/proc/[0-9]*/environ'), "
                f"{outside['file']!r}, {str(gradebook)!r}):\n"
                "    try:\n        print(open(path, 'rb').read())\n"
                "    except OSError as error:\n        print(error)\n",
            ),
            *(5, ""),
        ),
        "ends-its-kernel": (
            right(mixture=mixture("import os", "os._exit(0)")),
            *(2, "the kernel ended in cell 6"),
        ),
        "hundred-megabytes": (
            with_cell(right(), "for _ in range(100): print('x' * 2**20)"),
            *(5, "more output than is kept: cell 3"),
        ),
        "warns": (right(mixture=mixture("import warnings", "warnings.warn('careful')")), 5, ""),
        "renamed": (right(), 5, "file renamed: expected toy.ipynb, received toy (1).ipynb"),
        "[b]old {x}": (right(), 5, ""),
        "=1+1": (right(), 5, ""),
        "setup-deleted": (without(right(), "setup"), 5, "deleted cells: setup"),
        "test-replaced": (
            with_cell(right(softmax=SUM_OF_ALL), "checks.softmax.require = lambda: None"),
            *(3, "to be read: cell 3"),
        ),
        "no-notebook": ("no notebook at all", 0, "not a notebook: toy.ipynb"),
        "too-large": (with_cell(right(), f"text = '{'x' * 6_000_000}'"), 0, "too large: 6 MB"),
    }


@pytest.fixture(scope="module")
def scratch():
    """Where this run's own folders are made, by which its processes are known."""
    folder = tempfile.mkdtemp(prefix="t-", dir=short_temporary_folder())
    yield folder
    shutil.rmtree(folder)


# Of each kind one that is quick to grade; all take many minutes.
BY_DAY = (
    *("perfect", "in-other-words", "blank", "sum-of-all", "syntax-error", "endless-loop"),
    *("test-deleted", "duplicated-ids", "test-changed", "status-set", "network", "=1+1"),
    *("writes-elsewhere", "reads-secrets", "renamed", "no-notebook"),
)


@pytest.fixture(scope="module", params=["by day", pytest.param("all", marks=pytest.mark.nightly)])
def graded(request, tmp_path_factory, scratch):
    """The class, graded once: (course, what was expected, results by student)."""
    folder = tmp_path_factory.mktemp("class")
    course = make_course(folder / "course")
    server = socket.create_server(("127.0.0.1", 0))
    outside = {"file": str(folder / "private.txt"), "port": server.getsockname()[1]}
    Path(outside["file"]).write_text(SECRET)
    expected = handed_in(course, outside)
    if request.param == "by day":
        expected = {student: expected[student] for student in BY_DAY}
    for student, (notebook, _, _) in expected.items():
        name = "toy (1).ipynb" if student == "renamed" else f"{LAB}.ipynb"
        hand_in(course, student, notebook, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LECTURER_TOKEN", SECRET)
        patch.setattr(grading, "short_temporary_folder", lambda: scratch)
        isolation = isolation_problem() is None
        results = autograde(course, LAB, limits=LIMITS, jobs=2, isolation=isolation)
    server.close()
    return course, expected, {result.student: result for result in results}


def test_everybody_is_graded(graded):
    _, expected, results = graded
    assert len(expected) == len(BY_DAY) or len(expected) >= 30
    assert results.keys() == expected.keys()
    assert {result.out_of for result in results.values()} == {OUT_OF}


def test_every_mark_is_right(graded):
    _, expected, results = graded
    marks = {student: result.marks for student, result in results.items()}
    assert marks == {student: right for student, (_, right, _) in expected.items()}


def test_every_remark_says_what_happened(graded):
    _, expected, results = graded
    for student, (_, _, remark) in expected.items():
        said = results[student].failure or "; ".join(results[student].notes)
        assert remark in said, student
        if not remark and student not in ("ten-gigabytes", "marks-changed", "test-unlocked"):
            assert said == "", student


def test_the_gradebook_and_the_table_say_the_same(graded):
    course, expected, _ = graded
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        entered = {
            submission.student.id: submission.score
            for submission in gradebook.assignment_submissions(LAB)
        }
    with open(course / f"marks-{LAB}.csv", newline="", encoding="utf-8-sig") as file:
        listed = {row["student"]: float(row["marks"]) for row in csv.DictReader(file)}
    listed["=1+1"] = listed.pop("'=1+1")  # a spreadsheet must not compute it
    assert entered == listed == {student: right for student, (_, right, _) in expected.items()}


def test_no_secret_is_in_what_was_executed(graded):
    course, _, _ = graded
    executed = course / "autograded" / "reads-secrets" / LAB / f"{LAB}.ipynb"
    said = json.dumps(nbformat.read(executed, as_version=4))
    assert "MOE_KERAS_LAB" in said  # it did print its environment
    if isolation_problem() is None:
        assert SECRET not in said
    assert "LECTURER_TOKEN" not in said or isolation_problem()


def test_nothing_was_written_elsewhere(graded):
    if isolation_problem():
        pytest.skip(f"not isolated here: {isolation_problem()}")
    course, _, _ = graded
    said = (course / "submitted" / "perfect" / LAB / f"{LAB}.ipynb").read_text()
    assert "mine" not in said
    assert (course.parent / "private.txt").read_text() == SECRET


def left_of(folder):
    """Processes that have to do with a folder: by their command, their place or their home."""

    def said_of(process):
        for what in ("cmdline", "cwd", "environ"):
            with contextlib.suppress(psutil.Error):  # it has ended, or is another user's
                yield str(getattr(process, what)())

    processes = psutil.process_iter()
    return [each for each in processes if any(str(folder) in said for said in said_of(each))]


def test_no_process_is_left(graded, scratch):
    assert left_of(scratch) == []
    assert list(Path(scratch).iterdir()) == []


SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize("known_by", ["command", "place", "home", "sandbox"])
def test_one_that_is_left_on_purpose_is_found(tmp_path, known_by):
    folder = tmp_path / "grade-1"
    folder.mkdir()
    command, how = SLEEP, {}
    if known_by == "command":
        command = [*SLEEP, str(folder / "kernel.json")]
    elif known_by == "place":
        how["cwd"] = folder
    elif known_by == "home":
        how["env"] = os.environ | {"HOME": str(folder)}
    else:
        sandbox = Sandbox(folder / "box", isolation_problem() is None, Limits())
        sandbox.make_folders()
        command = sandbox.command(SLEEP)
        how = {"cwd": sandbox.work, "env": sandbox.environment()}
    process = subprocess.Popen(command, **how)
    try:
        assert process.pid in {each.pid for each in left_of(folder)}
    finally:
        process.kill()
        process.wait()
    until = time.monotonic() + 20
    while left_of(folder) and time.monotonic() < until:  # what it started ends with it
        time.sleep(0.1)
    assert left_of(folder) == []
