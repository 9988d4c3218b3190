import nbformat
import pytest

from moe_labs.notebooks.generate import (
    committed_solution,
    drift,
    solution_copy,
    student_copy,
    write_notebook,
)


def cell(notebook, grade_id):
    return next(cell for cell in notebook.cells if cell.id == grade_id)


def test_the_student_gets_an_indented_stub_for_each_solution(lab):
    assert cell(student_copy(lab), "add").source == (
        'def add(a, b):\n    """The sum."""\n'
        "    # TODO: your code here\n    raise NotImplementedError"
    )


def test_a_solution_cell_without_markers_is_replaced_whole(write_lab, source):
    text = source.replace("    ### BEGIN SOLUTION\n", "").replace("    ### END SOLUTION\n", "")
    assert cell(student_copy(write_lab(text)), "add").source == (
        "# TODO: your code here\nraise NotImplementedError"
    )


def test_no_solution_marker_or_hidden_test_reaches_the_student(lab):
    text = nbformat.writes(student_copy(lab))
    for secret in ("return a + b", "add(-1, 1)", "BEGIN", "END", "HIDDEN"):
        assert secret not in text
    assert "assert add(1, 2) == 3" in text


def test_graded_cells_cannot_be_deleted_and_carry_a_checksum(lab):
    test = cell(student_copy(lab), "add-test")
    assert (test.metadata.deletable, test.metadata.editable) == (False, False)
    assert len(test.metadata.nbgrader.checksum) == 32


def test_the_solution_keeps_solution_and_hidden_tests(lab):
    solved = solution_copy(lab)
    assert "return a + b" in cell(solved, "add").source
    assert "add(-1, 1)" in cell(solved, "add-test").source


def test_copies_carry_no_metadata_of_the_source(lab):
    for notebook in (student_copy(lab), solution_copy(lab)):
        assert set(notebook.metadata) == {"kernelspec", "language_info"}
        assert not any("lines_to_next_cell" in cell.metadata for cell in notebook.cells)


def test_generating_twice_gives_the_same_bytes(lab, tmp_path):
    for name in ("a", "b"):
        write_notebook(student_copy(lab), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_new_cell_leaves_the_ids_of_the_others(lab, write_lab, source):
    before = [cell.id for cell in student_copy(lab).cells]
    more = source.replace(
        "# %% [markdown]\n# ## Adding", "# %%\n1 + 1\n\n# %% [markdown]\n# ## Adding"
    )
    after = [cell.id for cell in student_copy(write_lab(more)).cells]
    assert len(after) == len(before) + 1
    assert [name for name in after if name in before] == before


def test_cells_that_say_the_same_have_different_ids(write_lab, source):
    ids = [cell.id for cell in student_copy(write_lab(source + "\n# %%\n1\n\n# %%\n1\n")).cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("    ### BEGIN SOLUTION\n", "", "as many BEGIN as END SOLUTION"),
        ("    ### END SOLUTION\n", "", "as many BEGIN as END SOLUTION"),
        ("### BEGIN HIDDEN TESTS\n", "", "as many BEGIN as END HIDDEN TESTS"),
        ("BEGIN SOLUTION\n", "BEGIN SOLUTION\n    ### BEGIN SOLUTION\n", "as many BEGIN"),
        ("### BEGIN HIDDEN TESTS", "### begin hidden tests", "as many BEGIN"),
        ('"grade": true', '"grade": false', "Hidden test region detected in a non-grade cell"),
        ('"solution": true', '"solution": false', "Solution region detected in a non-solution"),
        ('"add-test"', '"add"', "Duplicate grade id"),
        ('"points": 1, ', "", "does not have points"),
        ('"schema_version": 3', '"schema_version": 1', "Outdated schema version"),
    ],
)
def test_wrong_marks_are_refused(write_lab, source, right, wrong, message):
    with pytest.raises(ValueError, match=message):
        student_copy(write_lab(source.replace(right, wrong)))


def test_markers_that_nbgrader_does_not_know_do_not_reach_the_student(write_lab, source):
    text = source.replace(
        "# %%\nimport os", "# %%\n### begin solution\n### end solution\nimport os"
    )
    with pytest.raises(ValueError, match="would reach the student"):
        student_copy(write_lab(text))


def test_drift_is_told_until_both_copies_are_what_the_source_makes(lab, write_lab, source):
    assert len(drift(lab)) == 2
    write_notebook(student_copy(lab), lab.student_copy)
    assert drift(lab) == ["solutions/01_sums.ipynb: its cells are not those of the source."]
    write_notebook(solution_copy(lab), lab.solution)
    assert drift(lab) == []
    write_lab(source.replace("Some text.", "Some other text."))
    assert len(drift(lab)) == 2


def test_outputs_of_the_solution_are_no_drift_but_metadata_is(lab):
    write_notebook(student_copy(lab), lab.student_copy)
    notebook = solution_copy(lab)
    notebook.cells[1].execution_count = 1
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    write_notebook(notebook, lab.solution)
    assert drift(lab) == []
    assert committed_solution(lab).cells[1].outputs[0].text == "hello"
    notebook.cells[-1].metadata.tags = []
    write_notebook(notebook, lab.solution)
    assert len(drift(lab)) == 1


def test_outputs_in_a_student_copy_are_drift(lab):
    notebook = student_copy(lab)
    notebook.cells[1].execution_count = 1
    write_notebook(notebook, lab.student_copy)
    write_notebook(solution_copy(lab), lab.solution)
    assert drift(lab) == ["01_sums.ipynb: the student's copy is not what the source makes."]
