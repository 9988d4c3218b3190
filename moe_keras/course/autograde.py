"""Grade a class: every submission apart from the others, the marks in the lecturer's gradebook."""

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import SaveAutoGrades
from nbgrader.utils import setenv

from moe_keras.course.limits import MEGABYTE, Limits
from moe_keras.course.sandbox import (
    clean_environment,
    folders_to_hide,
    isolation_problem,
    path_with_programs,
)
from moe_keras.files import write_text

# The package without its __init__, which would import Keras into every worker.
START = """
import sys, types
package = types.ModuleType("moe_keras")
package.__path__ = [{path!r}]
sys.modules["moe_keras"] = package
from moe_keras.course.worker import main
main()
"""
GRACE = 60  # seconds beyond the limit for starting, reading and writing


@dataclass(frozen=True)
class Result:
    """How one submission fared.

    Attributes:
        student: whose it is.
        marks: what nbgrader gave for the cells that it marks itself.
        out_of: what it could have given.
        by_hand: how many questions wait to be marked by hand.
        seconds: that the grading took.
        failure: why it could not be graded, in one line; its marks are 0 then. None if it could.
        notes: what went wrong in it, or was put right, a line each.
    """

    student: str
    marks: float
    out_of: float
    by_hand: int
    seconds: float
    failure: str | None
    notes: tuple


def autograde(course, assignment, students=(), limits=None, jobs=1, on_result=None):
    """Grade submissions, each in processes and a folder of its own, within limits.

    A submission's code sees neither the course nor the lecturer's environment, and on Linux
    neither network nor home folder; `isolation_problem` says where that is not so. The executed
    notebooks go to the course's folder ``autograded``, as nbgrader's own do, the marks to its
    gradebook and to ``marks-ASSIGNMENT.csv``. What was graded before is graded again; marks given
    by hand stay.

    Args:
        course: an nbgrader course, such as `create_course` makes.
        assignment: its name, which is also a folder under ``source``.
        students: whose submissions. Default: all that are there.
        limits: `Limits`. Default: ``Limits()``.
        jobs: how many at a time.
        on_result: function that is called with each `Result` when it is there, and with how many
            there will be.

    Returns:
        List of `Result`, by student.

    Raises:
        FileNotFoundError: if there is no such course, assignment or submission.
        ValueError: if the assignment was not released from this course.
    """
    course, limits = Path(course).resolve(), limits or Limits()
    students = _submissions(course, assignment, students)
    _require_released(course, assignment)
    isolate = isolation_problem() is None
    results = []
    with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as folder:
        template = Path(folder).resolve() / "template"
        _stage(course, assignment, template)
        with ThreadPoolExecutor(jobs) as pool:
            order = (course, assignment, limits, isolate)
            waiting = [pool.submit(_grade, template, student, *order) for student in students]
            try:
                for done in as_completed(waiting):
                    student, scratch, result = done.result()
                    results.append(_record(course, assignment, student, scratch, result))
                    shutil.rmtree(scratch, ignore_errors=True)
                    if on_result is not None:
                        on_result(results[-1], len(students))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    results.sort(key=lambda result: result.student)
    write_text(course / f"marks-{assignment}.csv", _table(results))
    return results


def _submissions(course, assignment, students):
    if not (course / "source" / assignment).is_dir():
        there = ", ".join(sorted(path.name for path in course.glob("source/*")))
        raise FileNotFoundError(
            f"Expected an assignment of the course {course}: {there or 'it has none'}. "
            f"Received: {assignment} (`moe-keras course init` makes a course)"
        )
    there = sorted(
        path.parent.name for path in course.glob(f"submitted/*/{assignment}") if path.is_dir()
    )
    missing = sorted(set(students) - set(there))
    if missing or not there:
        wanted = course / "submitted" / (missing or ["STUDENT"])[0] / assignment
        raise FileNotFoundError(
            f"Expected a folder {wanted} with what was handed in. Received: there is none."
        )
    return [student for student in there if not students or student in students]


def _require_released(course, assignment):
    database = course / "gradebook.db"
    if database.exists():
        with Gradebook(f"sqlite:///{database}") as gradebook:
            if assignment in {known.name for known in gradebook.assignments}:
                return
    raise ValueError(
        f"Expected an assignment that was released. Received: {assignment} (run "
        f"`nbgrader generate_assignment {assignment}` in {course} first)"
    )


