"""Grade one submission in a process of its own, which `autograde.py` starts."""

import hashlib
import json
import logging
import os
import shutil
import sys
from pathlib import Path

import nbformat
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    IgnorePattern,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)

from moe_labs.course.assignment import released_notebooks
from moe_labs.course.clean import clean
from moe_labs.course.confine import die_with_parent
from moe_labs.course.execute import ConfinedExecute
from moe_labs.course.handed_in import Unreadable, one_line
from moe_labs.course.judge import JudgeApart, judged_apart
from moe_labs.course.left_out import LEFT_OUT, left_out
from moe_labs.course.limits import Limits
from moe_labs.course.record import NOT_GRADED, RAW, remarks_cell
from moe_labs.course.restore import RestoreMarks
from moe_labs.course.sandbox import Sandbox
from moe_labs.course.submission import read_submission
from moe_labs.exercises.exercise import COURSE_WORD

STUDENT = "student"  # in the scratch course: names of students are no names of folders


def main():
    """Read the order from the command line, and leave `result.json` in the scratch folder."""
    die_with_parent()
    order = json.loads(sys.argv[1])
    os.environ.update(word_of_assignment(os.environ, order["assignment"]))
    scratch = Path(order["scratch"])
    limits = Limits(**order["limits"])
    sandbox = Sandbox(scratch / "box", order["isolate"], limits)
    notes = []
    if order.get("calibrate"):
        calibrate(scratch, order["assignment"], sandbox)
        return
    try:
        grade(scratch, order["assignment"], sandbox, notes)
        failure, ours = None, False
    except Unreadable as error:
        failure, ours = str(error), False
    except Exception as error:  # whatever was handed in, the class goes on
        failure, ours = f"{NOT_GRADED}: {type(error).__name__}: {one_line(error, 200)}", True
    result = {"failure": failure, "ours": ours, "notes": [one_line(note) for note in notes]}
    (scratch / "result.json").write_text(json.dumps(result), encoding="utf-8")


def word_of_assignment(environment, assignment):
    """The course's word as it is for one lab: whoever learns it there knows no other lab's.

    >>> word_of_assignment({"MOE_KERAS_GRADING": "secret"}, "lab")
    {'MOE_KERAS_GRADING': '7971f63bb7d060bb'}
    >>> word_of_assignment({}, "lab")
    {}
    """
    if not (word := environment.get(COURSE_WORD)):
        return {}
    return {COURSE_WORD: hashlib.sha256(f"{word}\0{assignment}".encode()).hexdigest()[:16]}


def calibrate(scratch, assignment, sandbox):
    """Find the tests that even the lab's own solution does not pass apart from its notebook."""
    left_out = []
    for path in sorted((scratch / "source" / assignment).glob("*.ipynb")):
        lab = nbformat.read(path, as_version=4)
        verdicts = judged_apart(lab, lab, sandbox)
        left_out += [grade_id for grade_id, (kind, _) in verdicts.items() if kind != "right"]
    (scratch / LEFT_OUT).write_text(json.dumps(left_out), encoding="utf-8")


def grade(scratch, assignment, sandbox, notes):
    """Run nbgrader's autograde on what lies in ``scratch/handed-in``."""
    course = scratch / "course"
    given = released_notebooks(course, assignment)
    notebooks, files, remarks = read_submission(scratch / "handed-in", given, sandbox.limits)
    notes += remarks
    submitted = course / "submitted" / STUDENT / assignment
    submitted.mkdir(parents=True)
    _put_beside(submitted, files)
    for name, notebook in notebooks.items():
        nbformat.write(notebook, submitted / name)
    for name in notebooks:
        _autograde(course, assignment, Path(name).stem, given[name], sandbox, notes)
    executed = course / "autograded" / STUDENT / assignment
    for path in sorted(executed.glob("*.ipynb")):
        (scratch / RAW).mkdir(exist_ok=True)
        shutil.copy(path, scratch / RAW / path.name)
        notebook = clean(nbformat.read(path, as_version=4))
        if notes:
            notebook.cells.append(remarks_cell(notes))
        nbformat.write(notebook, path)


def _put_beside(folder, files):
    """Write the other files that were handed in, whatever their names allow."""
    for name, data in files.items():
        try:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except (OSError, ValueError, RecursionError):  # too long, too deep, a folder's too
            continue


def _autograde(course, assignment, notebook, released, sandbox, notes):
    coursedir = CourseDirectory(
        root=str(course), assignment_id=assignment, student_id=STUDENT, notebook_id=notebook
    )
    log = logging.getLogger("nbgrader")
    handler = _LastError()
    log.addHandler(handler)
    autograde = Autograde(coursedir=coursedir, log=log)
    autograde.sanitize_preprocessors = [
        *(ClearOutput, RestoreMarks(notes, released)),
        *(OverwriteKernelspec, OverwriteCells, CheckCellMetadata),
    ]
    judge = JudgeApart(sandbox, notes, course / "source" / assignment, left_out(course))
    autograde.autograde_preprocessors = [
        *(ConfinedExecute(sandbox, notes), judge),
        *(IgnorePattern, LimitOutput, SaveAutoGrades, CheckCellMetadata),
    ]
    try:
        autograde.start()
    except NbGraderException as error:
        raise RuntimeError(handler.message or str(error)) from error


class _LastError(logging.Handler):
    """Keeps the last line of the traceback that nbgrader logs before it raises its own error."""

    message = None

    def emit(self, record):
        text = record.getMessage().strip()
        if text.startswith("Traceback"):
            self.message = text.splitlines()[-1]


if __name__ == "__main__":
    main()
