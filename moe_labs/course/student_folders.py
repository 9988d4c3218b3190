"""How the students of a download are called in a course: a folder each, and no two the same."""

import hashlib
from collections import Counter, defaultdict

from moe_labs.course.handed_in import COLLECTED, plain_bytes, read_collected
from moe_labs.course.limits import MEGABYTE
from moe_labs.course.platforms import LONGEST_NAME, Student, folded, plain

LONGEST_NOTE = 20 * MEGABYTE


def student_folders(students, submitted, assignment):
    """From a `Student` to the name of their folder: their own, where nobody else has it.

    One who has been collected before keeps the folder; those of one name, or of names that some
    system takes for one, get their numbers behind it.
    """
    there = sorted(path.name for path in submitted.iterdir()) if submitted.is_dir() else []
    spelt = {folded(name): name for name in reversed(there)}
    folders, owners = {}, defaultdict(list)
    for name in there:
        if note := collected_before(submitted / name / assignment / COLLECTED):
            owner = Student(note.name, note.number)
            owners[folded(name)].append(owner)
            folders.setdefault(owner, name)
    new = [student for student in students if student not in folders]
    longer = {
        student: int(
            # As whom Moodle knows everybody where marking is blind
            folded(student.name).endswith("participant") or folded(_called(student, 1)) in spelt
        )
        for student in new
    }
    while True:
        names = {student: folded(_called(student, longer[student])) for student in new}
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
        folders[student] = name if name in there else spelt.get(folded(name), name)
    return {student: folders[student] for student in students}


def _called(student, length):
    """A folder's name: the student's own, or with the number behind it, or more."""
    if not length:
        return plain(student.name)
    code = hashlib.sha256("\0".join(map(str, student)).encode("utf-8", "backslashreplace"))
    code = code.hexdigest()[:8]
    number = (student.number or code)[-20:]
    behind = f"-{number}" if length == 1 else f"-{number}-{code}"
    return plain(student.name, LONGEST_NAME - len(behind)) + behind


def _same(one, other):
    """Whether two may be one: a lecturer's folders have no numbers."""
    return folded(one.name) == folded(other.name) and None in (one.number, other.number)


def collected_before(path):
    """What a student's note says of earlier collections, or None where there is none to read."""
    try:
        return read_collected(plain_bytes(path, LONGEST_NOTE))
    except OSError:
        return None
