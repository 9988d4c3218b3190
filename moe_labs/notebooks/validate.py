"""Check the committed labs: copies up to date, solutions executed, their outputs still true."""

import os
import subprocess
import sys
from importlib.resources import as_file, files
from importlib.util import find_spec

import psutil

from moe_common.stopping import keeping
from moe_labs.notebooks.execute import kernel_environment
from moe_labs.notebooks.generate import committed_solution, drift

CELL_TIMEOUT_SECONDS = 600
# Two labs side by side take this much at most, and leave room for the rest of the machine.
ROOM_FOR_TWO = 8e9


def stale(lab):
    """What is wrong with a lab's committed copies, without running anything.

    Returns:
        List of sentences, empty if all is well.
    """
    notebook = committed_solution(lab)
    return drift(lab) + ([] if notebook is None else unfinished(lab, notebook))


def unfinished(lab, notebook):
    """What a solution lacks to be compared with and to be read by everyone.

    A notebook without outputs would pass nbval, which has nothing to compare it with.
    """
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(counts) + 1)):
        found.append(
            f"solutions/{lab.solution.name}: not executed once from the first cell to the last."
        )
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            silent = [
                kind
                for kind in output.get("data", {})
                if kind.startswith("image/") and not output.metadata.get(kind, {}).get("alt")
            ]
            if silent:
                found.append(
                    f"solutions/{lab.solution.name}, cell {number}: an image without alternative "
                    "text."
                )
    return found


def side_by_side(labs):
    """pytest's options to run two labs at a time, where cores, memory and pytest-xdist allow it."""
    room = psutil.virtual_memory().available > ROOM_FOR_TWO and (os.cpu_count() or 1) > 1
    if len(labs) < 2 or not room or find_spec("xdist") is None:
        return []
    return ["--numprocesses=2", "--dist=loadfile"]


def compare_outputs(labs):
    """Run the solutions in quick mode with nbval and compare what they print with what is stored.

    Returns:
        pytest's exit status, 0 if all agrees.
    """
    with as_file(files("moe_labs.notebooks") / "nbval_sanitise.cfg") as sanitise:
        command = [
            *(sys.executable, "-m", "pytest", "-p", "moe_labs.notebooks.nbval_plugin"),
            *("--nbval", "--nbval-current-env", f"--nbval-sanitize-with={sanitise}"),
            f"--nbval-cell-timeout={CELL_TIMEOUT_SECONDS}",
            *side_by_side(labs),
            *(str(lab.solution) for lab in labs),
        ]
        environment = kernel_environment(quick=True)
        # In a session of its own pytest does not hear Ctrl-C, and prints nothing about it.
        with keeping(lambda: "The labs were only read; nothing was changed."):
            return subprocess.run(command, env=environment, start_new_session=True).returncode
