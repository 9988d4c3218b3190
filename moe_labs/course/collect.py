"""Sort a learning platform's download into the course's folders, one for each student.

A student decides what a file is called and what is in it, so nothing of that may decide whose the
file is, stop the others', or be lost: each student has a share of room, and what is wrong with one
file becomes a remark on it.
"""

import hashlib
import io
import json
import os
import re
import stat
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from moe_common.files import replacing, write_text
from moe_labs.course.handed_in import (
    COLLECTED,
    DEEPEST,
    DEPTH,
    LISTED,
    MOST_FILES,
    NOT_HANDED_IN,
    Collected,
    Unreadable,
    members,
    one_line,
    plain_bytes,
    read_collected,
    unfit,
)
from moe_labs.course.limits import MEGABYTE, Limits

LONGEST_NAME = 50  # characters, of which a system may store each in four bytes
LONGEST_NOTE = 20 * MEGABYTE
UNPACKED_MB = Limits.upload_mb  # more of one student the grading would not take
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


class Student(NamedTuple):
    """One whom a platform tells from others: by a number, or by the name alone."""

    name: str
    number: str | None = None


@dataclass(frozen=True)
class Entry:
    """A file of a download, not yet read.

    Attributes:
        path: where it is there.
        read: takes how many bytes to read at most; returns them, and why there are no more or None.
        student: a `Student`, or None.
        file: its path among the student's.
        late: whether the platform says that it came too late.
    """

    path: str
    read: Callable
    student: Student | None
    file: str
    late: bool


class _TooMuch(Exception):
    """There is no room for it; the message says how much there is."""


@dataclass
class _Room:
    """What there may be yet: so many bytes, and so many files."""

    size: int
    files: int
    most: str

    def take(self, size, files=1):
        if size > self.size or files > self.files:
            raise _TooMuch(self.most)
        self.size -= size
        self.files -= files


def collect(course, assignment, download, limit_mb=2000):
    """Put every file of a download into ``submitted/STUDENT/ASSIGNMENT``.

    Read are the downloads of Moodle and Canvas, zip files in zip files, and folders named after
    students. Nothing is lost: what is not understood goes to ``not-understood``, a file that is
    there already gets a number, and a zip file that is broken or too large stays one.

    Args:
        course: the course's folder.
        assignment: a lab.
        download: a zip file or a folder.
        limit_mb: how much each student may have handed in, and how much may be unpacked from the
            zip files of all; from one student's it is what the grading takes.

    Returns:
        List of `Taken`.

    Raises:
        FileNotFoundError: if there is no such download or assignment.
        ValueError: if the download is a file, but no zip file.
    """
    course, download = Path(course).resolve(), Path(download)
    if not (course / "source" / assignment).is_dir():
        raise FileNotFoundError(
            f"Expected an assignment of the course {course}. Received: {assignment}"
        )
    if not download.exists():
        raise FileNotFoundError(f"Expected a zip file or a folder. Received: {download}")
    limit, more = int(limit_mb * MEGABYTE), "(--limit allows more)"
    room = _Room(limit, sys.maxsize, f"{limit_mb} MB in the zip files of all {more}")
    left_out, theirs, taken = [], defaultdict(list), []
    with ExitStack() as open_files:
        for entry in _entries(download, room, left_out, open_files):
            theirs[entry.student].append(entry)
        folders = _folders(theirs.keys() - {None}, course / "submitted", assignment)
        for student in sorted(theirs, key=lambda student: folders.get(student, "")):
            folder = folders.get(student)
            where = Path("submitted", folder) if folder else Path("not-understood")
            shelf = _Shelf(course / where / assignment, folder)
            files = MOST_FILES if folder else sys.maxsize
            share = _Room(limit, files, f"{limit_mb} MB or {files} files of one student {more}")
            taken += _put(theirs[student], shelf, share, room)
            if folder:
                taken += _noted(student, shelf)
    return [Taken(one_line(path), None, "", why) for path, why in left_out] + taken


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
    student, file, _ = _told(path)
    return student and _plain(student.name), file


def _told(path):
    """What a path tells: a `Student` or None, the file's path among theirs, whether it was late."""
    *above, last = PurePosixPath(path).parts or (path,)
    for number, part in enumerate(above):
        inside = _opened_out([*above[number + 1 :], last])
        a_zip = ZIP.search(part)
        if found := _matched(part):
            # A zip file's own name is that of no file in it.
            first = [found["file"]] if found["file"] and not a_zip else []
            return _student(found), "/".join([*first, *inside]), bool(found.get("late"))
        if not a_zip:
            return Student(part), "/".join(inside), False
    if found := _matched(last):
        return _student(found), found["file"] or last, bool(found.get("late"))
    return None, "/".join(_opened_out([*above, last])), False


