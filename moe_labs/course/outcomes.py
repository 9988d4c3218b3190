"""Which exercise serves which outcome, what checks it and what it is worth: from the sources."""

import re
from dataclasses import dataclass

from moe_labs.course.header import header
from moe_labs.notebooks.generate import solution_copy

CHECK = re.compile(r"\b(lab\d\d\.\w+)\.check\(")


@dataclass(frozen=True)
class Task:
    """One thing that a student answers.

    Attributes:
        name: its grade id.
        check: the check that judges it, or None: then a person does.
        marks: what it is worth.
    """

    name: str
    check: str | None
    marks: int


def outcomes_of(lab):
    """A lab's outcomes in order, each with the tasks that serve it.

    A lab says which in the key `serves` of its header: for each outcome a list of grade ids. One
    without the key has all its tasks under its outcomes together.

    Returns:
        List of pairs of an outcome and a list of `Task`.

    Raises:
        ValueError: if a task serves no outcome, or an outcome is served by what is no task.
    """
    about = header(lab)
    outcomes = [outcome.strip() for outcome in about["outcomes"].split(";")]
    tasks = {task.name: task for task in tasks_of(lab)}
    if "serves" not in about:
        return [("; ".join(outcomes), list(tasks.values()))]
    serves = about["serves"]
    named = [name for names in serves for name in names]
    if len(serves) != len(outcomes) or sorted(named) != sorted(tasks):
        raise ValueError(
            f"{lab.source}: expected 'serves' to name, for each of the {len(outcomes)} outcomes, "
            f"its tasks, and each of these once: {sorted(tasks)}. Received: {serves}"
        )
    return [
        (outcome, [tasks[name] for name in names])
        for outcome, names in zip(outcomes, serves, strict=True)
    ]


def tasks_of(lab):
    """All that a lab asks for, in its order: list of `Task`."""
    cells = solution_copy(lab).cells
    tasks = []
    for place, cell in enumerate(cells):
        marks = cell.metadata.get("nbgrader", {})
        if not marks.get("solution"):
            continue
        if marks["grade"]:
            tasks.append(Task(marks["grade_id"], None, marks["points"]))
            continue
        graded = next(c for c in cells[place:] if c.metadata.get("nbgrader", {}).get("grade"))
        check = CHECK.search(graded.source)
        points = graded.metadata.nbgrader.points
        tasks.append(Task(marks["grade_id"], check and check[1], points))
    return tasks


def outcomes_page(labs):
    """The page of the lecturer's guide, Markdown."""
    parts = [
        "# Outcomes, exercises, checks and marks",
        "Made by `make outcomes` from the labs' sources. A TODO is called by its grade "
        "id, as in the gradebook. What has no check is read by a person. Minutes are those of "
        "computing on two cores; with the exercises a lab takes about two hours.",
    ]
    for lab in labs:
        outcomes = outcomes_of(lab)
        checked, read = (
            sum(t.marks for _, tasks in outcomes for t in tasks if bool(t.check) is by_check)
            for by_check in (True, False)
        )
        rows = ["| Outcome | TODO | Check | Marks |", "| --- | --- | --- | ---: |"]
        for outcome, tasks in outcomes:
            for number, task in enumerate(tasks):
                check = f"`{task.check}`" if task.check else "by hand"
                shown = outcome if number == 0 else ""
                rows.append(f"| {shown} | `{task.name}` | {check} | {task.marks} |")
        parts += [
            f"## Lab {lab.number}: {lab.title}",
            f"{lab.minutes} minutes; {checked} marks by checks, {read} by hand.",
            "\n".join(rows),
        ]
    return "\n\n".join(parts) + "\n"
