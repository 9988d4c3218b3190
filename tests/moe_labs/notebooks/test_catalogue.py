import pytest

from moe_labs.notebooks.catalogue import find_labs


def test_a_lab_knows_its_title_minutes_and_files(lab, tmp_path):
    assert (lab.number, lab.title, lab.minutes) == ("01", "sums and more", 5)
    assert lab.outcomes == "add two numbers"
    assert lab.student_copy == tmp_path / "notebooks" / "01_sums.ipynb"
    assert lab.solution == tmp_path / "notebooks" / "solutions" / "01_sums.ipynb"


def test_labs_come_in_order_and_can_be_chosen_by_number(write_lab, source, tmp_path):
    for name in ("10_last", "02_second", "01_first"):
        write_lab(source, name)
    notebooks = tmp_path / "notebooks"
    assert [lab.slug for lab in find_labs(notebooks)] == ["01_first", "02_second", "10_last"]
    assert [lab.slug for lab in find_labs(notebooks, ["2", "10"])] == ["02_second", "10_last"]


def test_the_checkout_is_found_from_a_folder_inside(lab, tmp_path, monkeypatch):
    inside = tmp_path / "notebooks" / "source"
    monkeypatch.chdir(inside)
    assert find_labs() == [lab]


def test_outside_a_checkout_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="--notebooks DIR"):
        find_labs()


def test_a_folder_without_labs(tmp_path):
    with pytest.raises(FileNotFoundError, match="01_name"):
        find_labs(tmp_path)


def test_an_unknown_number_is_named_with_those_there_are(lab):
    with pytest.raises(ValueError, match=r"are here: 01\. Received: 07"):
        find_labs(lab.notebooks, ["7"])


@pytest.mark.parametrize(
    "part", ["# # Lab 01: sums and more", "#     minutes: 5", "#     outcomes: add two numbers"]
)
def test_a_source_without_title_minutes_or_outcomes(write_lab, source, part):
    with pytest.raises(ValueError, match=r"01_sums\.py: expected a first heading"):
        write_lab(source.replace(part + "\n", ""))
