"""Run labs for a reader: executed copies, pages and one closing table."""

import time
from pathlib import Path

from moe_keras.files import write_text
from moe_keras.labs.execute import LabFailed, execute
from moe_keras.labs.generate import solution_copy, write_notebook
from moe_keras.labs.html import to_html
from moe_keras.labs.results import read_result, to_json, to_table


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
    for lab in labs:
        results.append(_run_one(lab, output, console, quick))
        write_text(output / "summary.json", to_json(results, quick) + "\n")
    console.print(to_table(results))
    console.print(f"Executed labs: {output}", soft_wrap=True)
    return results


def _run_one(lab, output, console, quick):
    notebook = solution_copy(lab)
    failed_copy = output / f"{lab.slug}.failed.ipynb"
    failed_copy.unlink(missing_ok=True)
    failure = ""
    start = time.monotonic()
    try:
        execute(lab, notebook, console, quick)
    except LabFailed as error:
        failure = str(error)
    seconds = time.monotonic() - start
    if failure:
        write_notebook(notebook, failed_copy)
        console.print(f"{failure}\nThe lab as far as it came: {failed_copy}", markup=False)
    else:
        write_notebook(notebook, output / f"{lab.slug}.ipynb")
        write_text(output / f"{lab.slug}.html", to_html(lab, notebook))
    return read_result(lab, notebook, seconds, failure)
