"""Grade a class: each submission in its own sandbox, the marks in the lecturer's gradebook."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from moe_common.keras_home import keras_home
from moe_common.stopping import keeping
from moe_labs.course.assignment import course_directory, stage
from moe_labs.course.gradebook import Locked
from moe_labs.course.handed_in import Unreadable, moment, one_line
from moe_labs.course.left_out import LEFT_OUT, left_out
from moe_labs.course.limits import MEGABYTE, Limits
from moe_labs.course.marks_table import Result, graded_at, write_row
from moe_labs.course.record import NOT_GRADED, record
from moe_labs.course.sandbox import (
    clean_environment,
    isolation_problem,
    python_module,
    remove,
    short_temporary_folder,
)

GRACE = 60  # seconds beyond the limit for starting, reading and writing
LONGEST_RESULT = 50 * MEGABYTE
WORKER_MB = 4000  # what reading and grading one submission may allocate; its code has its own limit
DEEPEST = 50  # folders in each other in what is handed in: others go through them by recursion


class NotIsolated(RuntimeError):
    """Students' code cannot be kept apart here, and nobody has said that it need not be."""


def autograde(
    course, assignment, students=(), limits=None, jobs=1, on_result=None, isolation=True,
    resume=False,
):  # fmt: skip
    """Grade submissions, each in processes and a folder of its own, within limits.

    A submission's code sees neither the course nor the lecturer's environment, and on Linux
    neither network nor home folder; `isolation_problem` says where that is not so. The executed
    notebooks go to the course's folder ``autograded``, as nbgrader's own do, the marks to its
    gradebook and, row by row, to ``marks-ASSIGNMENT.csv``. What was graded before is graded again;
    marks given by hand stay, unless what is handed in now cannot be read. Whatever is wrong with a
    submission, the others are graded.

    Args:
        course: an nbgrader course, such as `create_course` makes.
        assignment: its name, which is also a folder under ``source``.
        students: whose submissions. Default: all that are there.
        limits: `Limits`. Default: ``Limits()``.
        jobs: how many at a time.
        on_result: function that is called with each `Result` when it is there, and with how many
            there will be.
        isolation: whether to refuse to grade where code cannot be isolated. Without, it runs with
            all your rights there.
        resume: whether to leave out what was graded after it was handed in. What failed for another
            reason than what was handed in has an empty `graded`, and is not left out.

    Returns:
        List of `Result`, by student.

    Raises:
        FileNotFoundError: if there is no such course, assignment or submission.
        ValueError: if the assignment was not released from this course, or was changed since.
        NotIsolated: if code cannot be isolated here.
        Locked: if the gradebook cannot be used at the start; later the row of whose marks could
            not be entered says so.
    """
    course, limits = Path(course).resolve(), limits or Limits()
    coursedir = course_directory(course)
    submitted = _submissions(coursedir, assignment, students)
    problem = isolation_problem()
    table = course / f"marks-{assignment}.csv"
    if resume:
        submitted = {s: path for s, path in submitted.items() if not _is_graded(table, s, path)}
    results = []
    with (
        keeping(lambda: f"{len(results)} of {len(submitted)} are graded, in the gradebook."),
        _scratch() as folder,
    ):
        template = folder / "template"
        stage(coursedir, assignment, template)
        if problem and isolation:
            raise NotIsolated(
                "Expected a system that can keep students' code apart, since it would run with all "
                f"your rights: it could read your files and change your gradebook. Received: "
                f"{problem} (grade on another computer or in a virtual machine, or give "
                "--no-isolation if you trust every submission)"
            )
        in_notebook = _calibrated(template, assignment, limits, problem is None)
        with ThreadPoolExecutor(jobs) as pool:
            order, running = (assignment, limits, coursedir, problem is None), set()
            waiting = [
                pool.submit(_grade, template, student, handed_in, running, *order)
                for student, handed_in in submitted.items()
            ]
            try:
                for done in as_completed(waiting):
                    student, graded = done.result()
                    graded["in_notebook"] = in_notebook
                    results.append(_entered(coursedir, assignment, student, graded, template))
                    write_row(table, results[-1])
                    remove(graded["scratch"])
                    if on_result is not None:
                        on_result(results[-1], len(submitted))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in list(running):
                    _end(worker)
                raise
    results.sort(key=lambda result: result.student)
    return results


