"""Badges and the cell that installs the package, in students' copies."""

import nbformat
import pytest

from moe_labs.notebooks.generate import drift, solution_copy, student_copy, write_notebook

TWO_CELLS = ["badges", "install"]


@pytest.fixture
def set_address(lab):
    def set_address(address):
        text = f'[project]\nname = "x"\n[project.urls]\nRepository = "{address}"\n'
        (lab.notebooks.parent / "pyproject.toml").write_text(text)

    return set_address


def test_without_an_address_a_copy_has_the_cells_of_its_source_alone(lab):
    ids = [cell.id for cell in student_copy(lab).cells]
    assert ids == [cell.id for cell in solution_copy(lab).cells]
    (lab.notebooks.parent / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert [cell.id for cell in student_copy(lab).cells] == ids


def test_an_address_on_github_brings_badges_and_a_cell_that_installs(lab, set_address):
    bare = [cell.id for cell in student_copy(lab).cells]
    set_address("https://github.com/some-one/repo")
    notebook = student_copy(lab)
    nbformat.validate(notebook)
    assert notebook.cells[0].id == "badges"
    assert "github/some-one/repo/blob/main/notebooks/01_sums.ipynb" in notebook.cells[0].source
    assert "labpath=notebooks%2F01_sums.ipynb" in notebook.cells[0].source
    first_code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first_code.id == "install"
    assert '"moe-keras @ git+https://github.com/some-one/repo"' in first_code.source
    assert [cell.id for cell in notebook.cells if cell.id not in TWO_CELLS] == bare


def test_elsewhere_there_is_no_badge_but_the_cell(lab, set_address):
    set_address("https://gitlab.com/some-one/repo")
    ids = [cell.id for cell in student_copy(lab).cells]
    assert "badges" not in ids
    assert "install" in ids


def test_the_cell_installs_only_where_the_package_is_missing(lab, set_address, monkeypatch):
    from importlib import util

    from IPython.core.inputtransformer2 import TransformerManager

    set_address("https://github.com/some-one/repo")
    source = next(cell.source for cell in student_copy(lab).cells if cell.id == "install")
    code = TransformerManager().transform_cell(source)
    ran = []

    class Shell:
        def run_line_magic(self, *words):
            ran.append(words)

    exec(code, {"get_ipython": Shell})
    assert ran == []  # it is there: these tests run with it
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    exec(code, {"get_ipython": Shell})
    assert len(ran) == 1
    assert ran[0][0] == "pip"
    assert ran[0][1].startswith("install")


def test_the_way_in_is_no_part_of_the_solution_and_of_the_source(lab, set_address):
    set_address("https://github.com/some-one/repo")
    write_notebook(student_copy(lab), lab.student_copy)
    write_notebook(solution_copy(lab), lab.solution)
    assert drift(lab) == []
    assert not {"badges", "install"} & {cell.id for cell in solution_copy(lab).cells}
