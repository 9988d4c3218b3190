"""Run labs for a reader: executed copies, pages and one closing table."""

import time
from pathlib import Path

from moe_common.files import write_text
from moe_common.stopping import keeping
from moe_common.terminal import show
from moe_labs.notebooks.execute import LabFailed, execute
from moe_labs.notebooks.generate import solution_copy, write_notebook
from moe_labs.notebooks.html import to_html
from moe_labs.notebooks.memory import PeakMemory
from moe_labs.notebooks.results import read_result, show_results, to_json


def run(labs, output, console, quick=False):
    """Execute the solved labs one after the other.

    Under ``output`` come the executed notebook and its page for each lab, and ``summary.json``. A
    lab that fails leaves ``NN_name.failed.ipynb``, executed as far as it came; the rest still run.

    Args:
        labs: list of `Lab`.
        output: folder to write to.
        console: `rich.console.Console` for the progress and the table.
        quick: whether the labs shall cut themselves short.

    Returns:
        List of `Result`, one for each lab.
    """
    output = Path(output)
    results = []
    show(console, how_long(labs, quick))
    with keeping(lambda: _kept(results, output)):
        for lab in labs:
            results.append(_run_one(lab, output, console, quick))
            write_text(output / "summary.json", to_json(results, quick) + "\n")
    show_results(console, results)
    show(console, f"Executed labs: {output}")
    return results


def how_long(labs, quick):
    """What to expect, before it starts."""
    minutes = len(labs) if quick else sum(lab.minutes for lab in labs)
    count = f"{len(labs)} labs" if len(labs) > 1 else f"lab {labs[0].number}"
    line = f"Running {count}: about {minutes} minutes on two idle cores with AVX-512, three to "
    line += "four times as long without. Ctrl-C stops all of it."
    return line + (" One lab alone: make labs LAB=01" if len(labs) > 1 else "")


def _kept(results, output):
    ended = ", ".join(result.lab for result in results)
    return f"Finished labs in {output}: {ended or 'none'}. The lab that was running left nothing."


def _run_one(lab, output, console, quick):
    notebook = solution_copy(lab)
    failed_copy = output / f"{lab.slug}.failed.ipynb"
    failed_copy.unlink(missing_ok=True)
    failure = ""
    start = time.monotonic()
    with PeakMemory() as peak:
        try:
            execute(lab, notebook, console, quick)
        except LabFailed as error:
            failure = str(error)
    seconds = time.monotonic() - start
    if failure:
        write_notebook(notebook, failed_copy)
        show(console, f"{failure}\nThe lab as far as it came: {failed_copy}")
    else:
        write_notebook(notebook, output / f"{lab.slug}.ipynb")
        write_text(output / f"{lab.slug}.html", to_html(lab, notebook))
    return read_result(lab, notebook, seconds, peak.gigabytes, failure)
