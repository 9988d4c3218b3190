"""The table of marks, a CSV file: a row as each is graded, whatever becomes of the others."""

import csv
import datetime
import io
import re
from dataclasses import asdict, dataclass, fields

from moe_common.files import write_text
from moe_labs.course.handed_in import one_line

# A spreadsheet computes what begins so, wide characters too. Where numbers have a comma it begins
# a new field behind each semicolon, whatever the quotes say.
FORMULA = re.compile(r'((?:^|[;\t])[\s"]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])')
PRIVATE = 0o600  # a new table's permissions: nobody else's to read
BOM = "\ufeff"  # without it Excel takes the file for one in another encoding


@dataclass(frozen=True)
class Result:
    """How one submission fared.

    Attributes:
        student: whose it is.
        marks: what nbgrader gave for the cells that it marks itself, less a penalty for lateness.
        out_of: what it could have given.
        by_hand: how many questions wait to be marked by hand.
        seconds: that the grading took.
        failure: why it could not be graded, in one line. None if it could. Its marks are 0 where
            that lies in what was handed in, else those of before, if there are any.
        notes: what went wrong in it, or was put right, a line each.
        in_notebook: grade ids of the tests that only the notebook itself could judge, beside its
            student's code.
        isolation: what kept its code apart: "namespaces" or "none".
        graded: when, in UTC. Empty if it is to be graded again: it could not be entered, or what
            failed was not what was handed in.
    """

    student: str
    marks: float
    out_of: float
    by_hand: int
    seconds: float
    failure: str | None
    notes: tuple
    in_notebook: tuple = ()
    isolation: str = "none"
    graded: str = ""


def now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write_row(path, result):
    """Enter a result in the table; the rows of other students stay."""
    rows = read_rows(path)
    row = asdict(result) | {"failure": result.failure or "", "notes": "; ".join(result.notes)}
    row["in_notebook"] = " ".join(result.in_notebook)
    rows[_safe(result.student)] = {name: _safe(value) for name, value in row.items()}
    text = io.StringIO()
    names = [field.name for field in fields(Result)]
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows[student] for student in sorted(rows))
    write_text(path, BOM + text.getvalue(), PRIVATE)


def read_rows(path):
    """The table's rows: from a student, as written there, to a dictionary of texts."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        return {row["student"]: row for row in rows if row.get("student")}


def graded_at(path, student):
    """When a student's row was written, a `datetime.datetime`, or None."""
    row = read_rows(path).get(_safe(student), {})
    try:
        return datetime.datetime.fromisoformat(row["graded"])
    except (KeyError, TypeError, ValueError):
        return None


def _safe(value):
    """A value that a spreadsheet shows and does not compute; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    return FORMULA.sub(r"\1'", one_line(value, 10_000))
