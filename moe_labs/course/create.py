"""Lay out an nbgrader course from the labs that the installed package brings along."""

import secrets
from importlib.metadata import version
from pathlib import Path

from moe_common.files import write_text
from moe_common.install import repository, requirement
from moe_labs.course.environment import EXTRAS, PACKAGE, WITH_EXTRAS, pins
from moe_labs.exercises.exercise import COURSE_WORD
from moe_labs.notebooks.catalogue import find_labs, installed_labs
from moe_labs.notebooks.generate import STUB, TEXT_STUB, solution_copy, write_notebook

CONFIG = '''"""nbgrader's settings for this course: run every command of nbgrader in this folder."""

import os

c = get_config()  # noqa: F821 (nbgrader defines it)

c.CourseDirectory.course_id = {name!r}
c.ClearSolutions.code_stub = {{"python": {stub!r}}}
c.ClearSolutions.text_stub = {text_stub!r}

# A lab cuts itself short where this is set: its checks are the same, its trainings shorter. What
# TensorFlow says of itself would count as an error.
os.environ.setdefault("MOE_KERAS_LAB", "quick")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# This course's own: hidden tests draw their cases from it. Change it, and grading may judge anew.
os.environ.setdefault({variable!r}, {word!r})
# For `nbgrader autograde`, which knows no other limit; `moe-labs course autograde` has its own.
c.Execute.timeout = 180
c.Execute.iopub_timeout = 30
'''

README = """# {name}

An nbgrader course, made by `moe-labs course init` from moe_keras {version}.

    source/LAB/LAB.ipynb    the labs with solutions, marks and hidden tests: never hand these out
    nbgrader_config.py      nbgrader's settings
    requirements.txt        the versions that the labs are graded with

In this folder:

1. `nbgrader generate_assignment LAB` makes `release/LAB/LAB.ipynb`, the students' copy, and enters
   the assignment in `gradebook.db`.
2. `moe-labs course collect . LAB download.zip` sorts a learning platform's download; what student
   ada hands in is then in `submitted/ada/LAB/`.
3. `moe-labs course autograde . LAB` grades all of them, each within limits, and shows the marks.
4. Run `jupyter lab` and choose Formgrader in the menu Nbgrader: there you mark questions by hand.
5. `nbgrader generate_feedback LAB` makes `feedback/ada/LAB/LAB.html`.

The labs here are: {labs}
"""


def create_course(folder, numbers=(), notebooks=None):
    """Lay out an nbgrader course: sources, settings, an environment file and a README.

    Args:
        folder: where it goes; a new folder, or one that is empty.
        numbers: numbers of the labs wanted, such as ``["01"]``. Default: all.
        notebooks: the folder ``notebooks`` of a checkout or of a variant. Default: the labs of the
            installed package.

    Returns:
        The folder, a `pathlib.Path`.

    Raises:
        FileExistsError: if something lies in the folder already.
        ValueError: if a number names no lab.
    """
    folder = Path(folder).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"Expected a new folder, or an empty one. Received: {folder}, where something lies. "
            "(Nothing was changed: name another folder.)"
        )
    labs = find_labs(notebooks, numbers) if notebooks else installed_labs(numbers)
    for lab in labs:
        write_notebook(solution_copy(lab), folder / "source" / lab.slug / f"{lab.slug}.ipynb")
    write_text(
        folder / "nbgrader_config.py",
        CONFIG.format(
            name=folder.name,
            stub=STUB,
            text_stub=TEXT_STUB,
            variable=COURSE_WORD,
            word=secrets.token_hex(8),
        ),
    )
    write_text(folder / "requirements.txt", f"{_package()}\n{pins()}")
    slugs = ", ".join(f"`{lab.slug}`" for lab in labs)
    write_text(
        folder / "README.md",
        README.format(name=folder.name, version=version(PACKAGE), labs=slugs),
    )
    return folder


def _package():
    """The line of requirements.txt for the package itself."""
    if repository():
        return requirement(*EXTRAS)
    return (
        "# moe-keras is on no index: pip takes it from a folder with its wheel, --find-links DIR.\n"
        f"{WITH_EXTRAS}=={version(PACKAGE)}"
    )