def _stage(course, assignment, template):
    """A course with this assignment alone, and a gradebook that knows no student."""
    shutil.copytree(course / "source" / assignment, template / "source" / assignment)
    if (course / "source" / "header.ipynb").exists():
        shutil.copy(course / "source" / "header.ipynb", template / "source")
    generate = GenerateAssignment(
        coursedir=CourseDirectory(root=str(template), assignment_id=assignment)
    )
    with setenv(PATH=path_with_programs()):
        generate.start()


def _grade(template, student, course, assignment, limits, isolate):
    """Grade one submission in a scratch folder; the worker's result comes back, whatever it did."""
    start = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="s-", dir=template.parent))
    shutil.copytree(template, scratch / "course")
    handed_in = course / "submitted" / student / assignment
    order = {
        "scratch": str(scratch),
        "hidden": [str(path) for path in folders_to_hide(course)],
        "assignment": assignment,
        "student": student,
        "limits": asdict(limits),
        "isolate": isolate,
    }
    too_much = _copy(handed_in, scratch / "course" / "submitted" / student / assignment, limits)
    if too_much:
        result = {"failure": too_much, "notes": []}
    else:
        failure = _run_worker(order, limits)
        try:
            result = json.loads((scratch / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            result = {"failure": failure or "the grading itself broke off", "notes": []}
    return student, scratch, result | {"seconds": time.monotonic() - start}


def _copy(source, target, limits):
    """Copy what was handed in, leaving out links, which may lead anywhere."""
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    files = [
        path for path in files if path.resolve() == source.resolve() / path.relative_to(source)
    ]
    size = sum(path.stat().st_size for path in files) / MEGABYTE
    if size > limits.upload_mb:
        return f"too large: {size:.0f} MB were handed in, {limits.upload_mb} are allowed"
    target.mkdir(parents=True)
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return None


def _run_worker(order, limits):
    """Run the worker to its end or to its limit; then nothing of its process group is left."""
    script = START.format(path=str(Path(__file__).parents[1]))
    home = Path(order["scratch"]) / "worker"
    home.mkdir()
    worker = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(order)],
        cwd=home,
        env=clean_environment()
        | {"HOME": str(home), "USERPROFILE": str(home), "KERAS_HOME": _keras_home()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        worker.wait(limits.seconds + GRACE)
        return None if worker.returncode == 0 else f"grading ended with status {worker.returncode}"
    except subprocess.TimeoutExpired:
        return f"time limit: {limits.seconds} seconds for the whole lab"
    finally:
        with contextlib.suppress(OSError, AttributeError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.kill()
        worker.wait()


def _keras_home():
    return os.environ.get("KERAS_HOME") or str(Path.home() / ".keras")


def _record(course, assignment, student, scratch, result):
    """Enter the marks in the lecturer's gradebook, and keep the executed notebooks."""
    url = f"sqlite:///{course / 'gradebook.db'}"
    coursedir = CourseDirectory(root=str(course))
    handed_in = course / "submitted" / student / assignment
    timestamp = coursedir.get_existing_timestamp(str(handed_in))
    late = {"timestamp": timestamp} if timestamp else {}
    executed = scratch / "course" / "autograded" / student / assignment
    with Gradebook(url) as gradebook:
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_submission(assignment, student, **late)
    if result["failure"] is None:
        for path in sorted(executed.glob("*.ipynb")):
            about = {"student": student, "assignment": assignment}
            about |= {"notebook": path.stem, "db_url": url}
            notebook = nbformat.read(path, as_version=4)
            SaveAutoGrades().preprocess(notebook, {"nbgrader": about})
        _replace(executed, course / "autograded" / student / assignment)
    with Gradebook(url) as gradebook:
        submission = gradebook.find_submission(assignment, student)
        grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
        if result["failure"] is not None:
            for grade in grades:
                grade.auto_score, grade.needs_manual_grade = 0, False
            gradebook.db.commit()
        machine = [grade for grade in grades if grade.cell.cell_type == "code"]
        return Result(
            student=student,
            marks=sum(grade.auto_score or 0 for grade in machine),
            out_of=sum(grade.max_score for grade in machine),
            by_hand=sum(bool(grade.needs_manual_grade) for grade in grades),
            seconds=round(result["seconds"], 1),
            failure=result["failure"],
            notes=tuple(result["notes"]),
        )


def _replace(source, target):
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target)


def _table(results):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Result))
    for result in results:
        row = asdict(result) | {"failure": result.failure or "", "notes": "; ".join(result.notes)}
        writer.writerow(row.values())
    return text.getvalue()
