import contextlib
import io
import sys

import psutil
import pytest
from rich.console import Console

from moe_labs.notebooks import client
from moe_labs.notebooks.execute import LabFailed, execute, kernel_environment
from moe_labs.notebooks.generate import METADATA, solution_copy
from moe_labs.notebooks.results import printed_values


def run(lab, quick=False):
    """Execute a lab and return its notebook and what was shown meanwhile."""
    notebook, shown = solution_copy(lab), io.StringIO()
    execute(lab, notebook, Console(file=shown, width=100), quick)
    return notebook, shown.getvalue()


def test_cells_run_once_in_order_and_progress_names_the_sections(lab):
    notebook, shown = run(lab, quick=True)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == [1, 2, 3, 4, 5]
    assert printed_values(notebook, "figures")["accuracy"] == "0.5"
    assert [line.split()[:4] for line in shown.splitlines()] == [
        ["Lab", "01", "cell", "1/7"],
        ["Lab", "01", "cell", "3/7"],
    ]
    assert shown.rstrip().endswith("Adding")


def test_what_says_nothing_of_the_lab_is_removed(lab):
    notebook, _ = run(lab)
    assert [[output.name for output in cell.outputs] for cell in notebook.cells[-2:]] == [
        ["stdout"],
        ["stdout"],
    ]
    assert notebook.metadata == METADATA


def test_sliders_are_removed(write_lab, source):
    slider = "import ipywidgets\nipywidgets.IntSlider()"
    notebook, _ = run(
        write_lab(source.replace("import os\nimport sys", f"import os, sys\n{slider}"))
    )
    assert notebook.cells[1].execution_count == 1
    assert notebook.cells[1].outputs == []


def test_what_a_cell_prints_bit_by_bit_is_one_output(write_lab, source):
    slowly = 'import time\nfor part in ("da", "ta: 3", " digits\\n"):\n'
    slowly += '    print(part, end="", flush=True)\n    time.sleep(0.3)'
    notebook, _ = run(write_lab(source.replace('print("data: three digits")', slowly)))
    assert printed_values(notebook, "figures")["data"] == "3 digits"


def test_the_kernel_is_this_python_whatever_is_installed_as_python3(
    write_lab, source, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "jupyter" / "kernels" / "python3"
    elsewhere.mkdir(parents=True)
    (elsewhere / "kernel.json").write_text(
        '{"argv": ["false"], "display_name": "x", "language": "x"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebook, _ = run(
        write_lab(source.replace('"data: three digits"', 'f"data: {sys.executable}"'))
    )
    assert printed_values(notebook, "figures")["data"] == sys.executable


def test_a_failing_cell_is_named_and_its_error_shown(write_lab, source):
    lab = write_lab(source.replace("return a + b", "return a - b"))
    with pytest.raises(LabFailed) as failure:
        run(lab)
    first, *_, last = str(failure.value).splitlines()
    assert first == "Lab 01 stopped in cell 5 of 7, in the section 'Adding':"
    assert last.startswith("AssertionError")
    assert "\x1b" not in str(failure.value)


def test_a_kernel_that_dies_is_told_with_the_likely_reason(write_lab, source):
    lab = write_lab(source.replace("assert add(1, 2) == 3", "os._exit(1)"))
    with pytest.raises(LabFailed, match="ran out of memory"):
        run(lab)


BACKGROUND = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)\n"


@pytest.mark.parametrize("ending", ["assert add(1, 2) == 3", "assert False", "os._exit(1)"])
def test_nothing_is_left_of_a_kernel(write_lab, source, ending):
    lab = write_lab(source.replace("assert add(1, 2) == 3", BACKGROUND + ending))
    before = psutil.Process().children(recursive=True)
    with contextlib.suppress(LabFailed):
        run(lab)
    left = set(psutil.Process().children(recursive=True)) - set(before)
    assert {each for each in left if each.status() != psutil.STATUS_ZOMBIE} == set()


LOST = """
session = get_ipython().kernel.session
send = session.send
session.send = lambda stream, what, *rest, **more: (
    None if what == "execute_reply" else send(stream, what, *rest, **more)
)
import time; time.sleep(1)
"""


def test_a_kernel_that_is_idle_without_having_said_so_is_told(write_lab, source, monkeypatch):
    monkeypatch.setattr(client, "SHORT_SECONDS", 0.1)
    monkeypatch.setattr(client.LabClient, "idle_seconds", 0.5)
    lab = write_lab(source.replace("assert add(1, 2) == 3", LOST))
    with pytest.raises(LabFailed, match=r"cell 5 of 7.*\n.*idle for 0.5 seconds"):
        run(lab)


@pytest.mark.parametrize("waiting", ["import time; time.sleep(2)", "await asyncio.sleep(2)"])
def test_a_cell_that_waits_is_not_idle(write_lab, source, monkeypatch, waiting):
    monkeypatch.setattr(client, "SHORT_SECONDS", 0.1)
    monkeypatch.setattr(client.LabClient, "idle_seconds", 0.5)
    run(write_lab(source.replace("assert add(1, 2) == 3", f"import asyncio; {waiting}")))


def test_quick_mode_is_what_the_caller_says(monkeypatch):
    monkeypatch.setenv("MOE_KERAS_LAB", "quick")
    assert "MOE_KERAS_LAB" not in kernel_environment(quick=False)
    assert kernel_environment(quick=True)["MOE_KERAS_LAB"] == "quick"
    assert kernel_environment(quick=True)["TF_CPP_MIN_LOG_LEVEL"] == "3"
