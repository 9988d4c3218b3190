"""Which of the files that a student handed in is the lab's notebook, and what else is there."""

import re
import unicodedata
from pathlib import PurePosixPath

from moe_labs.course.given import Given
from moe_labs.course.handed_in import (
    COLLECTED,
    NOTEBOOK,
    Collected,
    Unreadable,
    files_in,
    one_line,
    read_collected,
    read_notebook,
)

BY_HAND = float("inf")  # what the lecturer put beside what was collected is the last word
PYTHON = re.compile(r"\.(py|pyc|pyd|so|pth)$", re.IGNORECASE)


def read_submission(folder, given, limits):
    """The notebooks that were handed in, by the name that they should have, and the other files.

    A notebook is known by its cells, whatever its file is called and wherever it lies. Of several
    the one that was collected last is taken, as it is what the student wants graded; of those that
    came together the one that fits the lab best: most of the lab's cells, then answers, then its
    name.

    Args:
        folder: what was handed in.
        given: dictionary from a notebook's file name to the notebook that students got.
        limits: `Limits`.

    Returns:
        Three things: a dictionary from a file name to a notebook, one from a path to the bytes of
        another file, and a list of remarks.

    Raises:
        Unreadable: if one of the notebooks is not there.
    """
    files, remarks = files_in(folder, limits)
    collected = read_collected(files.get(COLLECTED, b""))
    if collected is None:
        collected = Collected()
    else:
        del files[COLLECTED]
    read, broken = {}, {}
    named = [name for name in files if NOTEBOOK.search(name)]
    # A notebook by another name is looked for only where none has a notebook's.
    for name in named or [n for n in files if files[n].lstrip()[:1] in (b"{", b"\xef", b"\xff")]:
        try:
            read[name] = read_notebook(files[name])
        except Unreadable as error:
            broken[name] = str(error)
    chosen = {}
    for wanted, released in given.items():
        cells = Given(released)
        known = {name: cells.known_in(notebook) for name, (notebook, _) in read.items()}
        # A scrap with some of the lab's cells is no later version of it.
        enough = max(known.values(), default=0) / 2
        fitting = sorted(
            (name for name in read if known[name]),
            key=lambda name: (
                known[name] >= enough,
                _origin(name, collected)[0],
                known[name],
                cells.answered_in(read[name][0]),
                _closeness(name, wanted),
                name,
            ),
            reverse=True,
        )
        if not fitting:
            raise Unreadable(_why_none(wanted, read, broken, remarks))
        chosen[wanted] = fitting[0]
        remarks += _about(wanted, fitting, read[fitting[0]][1], broken)
        if _origin(fitting[0], collected)[1]:
            remarks.append("handed in late, the platform says, but not when: no marks were taken")
    others = {name: data for name, data in files.items() if name not in {*read, *broken}}
    if others:
        listed = ", ".join(one_line(name, 60) for name in sorted(others)[:10])
        kind = "programs" if any(map(PYTHON.search, others)) else "files"
        remarks.append(f"{kind} handed in beside the notebook: {listed}")
    return {wanted: read[name][0] for wanted, name in chosen.items()}, others, remarks


def _origin(name, collected):
    """In which collection a file came, and whether late; one in a zip file came with that."""
    name = unicodedata.normalize("NFC", name)  # some systems give names back in another form
    for path in (name, *map(str, PurePosixPath(name).parents)):
        if path in collected.files:
            return collected.files[path]
    return BY_HAND, False


def _closeness(name, wanted):
    """How much a file's name is like the one asked for."""
    last = PurePosixPath(name).name
    return (name == wanted, last == wanted, last.lower() == wanted.lower())


def _about(wanted, fitting, put_right, broken):
    name, *others = fitting
    if name != wanted:
        yield f"file renamed: expected {wanted}, received {one_line(name, 80)}, which was graded"
    if others:
        listed = ", ".join(one_line(other, 60) for other in others[:5])
        yield f"several notebooks: {one_line(name, 60)} was graded, not {listed}"
    for other in sorted(broken)[:5]:
        yield f"not a notebook: {one_line(other, 60)} ({broken[other]})"
    for remark in put_right:
        yield f"{wanted}: {remark}"


def _why_none(wanted, read, broken, left_out):
    if read:
        listed = ", ".join(one_line(name, 60) for name in sorted(read)[:5])
        return f"another notebook: expected {wanted}, received {listed}, with none of its cells"
    if broken:
        name = wanted if wanted in broken else min(broken)
        return f"not a notebook: {one_line(name, 80)} ({broken[name]})"
    return "; ".join([f"file missing: expected {wanted}", *left_out[:1]])