@contextlib.contextmanager
def _scratch():
    """A folder for all of it, which is gone afterwards, whatever students' code has made of it."""
    folder = Path(tempfile.mkdtemp(prefix="grade-", dir=short_temporary_folder())).resolve()
    try:
        yield folder
    finally:
        remove(folder)


def _submissions(coursedir, assignment, students):
    """From a student to the folder of what was handed in."""
    course = Path(coursedir.root)
    source = Path(coursedir.format_path(coursedir.source_directory, ".", ""))
    if not (source / assignment).is_dir():
        there = ", ".join(sorted(path.name for path in source.glob("*")))
        raise FileNotFoundError(
            f"Expected an assignment of the course {course}: {there or 'it has none'}. "
            f"Received: {assignment} (`moe-labs course init` makes a course)"
        )
    submitted = course / coursedir.submitted_directory
    names = sorted(path.name for path in submitted.iterdir()) if submitted.is_dir() else []
    there = {name: submitted / name / assignment for name in names}
    there = {name: path for name, path in there.items() if _may_be_folder(path)}
    missing = sorted(set(students) - set(there))
    if missing or not there:
        wanted = submitted / (missing or ["STUDENT"])[0] / assignment
        raise FileNotFoundError(
            f"Expected a folder {wanted} with what was handed in. Received: there is none."
        )
    return {name: path for name, path in there.items() if not students or name in students}


def _may_be_folder(path):
    try:
        return path.is_dir()
    except OSError:  # closed to us: its row says so
        return True


def _calibrated(template, assignment, limits, isolate):
    """Find out which tests can be judged apart from the notebook; the grade ids of the others."""
    order = {"scratch": str(template), "assignment": assignment, "limits": asdict(limits)}
    failure = _run_worker(order | {"isolate": isolate, "calibrate": True}, limits, set())
    remove(template / "box")
    remove(template / "worker")
    if failure or not (template / LEFT_OUT).is_file():
        raise RuntimeError(f"Expected the lab's own solution to be judged. Received: {failure}")
    return tuple(left_out(template))


def _is_graded(table, student, handed_in):
    """Whether a row was written after everything in the folder was."""
    graded = graded_at(table, student)
    if graded is None:
        return False
    try:
        there = [entry.stat(follow_symlinks=False) for entry in _below(handed_in)]
        newest = max(about.st_mtime for about in (handed_in.lstat(), *there))
    except (OSError, Unreadable):  # its row will say why
        return False
    return graded.timestamp() > newest


def _below(folder):
    """All that lies below a folder, as `os.DirEntry`; links are not followed.

    Raises:
        Unreadable: if there are more folders in each other than others can go through.
    """
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > DEEPEST:
            raise Unreadable(f"too large: it has more than {DEEPEST} folders in each other")
        with os.scandir(here) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))


def _grade(template, student, handed_in, running, assignment, limits, coursedir, isolate):
    """Grade one submission in a scratch folder: its student, and what came of it."""
    start = time.monotonic()
    graded = {
        "failure": None,
        "ours": False,  # whether a failure lies in something else than what was handed in
        "notes": [],
        "submitted": None,
        "scratch": str(template.parent / "-"),
    }
    try:
        graded["submitted"], remark = moment(handed_in / "timestamp.txt")
        scratch = Path(tempfile.mkdtemp(prefix="s-", dir=template.parent))
        graded["scratch"] = str(scratch)
        shutil.copytree(template, scratch / "course")
        graded["failure"] = _copy(handed_in, scratch / "handed-in", limits)
        if graded["failure"] is None:
            order = {"scratch": str(scratch)}
            order |= {"assignment": assignment, "limits": asdict(limits), "isolate": isolate}
            graded |= _outcome(scratch / "result.json", _run_worker(order, limits, running))
        graded["notes"] = [remark, *graded["notes"]] if remark else graded["notes"]
    except Unreadable as error:
        graded["failure"] = str(error)
    except Exception as error:  # whatever was handed in, the class goes on
        graded["failure"] = f"{NOT_GRADED}: {type(error).__name__}: {one_line(error, 200)}"
        graded["ours"] = True
    graded |= {"seconds": time.monotonic() - start}
    return student, graded | {"isolation": "namespaces" if isolate else "none"}


