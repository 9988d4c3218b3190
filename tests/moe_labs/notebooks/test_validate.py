import re
from importlib.resources import files
from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_output
from nbval.plugin import get_sanitize_patterns
from rich.console import Console

from moe_labs.notebooks.generate import committed_solution, solution_copy, write_notebook
from moe_labs.notebooks.store import store
from moe_labs.notebooks.validate import compare_outputs, side_by_side, stale, unfinished


def test_a_solution_without_outputs_does_not_pass(lab):
    write_notebook(solution_copy(lab), lab.solution)
    assert "solutions/01_sums.ipynb: not executed once from the first cell to the last." in stale(
        lab
    )


def test_an_image_needs_alternative_text(lab):
    notebook = solution_copy(lab)
    image = new_output("display_data", data={"image/png": "aGVsbG8="})
    notebook.cells = [new_code_cell("plot()", execution_count=1, outputs=[image])]
    (complaint,) = unfinished(lab, notebook)
    assert "cell 1: an image without alternative text" in complaint
    image.metadata["image/png"] = {"alt": "A line that rises."}
    assert unfinished(lab, notebook) == []


def test_outputs_are_compared_without_stderr(write_lab, source, capfd):
    labs = [write_lab(source, name) for name in ("01_same", "02_other")]
    store(labs, Console(quiet=True))
    notebook = committed_solution(labs[1])
    notebook.cells[-1].outputs[0].text = "adding works: False\n"
    write_notebook(notebook, labs[1].solution)
    assert compare_outputs(labs) == 1
    shown = capfd.readouterr().out
    assert re.search(r"1 failed, 9 passed", shown)
    assert re.search(r"FAILED .*02_other.ipynb::Cell 4", shown)


@pytest.mark.parametrize(
    ("available", "cores", "labs", "at_a_time"),
    [(9e9, 2, 2, 2), (7e9, 2, 2, 1), (9e9, 1, 2, 1), (9e9, 2, 1, 1)],
)
def test_two_labs_at_a_time_where_there_is_room(monkeypatch, available, cores, labs, at_a_time):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=available))
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert bool(side_by_side([None] * labs)) == (at_a_time == 2)


@pytest.mark.parametrize(
    ("printed", "compared"),
    [
        ("trained in 12.3 s", "trained in DURATION"),
        ("about 40 seconds, 3 minutes", "about DURATION, DURATION"),
        ("accuracy 12.3 %", "accuracy 12.3 %"),
        ("12 samples, 3 sums", "12 samples, 3 sums"),
    ],
)
def test_what_is_replaced_before_outputs_are_compared(printed, compared):
    text = (files("moe_labs.notebooks") / "nbval_sanitise.cfg").read_text()
    for pattern, replacement in get_sanitize_patterns(text):
        printed = re.sub(pattern, replacement, printed)
    assert printed == compared
