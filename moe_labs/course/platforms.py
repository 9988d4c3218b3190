"""Whose a file in a learning platform's download is, told by its path there."""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import NamedTuple

LONGEST_NAME = 50  # characters, of which a system may store each in four bytes
# What platforms make of a submission's file name.
NAMES = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        # Moodle: a folder for each, or the same before each file's name.
        r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)",
        # Canvas: lovelaceada_LATE_12345_67890_lab-1.ipynb, and of one without a name
        # LATE_anon_x7Gf2_67890_lab-1.ipynb
        r"(?P<name>[^_\W]+?)_(?P<late>LATE_)?(?P<number>\d+)_\d+_(?P<file>.+)",
        r"(?P<late>LATE_)?(?P<name>anon_[^_\W]+)_\d+_(?P<file>.+)",
    )
)
ZIP = re.compile(r"\.zip\Z", re.IGNORECASE)
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*{}\[\]\ud800-\udfff]')


class Student(NamedTuple):
    """One whom a platform tells from others: by a number, or by the name alone."""

    name: str
    number: str | None = None


def whose(path):
    """The student and the file's name that a path in a download stands for.

    The outermost part that tells a student decides: what is within it the student named.

    >>> whose("Ada Lovelace_123_assignsubmission_file_/lab.ipynb")
    ('Ada Lovelace', 'lab.ipynb')
    >>> whose("lovelaceada_LATE_12_345_lab (1).ipynb")
    ('lovelaceada', 'lab (1).ipynb')
    >>> whose("ada/work/bobsmith_12_345_lab.ipynb")
    ('ada', 'work/bobsmith_12_345_lab.ipynb')
    >>> whose("lab.ipynb")
    (None, 'lab.ipynb')
    """
    student, file, _ = told(path)
    return student and plain(student.name), file


def told(path):
    """What a path tells: a `Student` or None, the file's path among theirs, whether it was late."""
    *above, last = PurePosixPath(path).parts or (path,)
    for number, part in enumerate(above):
        inside = opened_out([*above[number + 1 :], last])
        a_zip = ZIP.search(part)
        if found := _matched(part):
            # A zip file's own name is that of no file in it.
            first = [found["file"]] if found["file"] and not a_zip else []
            return _student(found), "/".join([*first, *inside]), bool(found.get("late"))
        if not a_zip:
            return Student(part), "/".join(inside), False
    if found := _matched(last):
        return _student(found), found["file"] or last, bool(found.get("late"))
    return None, "/".join(opened_out([*above, last])), False


def _matched(part):
    for pattern in NAMES:
        if match := pattern.fullmatch(part):
            return match.groupdict()
    return None


def _student(found):
    return Student(found["name"], found.get("number"))


def opened_out(parts):
    """A path's parts without the zip files on the way, which are opened into their folders."""
    return [*(part for part in parts[:-1] if not ZIP.search(part)), parts[-1]]


def plain(name, longest=LONGEST_NAME):
    """A name that can be a folder's, on every system and for nbgrader."""
    allowed = FORBIDDEN.sub("-", unicodedata.normalize("NFC", name)).strip(" .")
    return allowed[:longest].strip(" .") or "unnamed"


def folded(name):
    """The same text for names that are one to some system."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
