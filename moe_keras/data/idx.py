"""Read and write IDX files, the format in which MNIST was published.

A file is a header and the bytes of the array, nothing else: two zero bytes, a byte for the type of
the numbers, a byte for the number of dimensions, each size in four bytes (the highest first), and
the numbers in row order, the highest byte of each first.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from moe_common.files import replacing

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CODES = {np.dtype(kind): code for code, kind in TYPES.items()}
BLOCK = 2**24
_AGAIN = "Get a complete copy of the file."


def read_idx(path, check=None):
    """Read the array in an IDX file.

    Args:
        path: Path of the file, plain or compressed with gzip, whatever it is called.
        check: Function of the shape and the type in the header that raises an error if they will
            not do. It is called before any number is read.

    Returns:
        Array of the type and shape in the header, in the machine's byte order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no IDX file, is cut short, or is longer than its header says.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> write_idx(np.array([5, 0, 4], "uint8"), path)
    >>> path.read_bytes().hex(" ")
    '00 00 08 01 00 00 00 03 05 00 04'
    >>> read_idx(path)
    array([5, 0, 4], dtype=uint8)

    Reference:
        LeCun, Cortes & Burges (1998), The MNIST database of handwritten digits.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected an IDX file. Received: {path}, which is not there. Check the path."
        )
    with open(path, "rb") as file:
        opened = gzip.open if file.read(2) == b"\x1f\x8b" else open
    with opened(path, "rb") as stream:
        try:
            return _read(stream, path, check)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(
                f"Expected a complete gzip file. Received: {path} ({error}). {_AGAIN}"
            ) from error


def write_idx(array, path):
    """Write an array into an IDX file, all of it or nothing.

    Args:
        array: Array of 1 to 255 dimensions, of uint8, int8, int16, int32, float32 or float64.
        path: Path of the file; if its name ends in .gz, it is compressed with gzip.

    Returns:
        None.

    Raises:
        ValueError: for an array that the format has no header for.
        OSError: if the file cannot be written.
    """
    array = np.asarray(array)
    kind = array.dtype.newbyteorder(">")
    if kind not in CODES or not 1 <= array.ndim <= 255 or max(array.shape) >= 2**32:
        known = ", ".join(dtype.newbyteorder("=").name for dtype in CODES)
        raise ValueError(
            f"Expected an array of 1 to 255 dimensions and of one of the types {known}. "
            f"Received: shape {array.shape}, dtype {array.dtype}"
        )
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[kind], array.ndim, *array.shape)
    content = header + array.astype(kind).tobytes()
    if Path(path).suffix == ".gz":
        content = gzip.compress(content, mtime=0)  # the same bytes at any time
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_idx_pair(images, labels):
    """Read images and their labels from two IDX files.

    Args:
        images: Path of the file of uint8 images (N, height, width).
        labels: Path of the file of uint8 labels (N,).

    Returns:
        Two arrays, images and labels.

    Raises:
        FileNotFoundError: if one of the files is not there.
        ValueError: as `read_idx` does; if a file holds something else; if the counts differ.
    """
    pictures = read_idx(images, lambda *found: _check("images", 3, images, *found))
    classes = read_idx(labels, lambda *found: _check("labels", 1, labels, *found))
    if len(pictures) != len(classes):
        raise ValueError(
            f"Expected a label for each image. Received: {len(pictures):,} images in {images} and "
            f"{len(classes):,} labels in {labels}. Do both belong to the same part of the dataset?"
        )
    return pictures, classes


def _check(what, rank, path, shape, kind):
    if len(shape) != rank or kind != np.uint8:
        raise ValueError(
            f"Expected {what} of {rank} dimension(s) and type uint8. Received: shape {shape} and "
            f"type {kind} in {path}. Were the files swapped?"
        )


def _read(stream, path, check):
    kind, shape = _header(stream, path)
    if check:
        check(shape, kind)
    wanted = math.prod(shape) * kind.itemsize
    # Block by block, because a header can promise any number of bytes and a small compressed file
    # can hold very many; one byte more than promised, to see whether the file ends there.
    content = bytearray()
    while len(content) <= wanted and (block := stream.read(min(BLOCK, wanted + 1 - len(content)))):
        content += block
    if len(content) != wanted:
        short = len(content) < wanted
        raise ValueError(
            f"Expected {wanted:,} bytes after the header, for shape {shape}. Received: "
            f"{'' if short else 'at least '}{len(content):,} bytes in {path}, which "
            f"{'is cut short' if short else 'goes on after its last number'}. {_AGAIN}"
        )
    return np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("="))


def _header(stream, path):
    """The type of the numbers and the shape."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise ValueError(
            "Expected an IDX file, which begins with two zero bytes, a type (08 for uint8) and a "
            f"number of dimensions. Received: {magic.hex(' ') or 'nothing'} in {path}. Is it "
            "another format?"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(
            f"Expected the sizes of {magic[3]} dimensions in the header. Received: {path}, which "
            f"is cut short within it. {_AGAIN}"
        )
    return np.dtype(TYPES[magic[2]]), struct.unpack(f">{magic[3]}I", sizes)
