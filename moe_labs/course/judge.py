"""Judge answers once more, in a process that the student's code never enters.

Answer and test share one Python in a notebook, so code can change what judges it. Here they do not:
a confined process has the answers, and what they need, and nothing of the course; another one has
the lab's tests. See `answers.py` and `judging.py`.
"""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
from nbformat.v4 import new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import determine_grade, is_grade, is_solution

from moe_labs.course import answers
from moe_labs.course.closure import closure
from moe_labs.course.execute import copy_files
from moe_labs.course.given import DEFINES
from moe_labs.course.handed_in import one_line
from moe_labs.course.names import used
from moe_labs.course.sandbox import python_module, remove
from moe_labs.course.statements import statements

APART = "JudgedApart"
TIME = "time limit"
START = 60  # seconds for both processes to load what they need


class JudgeApart(NbGraderPreprocessor):
    """Takes away the marks of answers that are right in their notebook alone.

    Args:
        sandbox: the submission's `Sandbox`.
        notes: a list; where both judgements differ, a sentence goes there.
        source: the folder of the lab with solutions.
        left_out: grade ids of tests that cannot be judged apart.
    """

    def __init__(self, sandbox, notes, source, left_out=(), **kwargs):
        super().__init__(**kwargs)
        self.sandbox, self.notes, self.source = sandbox, notes, source
        self.left_out = set(left_out)

    def preprocess(self, nb, resources):
        name = f"{resources['nbgrader']['notebook']}.ipynb"
        lab = nbformat.read(self.source / name, as_version=4)
        beside = Path(resources["metadata"]["path"])
        verdicts = judged_apart(lab, nb, self.sandbox, self.left_out, beside)
        for index, cell in enumerate(nb.cells, 1):
            if cell.cell_type != "code" or not is_grade(cell):
                continue
            grade_id = cell.metadata.nbgrader.grade_id
            kind, reason = verdicts.get(grade_id, ("right", ""))
            if kind == "right":
                continue
            reason = one_line(reason, 200)
            if kind == "cannot":
                self.notes.append(
                    f"judged in its notebook alone: cell {index}, {grade_id}: {reason}"
                )
                continue
            self.notes.append(
                f"to be read: cell {index}, {grade_id}, is right in its notebook, but not where "
                f"only the answer is run: {reason}"
            )
            error = f"{APART}: {reason}"
            cell.outputs.append(new_output("error", ename=APART, evalue=reason, traceback=[error]))
        return nb, resources


def judged_apart(lab, executed, sandbox, left_out=(), beside=None):
    """Judge what an executed notebook got marks for.

    Args:
        lab: the notebook with solutions and hidden tests, which the judging process runs.
        executed: the notebook that was handed in, run, with nbgrader's marks.
        sandbox: its `Sandbox`; the processes get boxes of their own beside its box.
        left_out: grade ids that are not to be judged.
        beside: the folder of files that were handed in beside the notebook, as they were: what its
            code has written may be what it has seen of the references.

    Returns:
        Dictionary from a grade id to a pair: "right", "wrong" or "cannot", and why.
    """
    exercises = exercises_of(lab, executed, left_out)
    asked = [exercise for exercise in exercises if not (exercise["wrong"] or exercise["done"])]
    if not asked:
        return {}
    order = {
        "setup": _setup(lab, exercises),
        "answers": _answers(executed, exercises),
        "exercises": exercises,
    }
    verdicts = {}
    deadline = time.monotonic() + sandbox.limits.seconds
    while waiting := [e for e in asked if e["id"] not in verdicts]:
        found, reason = _pair(order, sandbox, deadline, beside)
        verdicts |= found
        if waiting[0]["id"] not in verdicts:
            # A computer that is busy takes nobody's marks; that it took so long is told.
            kind = "cannot" if reason == TIME else "wrong"
            verdicts[waiting[0]["id"]] = (kind, reason)
        for exercise in exercises:
            exercise["done"] = exercise["done"] or exercise["id"] in verdicts
    return verdicts


def exercises_of(lab, executed, left_out=()):
    """The lab's graded code cells in order, each with the names that its answer defines."""
    marks = {
        cell.metadata.nbgrader.grade_id: determine_grade(cell)[0]
        for cell in executed.cells
        if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)
    }
    exercises, names = [], []
    for cell in lab.cells:
        if cell.cell_type != "code":
            continue
        if is_solution(cell):
            names += DEFINES.findall(cell.source)[:1]
        elif is_grade(cell):
            grade_id = cell.metadata.nbgrader.grade_id
            exercises.append(
                {
                    **{"id": grade_id, "names": names, "source": cell.source},
                    "wrong": not marks.get(grade_id),
                    "earned": marks.get(grade_id),
                    "done": grade_id in left_out or not names,
                }
            )
            names = []
    return exercises


