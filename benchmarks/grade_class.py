"""How long a class's submissions of lab 01 take to grade, and whether their marks are right.

    python -m benchmarks.grade_class [submissions, up to 30] [at a time]

The submissions are made from the lab's source: the solutions, a blank copy, copies in which one
exercise is blank or wrong, and copies that break something. Seconds, processor time of all
children, marks and expected marks go to results/grade_class.json.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path

import nbformat

from benchmarks.machine import describe
from moe_common.files import write_text
from moe_labs.course.autograde import autograde
from moe_labs.course.create import create_course
from moe_labs.course.limits import Limits
from moe_labs.course.sandbox import clean_environment, isolation_problem

RESULTS = Path(__file__).parent / "results" / "grade_class.json"
REGION = re.compile(r"^ *### (?:BEGIN|END) SOLUTION\n?", re.MULTILINE)
CLASS_SIZE = 30


def submissions(solved, blank):
    """Student: (notebook, expected marks), from the solved and the blank notebook of a lab."""
    points = {
        marks["grade_id"].removeprefix("check-"): marks["points"]
        for marks in map(_marks, solved.cells)
        if marks.get("grade") and not marks["solution"]
    }
    everything = sum(points.values())
    first = next(iter(points))

    def with_answer(name, source):
        notebook = deepcopy(solved)
        _cell(notebook, name).source = source
        return notebook

    def with_cell(source):
        notebook = deepcopy(solved)
        notebook.cells.insert(3, nbformat.v4.new_code_cell(source))
        return notebook

    def without(*names):
        notebook = deepcopy(solved)
        notebook.cells = [
            cell for cell in notebook.cells if _marks(cell).get("grade_id") not in names
        ]
        return notebook

    doubled = deepcopy(solved)
    place = doubled.cells.index(_cell(doubled, first))
    doubled.cells.insert(place, deepcopy(_cell(blank, first)))
    rest = everything - points[first]
    loop = f"def {first}(*anything):\n    while True:\n        pass"
    unusual = {
        "endless-loop": (with_answer(first, loop), rest),
        "ten-gigabytes": (with_cell("too_much = np.ones(10 * 2**30 // 8)"), everything),
        "ends-its-kernel": (with_answer(first, "import os\nos._exit(0)"), 0),
        "syntax-error": (with_answer(first, f"def {first}(:"), rest),
        "test-deleted": (without(f"check-{first}"), everything),
        "answer-deleted": (without(first), rest),
        "duplicated-ids": (doubled, everything),
        "hundred-megabytes": (with_cell("for _ in range(100): print('x' * 2**20)"), everything),
    }
    blanks = {
        f"blank-{name}": (with_answer(name, _cell(blank, name).source), everything - points[name])
        for name in points
    }
    wrong = {
        f"wrong-{name}": (with_answer(name, f"{name} = lambda *anything: 0"), everything - value)
        for name, value in points.items()
    }
    usual = {"perfect": (solved, everything), "blank": (blank, 0)}
    turns = zip(blanks.items(), wrong.items(), strict=True)
    return usual | dict(list(unusual.items())) | dict(item for turn in turns for item in turn)


def _marks(cell):
    return cell.metadata.get("nbgrader", {})


def _cell(notebook, grade_id):
    return next(cell for cell in notebook.cells if _marks(cell).get("grade_id") == grade_id)


def main(count=CLASS_SIZE, jobs=1):
    with tempfile.TemporaryDirectory() as folder:
        course = create_course(Path(folder) / "course", ["01"])
        (lab,) = (path.name for path in (course / "source").iterdir())
        release = [sys.executable, "-m", "nbgrader", "generate_assignment", lab]
        subprocess.run(release, cwd=course, env={**os.environ, **clean_environment()}, check=True)
        solved = nbformat.read(course / "source" / lab / f"{lab}.ipynb", as_version=4)
        blank = nbformat.read(course / "release" / lab / f"{lab}.ipynb", as_version=4)
        for cell in solved.cells:
            if _marks(cell).get("solution"):
                cell.source = REGION.sub("", cell.source)
        expected = dict(list(submissions(solved, blank).items())[:count])
        for student, (notebook, _) in expected.items():
            path = course / "submitted" / student / lab / f"{lab}.ipynb"
            path.parent.mkdir(parents=True)
            nbformat.write(notebook, path)
        rows, start, used = [], time.perf_counter(), _processor_seconds()

        def note(result, total):
            nonlocal used
            now = _processor_seconds()
            rows.append(
                {
                    "student": result.student,
                    "marks": result.marks,
                    "expected": expected[result.student][1],
                    "of": result.out_of,
                    "seconds": result.seconds,
                    # One at a time, it is this submission's.
                    **({"processor seconds": round(now - used, 1)} if jobs == 1 else {}),
                    "load of the machine": round(os.getloadavg()[0], 1),
                    "remarks": result.failure or "; ".join(result.notes),
                }
            )
            used = now
            print(f"{len(rows)} of {total}:", json.dumps(rows[-1]), flush=True)
            report = {
                "machine": describe(),
                "lab": lab,
                "submissions": len(rows),
                "at a time": jobs,
                "isolated": isolation_problem() is None,
                "minutes in all": round((time.perf_counter() - start) / 60, 1),
                "marks as expected": sum(row["marks"] == row["expected"] for row in rows),
                "rows": rows,
            }
            # After each, so that an interrupted run has something to show.
            write_text(RESULTS, json.dumps(report, indent=2) + "\n")

        limits = Limits(seconds=1500, cell_seconds=300)
        autograde(course, lab, limits=limits, jobs=jobs, on_result=note)


def _processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
