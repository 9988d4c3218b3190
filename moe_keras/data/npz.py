"""Reading and writing one .npz file, without trusting it and without leaving half of it behind."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from moe_keras.files import replacing

# What NumPy and zipfile raise on files that are cut short, garbled or hold pickled objects.
_UNREADABLE = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    MemoryError,
)


def read_npz(path, advice):
    """All arrays of a .npz file.

    Args:
        path: the file.
        advice: a sentence that says what to do if it cannot be read.

    Returns:
        A dictionary of arrays.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no .npz file, is damaged, or holds Python objects (which would have to
            be unpickled, and a pickle can run code).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a dataset file. Received: {path}, which is not there. {advice}"
        )
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("not a .npz archive, or cut short")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _UNREADABLE as error:
        raise ValueError(
            "Expected a readable NumPy .npz file of plain arrays. Received: "
            f"{path} ({error}). {advice}"
        ) from error


def write_npz(path, arrays, compress):
    """Write arrays into a .npz file, all of it or nothing.

    Args:
        path: the file; its folder is made if need be.
        arrays: dictionary of arrays.
        compress: whether to deflate, at the fastest level: higher ones gain little on images.

    Raises:
        OSError: if the file cannot be written.
    """
    with replacing(path) as temporary:
        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        with zipfile.ZipFile(temporary, "x", method, compresslevel=1) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