def _matched(part):
    for pattern in NAMES:
        if match := pattern.fullmatch(part):
            return match.groupdict()
    return None


def _student(found):
    return Student(found["name"], found.get("number"))


def _opened_out(parts):
    """A path's parts without the zip files on the way, which are opened into their folders."""
    return [*(part for part in parts[:-1] if not ZIP.search(part)), parts[-1]]


def _plain(name, longest=LONGEST_NAME):
    """A name that can be a folder's, on every system and for nbgrader."""
    plain = FORBIDDEN.sub("-", unicodedata.normalize("NFC", name)).strip(" .")
    return plain[:longest].strip(" .") or "unnamed"


def _folded(name):
    """The same text for names that are one to some system."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _entries(download, room, left_out, open_files):
    """Yield each `Entry`; of what is none, the path and why go to the list."""
    if not download.is_dir():
        try:
            inside = members(open_files.enter_context(download.open("rb")))
        except Unreadable as error:
            raise ValueError(
                f"Expected a zip file. Received: {download}, which is none or broken: {error}"
            ) from error
        yield from _listed("", inside, room, left_out, DEPTH)
        return
    for above, folders, files in os.walk(download):
        for name in sorted([*folders, *files]):
            path = Path(above, name)
            relative, mode = path.relative_to(download).as_posix(), path.lstat().st_mode
            if stat.S_ISREG(mode):
                yield from _entry(relative, partial(_read, path), room, left_out, DEPTH)
            elif not stat.S_ISDIR(mode):
                why = "a link, which may lead anywhere" if stat.S_ISLNK(mode) else "no plain file"
                left_out.append((relative, why))
            elif len(PurePosixPath(relative).parts) > DEEPEST:
                left_out.append((relative, f"left out, as it is more than {DEEPEST} folders deep"))
                folders.remove(name)
        folders.sort()


def _read(path, most):
    try:
        return plain_bytes(path, most), None
    except OSError as error:
        return b"", one_line(error, 80)


def _listed(above, inside, room, left_out, depth):
    """The entries in a zip file that is a download."""
    for path, read in inside:
        if why := unfit(path):
            left_out.append((above + str(path), f"left out, as {why}"))
        else:
            yield from _entry(above + str(path), read, room, left_out, depth)


def _entry(path, read, room, left_out, depth):
    """The entry at a path, or those in it: a zip file that is nobody's is a download itself."""
    if NOT_HANDED_IN.search(path):
        return
    student, file, late = _told(path)
    if student is None and depth and ZIP.search(path):
        data, damage = read(room.size + 1)
        if damage is None and len(data) <= room.size:
            inside = []
            with suppress(Unreadable):
                inside = members(io.BytesIO(data))
            if inside:
                room.take(len(data))
                yield from _listed(f"{path}/", inside, room, left_out, depth - 1)
                return
    yield Entry(path, read, student, file, late)


def _put(entries, shelf, share, room):
    """Put one student's files on their shelf; yields what was `Taken`."""
    most = f"{UNPACKED_MB} MB or {MOST_FILES} files of one student"
    unpacked, too_much = _Room(UNPACKED_MB * MEGABYTE, MOST_FILES, most), []
    # What lies deep, such as a folder of installed packages, comes last, if there is room yet.
    for entry in sorted(entries, key=lambda entry: (entry.file.count("/"), entry.path)):
        name = one_line(entry.path)
        data, damage = entry.read(share.size + 1) if share.files else (b"", None)
        if damage:
            yield Taken(name, shelf.student, "", f"cannot be unpacked: {damage}")
            continue
        try:
            share.take(len(data))
        except _TooMuch:
            too_much.append(name)
            continue
        found, remark = [], ""
        if ZIP.search(entry.file):
            found, remark = _unpacked(data, unpacked, room)
        if not found:
            yield shelf.put(name, entry.file, data, entry.late, remark)
        for inner, content, why in found:
            name = one_line(f"{entry.path}/{inner}")
            if content is None:
                yield Taken(name, shelf.student, "", why)
            else:
                file = "/".join(_opened_out(PurePosixPath(entry.file, inner).parts))
                yield shelf.put(name, file, content, entry.late)
    if too_much:
        others = f", with {len(too_much) - 1} others" if too_much[1:] else ""
        why = f"left out{others}, as there is more than {share.most}"
        yield Taken(too_much[0], shelf.student, "", why)


def _unpacked(data, own, room):
    """A student's zip file, as `_inside` has it; or an empty list, and why it stays one."""
    narrow = min(own, room, key=lambda each: each.size)
    left = _Room(narrow.size, own.files, narrow.most)
    try:
        found = _inside(data, left, DEPTH - 1)
    except Unreadable as error:
        return [], f"cannot be unpacked: {error}"
    except _TooMuch as error:
        own.size, own.files, own.most = 0, 0, narrow.most  # no second attempt: each takes time
        return [], f"kept unopened, as there is more than {error}"
    room.take(narrow.size - left.size)
    own.take(narrow.size - left.size, own.files - left.files)
    if all(content is None for _, content, _ in found):
        return [], found[0][2] if found else "there is nothing in it"
    return found, ""


