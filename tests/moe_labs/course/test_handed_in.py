"""Whatever bytes a student hands in, what comes out is printable, valid, or refused."""

import datetime
import io
import json
import zipfile

import hypothesis.strategies as st
import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from moe_labs.course.handed_in import Unreadable, files_in, moment, one_line, read_notebook
from moe_labs.course.limits import Limits
from moe_labs.course.marks_table import Result, graded_at, now, read_rows, write_row

TEXT = st.text(st.characters(), max_size=40)  # halves of characters, controls and all
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KEYS = ("cell_type", "source", "metadata", "outputs", "id", "attachments", "execution_count")
CELL = st.dictionaries(st.sampled_from(KEYS), JSON | st.sampled_from(["code", "markdown", "raw"]))
QUICK = settings(max_examples=150, deadline=None)
IN_A_FOLDER = settings(QUICK, suppress_health_check=[HealthCheck.function_scoped_fixture])


def a_notebook():
    cells = [new_markdown_cell("# Größe"), new_code_cell("x = 'é'")]
    return new_notebook(cells=cells)


def sources(notebook):
    return [cell.source for cell in notebook.cells]


@QUICK
@given(TEXT)
def test_a_line_is_printable_whatever_the_text(text):
    line = one_line(text)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1
    assert len(line) <= 300
    assert not set(line) & {chr(code) for code in (*range(32), 127)}


