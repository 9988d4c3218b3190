"""An assignment as the gradebook knows it: the course's settings, and a course with it alone."""

import shutil
from pathlib import Path

import nbformat
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions
from traitlets.config import Config, PyFileConfigLoader

from moe_labs.course.gradebook import open_gradebook

SETTINGS = "nbgrader_config.py"


def course_directory(course):
    """nbgrader's `CourseDirectory` with the course's settings, which are its attribute `config`.

    Raises:
        ValueError: if the settings cannot be read.
    """
    config = Config()
    if (course / SETTINGS).is_file():
        try:
            config = PyFileConfigLoader(SETTINGS, path=str(course)).load_config()
        except Exception as error:  # it is Python, so it may raise anything
            raise ValueError(
                f"Expected settings that nbgrader reads. Received: {course / SETTINGS}, "
                f"which stops with {type(error).__name__}: {error}"
            ) from error
    return CourseDirectory(root=str(course), config=config)


def stage(coursedir, assignment, template):
    """A course with this assignment alone, as it was released, and a gradebook without students.

    Raises:
        ValueError: if it was not released, or if its marks have changed since.
        Locked: if the gradebook cannot be used just now.
    """
    source = _folder(coursedir, coursedir.source_directory, assignment)
    release = _folder(coursedir, coursedir.release_directory, assignment)
    template.mkdir(parents=True)
    file = coursedir.db_url.removeprefix("sqlite:///")
    if file != coursedir.db_url and not Path(file).is_file():  # nbgrader would make an empty one
        raise _not_released(assignment, "one that was not released")
    with open_gradebook(coursedir.db_url) as gradebook:
        if assignment not in {known.name for known in gradebook.assignments}:
            raise _not_released(assignment, "one that was not released")
        known = gradebook.find_assignment(assignment)
        _require_the_same_marks(source, known)
        with open_gradebook(f"sqlite:///{template / 'gradebook.db'}") as alone:
            _copy_assignment(known, alone)
        names = [f"{notebook.name}.ipynb" for notebook in known.notebooks]
    shutil.copytree(source, template / "source" / assignment)
    released = template / "release" / assignment
    released.mkdir(parents=True)
    for name in names:
        if (release / name).is_file():
            shutil.copy(release / name, released / name)
        else:
            nbformat.write(_without_answers(source / name, coursedir.config), released / name)


def released_notebooks(template, assignment):
    """From a file name to the notebook that students got."""
    folder = template / "release" / assignment
    return {path.name: nbformat.read(path, 4) for path in sorted(folder.iterdir())}


def _folder(coursedir, kind, assignment):
    return Path(coursedir.format_path(kind, ".", assignment))


def _without_answers(path, config):
    notebook = nbformat.read(path, as_version=4)
    for clear in (ClearSolutions(config=config), ClearHiddenTests(config=config)):
        notebook, _ = clear.preprocess(notebook, {})
    return notebook


def _not_released(assignment, what):
    return ValueError(
        f"Expected an assignment as it was released. Received: {assignment}, {what} (run "
        f"`nbgrader generate_assignment --force {assignment}` in the course first)"
    )


def _require_the_same_marks(source, known):
    for notebook in known.notebooks:
        path = source / f"{notebook.name}.ipynb"
        if not path.is_file():
            raise _not_released(known.name, f"whose {path.name} is not in {source}")
        now = {
            marks["grade_id"]: float(marks["points"])
            for marks in (
                cell.metadata.get("nbgrader", {}) for cell in nbformat.read(path, 4).cells
            )
            if marks.get("grade") or marks.get("task")
        }
        cells = [*notebook.grade_cells, *notebook.task_cells]
        then = {cell.name: float(cell.max_score) for cell in cells}
        if now != then:
            changed = sorted(k for k in {*now, *then} if now.get(k) != then.get(k))
            raise _not_released(known.name, f"whose marks have changed since: {changed}")


def _copy_assignment(known, target):
    """Enter an assignment, with its notebooks and cells, in another gradebook."""
    target.add_assignment(known.name, duedate=known.duedate)
    for notebook in known.notebooks:
        where = (notebook.name, known.name)
        target.add_notebook(*where)
        for cell in notebook.grade_cells:
            kinds = {"max_score": cell.max_score, "cell_type": cell.cell_type}
            target.add_grade_cell(cell.name, *where, **kinds)
        for cell in notebook.solution_cells:
            target.add_solution_cell(cell.name, *where)
        for cell in notebook.task_cells:
            kinds = {"max_score": cell.max_score, "cell_type": cell.cell_type}
            target.add_task_cell(cell.name, *where, **kinds)
        for cell in notebook.source_cells:
            kinds = {"cell_type": cell.cell_type, "locked": cell.locked}
            kinds |= {"source": cell.source, "checksum": cell.checksum}
            target.add_source_cell(cell.name, *where, **kinds)
