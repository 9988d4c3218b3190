"""A folder that collected files are put into, of which none replaces another."""

import hashlib
import os
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

from moe_common.files import replacing
from moe_labs.course.handed_in import COLLECTED, one_line, plain_bytes, unfit
from moe_labs.course.platforms import FORBIDDEN, LONGEST_NAME, folded

# The grading believes what these say, so a student's own get another name.
OURS = {"timestamp.txt", COLLECTED}


@dataclass(frozen=True)
class Taken:
    """One file of a download.

    Attributes:
        name: its path there.
        student: whose folder it went to, or None.
        file: its name there, or "" if it was left out.
        remark: why it was left out or renamed, or "".
    """

    name: str
    student: str | None
    file: str
    remark: str = ""


class Shelf:
    """A folder that files are put into, of which none replaces another.

    Args:
        folder: where; it is made with the first file.
        student: whose, as their folder is called, or None.
    """

    def __init__(self, folder, student):
        self.folder, self.student = folder, student
        self.late = {}  # from a path below the folder to whether what was put there was late
        self._folders = {}
        # So that many files of one name are counted, and not compared each with each.
        self._numbers, self._known = Counter(), defaultdict(dict)

    def put(self, name, file, data, late, remark=""):
        """Put a file there, under this path or one like it; what was `Taken`."""
        try:
            path, why = self._place(file, data)
        except Exception as error:  # too long for this system, no place on the disk, and more
            return Taken(name, self.student, "", f"cannot be written: {one_line(error, 80)}")
        file = path.relative_to(self.folder).as_posix()
        self.late[file] = late
        if self.student is None:
            why = "whose it is is not understood; it is in not-understood"
        return Taken(name, self.student, file, "; ".join(filter(None, [remark, why])))

    def _place(self, file, data):
        parts = [
            FORBIDDEN.sub("-", unicodedata.normalize("NFC", part))[-LONGEST_NAME:]
            for part in PurePosixPath(file).parts
        ] or ["unnamed"]
        if why := unfit(PurePosixPath(*parts)):
            raise ValueError(why)
        remark = ""
        if folded(parts[0]).rstrip(" .") in OURS:
            remark = f"renamed, as {parts[0]} is the lecturer's to write"
            parts[0] = f"handed in {parts[0]}"
        *above, last = parts
        folder = self.folder
        for part in above:
            folder = self._into(folder / part)
        path = self._unlike(folder / last, data)
        return path, remark or ("" if path.name == last else f"there was another {last}")

    def _into(self, folder):
        """The folder, or one with a number where a file is in its way."""
        if folder not in self._folders:
            number = 1
            while os.path.lexists(path := _numbered(folder, number)) and (
                path.is_symlink() or not path.is_dir()
            ):
                number += 1
            self._folders[folder] = path
        return self._folders[folder]

    def _unlike(self, path, data):
        """Where these bytes lie, by this name or one with a number; written if they did not."""
        mark, known = hashlib.sha256(data).digest(), self._known[path]
        while mark not in known:
            self._numbers[path] += 1
            free = _numbered(path, self._numbers[path])
            if os.path.lexists(free):
                known.setdefault(_mark(free), free)
            else:
                with replacing(free) as temporary:
                    temporary.write_bytes(data)
                known[mark] = free
        return known[mark]


def _numbered(path, number):
    return path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")


def _mark(path):
    try:
        return hashlib.sha256(plain_bytes(path, -1)).digest()
    except OSError:  # a folder, for example: like no file
        return None
