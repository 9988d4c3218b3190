"""What the zip files that a student handed in hold, within limits."""

import io
from contextlib import suppress

from moe_labs.course.handed_in import DEPTH, LISTED, NOT_HANDED_IN, Unreadable, members, unfit
from moe_labs.course.platforms import ZIP
from moe_labs.course.room import Room, TooMuch


def unpack(data, own, room):
    """A student's zip file, as `_inside` has it; or an empty list, and why it stays one."""
    narrow = min(own, room, key=lambda each: each.size)
    left = Room(narrow.size, own.files, narrow.most)
    try:
        found = _inside(data, left, DEPTH - 1)
    except Unreadable as error:
        return [], f"cannot be unpacked: {error}"
    except TooMuch as error:
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
        raise TooMuch(room.most)
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
