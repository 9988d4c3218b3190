"""Files that are there whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path

_unfinished = set()


@contextlib.contextmanager
def replacing(path):
    """Write a file under another name in its folder, and rename it when it is complete.

    A reader never sees half of it, and an interruption leaves the old file as it was. The folder
    is made if need be.

    Yields:
        The temporary `Path` to write to.

    Raises:
        OSError: if the file cannot be written.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(path) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> path.read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    _unfinished.add(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    finally:
        _unfinished.discard(temporary)


def remove_unfinished():
    """Remove the temporary files of all that is being written, when the process ends at once."""
    for temporary in list(_unfinished):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