@IN_A_FOLDER
@given(st.binary(max_size=200) | TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_a_moment_is_a_date_or_a_remark(tmp_path, data):
    (tmp_path / "timestamp.txt").write_bytes(data)
    found, remark = moment(tmp_path / "timestamp.txt")
    assert found is None or isinstance(found, datetime.datetime)
    assert found is None or remark is None


@pytest.mark.parametrize(
    "text",
    [
        *("no date", "lundi 3 août 2026", "9" * 400, "2026-99-99", "99999999999999999999-01-01"),
        *("0001-01-01", "9999-12-31 23:59:59 -1200", "[/quote]", "[link](x)"),
    ],
)
def test_what_is_no_date_is_told(tmp_path, text):
    path = tmp_path / "timestamp.txt"
    path.write_text(text)
    found, remark = moment(path)
    assert found is None
    assert "is no date, so it counts as on time" in remark


def test_dates_are_read_and_other_things_do_not_stop_it(tmp_path):
    path = tmp_path / "timestamp.txt"
    assert moment(path) == (None, None)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text("2026-03-04 12:00:00 UTC", encoding=encoding)
        assert moment(path) == (datetime.datetime(2026, 3, 4, 12), None)
    path.write_text(" \n")
    assert moment(path) == (None, None)
    path.unlink()
    path.mkdir()
    assert "is no date" in moment(path)[1]


@QUICK
@given(
    st.fixed_dictionaries({"cells": st.lists(CELL | JSON, max_size=5)})
    | st.fixed_dictionaries({"worksheets": JSON | st.lists(JSON)})
    | JSON
)
def test_any_json_is_a_valid_notebook_or_refused(content):
    try:
        notebook, remarks = read_notebook(json.dumps(content).encode())
    except Unreadable as error:
        assert str(error) == one_line(error)
        return
    nbformat.validate(notebook)
    nbformat.writes(notebook).encode("utf-8")
    assert all(isinstance(remark, str) for remark in remarks)


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_are_a_valid_notebook_or_refused(data):
    try:
        nbformat.validate(read_notebook(data)[0])
    except Unreadable as error:
        assert str(error) == one_line(error)


@pytest.mark.parametrize(
    ("encoding", "remark"),
    [
        ("utf-8", None),
        *(("utf-8-sig", "UTF-8 with a BOM"), ("utf-16", "UTF-16"), ("utf-32", "UTF-32")),
        *(("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16")),
        *(("latin-1", "Latin-1"), ("cp1252", "Latin-1")),
    ],
)
def test_any_usual_encoding_is_read(encoding, remark):
    data = json.dumps(a_notebook(), ensure_ascii=False).encode(encoding)
    notebook, remarks = read_notebook(data)
    assert sources(notebook) == ["# Größe", "x = 'é'"]
    assert remarks == ([f"its encoding is {remark}"] if remark else [])


def test_what_can_be_read_in_one_way_is_read():
    raw = json.loads(nbformat.writes(a_notebook()))
    raw["metadata"] = {"kernelspec": {"name": 3}}
    raw["cells"][0] |= {"id": "no id!", "source": ["# Gr\udc80", "\n", 5]}
    raw["cells"][1] |= {"id": raw["cells"][0]["id"], "metadata": {"nbgrader": {"grade_id": []}}}
    raw["cells"].append(7)
    notebook, remarks = read_notebook(json.dumps(raw).encode() + b"\n}")
    nbformat.validate(notebook)
    assert sources(notebook) == ["# Gr\ufffd\n", "x = 'é'"]
    assert len(remarks) == 3


def test_depth_and_numbers_without_end_are_refused_or_read():
    with pytest.raises(Unreadable, match="nested too deeply"):
        read_notebook(b'{"cells": ' + b"[" * 100_000)
    notebook, _ = read_notebook(b'{"cells": [], "nbformat": ' + b"9" * 10_000 + b"}")
    assert notebook.cells == []


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def test_zip_files_are_opened_and_what_leads_elsewhere_is_left_out(tmp_path):
    inner = zipped({"lab.ipynb": b"1", "../../up.ipynb": b"2", "__MACOSX/._lab.ipynb": b"3"})
    (tmp_path / "outer.zip").write_bytes(zipped({"a/inner.zip": inner, "/root.txt": b"4"}))
    (tmp_path / "broken.zip").write_bytes(inner[:40])
    (tmp_path / ".DS_Store").write_bytes(b"5")
    files, remarks = files_in(tmp_path, Limits())
    assert files == {"outer.zip/a/inner.zip/lab.ipynb": b"1"}
    assert sum("leads elsewhere" in remark for remark in remarks) == 2
    assert any("broken.zip cannot be unpacked" in remark for remark in remarks)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_bomb_is_refused(tmp_path, depth):
    data = zipped({"zeros.bin": bytes(5_000_000)})
    for _ in range(depth - 1):
        data = zipped({"more.zip": data})
    (tmp_path / "bomb.zip").write_bytes(data)
    with pytest.raises(Unreadable, match="too large"):
        files_in(tmp_path, Limits(upload_mb=1))


@IN_A_FOLDER
@given(st.dictionaries(TEXT.filter(lambda name: "\0" not in name), st.binary(max_size=20)))
def test_names_in_a_zip_file_are_any(tmp_path, files):
    try:
        data = zipped(files)
    except (UnicodeEncodeError, ValueError, IndexError):  # no zip file has such a name
        return
    (tmp_path / "any.zip").write_bytes(data)
    found, remarks = files_in(tmp_path, Limits())
    for text in (*found, *remarks):
        text.encode("utf-8")
    assert all(".." not in name.split("/") for name in found)


def a_result(student="ada", notes=(), failure=None):
    figures = {"marks": 1, "out_of": 2, "by_hand": 0, "seconds": 1.5}
    return Result(student, **figures, failure=failure, notes=notes, graded=now())


@IN_A_FOLDER
@given(TEXT, TEXT, st.none() | TEXT)
def test_a_row_holds_any_text_and_computes_nothing(tmp_path, student, note, failure):
    path = tmp_path / "marks.csv"
    path.unlink(missing_ok=True)
    write_row(path, a_result(student or "?", (note,), failure))
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\n") == 2
    for row in read_rows(path).values():
        assert not any(value.startswith(("=", "+", "-", "@")) for value in row.values())


def test_rows_of_others_stay(tmp_path):
    path = tmp_path / "marks.csv"
    for student in ("bob", "=cmd|' /C calc'!A0", "ada", "bob"):
        write_row(path, a_result(student))
    assert list(read_rows(path)) == ["'=cmd|' /C calc'!A0", "ada", "bob"]
    assert graded_at(path, "bob").tzinfo is not None
    assert graded_at(path, "eve") is None
