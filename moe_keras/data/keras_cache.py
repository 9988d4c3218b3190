"""Load a dataset through `keras.datasets`: from its cache, else by download."""

import contextlib
import gzip
import http.client
import os
import shutil
import socket
import ssl
import sys
from pathlib import Path

import keras

from moe_common.keras_home import keras_home
from moe_common.locking import locked
from moe_keras.data.content import verified
from moe_keras.data.download import SILENCE_SECONDS, has_checksum, whole_downloads
from moe_keras.data.local_files import FOLDER_VARIABLE
from moe_keras.data.network import network_problem

# So long one process waits for another that downloads the same.
WAIT_SECONDS = 3600
ARCHIVE = "_archive"  # the end of the name of what Keras unpacks, into a folder without it


def cached_files(spec):
    """Files in Keras's cache that hold a dataset if all are there, else an empty list."""
    files = [keras_home() / name for name in spec.cache_files]
    try:
        return files if all(file.is_file() for file in files) else []
    except OSError as error:
        raise _unreadable(error) from error


def load_from_keras(spec):
    """Load a dataset through `keras.datasets`, downloaded with a progress bar unless cached.

    A file in the cache that an interrupted download left is downloaded anew, if there is a network;
    two processes that want the same download it once.

    Keras 3.15 reads CIFAR-10's files with an unpickler that can rebuild nothing but NumPy arrays,
    and the checksum of their archive is verified before that.

    Args:
        spec: `DatasetSpec` of the dataset.

    Returns:
        Dictionary with x_train, y_train, x_test and y_test as `verified` returns them.

    Raises:
        ConnectionError: if the data must be downloaded and cannot be.
        ValueError: if what Keras has cached is damaged or altered and cannot be downloaded anew;
            says which file to delete.
        OSError: if Keras cannot read its cache or write into it.
    """
    if spec.origin is None:
        raise ConnectionError(
            f"Expected a local file of {spec.title}, which cannot be downloaded. Received: no "
            f"{spec.file_name}. Put it into a folder and set {FOLDER_VARIABLE} to it."
        )
    with _alone(spec):
        _make_way(spec)
        if not cached_files(spec):
            problem = network_problem(spec.origin)
            if problem:
                raise _no_download(spec, problem)
        try:
            return _loaded(spec)
        except (ValueError, OSError):
            unpacked = [folder for folder in _unpacked(spec) if folder.is_dir()]
            if not unpacked or not cached_files(spec):
                raise
            # The archive is whole; what was unpacked from it may have been cut short.
            for folder in unpacked:
                shutil.rmtree(folder, ignore_errors=True)
            return _loaded(spec)


def _loaded(spec):
    """The arrays that Keras's loader gives, verified."""
    loader = getattr(keras.datasets, spec.name).load_data
    checksums = {Path(name).name: checksum for name, checksum in spec.cache_files.items()}
    try:
        with _socket_timeout(SILENCE_SECONDS), whole_downloads(checksums):
            (x_train, y_train), (x_test, y_test) = loader()
    except MemoryError:
        raise  # says nothing of the files
    except Exception as error:
        raise _explained(error, spec) from error
    _refuse_damaged(spec)
    if x_train.ndim == 4 and x_train.shape[1:] != spec.image_shape:
        # Keras puts channels first where keras.json says so.
        x_train, x_test = x_train.transpose(0, 2, 3, 1), x_test.transpose(0, 2, 3, 1)
    arrays = {
        "x_train": x_train,
        "y_train": y_train.ravel(),
        "x_test": x_test,
        "y_test": y_test.ravel(),
    }
    return verified(arrays, spec, ("Keras's cache", _advice(spec)))


def _advice(spec):
    files = ", ".join(str(keras_home() / name) for name in spec.cache_files)
    return f"Delete {files} and load again: it will be downloaded anew."


def _no_download(spec, problem):
    return ConnectionError(
        f"Expected to download {spec.title}, as there is no copy here. Received: {problem}. "
        "Connect to the internet and try again (Keras keeps the download), or put "
        f"{spec.file_name} into a folder and set {FOLDER_VARIABLE} to it."
    )


def _unpacked(spec):
    """The folders into which Keras unpacks archives."""
    return [
        keras_home() / name.removesuffix(ARCHIVE)
        for name in spec.cache_files
        if name.endswith(ARCHIVE)
    ]


@contextlib.contextmanager
def _alone(spec):
    """Let one process at a time download and unpack a dataset; others wait."""
    ready = bool(cached_files(spec)) and all(folder.is_dir() for folder in _unpacked(spec))
    if ready or not os.access(keras_home(), os.W_OK):
        yield
        return
    lock = keras_home() / "moe_keras" / f".{spec.name}.lock"
    with contextlib.ExitStack() as stack:
        expected = f"Expected to download {spec.title} alone."
        try:
            stack.enter_context(locked(lock, expected))
        except BlockingIOError:
            print(f"Another process downloads {spec.title}; waiting ...", file=sys.stderr)
            stack.enter_context(locked(lock, expected, WAIT_SECONDS))
        except OSError:
            pass  # a disk that takes no lock will say more of itself when the data comes
        yield


def _damaged(spec):
    """The files in the cache that are not what was published."""
    for name, checksum in spec.cache_files.items():
        file = keras_home() / name
        try:
            if file.is_file() and not has_checksum(file, checksum):
                yield file, checksum
        except OSError as error:
            raise _unreadable(error) from error


def _make_way(spec):
    """Remove damaged files, if they can be downloaded anew."""
    for file, _ in _damaged(spec):
        if network_problem(spec.origin):
            _refuse_damaged(spec)
        print(f"{file} is damaged and is downloaded anew.", file=sys.stderr)
        try:
            file.unlink()
        except OSError as error:
            raise _unreadable(error) from error


def _refuse_damaged(spec):
    for file, checksum in _damaged(spec):
        raise ValueError(
            f"Expected Keras's copy of {spec.title} with {checksum[:24]}.... "
            f"Received: {file} with another content, so it is damaged, perhaps "
            "by an interrupted download. Delete it and load again: it will be downloaded anew."
        )


def _unreadable(error):
    return OSError(
        f"Expected a Keras cache of one's own, to read and write. Received: {keras_home()} "
        f"({error}). Change its permissions, or set KERAS_HOME to another folder."
    )


def is_failed_download(error):
    """Whether an error comes from the network, as itself or as what Keras makes of it."""
    # Keras reports a failed download as a bare Exception with these words.
    network = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)
    return isinstance(error, network) or "URL fetch failure" in str(error)


def _explained(error, spec):
    """The error to raise instead of one from Keras's loader."""
    if is_failed_download(error):
        return _no_download(spec, error)
    if isinstance(error, PermissionError):
        return _unreadable(error)
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return OSError(
            f"Expected a cache folder with {2 * spec.megabytes} MB free to keep {spec.title} in. "
            f"Received: {keras_home()} ({error}). Make room there, or set KERAS_HOME to another "
            "folder."
        )
    return ValueError(
        f"Expected Keras's loader to read {spec.title}. Received: {type(error).__name__}: {error}. "
        f"Its cached copy is damaged. {_advice(spec)}"
    )


@contextlib.contextmanager
def _socket_timeout(seconds):
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
