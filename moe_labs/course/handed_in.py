"""What a student handed in, made safe to go on with: texts, moments, files and notebooks.

Every byte that a student controls passes through here, and comes out as what the grading expects:
one line of printable text, a moment or none, a file by name and content, a valid notebook. Nothing
else reads such a byte, so what is odd about one is told in one place.
"""

import codecs
import datetime
import io
import itertools
import json
import os
import re
import stat
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from nbgrader.utils import parse_utc

from moe_common.terminal import plain
from moe_labs.course.limits import MEGABYTE
from moe_labs.notebooks.generate import METADATA

LONGEST = 300  # characters of a line that is told
NOTEBOOK = re.compile(r"\.ipynb(\.(txt|json))?$", re.IGNORECASE)
NOT_HANDED_IN = re.compile(r"(^|/)(\.ipynb_checkpoints/|__MACOSX/|\._|\.DS_Store$|Thumbs\.db$)")
DEPTH = 3  # of zip files in zip files
MOST_FILES = 10_000
MOST_CELLS = 10_000  # a lab has fewer than a hundred
MOST_REMARKS = 20  # on files that are left out
DEEPEST = 20  # folders one in another; Python gives up at some hundred
LONGEST_PATH = 1000  # bytes, since a system adds its own to it and may take 4096 in all
LISTED = b"PK\x01\x02"  # begins each file's entry in a zip file's list
COLLECTED = "collected.json"  # what `collect` notes beside what it puts there
ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    *((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)


class Unreadable(Exception):
    """What was handed in is not what was asked for, and no plain reading of it is."""


def one_line(text, longest=LONGEST):
    """A text as one line of characters that a terminal and a table show.

    >>> one_line("two\\nlines and \\x1b[31mred")
    'two lines and \\\\x1b[31mred'
    """
    line = str(plain(" ".join(str(text)[: 4 * longest].split())))
    return line if len(line) <= longest else line[: longest - 3] + "..."


def moment(path):
    """When it was handed in, as its ``timestamp.txt`` says; in UTC.

    Returns:
        A pair of a `datetime.datetime` or None, and a remark or None.
    """
    said = "a file that cannot be read"
    try:
        said = one_line(decoded(plain_bytes(path, 1000))[0].strip(), 60)
        if not said:
            return None, None
        found = parse_utc(said)
        if datetime.datetime(1990, 1, 1) < found < datetime.datetime(2200, 1, 1):
            return found, None
    except FileNotFoundError:
        return None, None
    except Exception:  # dateutil raises many kinds, and none of them may stop a class
        pass
    return None, f"timestamp.txt is no date, so it counts as on time: {said}"


def plain_bytes(path, most):
    """The first bytes of a plain file, ``most`` of them.

    A link may lead to a file of the lecturer's, a pipe and a device may have no end: neither is
    opened.

    Raises:
        OSError: if it is no plain file, or cannot be read.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(f"Expected a plain file. Received: {path}")
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # no system has all of them
        flags |= getattr(os, name, 0)
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # exchanged in between
            raise OSError(f"Expected a plain file. Received: {path}")
        return file.read(most)


def decoded(data):
    """The text that bytes are, and the name of its encoding if that is not UTF-8."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), encoding.upper().replace("-SIG", " with a BOM")
    # In UTF-16 every other byte of a notebook, which is mostly ASCII, is 0.
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        part = data[start:4000:2]
        if part and part.count(0) > len(part) // 2:
            return data.decode(encoding, "replace"), "UTF-16"
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError:
        return data.decode("cp1252" if not set(data) & UNUSED else "latin-1"), "Latin-1"


UNUSED = set(b"\x81\x8d\x8f\x90\x9d")  # by cp1252


def read_notebook(data):
    """A valid notebook of the bytes of one that may be none, and what was put right.

    It is made anew of the parts that count: kinds, sources, ids, marks and tags of cells. Outputs
    are left out, as the grading makes new ones.

    Returns:
        A pair of a notebook and a list of remarks.

    Raises:
        Unreadable: if it is no notebook.
    """
    text, encoding = decoded(data)
    remarks = [f"its encoding is {encoding}"] if encoding else []
    try:
        content, end = json.JSONDecoder(strict=False, parse_int=_whole).raw_decode(text.lstrip())
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:
        raise Unreadable(one_line(error, 100)) from None
    if text.lstrip()[end:].strip("\0 \t\r\n"):
        remarks.append("text after the notebook's end")
    cells = _raw_cells(content)
    if len(cells) > MOST_CELLS:
        raise Unreadable(f"too many cells: {len(cells)}, and at most {MOST_CELLS} are read")
    cleaned = [_cell(cell) for cell in cells if isinstance(cell, dict)]
    if len(cleaned) < len(cells):
        remarks.append("cells that are none were left out")
    if any("\ufffd" in cell.source for cell in cleaned):
        remarks.append("characters that are none were replaced by \ufffd")
    given, seen = {cell.id for cell in cleaned}, set()
    new = (name for name in map("no-id-{}".format, itertools.count()) if name not in given)
    for cell in cleaned:
        if not ID.match(cell.id) or cell.id in seen:
            cell.id = next(new)
        seen.add(cell.id)
    return new_notebook(cells=cleaned, metadata=METADATA), remarks


def _whole(digits):
    return int(digits) if len(digits) < 20 else 0


def _raw_cells(content):
    if isinstance(content, dict):
        if isinstance(content.get("cells"), list):
            return content["cells"]
        sheets = content.get("worksheets")
        if isinstance(sheets, list):  # notebooks of before 2015
            found = [s["cells"] for s in sheets if isinstance(s, dict) and _is_list(s, "cells")]
            return [cell for cells in found for cell in cells]
    raise Unreadable("it has no cells")


def _is_list(value, key):
    return isinstance(value.get(key), list)


def _cell(raw):
    source = raw.get("source", raw.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    source = _characters(source if isinstance(source, str) else "")
    make = {"code": new_code_cell, "raw": new_raw_cell}.get(
        raw.get("cell_type") if isinstance(raw.get("cell_type"), str) else None, new_markdown_cell
    )
    metadata = raw.get("metadata") if isinstance(raw.get("metadata"), dict) else {}
    kept = {}
    if isinstance(metadata.get("nbgrader"), dict):
        grade_id = metadata["nbgrader"].get("grade_id")
        kept["nbgrader"] = {"grade_id": _characters(grade_id) if _is_text(grade_id) else None}
    if isinstance(metadata.get("tags"), list):
        kept["tags"] = sorted({_characters(tag) for tag in metadata["tags"] if _is_text(tag)})
    cell = make(source, metadata=kept)
    cell.id = _characters(raw["id"]) if _is_text(raw.get("id")) else ""
    pictures = raw.get("attachments")
    if make is new_markdown_cell and isinstance(pictures, dict):
        cell.attachments = nbformat.from_dict(
            {
                _characters(name): {kind: data for kind, data in bundle.items() if _is_text(data)}
                for name, bundle in pictures.items()
                if isinstance(bundle, dict)
            }
        )
    return cell


def _is_text(value):
    return isinstance(value, str)


def _characters(text):
    """The text without halves of characters, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def files_in(folder, limits):
    """All files below a folder and in its zip files, and what was left out.

    Returns:
        A pair of a dictionary from a path, such as ``work.zip/lab.ipynb``, to bytes, and remarks.

    Raises:
        Unreadable: if they are larger, unpacked, than the limit for what is handed in.
    """
    budget, remarks, found = [limits.upload_mb * MEGABYTE], [], {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(folder).as_posix()
            _take(name, path.read_bytes(), found, budget, remarks, limits, DEPTH)
    if len(remarks) > MOST_REMARKS:
        remarks[MOST_REMARKS:] = [f"{len(remarks) - MOST_REMARKS} more files were left out"]
    return found, remarks


def unfit(path):
    """Why nothing can be put at a path, which a zip file made up, below a folder; or None."""
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts or ":" in parts[0]:
        return "it leads elsewhere"
    if len(parts) > DEEPEST or len(str(path).encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        return f"it has more than {DEEPEST} folders or {LONGEST_PATH} bytes"
    return None


def members(file):
    """What a zip file holds, in whatever state it is.

    Args:
        file: a binary file, open for as long as something is to be read from it.

    Returns:
        List of pairs of a path and a function. It takes how many bytes to unpack at most, and
        returns a pair of bytes and None; where it is damaged, of the bytes until there, and why.

    Raises:
        Unreadable: if it is no zip file, or does not say what it holds.
    """
    try:
        archive = zipfile.ZipFile(file)
        listed = [each for each in archive.infolist() if not each.is_dir()]
        return [
            (PurePosixPath(each.filename.replace("\\", "/")), partial(_unpack, archive, each))
            for each in listed
        ]
    except Exception as error:  # as many kinds as there are faults in a zip file
        raise Unreadable(_reason(error)) from None


def _unpack(archive, member, most):
    """What a member says of its size need not be true: no more is unpacked than is allowed."""
    data = bytearray()
    try:
        with archive.open(member) as file:
            while len(data) < most and (part := file.read(min(MEGABYTE, most - len(data)))):
                data += part
    except Exception as error:  # of each kind of compression its own
        return bytes(data), _reason(error)
    return bytes(data), None


def _reason(error):
    return one_line(error, 80) or type(error).__name__


def _take(name, data, found, budget, remarks, limits, depth):
    name = _characters(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    if NOT_HANDED_IN.search(name):
        return
    budget[0] -= len(data)
    if budget[0] < 0 or len(found) >= MOST_FILES:
        raise Unreadable(f"too large: more than {limits.upload_mb} MB or {MOST_FILES} files")
    if not (data.startswith(b"PK\x03\x04") and depth and name.lower().endswith(".zip")):
        found[name] = data
        return
    if data.count(LISTED) > MOST_FILES:  # known before memory is taken for each
        raise Unreadable(f"too large: {one_line(name, 80)} has more than {MOST_FILES} files")
    try:
        inside = members(io.BytesIO(data))
    except Unreadable as error:
        remarks.append(f"{one_line(name, 80)} cannot be unpacked: {error}")
        return
    for path, read in inside:
        if why := unfit(path):
            remarks.append(f"left out, as {why}: {one_line(path, 80)}")
            continue
        content, damage = read(max(budget[0], 0) + 1)
        if damage is None:
            _take(f"{name}/{path}", content, found, budget, remarks, limits, depth - 1)
        else:
            budget[0] -= len(content)
            remarks.append(f"{one_line(f'{name}/{path}', 80)} cannot be unpacked: {damage}")


@dataclass(frozen=True)
class Collected:
    """What `collect` noted of what it put into a student's folder.

    Attributes:
        name: the student's, as the platform has it.
        number: the platform's number for the student, a text, or None.
        files: from a path to a pair: in which collection it came last, and whether the platform
            called it late.
    """

    name: str = ""
    number: str | None = None
    files: dict = field(default_factory=dict)


def read_collected(data):
    """The note `collected.json` of its bytes, or None if they are something else."""
    try:
        found = json.loads(data)
        name, number = found["name"], found["number"]
        files = {
            _characters(path): (entry["collection"], entry["late"])
            for path, entry in found["files"].items()
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    kinds = {(type(collection), type(late)) for collection, late in files.values()}
    if not (name and _is_text(name) and (number is None or _is_text(number))):
        return None
    return Collected(name, number, files) if kinds <= {(int, bool)} else None
