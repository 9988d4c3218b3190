"""No text in the table is computed, whatever separates the fields where it is opened."""

import csv

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from moe_labs.course.marks_table import Result, read_rows, write_row

IN_A_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
COMPUTED = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Of what matters here there is more than chance would give.
TEXT = st.text(st.sampled_from("ab1 ;,\t\n\"'=+-@|\uff1d"), max_size=30)
FORMULAS = [
    *("=1+1", " =1+1", "\t=1+1", "x;=1+1;y", "x; =1+1", "x;\t=1+1", 'x;"=1+1"', 'x; " =1"', ";;=1"),
    *("x\t=1+1", "x\n=1+1", "x;+1", "x;-1", "x;@SUM(1)", ";\uff1d1", '";=1', "a, b; =1", "'=1"),
    "x;=cmd|' /C calc'!A0",
]


def a_result(student, note, failure):
    figures = {"marks": 1.5, "out_of": 2, "by_hand": 0, "seconds": 1.5}
    return Result(student, **figures, failure=failure, notes=(note, note))


def computed(path, separator):
    """The fields that a spreadsheet would compute, where this separates them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=separator, strict=False))
    return [field for row in rows for field in row if field.strip(' "').startswith(COMPUTED)]


def fields_where(path, separator):
    """The same, where quotes count for nothing."""
    lines = path.read_text("utf-8-sig").splitlines()
    fields = [field for line in lines for field in line.split(separator)]
    return [field for field in fields if field.strip(' "').startswith(COMPUTED)]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_formulas_are_not_computed(tmp_path, formula, separator):
    path = tmp_path / "marks.csv"
    write_row(path, a_result(formula, formula, formula))
    write_row(path, a_result("ada", f"file renamed: {formula}", None))
    assert computed(path, separator) == []
    assert separator == "," or fields_where(path, separator) == []
    assert all(row["marks"] == "1.5" for row in read_rows(path).values())


@IN_A_FOLDER
@given(TEXT, TEXT, st.none() | TEXT, st.sampled_from(",;\t"))
@example("ada", "x;=1+1;y", None, ";")
def test_no_text_is_computed(tmp_path, student, note, failure, separator):
    path = tmp_path / "marks.csv"
    path.unlink(missing_ok=True)
    write_row(path, a_result(student, note, failure))
    assert computed(path, separator) == []
    assert separator == "," or fields_where(path, separator) == []


def test_plain_texts_stay_as_they_are(tmp_path):
    path = tmp_path / "marks.csv"
    for text in ("ada", "a-b", "1 = 1; x", "e@mail", "O'Neill", "late: 2 marks less"):
        write_row(path, a_result(text, text, text))
        row = read_rows(path)[text]
        assert (row["student"], row["notes"], row["failure"]) == (text, f"{text}; {text}", text)
