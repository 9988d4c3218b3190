"""Loading through Keras's own loaders: from its cache, else by download."""

import contextlib
import gzip
import hashlib
import http.client
import os
import socket
import ssl
import tempfile
from pathlib import Path

import keras

from moe_keras.data.content import verified
from moe_keras.data.local_files import FOLDER_VARIABLE
from moe_keras.data.network import network_problem

# A server that says nothing for this long is taken for dead; Keras alone would wait for ever.
SILENCE_SECONDS = 30


def keras_home():
    """Keras's own folder: $KERAS_HOME, else ~/.keras."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def cache_folder():
    """Where Keras keeps downloads: its own folder, or a temporary one if that is read-only."""
    home = keras_home()
    if os.access(home, os.W_OK):
        return home
    return Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / ".keras"


def cached_files(spec):
    """The files in Keras's cache that hold a dataset if all are there, else an empty list."""
    files = [cache_folder() / name for name in spec.cache_files]
    return files if all(file.is_file() for file in files) else []


def load_from_keras(spec):
    """A dataset's arrays through Keras's loader, downloaded with its progress bar unless cached.

    Keras 3.15 reads CIFAR-10's files with an unpickler that can rebuild nothing but NumPy arrays,
    and the checksum of their archive is verified before that.

    Args:
        spec: the dataset's `DatasetSpec`.

    Returns:
        A dictionary with x_train, y_train, x_test and y_test as `verified` gives them.

    Raises:
        ConnectionError: if the data must be downloaded and cannot be.
        ValueError: if what Keras has cached is damaged or altered; says which file to delete.
        OSError: if Keras cannot write into its cache.
    """
    _refuse_damaged(spec)
    if not cached_files(spec):
        problem = network_problem(spec.origin)
        if problem:
            raise _no_download(spec, problem)
    loader = getattr(keras.datasets, spec.name).load_data
    try:
        with _socket_timeout(SILENCE_SECONDS):
            (x_train, y_train), (x_test, y_test) = loader()
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
    files = ", ".join(str(cache_folder() / name) for name in spec.cache_files)
    return f"Delete {files} and load again: it will be downloaded anew."


def _no_download(spec, problem):
    return ConnectionError(
        f"Expected to download {spec.title}, as there is no copy here. Received: {problem}. "
        "Connect to the internet and try again (Keras keeps the download), or put "
        f"{spec.file_name} into a folder and set {FOLDER_VARIABLE} to it."
    )


def _refuse_damaged(spec):
    for name, checksum in spec.cache_files.items():
        file = cache_folder() / name
        if not file.is_file():
            continue
        algorithm, expected = checksum.split(":")
        with open(file, "rb") as stream:
            # MD5 because that is what was published; it guards against damage, not against malice.
            received = hashlib.file_digest(
                stream, lambda kind=algorithm: hashlib.new(kind, usedforsecurity=False)
            )
        if received.hexdigest() != expected:
            raise ValueError(
                f"Expected Keras's copy of {spec.title} with {algorithm} {expected[:16]}.... "
                f"Received: {file} with {received.hexdigest()[:16]}..., so it is damaged, perhaps "
                "by an interrupted download. Delete it and load again: it will be downloaded anew."
            )


def _explained(error, spec):
    """The error to raise instead of one from Keras's loader."""
    # Keras reports a failed download as a bare Exception with these words.
    network = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)
    if isinstance(error, network) or "URL fetch failure" in str(error):
        return _no_download(spec, error)
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return OSError(
            f"Expected a cache folder with {2 * spec.megabytes} MB free to keep {spec.title} in. "
            f"Received: {cache_folder()} ({error}). Make room there, or set KERAS_HOME to another "
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
