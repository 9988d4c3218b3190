"""A yearly variant of the labs: other seeds, other groups of classes, other numbers in questions.

What may change, a lab says itself, in the header of its source:

    moe_keras:
      variant:
        digits:
          - ["HALVES = (0, 1)", "the first half"]
          - ["HALVES = (1, 0)", "the second half"]
        seed: ["SEED = 0", "SEED = 1", "SEED = 2"]

Each is a table. Its first row holds pieces of the source as it is; any other row may take their
place, piece by piece, in code, text, answers and hidden tests alike. A table of one column is
written as a plain list.
"""

import random
import re
from pathlib import Path

from moe_common.files import write_text
from moe_labs.course.header import header
from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.generate import solution_copy, student_copy, write_notebook
from moe_labs.notebooks.source import written_out

HEADER = re.compile(r"\A# ---\n.*?^# ---\n", re.DOTALL | re.MULTILINE)


def make_variant(labs, seed, folder):
    """Write a variant of the labs: sources with solutions, and the students' copies.

    Labs that declare nothing to change are in it as they are. The same seed gives the same variant.

    Args:
        labs: list of `Lab`.
        seed: a whole number; the year, for example.
        folder: where it goes, a new folder or an empty one. The labs lie in ``notebooks``, as in a
            checkout.

    Returns:
        Dictionary from a lab's slug to what was chosen: from a table's name to its row.

    Raises:
        FileExistsError: if something lies in the folder.
        ValueError: if what a lab declares is wrong; then nothing is written.
    """
    folder = Path(folder).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"Expected a new folder, or an empty one. Received: {folder}, where something lies. "
            "(Nothing was changed: name another folder.)"
        )
    made = {lab.slug: vary(lab, seed) for lab in labs}
    notebooks = folder / "notebooks"
    for slug, (text, _) in made.items():
        write_text(notebooks / "source" / f"{slug}.py", text)
    for lab in find_labs(notebooks):
        solution_copy(lab)  # its marks are checked
        write_notebook(student_copy(lab), lab.student_copy)
    return {slug: chosen for slug, (_, chosen) in made.items()}


def vary(lab, seed):
    """The text of a lab's source in the variant of a seed, and the rows that were chosen.

    Raises:
        ValueError: if what the lab declares is wrong.
    """
    source = written_out(lab)
    head = HEADER.match(source)[0]
    body = source[len(head) :]
    tables = _tables(lab, body)
    chosen = {
        name: random.Random(f"{seed} {lab.slug} {name}").choice(rows[1:])
        for name, rows in tables.items()
    }
    pieces = {
        old: new
        for name, rows in tables.items()
        for old, new in zip(rows[0], chosen[name], strict=True)
    }
    if not pieces:
        return source, chosen
    # All at once, so that two pieces may change places; of two that begin alike, the longer.
    found = re.compile("|".join(map(_pattern, sorted(pieces, key=len, reverse=True))))
    lines = body.split("\n")
    for number, line in enumerate(lines):
        if not _is_mark(line):
            lines[number] = found.sub(lambda match: pieces[match[0]], line)
    return head + "\n".join(lines), chosen


def _tables(lab, body):
    """What the lab declares, each table as a list of rows; checked."""
    declared = header(lab).get("variant", {})
    text = "\n".join(line for line in body.split("\n") if not _is_mark(line))
    tables, owners = {}, {}
    for name, rows in declared.items():
        rows = [[row] if isinstance(row, str) else row for row in rows]
        if len(rows) < 2 or not all(map(_is_row, rows)) or len({len(row) for row in rows}) != 1:
            raise ValueError(
                f"{lab.source}: expected the table {name!r} to have two rows or more, all of the "
                f"same length, of texts. Received: {rows}"
            )
        for piece in rows[0]:
            if not re.search(_pattern(piece), text):
                raise ValueError(
                    f"{lab.source}: expected the first row of {name!r} to hold pieces of one line "
                    f"of the source. Received: {piece!r}, which does not occur"
                )
            if owners.setdefault(piece, name) != name or rows[0].count(piece) > 1:
                raise ValueError(
                    f"{lab.source}: expected each piece once. Received: {piece!r} in "
                    f"{owners[piece]!r} and in {name!r}"
                )
        tables[name] = rows
    return tables


def _is_row(row):
    return isinstance(row, list) and all(isinstance(piece, str) and piece for piece in row)


def _pattern(piece):
    """A piece as a whole: `SEED = 1` does not occur in `SEED = 10`."""
    before = r"(?<!\w)" if piece[0].isalnum() else ""
    after = r"(?!\w)" if piece[-1].isalnum() else ""
    return f"{before}{re.escape(piece)}{after}"


def _is_mark(line):
    """A cell's first line, with its grade id and points, never changes."""
    return line.startswith("# %%")
