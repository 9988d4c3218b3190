"""Reading and writing one .npz file, without trusting it and without leaving half of it behind."""

import math
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from moe_common.files import replacing

ENCRYPTED = 1  # a bit of a member's flags
# Keras's, of which NumPy's files know no more than how many bytes a number has.
FLOATS_OF_OTHERS = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


class Header(NamedTuple):
    """What a file says of an array before its numbers."""

    shape: tuple
    dtype: np.dtype
    compressed: bool


def read_npz(path, advice="", check=None):
    """All arrays of a .npz file.

    Args:
        path: Path of the file.
        advice: String, a sentence that says what to do if it cannot be read.
        check: Function of a dictionary of `Header`, by the arrays' names, that raises an error if
            they will not do. It is called before any number is read, of which a small file may
            hold very many.

    Returns:
        Dictionary of arrays, in the file's order.

    Raises:
        FileNotFoundError: if there is no such file.
        OSError: if it is a folder, or may not be read.
        ValueError: if it is no .npz file, is damaged or encrypted, or holds Python objects (which
            would have to be unpickled, and a pickle can run code).
    """
    path = Path(path)
    try:
        stream = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise _not_opened(path, error, advice) from error
    with stream:
        # A garbled file makes NumPy and zipfile raise errors of a dozen kinds, those of a tokenizer
        # and of each compression among them.
        try:
            if not zipfile.is_zipfile(stream):
                raise ValueError("not a .npz archive, or cut short")
            headers = _headers(stream)
        except Exception as error:
            raise _unreadable(path, error, advice) from error
        if check:
            check(headers)
        try:
            with np.load(stream, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception as error:
            raise _unreadable(path, error, advice) from error


def _headers(stream):
    """The headers of all arrays, each as long as its header says."""
    headers = {}
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if member.flag_bits & ENCRYPTED:
                raise ValueError(f"{member.filename} in it is encrypted")
            if not member.filename.endswith(".npy"):
                raise ValueError(f"{member.filename} in it is no array")
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = getattr(np.lib.format, f"read_array_header_{version[0]}_0", None)
                if read is None:
                    raise ValueError(f"{member.filename} in it is of another version of NumPy")
                shape, _, dtype = read(file)
                start = file.tell()
            promised = math.prod(shape) * dtype.itemsize
            if dtype.hasobject:
                raise ValueError(f"{member.filename} in it holds Python objects")
            if start + promised != member.file_size:
                raise ValueError(
                    f"{member.filename} in it promises {promised:,} bytes of numbers and has "
                    f"{member.file_size - start:,}"
                )
            compressed = member.compress_type != zipfile.ZIP_STORED
            headers[member.filename.removesuffix(".npy")] = Header(shape, dtype, compressed)
    stream.seek(0)
    return headers


def _unreadable(path, error, advice):
    return ValueError(
        f"Expected a readable NumPy .npz file of plain arrays. Received: {path} ({error}). {advice}"
    )


def _not_opened(path, error, advice):
    """The error for what is no file, or none for this user."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        link = f"a link to {os.readlink(path)}, " if path.is_symlink() else ""
        return FileNotFoundError(
            f"Expected a .npz file. Received: {path}, {link}which is not there. {advice}"
        )
    if isinstance(error, IsADirectoryError):
        return IsADirectoryError(
            f"Expected a .npz file. Received: {path}, which is a folder. Move it away, or rename "
            "it."
        )
    if isinstance(error, PermissionError):
        return PermissionError(
            f"Expected a .npz file that this user may read. Received: {path} ({error.strerror}). "
            "Change its permissions, or those of its folder."
        )
    return OSError(f"Expected a .npz file that can be read. Received: {path} ({error})")


def in_numpys_dtype(array):
    """The array, in float32 if it is of a float that NumPy's files do not know.

    >>> import ml_dtypes
    >>> in_numpys_dtype(np.array([0.5], ml_dtypes.bfloat16))
    array([0.5], dtype=float32)
    """
    return array.astype("float32") if array.dtype.name in FLOATS_OF_OTHERS else array


def write_npz(path, arrays, compress):
    """Write arrays into a .npz file, all of it or nothing.

    Args:
        path: Path of the file; its folder is made if need be.
        arrays: Dictionary of arrays.
        compress: Boolean, whether to deflate, at the fastest level: more gains little on images.

    Raises:
        OSError: if the file cannot be written.
    """
    with replacing(path) as temporary:
        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        with zipfile.ZipFile(temporary, "x", method, compresslevel=1) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
