"""Grade one submission in a process of its own: `START` in `autograde.py` runs `main`."""

import json
import logging
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

from moe_keras.course.execute import ConfinedExecute
from moe_keras.course.limits import Limits
from moe_keras.course.restore import RestoreMarks
from moe_keras.course.sandbox import Sandbox


def main():
    """Read the order from the command line, and leave `result.json` in the scratch folder."""
    order = json.loads(sys.argv[1])
    scratch = Path(order["scratch"])
    limits = Limits(**order["limits"])
    hidden = tuple(map(Path, order["hidden"]))
    sandbox = Sandbox(scratch / "box", hidden, order["isolate"], limits)
    notes = []
    try:
        grade(scratch / "course", order["assignment"], order["student"], sandbox, notes)
        failure = None
    except Unreadable as error:
        failure = str(error)
    except Exception as error:  # whatever was handed in, the class goes on
        message = " ".join(str(error).split())[:200]
        failure = f"could not be graded: {type(error).__name__}: {message}"
    result = {"failure": failure, "notes": notes}
    (scratch / "result.json").write_text(json.dumps(result), encoding="utf-8")


class Unreadable(Exception):
    """What was handed in is not the notebook that was asked for."""


def grade(course, assignment, student, sandbox, notes):
    """Run nbgrader's autograde on one submission of a course."""
    coursedir = CourseDirectory(root=str(course), assignment_id=assignment, student_id=student)
    submitted = course / "submitted" / student / assignment
    for notebook in sorted((course / "source" / assignment).glob("*.ipynb")):
        require_notebook(submitted, notebook.name)
    log = logging.getLogger("nbgrader")
    handler = _LastError()
    log.addHandler(handler)
    autograde = Autograde(coursedir=coursedir, log=log)
    autograde.sanitize_preprocessors = [
        *(ClearOutput, RestoreMarks(notes)),
        *(OverwriteKernelspec, OverwriteCells, CheckCellMetadata),
    ]
    autograde.autograde_preprocessors = [
        *(ConfinedExecute(sandbox, notes), IgnorePattern),
        *(LimitOutput, SaveAutoGrades, CheckCellMetadata),
    ]
    try:
        autograde.start()
    except NbGraderException as error:
        raise RuntimeError(handler.message or str(error)) from error


def require_notebook(folder, name):
    """Raise an error unless a readable notebook of this name is in the folder."""
    path = folder / name
    if not path.is_file():
        others = ", ".join(sorted(other.name for other in folder.glob("*.ipynb")))
        raise Unreadable(
            f"file renamed: expected {name}, received {others}"
            if others
            else f"file missing: expected {name}"
        )
    try:
        nbformat.read(path, as_version=4)
    except RecursionError:
        raise Unreadable(f"not a notebook: {name} is nested too deeply") from None
    except Exception as error:  # nbformat raises many kinds, down to AttributeError
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        raise Unreadable(f"not a notebook: {name} ({reason})") from error


class _LastError(logging.Handler):
    """Keeps the last line of the traceback that nbgrader logs before it raises its own error."""

    message = None

    def emit(self, record):
        text = record.getMessage().strip()
        if text.startswith("Traceback"):
            self.message = text.splitlines()[-1]