def _setup(lab, exercises):
    """What the lab's own cells must have run before its tests can."""
    graded = {exercise["id"] for exercise in exercises}
    cells = [
        statements(cell.source)
        for cell in lab.cells
        if cell.cell_type == "code"
        and not is_solution(cell)
        and cell.metadata.get("nbgrader", {}).get("grade_id") not in graded
    ]
    wanted = {
        name
        for exercise in exercises
        for text, node in statements(exercise["source"])
        for name in used(text, node)
    } - {name for exercise in exercises for name in exercise["names"]}
    return closure(_with_calls(cells, wanted), wanted, forbidden=())


def _with_calls(cells, wanted):
    """The same, where a call on what is wanted counts as defining it, as in `lab.set(1)`."""
    return [
        [
            (text, _as_assignment(node, wanted) if isinstance(node, ast.Expr) else node)
            for text, node in cell
        ]
        for cell in cells
    ]


def _as_assignment(node, wanted):
    root = node.value
    while isinstance(root, ast.Attribute | ast.Call):
        root = root.func if isinstance(root, ast.Call) else root.value
    if not (isinstance(root, ast.Name) and root.id in wanted and isinstance(node.value, ast.Call)):
        return node
    return ast.Assign([ast.Name(root.id, ast.Store())], node.value)


def _answers(executed, exercises):
    """What the student's answers are and need: of locked cells no more than imports."""
    cells = []
    for cell in executed.cells:
        if cell.cell_type != "code" or is_grade(cell):
            continue
        found = statements(cell.source)
        if cell.metadata.get("nbgrader", {}).get("locked"):
            found = [(t, n) for t, n in found if isinstance(n, ast.Import | ast.ImportFrom)]
        cells.append(found)
    names = {name for exercise in exercises for name in exercise["names"]}
    return closure(cells, names)


def _pair(order, sandbox, deadline, beside):
    """Run both processes until all is judged, or one of them ends: verdicts, and why no more."""
    folder = sandbox.box.parent / f"apart-{time.monotonic_ns()}"
    judging = replace(sandbox, box=folder / "judge")
    answering = replace(sandbox, box=folder / "answers", references=False)
    for box in (judging, answering):
        box.make_folders()
    if beside is not None:
        copy_files(beside, answering.work)
    program = Path(shutil.copy(answers.__file__, answering.box / "answers.py"))
    verdicts = judging.work / "verdicts"
    (judging.work / "order.json").write_text(json.dumps(order | {"verdicts": str(verdicts)}))
    to_judge, from_answers = os.pipe()
    to_answers, from_judge = os.pipe()
    commands = (
        (judging, [*python_module("moe_labs.course.judging"), str(judging.work / "order.json")]),
        (answering, [sys.executable, "-P", str(program)]),
    )
    pipes = ((to_judge, from_judge), (to_answers, from_answers))
    processes = [
        subprocess.Popen(
            box.command(command),
            **{"stdin": incoming, "stdout": outgoing, "stderr": subprocess.DEVNULL},
            **{"cwd": box.work, "env": box.environment(), "start_new_session": True},
        )
        for (box, command), (incoming, outgoing) in zip(commands, pipes, strict=True)
    ]
    for pipe in (to_judge, from_answers, to_answers, from_judge):
        os.close(pipe)
    try:
        reason = _wait(processes[0], verdicts, sandbox, deadline)
    finally:
        for process in processes:
            _end(process)
    found = {}
    if verdicts.is_file():
        for line in verdicts.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            kind, why = said["verdict"]
            if kind == "wrong" and said["failed"]:
                why = f"{why} (beside it: {'; '.join(said['failed'][:2])})"
            found[said["id"]] = (kind, why)
    remove(folder)
    return found, reason


def _wait(process, verdicts, sandbox, deadline):
    """Wait for the judge; why it did not come to its end."""
    size, since = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        now = time.monotonic()
        grown = verdicts.stat().st_size if verdicts.exists() else 0
        size, since = (grown, now) if grown != size else (size, since)
        if now > deadline or now - since > sandbox.limits.cell_seconds + START:
            return TIME
    return "its process ended"


def _end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (OSError, AttributeError):
        process.kill()
    process.wait()