def _inside(data, room, depth):
    """List of a path, its bytes or None, and why there are none, of all that a zip file holds."""
    if data.count(LISTED) > room.files:  # known before memory is taken for each
        raise _TooMuch(room.most)
    found = []
    for path, read in members(io.BytesIO(data)):
        if NOT_HANDED_IN.search(str(path)):
            continue
        if why := unfit(path):
            found.append((path, None, f"left out, as {why}"))
            continue
        content, damage = read(room.size + 1)
        room.take(len(content))
        inner = []
        if damage is None and depth and ZIP.search(path.name):
            with suppress(Unreadable):  # then it stays a file
                inner = _inside(content, room, depth - 1)
        if inner:
            found += [(path / below, *more) for below, *more in inner]
        elif damage is None:
            found.append((path, content, None))
        else:
            found.append((path, None, f"cannot be unpacked: {damage}"))
    return found


class _Shelf:
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
        if _folded(parts[0]).rstrip(" .") in OURS:
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


def _folders(students, submitted, assignment):
    """From a `Student` to the name of their folder: their own, where nobody else has it.

    One who has been collected before keeps the folder; those of one name, or of names that some
    system takes for one, get their numbers behind it.
    """
    there = sorted(path.name for path in submitted.iterdir()) if submitted.is_dir() else []
    spelt = {_folded(name): name for name in reversed(there)}
    folders, owners = {}, defaultdict(list)
    for name in there:
        if note := _collected(submitted / name / assignment / COLLECTED):
            owner = Student(note.name, note.number)
            owners[_folded(name)].append(owner)
            folders.setdefault(owner, name)
    new = [student for student in students if student not in folders]
    longer = {
        student: int(
            # As whom Moodle knows everybody where marking is blind
            _folded(student.name).endswith("participant") or _folded(_called(student, 1)) in spelt
        )
        for student in new
    }
    while True:
        names = {student: _folded(_called(student, longer[student])) for student in new}
        count = Counter(names.values())
        alike = [
            student
            for student, name in names.items()
            if longer[student] < 2
            and (count[name] > 1 or not all(_same(student, owner) for owner in owners[name]))
        ]
        if not alike:
            break
        for student in alike:
            longer[student] += 1
    for student in new:
        name = _called(student, longer[student])
        folders[student] = name if name in there else spelt.get(_folded(name), name)
    return {student: folders[student] for student in students}


def _called(student, length):
    """A folder's name: the student's own, or with the number behind it, or more."""
    if not length:
        return _plain(student.name)
    code = hashlib.sha256("\0".join(map(str, student)).encode("utf-8", "backslashreplace"))
    code = code.hexdigest()[:8]
    number = (student.number or code)[-20:]
    behind = f"-{number}" if length == 1 else f"-{number}-{code}"
    return _plain(student.name, LONGEST_NAME - len(behind)) + behind


def _same(one, other):
    """Whether two may be one: a lecturer's folders have no numbers."""
    return _folded(one.name) == _folded(other.name) and None in (one.number, other.number)


def _collected(path):
    try:
        return read_collected(plain_bytes(path, LONGEST_NOTE))
    except OSError:
        return None


def _noted(student, shelf):
    """Note what came, and when, for the grading; yields what went wrong."""
    try:
        path = shelf.folder / COLLECTED
        old = _collected(path) or Collected()
        latest = max((number for number, _ in old.files.values()), default=0)
        again = all(old.files.get(file) == (latest, late) for file, late in shelf.late.items())
        before = Student(old.name, old.number)
        if old.name and student.number is None:
            student = before  # as the platform has it
        if not shelf.late or (again and student == before):
            return
        files = {file: (latest, False) for file in _below(shelf.folder)}  # what was there by hand
        files |= old.files
        files |= {file: (latest + 1, late) for file, late in shelf.late.items()}
        write_text(
            path,
            json.dumps(
                {
                    **{"name": student.name, "number": student.number},
                    "files": {
                        file: {"collection": number, "late": late}
                        for file, (number, late) in sorted(files.items())
                    },
                },
                indent=1,
            ),
        )
    except Exception as error:  # the other students' files are collected all the same
        yield Taken(COLLECTED, shelf.student, "", f"cannot be written: {one_line(error, 80)}")


def _below(folder):
    for above, _, files in os.walk(folder):
        for name in files:
            file = Path(above, name).relative_to(folder).as_posix()
            if file not in OURS:
                yield unicodedata.normalize("NFC", file)
