"""Sort a learning platform's download into the course's folders, one for each student.

A student decides what a file is called and what is in it, so nothing of that may decide whose the
file is, stop the others', or be lost: each student has a share of room, and what is wrong with one
file becomes a remark on it.
"""

import io
import json
import os
import stat
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from moe_common.files import write_text
from moe_labs.course.handed_in import (
    COLLECTED,
    DEEPEST,
    DEPTH,
    MOST_FILES,
    NOT_HANDED_IN,
    Collected,
    Unreadable,
    members,
    one_line,
    plain_bytes,
    unfit,
)
from moe_labs.course.limits import MEGABYTE, Limits
from moe_labs.course.platforms import ZIP, Student, opened_out, told
from moe_labs.course.room import Room, TooMuch
from moe_labs.course.shelf import OURS, Shelf, Taken
from moe_labs.course.student_folders import collected_before, student_folders
from moe_labs.course.unpack import unpack

UNPACKED_MB = Limits.upload_mb  # more of one student the grading would not take


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
    room = Room(limit, sys.maxsize, f"{limit_mb} MB in the zip files of all {more}")
    left_out, theirs, taken = [], defaultdict(list), []
    with ExitStack() as open_files:
        for entry in _entries(download, room, left_out, open_files):
            theirs[entry.student].append(entry)
        folders = student_folders(theirs.keys() - {None}, course / "submitted", assignment)
        for student in sorted(theirs, key=lambda student: folders.get(student, "")):
            folder = folders.get(student)
            where = Path("submitted", folder) if folder else Path("not-understood")
            shelf = Shelf(course / where / assignment, folder)
            files = MOST_FILES if folder else sys.maxsize
            share = Room(limit, files, f"{limit_mb} MB or {files} files of one student {more}")
            taken += _put(theirs[student], shelf, share, room)
            if folder:
                taken += _noted(student, shelf)
    return [Taken(one_line(path), None, "", why) for path, why in left_out] + taken


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
    student, file, late = told(path)
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
    unpacked, too_much = Room(UNPACKED_MB * MEGABYTE, MOST_FILES, most), []
    # What lies deep, such as a folder of installed packages, comes last, if there is room yet.
    for entry in sorted(entries, key=lambda entry: (entry.file.count("/"), entry.path)):
        name = one_line(entry.path)
        data, damage = entry.read(share.size + 1) if share.files else (b"", None)
        if damage:
            yield Taken(name, shelf.student, "", f"cannot be unpacked: {damage}")
            continue
        try:
            share.take(len(data))
        except TooMuch:
            too_much.append(name)
            continue
        found, remark = [], ""
        if ZIP.search(entry.file):
            found, remark = unpack(data, unpacked, room)
        if not found:
            yield shelf.put(name, entry.file, data, entry.late, remark)
        for inner, content, why in found:
            name = one_line(f"{entry.path}/{inner}")
            if content is None:
                yield Taken(name, shelf.student, "", why)
            else:
                file = "/".join(opened_out(PurePosixPath(entry.file, inner).parts))
                yield shelf.put(name, file, content, entry.late)
    if too_much:
        others = f", with {len(too_much) - 1} others" if too_much[1:] else ""
        why = f"left out{others}, as there is more than {share.most}"
        yield Taken(too_much[0], shelf.student, "", why)


def _noted(student, shelf):
    """Note what came, and when, for the grading; yields what went wrong."""
    try:
        path = shelf.folder / COLLECTED
        old = collected_before(path) or Collected()
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
