"""Run one notebook top to bottom, and say all the while where it is."""

import os
import time

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert.filters import strip_ansi
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from moe_common.terminal import Words, show
from moe_labs.notebooks.client import KernelIdle, LabClient
from moe_labs.notebooks.generate import METADATA

TRACEBACK_LINES = 15
WIDGET = "application/vnd.jupyter.widget-view+json"


class LabFailed(RuntimeError):
    """A cell raised an error or its kernel failed; the message says where, and how it ended."""


def execute(lab, notebook, console, quick=False):
    """Execute a notebook in place, in the folder of the lab's solution, and tidy it.

    Args:
        lab: the `Lab` it belongs to.
        notebook: notebook node; its outputs are filled in, up to the error if there is one.
        console: `rich.console.Console` for the progress.
        quick: whether the lab shall cut itself short (``MOE_KERAS_LAB=quick``).

    Raises:
        LabFailed: if a cell raised an error, or the kernel died or was idle.
    """
    lab.solution.parent.mkdir(parents=True, exist_ok=True)
    with _LabProgress(lab, notebook, console) as progress:
        client = LabClient(
            notebook,
            resources={"metadata": {"path": str(lab.solution.parent)}},
            record_timing=False,
            coalesce_streams=True,
            on_cell_start=progress.cell_starts,
        )
        try:
            client.execute(env=kernel_environment(quick))
        except (CellExecutionError, DeadKernelError, KernelIdle) as error:
            raise LabFailed(progress.failure(error)) from error
    tidy(notebook)


def tidy(notebook):
    """Remove what differs everywhere: TensorFlow's chat on stderr, the kernel's details.

    Sliders go too: without their kernel they move nothing.
    """
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_passing(output)]


def _is_passing(output):
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def kernel_environment(quick):
    """The environment variables that a lab runs with."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("MOE_KERAS_LAB", None)
    return environment | ({"MOE_KERAS_LAB": "quick"} if quick else {})


class _LabProgress:
    """A bar in a terminal; elsewhere, such as in a log, one line for each section."""

    def __init__(self, lab, notebook, console):
        self.lab = lab
        self.notebook = notebook
        self.console = console
        self.section = ""
        self.cell_number = 0
        self.bar = Progress(
            Words("Lab {task.fields[number]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            Words("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self):
        self.bar.start()
        self.start = time.monotonic()
        self.task = self.bar.add_task(
            self.lab.title, total=len(self.notebook.cells), number=self.lab.number
        )
        return self

    def __exit__(self, *exception):
        self.bar.stop()

    def cell_starts(self, cell, cell_index):
        """nbclient's hook, called for every cell, text included."""
        self.cell_number = cell_index + 1
        heading = _heading(cell)
        if heading:
            self.section = heading
            if self.bar.disable:
                seconds = round(time.monotonic() - self.start)
                show(
                    self.console,
                    f"Lab {self.lab.number}  cell {self.cell_number}/{len(self.notebook.cells)}  "
                    f"{seconds // 60}:{seconds % 60:02}  {heading}",
                )
        self.bar.update(self.task, completed=self.cell_number, description=self.section)

    def failure(self, error):
        if isinstance(error, CellExecutionError):
            cell = self.notebook.cells[self.cell_number - 1]
            raised = next(out for out in cell.outputs if out.output_type == "error")
            lines = strip_ansi("\n".join(raised.traceback)).splitlines()
        elif isinstance(error, KernelIdle):
            lines = [str(error)]
        else:
            lines = [
                "The kernel died; most often because the machine ran out of memory. "
                "Close other programs and try again."
            ]
        return "\n".join(
            [
                f"Lab {self.lab.number} stopped in cell {self.cell_number} of "
                f"{len(self.notebook.cells)}, in the section '{self.section}':",
                *lines[-TRACEBACK_LINES:],
            ]
        )


def _heading(cell):
    if cell.cell_type != "markdown":
        return None
    headings = [line for line in cell.source.splitlines() if line.startswith("#")]
    return headings[0].lstrip("#").strip() if headings else None
