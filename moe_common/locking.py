"""One process at a time: a lock that ends with the process that holds it, however that ends."""

import contextlib
import os
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


@contextlib.contextmanager
def locked(path, expected, seconds=0):
    """Hold the lock of a file while the block runs; the file stays, empty but for a process's id.

    Args:
        path: Path of the file; it and its folder are made if need be.
        expected: String, what is expected of whoever holds it, for the message.
        seconds: Float, how long to wait for it.

    Raises:
        BlockingIOError: if another process, or another part of this one, holds it.
        OSError: if the file cannot be written.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / ".lock"
    >>> with locked(path, "Expected to be alone."):
    ...     try:
    ...         with locked(path, "Expected to be alone."):
    ...             pass
    ...     except BlockingIOError as error:
    ...         print(str(error)[:31])
    Expected to be alone. Received:
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        end = time.monotonic() + seconds
        while not _take(file):
            if time.monotonic() < end:
                time.sleep(0.2)
                continue
            file.seek(0)
            raise BlockingIOError(
                f"{expected} Received: {path.parent}, in use by process {file.read() or 'unknown'}"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # closing it gives the lock back


def _take(file):
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            # A byte far behind the text, which others can so still read.
            file.seek(2**20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks cannot protect from a second process; Windows means "taken".
        return fcntl is not None
    return True
