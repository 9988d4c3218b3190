"""Sort a learning platform's download into the course's folders, one for each student."""

import io
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from moe_labs.course.handed_in import NOT_HANDED_IN, leads_elsewhere, one_line
from moe_labs.course.limits import MEGABYTE

MOST_FILES = 50_000
LONGEST_NAME = 50  # characters, of which a system may store each in four bytes
# What platforms make of a submission's file name; the student's name is their first group.
NAMES = (
    # Moodle: a folder for each, or the same before each file's name.
    re.compile(r"^(?P<student>.+?)_\d+_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)$"),
    # Canvas: lovelaceada_LATE_12345_67890_lab-1.ipynb
    re.compile(r"^(?P<student>[^_\W]+?)_(?:LATE_)?\d+_\d+_(?P<file>.+)$"),
)
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*{}\[\]]')


@dataclass(frozen=True)
class Taken:
    """One file of a download.

    Attributes:
        name: its path there.
        student: whose folder it went to, or None.
        file: its name there.
        remark: why it was left out or renamed, or "".
    """

    name: str
    student: str | None
    file: str
    remark: str = ""


def collect(course, assignment, download, limit_mb=2000):
    """Put every file of a download into ``submitted/STUDENT/ASSIGNMENT``.

    Read are the downloads of Moodle and Canvas, zip files in zip files, and folders named after
    students. Nothing is lost: what is not understood goes to ``not-understood``, and a file that is
    there already gets a number.

    Args:
        course: the course's folder.
        assignment: a lab.
        download: a zip file or a folder.
        limit_mb: how much there may be, unpacked.

    Returns:
        List of `Taken`.

    Raises:
        FileNotFoundError: if there is no such download or assignment.
        ValueError: if it is larger than the limit; then nothing is written.
    """
    course, download = Path(course).resolve(), Path(download)
    if not (course / "source" / assignment).is_dir():
        raise FileNotFoundError(
            f"Expected an assignment of the course {course}. Received: {assignment}"
        )
    if not download.exists():
        raise FileNotFoundError(f"Expected a zip file or a folder. Received: {download}")
    files, left_out = _contents(download, limit_mb)
    placed = defaultdict(list)
    for name in files:
        student, file = whose(name)
        placed[student].append((name, file))
    taken = [Taken(one_line(name), None, "", why) for name, why in left_out]
    for student, theirs in sorted(placed.items(), key=lambda item: item[0] or ""):
        folder = course / "not-understood" / assignment
        if student is not None:
            folder = course / "submitted" / student / assignment
        for name, file in theirs:
            path, remark = _free(folder, file, files[name])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
            if student is None:
                remark = "whose it is is not understood; it is in not-understood"
            taken.append(Taken(one_line(name), student, str(path.relative_to(folder)), remark))
    return taken


def whose(name):
    """The student and the file's name that a path in a download stands for.

    >>> whose("Ada Lovelace_123_assignsubmission_file_/lab.ipynb")
    ('Ada Lovelace', 'lab.ipynb')
    >>> whose("lovelaceada_LATE_12_345_lab (1).ipynb")
    ('lovelaceada', 'lab (1).ipynb')
    >>> whose("ada/work/lab.ipynb")
    ('ada', 'work/lab.ipynb')
    >>> whose("lab.ipynb")
    (None, 'lab.ipynb')
    """
    parts = [part for part in PurePosixPath(name).parts if not part.lower().endswith(".zip")]
    for number, part in enumerate(parts):
        for pattern in NAMES:
            if match := pattern.match(part):
                rest = [*([match["file"]] if match["file"] else []), *parts[number + 1 :]]
                return _student(match["student"]), "/".join(rest) or part
    outer = PurePosixPath(name).parts[:-1]
    for part in outer:
        for pattern in NAMES:
            if match := pattern.match(part.removesuffix(".zip")):
                return _student(match["student"]), "/".join(parts) or name
    if len(parts) > 1:
        return _student(parts[0]), "/".join(parts[1:])
    return None, "/".join(parts) or name


def _student(name):
    """A name that can be a folder's, on every system and for nbgrader."""
    plain = FORBIDDEN.sub("-", name).strip(" .")
    return plain[:LONGEST_NAME] or "unnamed"


def _contents(download, limit_mb):
    """From a path to bytes, and pairs of a path and why it was left out."""
    files, left_out, room = {}, [], [limit_mb * MEGABYTE]
    if download.is_dir():
        for path in sorted(download.rglob("*")):
            name = path.relative_to(download).as_posix()
            if path.is_symlink():
                left_out.append((name, "a link, which may lead anywhere"))
            elif path.is_file():
                _add(name, path.read_bytes(), files, left_out, room, 3)
    else:
        _unpack("", download.read_bytes(), files, left_out, room, 3)
    return files, left_out


def _add(name, data, files, left_out, room, depth):
    if NOT_HANDED_IN.search(name):
        return
    room[0] -= len(data)
    if room[0] < 0 or len(files) >= MOST_FILES:
        raise ValueError(
            "Expected a download within the limits. Received: one that is larger when unpacked, "
            f"at {one_line(name, 100)} (give --limit if that is right)"
        )
    if (
        name.lower().endswith(".zip")
        and depth
        and _unpack(name, data, files, left_out, room, depth)
    ):
        return
    number, first = 1, name
    while name in files:  # a zip file may hold several by one name
        number += 1
        name = f"{first} ({number})"
    files[name] = data


def _unpack(name, data, files, left_out, room, depth):
    """Add what is in a zip file; whether it is one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                inner = PurePosixPath(member.filename.replace("\\", "/"))
                path = f"{name}/{inner}" if name else str(inner)
                if member.is_dir():
                    continue
                if leads_elsewhere(inner):
                    left_out.append((path, "its path leads elsewhere"))
                    continue
                try:
                    with archive.open(member) as file:
                        content = file.read(max(room[0], 0) + 1)
                except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
                    left_out.append((path, f"cannot be unpacked: {one_line(error, 80)}"))
                    continue
                _add(path, content, files, left_out, room, depth - 1)
    except (zipfile.BadZipFile, EOFError) as error:
        if not name:
            raise ValueError(
                f"Expected a zip file. Received: one that is broken, {error}"
            ) from error
        return False
    return True


def _free(folder, file, data):
    """A path below the folder at which nothing else lies, and a remark if it is another one."""
    parts = [FORBIDDEN.sub("-", part)[-LONGEST_NAME:] for part in PurePosixPath(file).parts]
    *above, last = parts or ["unnamed"]
    for part in above:
        folder = _numbered(folder, part, lambda path: path.exists() and not path.is_dir())
    taken = lambda path: path.exists() and (path.is_dir() or path.read_bytes() != data)  # noqa: E731
    path = _numbered(folder, last, taken)
    return path, "" if path.name == last else f"there was another {last}"


def _numbered(folder, name, taken):
    """The folder's first of ``name``, ``name (2)`` and so on that is not taken."""
    path, number = folder / name, 1
    while taken(path):
        number += 1
        path = folder / f"{PurePosixPath(name).stem} ({number}){PurePosixPath(name).suffix}"
    return path
