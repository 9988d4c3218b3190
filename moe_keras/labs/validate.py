"""Check the committed labs: copies up to date, solutions executed, their outputs still true."""

import subprocess
import sys
from importlib.resources import as_file, files

from moe_keras.labs.execute import kernel_environment
from moe_keras.labs.generate import committed_solution, drift

CELL_TIMEOUT_SECONDS = 600


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


def compare_outputs(labs):
    """Run the solutions in quick mode with nbval and compare what they print with what is stored.

    Returns:
        pytest's exit status, 0 if all agrees.
    """
    with as_file(files("moe_keras.labs") / "nbval_sanitise.cfg") as sanitise:
        command = [
            *(sys.executable, "-m", "pytest", "-p", "moe_keras.labs.nbval_plugin"),
            *("--nbval", "--nbval-current-env", f"--nbval-sanitize-with={sanitise}"),
            f"--nbval-cell-timeout={CELL_TIMEOUT_SECONDS}",
            *(str(lab.solution) for lab in labs),
        ]
        return subprocess.run(command, env=kernel_environment(quick=True)).returncode
