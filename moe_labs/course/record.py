"""Enter one submission's marks in the lecturer's gradebook, and keep its executed notebooks."""

import shutil
import warnings
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Comment, Grade
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades

from moe_labs.course.clean import harmless
from moe_labs.course.gradebook import open_gradebook, telling
from moe_labs.course.handed_in import one_line
from moe_labs.course.marks_table import Result, now
from moe_labs.course.sandbox import remove

RAW = "executed"  # the folder of executed notebooks as they were, active content and all
NOT_GRADED = "could not be graded"


def record(coursedir, assignment, student, result, template):
    """Enter the marks, and return a `Result`.

    Where the grading failed for a reason that does not lie in what was handed in, the marks are
    left as they were: a full disk takes nobody's marks, least of all those given by hand.

    Args:
        coursedir: the lecturer's course, with its settings.
        assignment: its name.
        student: whose submission it is.
        result: what `_grade` returned: failure, ours (whether it lies in something else than what
            was handed in), notes, seconds, submitted (a moment or None), isolation, in_notebook,
            and scratch, the folder of the graded copy of the course.
        template: a course with the assignment as it was released.

    Raises:
        Locked: if somebody else is writing to the gradebook.
    """
    with telling():
        return _record(coursedir, assignment, student, result, template)


def _record(coursedir, assignment, student, result, template):
    url = coursedir.db_url
    target = Path(coursedir.format_path(coursedir.autograded_directory, student, assignment))
    failure, ours = result["failure"], result["failure"] is not None and result["ours"]
    with open_gradebook(url) as gradebook:
        gradebook.update_or_create_student(student)
        late = {"timestamp": result["submitted"]} if result["submitted"] and not ours else {}
        submission = gradebook.update_or_create_submission(assignment, student, **late)
        _add_what_is_new(gradebook, submission)
        stays = ours and _has_marks(submission)
    if stays:
        reason = failure.removeprefix(f"{NOT_GRADED}: ")
        failure = f"not graded again (its marks are those of before): {reason}"
    else:
        remove(target)
    if failure is None:
        executed = Path(result["scratch"]) / "course" / "autograded" / "student" / assignment
        for path in sorted(executed.glob("*.ipynb")):
            about = {"student": student, "assignment": assignment}
            about = {"nbgrader": about | {"notebook": path.stem, "db_url": url}}
            notebook = nbformat.read(path, as_version=4)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="nbgrader")
                SaveAutoGrades().preprocess(notebook, about)
                AssignLatePenalties(config=coursedir.config).preprocess(notebook, about)
        shutil.copytree(executed, target)
        raw = Path(result["scratch"]) / RAW
        if raw.is_dir():
            kept = Path(coursedir.root) / RAW / student / assignment
            remove(kept)
            shutil.copytree(raw, kept)
    elif not stays:
        _explain(template / "release" / assignment, target, failure)
    with open_gradebook(url) as gradebook:
        submission = gradebook.find_submission(assignment, student)
        grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
        if failure is not None and not ours:
            for grade in grades:  # what was marked by hand was in another file
                grade.auto_score, grade.manual_score, grade.needs_manual_grade = 0, None, False
            for notebook in submission.notebooks:
                notebook.late_submission_penalty = None
            gradebook.db.commit()
        machine = [grade for grade in grades if grade.cell.cell_type == "code"]
        return Result(
            student=student,
            marks=sum(grade.auto_score or 0 for grade in machine),
            out_of=sum(grade.max_score for grade in machine),
            by_hand=sum(bool(grade.needs_manual_grade) for grade in grades),
            seconds=round(result["seconds"], 1),
            failure=failure and one_line(failure),
            notes=tuple(_notes(result["notes"], submission)),
            in_notebook=tuple(result["in_notebook"]),
            isolation=result["isolation"],
            graded="" if ours else now(),
        )


def _has_marks(submission):
    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    return any(grade.auto_score is not None or grade.manual_score is not None for grade in grades)


def _add_what_is_new(gradebook, submission):
    """Places for marks of cells that the assignment has got since this was first graded."""
    for notebook in submission.notebooks:
        graded = {grade.cell_id for grade in notebook.grades}
        told = {comment.cell_id for comment in notebook.comments}
        of = notebook.notebook
        for cell in (*of.grade_cells, *of.task_cells):
            if cell.id not in graded:
                gradebook.db.add(Grade(cell_id=cell.id, notebook=notebook))
        for cell in (*of.solution_cells, *of.task_cells):
            if cell.id not in told:
                gradebook.db.add(Comment(cell_id=cell.id, notebook=notebook))
    gradebook.db.commit()


def _explain(released, target, failure):
    """A copy for the feedback of one that could not be graded: the lab, and why."""
    target.mkdir(parents=True)
    for path in sorted(released.iterdir()):
        notebook = nbformat.read(path, as_version=4)
        reason = failure.removeprefix(f"{NOT_GRADED}: ")
        notebook.cells.insert(0, remarks_cell([f"{NOT_GRADED}: {reason}"]))
        nbformat.write(notebook, target / path.name)


def remarks_cell(remarks):
    """What the grading has to say, as a cell of the executed copy and of the feedback."""
    lines = [one_line(remark).replace("<", "&lt;").replace("`", "'") for remark in remarks]
    text = "\n".join(["**From the grading**", "", *(f"- {line}" for line in lines)])
    return new_markdown_cell(harmless(text))


def _notes(notes, submission):
    penalty = sum(notebook.late_submission_penalty or 0 for notebook in submission.notebooks)
    yield from map(one_line, notes)
    if penalty:
        yield f"late: {penalty:g} marks less, of the sum with those by hand"
