"""Files that are there whole or not at all."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

_unfinished = set()


@contextlib.contextmanager
def replacing(path, mode=None):
    """Write a file under another name in its folder, and rename it when it is complete.

    A reader never sees half of it, and an interruption leaves the old file as it was. The folder
    is made if need be. Who may read and write the old file may do so with the new one.

    Args:
        path: the file.
        mode: permissions where there is no old file, such as 0o600; then the temporary file is
            there, empty and nobody else's, before it is written to. Default: what is usual here.

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
        if mode is not None:
            temporary.touch(0o600)
        yield temporary
        _give_mode(temporary, path, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    finally:
        _unfinished.discard(temporary)


def _give_mode(temporary, path, mode):
    with contextlib.suppress(OSError):  # there is no old file
        mode = stat.S_IMODE(path.stat().st_mode)
    if mode is not None and mode != stat.S_IMODE(temporary.stat().st_mode):
        with contextlib.suppress(OSError):  # some disks know no permissions
            temporary.chmod(mode)


def remove_unfinished():
    """Remove the temporary files of all that is being written, when the process ends at once."""
    for temporary in list(_unfinished):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path, text, mode=None):
    """Write a text file, all of it or nothing; `mode` is that of `replacing`."""
    with replacing(path, mode) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
