"""The committed copies: written anew from the sources, with outputs fit to be kept."""

import os
import sys
import tempfile
from pathlib import Path

from moe_common.stopping import keeping
from moe_common.terminal import show
from moe_labs.notebooks.execute import execute
from moe_labs.notebooks.generate import (
    committed_solution,
    same_cells,
    solution_copy,
    student_copy,
    write_notebook,
)
from moe_labs.notebooks.results import printed_values


def store(labs, console, force=False):
    """Write each lab's student copy and its executed solution.

    A solution whose cells are still those of the source keeps its outputs; the others run in full,
    on the real data.

    Args:
        labs: list of `Lab`.
        console: `rich.console.Console` for the progress.
        force: whether to run every solution.

    Raises:
        ValueError: if what a run printed must not be kept, as `require_keepable` says; the solution
            stored before stays.
        LabFailed: if a cell of a solution raised an error.
    """
    for lab in labs:
        write_notebook(student_copy(lab), lab.student_copy)
        if same_cells(lab, committed_solution(lab)) and not force:
            show(console, f"Lab {lab.number}: the solution is up to date")
            continue
        notebook = solution_copy(lab)
        with keeping(lambda lab=lab: f"The solution of lab {lab.number} is the one stored before."):
            execute(lab, notebook, console)
        require_keepable(lab, notebook)
        write_notebook(notebook, lab.solution)


def require_keepable(lab, notebook):
    """Refuse outputs that a reader of the repository must not meet.

    Raises:
        ValueError: if the lab ran on a stand-in for its data or does not say what it ran on, or if
            an output shows a folder of this machine.
    """
    data = printed_values(notebook, "figures").get("data", "")
    if not data or data.startswith("stand-in"):
        raise ValueError(
            f"Lab {lab.number}: expected outputs from real data, with a line 'data: ...' in a cell "
            f"tagged 'figures'. Received: data: {data or 'no such line'}\n"
            "The solution stored before is kept. Set MOE_KERAS_DATA to the folder of the datasets, "
            "or go online, and try again."
        )
    for number, cell in enumerate(notebook.cells, 1):
        for text in _texts(cell):
            shown = [folder for folder in _folders_of_this_machine(lab) if folder in text]
            if shown:
                raise ValueError(
                    f"Lab {lab.number}, cell {number}: expected outputs without folders of this "
                    f"machine. Received {shown[0]} in:\n{text[:500]}"
                )


def _texts(cell):
    """What an output says in words: no base64 of an image, where a path may appear by chance."""
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield from (
            str(value) for kind, value in output.get("data", {}).items() if "image/" not in kind
        )


def _folders_of_this_machine(lab):
    folders = [lab.notebooks.parent, Path.home(), sys.prefix, tempfile.gettempdir()]
    if os.environ.get("MOE_KERAS_DATA"):
        folders.append(Path(os.environ["MOE_KERAS_DATA"]).resolve())
    return [f"{folder}" for folder in folders if len(Path(folder).parts) > 1]