def _outcome(path, failure):
    """What the worker left, or why it left nothing."""
    try:
        if path.stat().st_size < LONGEST_RESULT:
            found = json.loads(path.read_text(encoding="utf-8"))
            said = None if found["failure"] is None else str(found["failure"])
            ours = found["ours"] is True
            if ours and "MemoryError" in said:
                said = f"memory limit: grading it took more than {WORKER_MB} MB"
            return {"failure": said, "ours": ours, "notes": [str(note) for note in found["notes"]]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return {"failure": failure or "the grading itself broke off", "ours": True}


def _copy(source, target, limits):
    """Copy what was handed in, leaving out links, which may lead anywhere, and its timestamp."""
    files = [Path(e.path) for e in _below(source) if e.is_file(follow_symlinks=False)]
    files = [
        path
        for path in sorted(files)
        if path.resolve() == source.resolve() / path.relative_to(source)
        and path != source / "timestamp.txt"
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


def _entered(coursedir, assignment, student, graded, template):
    """The result as it stands in the gradebook; where it cannot be entered, why."""
    try:
        return record(coursedir, assignment, student, graded, template)
    except Exception as error:
        reason = str(error) if isinstance(error, Locked) else type(error).__name__
        reason += "" if isinstance(error, Locked) else f": {one_line(error, 200)}"
        return Result(
            student=one_line(student),
            **{"marks": 0, "out_of": 0, "by_hand": 0, "seconds": round(graded["seconds"], 1)},
            failure=f"could not be entered in the gradebook: {reason}",
            notes=tuple(map(one_line, graded["notes"])),
            in_notebook=graded["in_notebook"],
            isolation=graded["isolation"],
        )


def _run_worker(order, limits, running):
    """Run the worker to its end or to its limit; then nothing of its process group is left."""
    home = Path(order["scratch"]) / "worker"
    home.mkdir()
    worker = subprocess.Popen(
        [*python_module("moe_labs.course.worker"), json.dumps(order)],
        cwd=home,
        env=clean_environment()
        | {"HOME": str(home), "USERPROFILE": str(home), "KERAS_HOME": str(keras_home())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    running.add(worker)
    most = 2 * limits.seconds + GRACE
    try:
        _limit(worker, most)
        worker.wait(most)
        return None if worker.returncode == 0 else _how_it_ended(worker.returncode, limits)
    except subprocess.TimeoutExpired:
        return f"time limit: {limits.seconds} seconds for the whole lab"
    finally:
        running.discard(worker)
        _end(worker)


def _limit(worker, seconds):
    """Limit, on Linux, the process that reads what was handed in and what its code printed.

    It gets the lower of a limit's two numbers: what it starts sets its own below the higher one.
    """
    try:
        import resource

        for kind, most in (
            (resource.RLIMIT_DATA, WORKER_MB * MEGABYTE),
            (resource.RLIMIT_CPU, int(seconds)),
        ):
            lower, higher = resource.prlimit(worker.pid, kind)
            if lower == resource.RLIM_INFINITY or lower > most:
                resource.prlimit(worker.pid, kind, (most, higher))
    except (ImportError, AttributeError, OSError):  # another system, or it has ended
        pass


def _how_it_ended(status, limits):
    """Why a worker left nothing, as far as its exit status tells."""
    if status == -getattr(signal, "SIGXCPU", 0):
        return f"time limit: {limits.seconds} seconds for the whole lab"
    said = f"grading ended with status {status}"
    # What is written in C does not stop with a MemoryError.
    if status in (-signal.SIGABRT, -signal.SIGSEGV):
        said += f", as it does where {WORKER_MB} MB of memory are not enough"
    return said


def _end(worker):
    with contextlib.suppress(OSError, AttributeError):  # it has ended; Windows has no groups
        os.killpg(worker.pid, signal.SIGKILL)
    worker.kill()
    worker.wait()
