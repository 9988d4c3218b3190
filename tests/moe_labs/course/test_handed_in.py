"""Whatever bytes a student hands in, what comes out is printable, valid, or refused."""

import datetime
import io
import json
import os
import random
import socket
import time
import zipfile

import hypothesis.strategies as st
import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from moe_labs.course.handed_in import (
    LONGEST_PATH,
    MOST_CELLS,
    MOST_FILES,
    MOST_REMARKS,
    Unreadable,
    files_in,
    moment,
    one_line,
    read_notebook,
)
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


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "device", "folder", "socket"])
def test_what_is_no_plain_file_is_neither_read_nor_waited_for(tmp_path, kind):
    path, secret = tmp_path / "timestamp.txt", tmp_path / "secret"
    secret.write_text("2026-03-04 12:00:00 UTC")
    if "link" in kind:
        path.symlink_to(tmp_path / "nothing" if "dangling" in kind else secret)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    start = time.monotonic()
    found, remark = moment(path)
    assert found is None
    assert "is no date, so it counts as on time: a file that cannot be read" in remark
    assert time.monotonic() - start < 5


def test_a_file_that_becomes_a_pipe_while_it_is_looked_at_is_not_waited_for(tmp_path, monkeypatch):
    path, plain = tmp_path / "timestamp.txt", tmp_path / "plain"
    plain.write_text("2026-03-04 12:00:00 UTC")
    os.mkfifo(path)
    lstat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda _: lstat(plain))
    assert "a file that cannot be read" in moment(path)[1]


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


def with_ids(ids):
    cells = [{"cell_type": "code", "source": str(n), "id": id_} for n, id_ in enumerate(ids)]
    return json.dumps({"cells": cells}).encode()


@pytest.mark.parametrize("sheets", [False, True])
def test_ten_thousand_cells_are_read_and_more_are_refused(sheets):
    assert MOST_CELLS >= 10_000
    data = with_ids([f"no-id-{n // 2}" for n in range(MOST_CELLS)])
    more = with_ids([""] * (MOST_CELLS + 1))
    if sheets:
        half = json.loads(with_ids([""] * (MOST_CELLS // 2 + 1)))
        more = json.dumps({"worksheets": [half, half]}).encode()
    else:
        notebook, _ = read_notebook(data)
        assert sources(notebook) == [str(n) for n in range(MOST_CELLS)]
        assert len({cell.id for cell in notebook.cells}) == MOST_CELLS
    with pytest.raises(Unreadable, match=rf"too many cells: 1000\d, and at most {MOST_CELLS} are"):
        read_notebook(more)


@QUICK
@given(st.lists(st.sampled_from(["a", "b", "", "no id", *(f"no-id-{n}" for n in range(4))])))
def test_ids_are_valid_and_each_is_there_once(ids):
    notebook, _ = read_notebook(with_ids(ids))
    nbformat.validate(notebook)
    found = [cell.id for cell in notebook.cells]
    assert len(set(found)) == len(ids)
    first = [n for n, id_ in enumerate(ids) if id_ not in ("", "no id") and id_ not in ids[:n]]
    assert all(found[n] == ids[n] for n in first)


def zipped(files, compression=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
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


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_zip_file_beside_a_good_notebook_is_a_remark(tmp_path, method):
    draw = random.Random(method)
    (tmp_path / "lab.ipynb").write_bytes(b"right")
    good = zipped({f"{n}.txt": draw.randbytes(50) * 20 for n in range(3)}, method)
    for number in range(300):
        data = bytearray(good)
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(4, len(data))] = draw.randrange(256)
        if number % 5 == 0:
            del data[draw.randrange(10, len(data)) :]
        (tmp_path / "work.zip").write_bytes(data)
        files, remarks = files_in(tmp_path, Limits())
        assert files.pop("lab.ipynb") == b"right"
        assert len(files) + len(remarks) >= 1


def test_of_a_zip_file_with_one_damaged_member_the_others_are_read(tmp_path):
    good = zipped({"a.ipynb": b"a" * 100, "b.ipynb": b"b" * 100}, zipfile.ZIP_STORED)
    (tmp_path / "work.zip").write_bytes(good.replace(b"a" * 100, b"x" * 100))
    files, remarks = files_in(tmp_path, Limits())
    assert files == {"work.zip/b.ipynb": b"b" * 100}
    assert remarks == ["work.zip/a.ipynb cannot be unpacked: Bad CRC-32 for file 'a.ipynb'"]


@pytest.mark.parametrize(
    "path", ["a/" * 21 + "x", "a/" * 950 + "x", "é" * (LONGEST_PATH // 2 + 1), "a/" * 30_000 + "x"]
)
def test_what_lies_too_deep_is_left_out(tmp_path, path):
    (tmp_path / "work.zip").write_bytes(zipped({path: b"1", "lab.ipynb": b"2"}))
    files, remarks = files_in(tmp_path, Limits())
    assert files == {"work.zip/lab.ipynb": b"2"}
    assert [remark.split(":")[0] for remark in remarks] == [
        "left out, as it has more than 20 folders or 1000 bytes"
    ]


def test_of_many_remarks_the_first_are_told(tmp_path):
    files = {f"../{number}": b"" for number in range(200)}
    (tmp_path / "work.zip").write_bytes(zipped(files))
    remarks = files_in(tmp_path, Limits())[1]
    assert len(remarks) == MOST_REMARKS + 1
    assert remarks[-1] == f"{200 - MOST_REMARKS} more files were left out"


def test_a_list_of_too_many_files_is_not_read(tmp_path, monkeypatch):
    data = zipped({f"{number}": b"" for number in range(MOST_FILES + 1)})
    (tmp_path / "work.zip").write_bytes(data)
    monkeypatch.setattr("moe_labs.course.handed_in.members", None)
    with pytest.raises(Unreadable, match=r"too large: work.zip has more than 10000 files"):
        files_in(tmp_path, Limits())


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
