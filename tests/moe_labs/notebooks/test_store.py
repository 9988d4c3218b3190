import io
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from rich.console import Console

from moe_labs.notebooks import store as store_module
from moe_labs.notebooks.generate import drift, solution_copy, write_notebook
from moe_labs.notebooks.store import require_keepable, store
from moe_labs.notebooks.validate import stale


def quietly(lab, **options):
    store([lab], Console(file=io.StringIO()), **options)


def test_copies_are_stored_executed_and_without_noise(lab):
    quietly(lab)
    assert stale(lab) == []
    text = lab.solution.read_text()
    assert "accuracy: 0.75" in text  # a full run, not a quick one
    assert '"name": "stderr"' not in text
    assert "timestamp" not in text
    assert '"version"' not in text


def test_an_unchanged_solution_is_not_run_again_unless_forced(lab, monkeypatch):
    write_notebook(solution_copy(lab), lab.solution)
    ran = []
    monkeypatch.setattr(store_module, "execute", lambda lab, notebook, console: ran.append(lab))
    monkeypatch.setattr(store_module, "require_keepable", lambda lab, notebook: None)
    quietly(lab)
    assert ran == []
    assert drift(lab) == []
    quietly(lab, force=True)
    assert ran == [lab]


def test_outputs_from_a_stand_in_are_refused_and_the_old_ones_kept(write_lab, source):
    old = "the solution stored before"
    lab = write_lab(source.replace("data: three digits", "data: stand-in for MNIST"))
    lab.solution.parent.mkdir()
    write_notebook(solution_copy(lab), lab.solution)
    notebook = solution_copy(lab)
    notebook.cells[0].source = old
    write_notebook(notebook, lab.solution)
    with pytest.raises(ValueError, match="MOE_KERAS_DATA"):
        quietly(lab)
    assert old in lab.solution.read_text()


def printing(text):
    return new_notebook(
        cells=[
            new_code_cell(
                outputs=[new_output("stream", name="stdout", text=text)],
                metadata={"tags": ["figures"]},
            )
        ]
    )


def test_a_lab_must_say_what_it_ran_on(lab):
    with pytest.raises(ValueError, match="no such line"):
        require_keepable(lab, printing("accuracy: 1\n"))


def test_folders_of_this_machine_are_refused(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("MOE_KERAS_DATA", "/some/where/datasets")
    for folder in (tmp_path, Path("/some/where/datasets")):
        with pytest.raises(ValueError, match="without folders of this machine"):
            require_keepable(lab, printing(f"data: MNIST\nread from: {folder}/mnist.npz\n"))
    require_keepable(lab, printing("data: MNIST\nread from: a local file\n"))


def test_a_path_in_an_image_by_chance_is_no_path(lab, tmp_path):
    notebook = printing("data: MNIST\n")
    notebook.cells[0].outputs.append(new_output("display_data", data={"image/png": f"{tmp_path}="}))
    require_keepable(lab, notebook)
