"""Downloads that are there whole or not at all, in place of what Keras does by itself."""

import contextlib
import hashlib
import http.client
import shutil
import threading
import time
import urllib.request

from keras.src.utils import file_utils

from moe_common.files import replacing

# A server that says nothing for this long is taken for dead; Keras alone would wait for ever.
SILENCE_SECONDS = 30
# A server has this long to begin, be it one byte after the other.
OPENING_SECONDS = 60
# One that trickles is given up: 170 MB at this pace would take five hours.
SLOWEST = 10_000  # bytes a second, over
WINDOW_SECONDS = 60
BLOCK = 2**16


@contextlib.contextmanager
def whole_downloads(checksums=None):
    """Let Keras download whole files alone while a `with` block runs.

    Keras writes into the file that it will later take for a whole one. Here a download goes to
    another name beside it, and gets that name once it is complete and what was expected.

    Args:
        checksums: Dictionary from a file's name to "algorithm:checksum", for those that are known.

    Raises:
        ConnectionError: in the block, if the server is silent for 30 seconds, has not begun within
            a minute, sends less than 10 kB a second over a minute, sends less than it promised, or
            something else.
    """

    def retrieve(url, target, progress=None):
        _retrieve(url, target, progress, checksums or {})

    # Keras has no other way to lead its downloads through one's own function.
    before = file_utils.urlretrieve
    file_utils.urlretrieve = retrieve
    try:
        yield
    finally:
        file_utils.urlretrieve = before


def _retrieve(url, target, progress, checksums):
    name = str(target).replace("\\", "/").rpartition("/")[2]
    # Closed where all of it was read, and by nobody while a thread may still be reading: that would
    # wait for the server.
    response = _opened(url)
    with replacing(target) as part:
        length = response.headers.get("Content-Length", "")
        length = int(length) if length.isdecimal() else -1  # what is no number promises nothing
        if length > 0:
            _check_room(part.parent, length)
        received = 0
        with open(part, "wb") as file:
            for block in _blocks(response, url):
                file.write(block)
                received += len(block)
                if progress:
                    progress(received // BLOCK, BLOCK, length)
        if 0 <= length != received:
            raise ConnectionError(
                f"Expected {length:,} bytes. Received: {received:,} from {url}, then the "
                "connection ended"
            )
        _check_content(part, name, url, response.headers.get_content_type(), checksums)


def _opened(url):
    """The server's answer, as far as its headers."""
    done, response = _within(
        OPENING_SECONDS, lambda: urllib.request.urlopen(url, timeout=SILENCE_SECONDS)
    )
    if not done:
        raise ConnectionError(
            f"Expected an answer from {url}. Received: none that was complete within "
            f"{OPENING_SECONDS} seconds"
        )
    return response


def _within(seconds, function):
    """(True, what a function returns), or (False, None) if that takes longer.

    In a thread, because a timeout of the connection begins anew with each byte that trickles.
    """
    returned, raised = [], []

    def call():
        try:
            returned.append(function())
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    for error in raised:
        raise error
    return (True, returned[0]) if returned else (False, None)


def _blocks(response, url):
    """What a server sends, as long as it keeps a pace."""
    start, received = time.monotonic(), 0
    while True:
        try:
            # Of what is sent in chunks, the head of each chunk can trickle as well.
            done, block = _within(WINDOW_SECONDS, lambda: response.read1(BLOCK))
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(
                f"Expected all of {url}. Received: a connection that broke off ({error})"
            ) from error
        if done and not block:
            response.close()
            return
        received += len(block or b"")
        seconds = time.monotonic() - start
        if not done or (seconds > WINDOW_SECONDS and received < SLOWEST * seconds):
            raise ConnectionError(
                f"Expected at least {SLOWEST // 1000} kB a second from {url}. Received: "
                f"{received:,} bytes in {seconds:.0f} seconds"
            )
        yield block
        if seconds > WINDOW_SECONDS:
            start, received = time.monotonic(), 0


def _check_room(folder, length):
    free = shutil.disk_usage(folder).free
    if free < length:
        raise OSError(f"{length / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free")


def _check_content(part, name, url, kind, checksums):
    if kind == "text/html":
        raise ConnectionError(
            f"Expected a file. Received: a web page from {url}. Does this network want a log-in "
            "first?"
        )
    if name in checksums and not has_checksum(part, checksums[name]):
        raise ConnectionError(
            f"Expected {name} with {checksums[name][:24]}.... Received: {part.stat().st_size:,} "
            f"other bytes from {url}. Does this network want a log-in first?"
        )


def has_checksum(path, checksum):
    """Whether a file has a checksum "algorithm:hexadecimal digits".

    Raises:
        OSError: if it cannot be read.
    """
    algorithm, expected = checksum.split(":")
    with open(path, "rb") as stream:
        # MD5 because that is what was published; it guards against damage, not against malice.
        digest = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return digest.hexdigest() == expected
