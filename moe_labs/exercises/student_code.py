"""Which line of a student's code an error comes from."""

import linecache
import sysconfig
from pathlib import Path

_OURS = tuple(str(Path(__file__).parents[2] / name) for name in ("moe_labs", "moe_keras"))
_STANDARD = str(Path(sysconfig.get_path("stdlib")).resolve())


def is_blank(error):
    """Whether an error is the stub of an exercise that nobody has begun.

    Libraries raise NotImplementedError as well: theirs is a mistake of the student's.
    """
    if not isinstance(error, NotImplementedError):
        return False
    frames = list(_frames(error))
    return bool(frames) and _is_students(frames[-1][0])


def line_of(error):
    """Where the student's code stopped: its line's number in its cell, and the line."""
    own = [frame for frame in _frames(error) if _is_students(frame[0])]
    if not own:
        return ""
    file, number = own[-1]
    text = linecache.getline(file, number).strip()
    return f"\n  Line {number} of the cell: {text}" if text else f" (line {number} of the cell)"


def _frames(error):
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _is_students(file):
    path = file if file.startswith("<") else str(Path(file).resolve())
    installed = {"site-packages", "dist-packages"} & set(Path(path).parts)
    return not (installed or path.startswith(("<frozen", *_OURS, _STANDARD)))
