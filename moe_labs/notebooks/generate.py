"""A lab's two copies from its one source, and whether the committed copies still agree with it."""

import hashlib
import re
from copy import deepcopy

import jupytext
import nbformat
from jsonschema import ValidationError
from nbgrader.nbgraderformat import MetadataValidator, SchemaTooNewError, SchemaTooOldError
from nbgrader.preprocessors import (
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)

from moe_common.files import write_text
from moe_common.install import repository, requirement
from moe_labs.notebooks.readme import badges
from moe_labs.notebooks.source import written_out

STUB = "# TODO: your code here\nraise NotImplementedError"
TEXT_STUB = "Your answer here."
# Only what Colab lacks: with the extra `labs` its own Jupyter would be replaced under its feet.
INSTALL = """\
# Where the package is missing, as on Colab, install it. That takes some minutes, once.
import importlib.util

if importlib.util.find_spec("moe_keras") is None:
    %pip install --quiet "{package}" pandas scikit-learn\
"""
REGIONS = ("SOLUTION", "HIDDEN TESTS")
MARKER = re.compile(r"\b(BEGIN|END)\s+(SOLUTION|HIDDEN)", re.IGNORECASE)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def solution_copy(lab):
    """The solved notebook, not executed: the source with stable cell ids and checked marks.

    Raises:
        ValueError: if a marker lacks its partner or nbgrader finds the marks wrong.
    """
    notebook = jupytext.reads(written_out(lab), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    _name_cells(notebook.cells)
    for cell in notebook.cells:
        _require_paired_markers(lab, cell)
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's note on the source's layout
    try:
        MetadataValidator().validate_nb(notebook)
    except (KeyError, ValidationError, SchemaTooOldError, SchemaTooNewError) as error:
        raise ValueError(
            f"{lab.source}: expected the marks that nbgrader asks for. Received: {error}"
        ) from error
    return notebook


def student_copy(lab):
    """The notebook for the student: every solution replaced by a stub, no hidden tests, no outputs.

    Where the repository's address is set, badges stand at its top, and its first code cell installs
    the package if that is missing.

    Raises:
        ValueError: if the source's marks are wrong, or a marker would reach the student.
    """
    notebook = solution_copy(lab)
    try:
        for clear in (
            ClearSolutions(code_stub={"python": STUB}, text_stub=TEXT_STUB),
            ClearHiddenTests(),
            LockCells(),
            ClearOutput(),
            ComputeChecksums(),
        ):
            notebook, _ = clear.preprocess(notebook, {})
    except RuntimeError as error:
        raise ValueError(
            f"{lab.source}: expected regions that nbgrader can clear. Received: {error}"
        ) from error
    for cell in notebook.cells:
        if MARKER.search(cell.source):
            raise ValueError(
                f"{lab.source}: expected markers written as nbgrader knows them, such as "
                "### BEGIN SOLUTION. Received: a cell in which one would reach the student:\n"
                f"{cell.source}"
            )
    _add_way_in(lab, notebook)
    return notebook


def _add_way_in(lab, notebook):
    """How to open the notebook, and to run it, where nothing is installed."""
    address = repository(lab.notebooks.parent)
    if address is None:
        return
    first_code = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    source = INSTALL.format(package=requirement(address=address))
    install = nbformat.v4.new_code_cell(source, id="install")
    notebook.cells.insert(first_code, install)
    links = badges(f"notebooks/{lab.student_copy.name}", address)
    if links:
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell("\n".join(links), id="badges"))


def drift(lab):
    """How the committed copies differ from what the source makes now.

    Outputs of the solution are left out: they are what its check compares by running it.

    Returns:
        List of sentences, empty if both copies are up to date.
    """
    found = []
    student = nbformat.writes(student_copy(lab)) + "\n"
    if not lab.student_copy.exists() or lab.student_copy.read_text("utf-8") != student:
        found.append(f"{lab.student_copy.name}: the student's copy is not what the source makes.")
    if not same_cells(lab, committed_solution(lab)):
        found.append(f"solutions/{lab.solution.name}: its cells are not those of the source.")
    return found


def same_cells(lab, notebook):
    """Whether a notebook is the lab's solution, apart from outputs and execution counts."""
    if notebook is None:
        return False
    bare, _ = ClearOutput().preprocess(deepcopy(notebook), {})
    return nbformat.writes(bare) == nbformat.writes(solution_copy(lab))


def committed_solution(lab):
    """The solution as it lies in the checkout, or None."""
    return nbformat.read(lab.solution, as_version=4) if lab.solution.exists() else None


def write_notebook(notebook, path):
    """Write a notebook whole or not at all; the same notebook gives the same bytes."""
    nbformat.validate(notebook)
    write_text(path, nbformat.writes(notebook) + "\n")


def _require_paired_markers(lab, cell):
    """nbgrader drops an END without its BEGIN silently, and what stands above it would be shown."""
    for region in REGIONS:
        begins, ends = (cell.source.count(f"{side} {region}") for side in ("BEGIN", "END"))
        if begins != ends:
            raise ValueError(
                f"{lab.source}: expected as many BEGIN as END {region} in a cell. "
                f"Received: {begins} and {ends} in\n{cell.source}"
            )


def _name_cells(cells):
    """Ids from what a cell says: generating again changes none, and a new cell only its own."""
    taken = set()
    for cell in cells:
        said = f"{cell.cell_type}\n{cell.source}"
        name = cell.metadata.get("nbgrader", {}).get("grade_id") or _digest(said)
        while name in taken:
            name = _digest(name)
        taken.add(name)
        cell.id = name


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:8]
