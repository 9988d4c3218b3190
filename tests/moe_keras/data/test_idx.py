import gzip
import tracemalloc

import numpy as np
import pytest

from moe_keras.data import read_idx_pair, write_idx
from moe_keras.data.idx import read_idx

# Two images of 2 by 3 pixels, written by hand: magic, three sizes, twelve pixels.
TWO = bytes.fromhex("00000803 00000002 00000002 00000003") + bytes(range(12))


def test_a_file_written_by_hand(tmp_path):
    (tmp_path / "images").write_bytes(TWO)
    np.testing.assert_array_equal(
        read_idx(tmp_path / "images"), np.arange(12, dtype="uint8").reshape(2, 2, 3)
    )
    (tmp_path / "images.gz").write_bytes(gzip.compress(TWO, mtime=0))
    np.testing.assert_array_equal(
        read_idx(tmp_path / "images.gz"), np.arange(12, dtype="uint8").reshape(2, 2, 3)
    )


def test_the_bytes_that_are_written(tmp_path):
    write_idx(np.arange(12, dtype="uint8").reshape(2, 2, 3), tmp_path / "images")
    assert (tmp_path / "images").read_bytes() == TWO
    write_idx(np.array([1, -2], "int16"), tmp_path / "short")
    assert (tmp_path / "short").read_bytes().hex(" ") == "00 00 0b 01 00 00 00 02 00 01 ff fe"


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", ["plain", "packed.gz"])
def test_what_is_written_is_read(tmp_path, dtype, name):
    array = np.arange(6).reshape(3, 2).astype(dtype)
    write_idx(array, tmp_path / name)
    again = read_idx(tmp_path / name)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_an_empty_array(tmp_path):
    write_idx(np.zeros((0, 28, 28), "uint8"), tmp_path / "none")
    assert read_idx(tmp_path / "none").shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TWO[:-1], "11 bytes .*cut short.* complete copy"),
        (TWO[:10], "sizes of 3 dimensions"),
        (TWO[:3], "begins with two zero bytes"),
        (b"", "Received: nothing"),
        (TWO + b"\0", "13 bytes .*goes on after"),
        (b"\x89PNG" + TWO[4:], "Received: 89 50 4e 47"),
        (b"\0\0\x07\x03" + TWO[4:], "Received: 00 00 07 03"),
        (b"\0\0\x08\0" + TWO[4:], "Received: 00 00 08 00"),
        (b"\x03\x08\0\0" + TWO[4:], "Received: 03 08 00 00"),
        (gzip.compress(TWO, mtime=0)[:-9], "complete gzip file"),
        (gzip.compress(TWO, mtime=0)[:15] + b"????", "complete gzip file"),
        (TWO[:4] + b"\xff" * 12 + TWO[16:], "12 bytes .*cut short"),
        (gzip.compress(TWO[:4] + b"\xff" * 12 + TWO[16:], mtime=0), "12 bytes .*cut short"),
        (b"\0\0\x08\xff" + b"\xff" * 1020, "0 bytes .*cut short"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "images")


def memory_to_refuse(folder, content):
    """How many bytes of memory it takes to refuse a file of images, at most."""
    write_idx(np.zeros(0, "uint8"), folder / "labels")
    (folder / "images.gz").write_bytes(gzip.compress(content, mtime=0))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"Expected (images|[\d,]+ bytes)"):
            read_idx_pair(folder / "images.gz", folder / "labels")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", ["00000803 00000002 00000002 00000003", "00000801 06000000"])
def test_no_more_is_inflated_than_the_header_promises_and_the_images_need(tmp_path, header):
    # 100 MB of zeros in 100 kB, behind a header of 12 bytes, and of 100 MB that are no images.
    assert memory_to_refuse(tmp_path, bytes.fromhex(header) + bytes(100_663_296)) < 5e6


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="not there"):
        read_idx(tmp_path / "images")


@pytest.mark.parametrize("array", [np.uint8(3), np.zeros(2, "int64"), np.array(["a"])])
def test_arrays_without_a_header(tmp_path, array):
    with pytest.raises(ValueError, match="1 to 255 dimensions and of one of the types uint8, int8"):
        write_idx(array, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def pair(tmp_path, images, labels):
    write_idx(images, tmp_path / "images")
    write_idx(labels, tmp_path / "labels")
    return tmp_path / "images", tmp_path / "labels"


def test_a_pair(tmp_path):
    images, labels = np.ones((2, 3, 3), "uint8"), np.array([4, 5], "uint8")
    read = read_idx_pair(*pair(tmp_path, images, labels))
    np.testing.assert_array_equal(read[0], images)
    np.testing.assert_array_equal(read[1], labels)


def test_counts_that_differ(tmp_path):
    paths = pair(tmp_path, np.ones((2, 3, 3), "uint8"), np.zeros(3, "uint8"))
    with pytest.raises(ValueError, match=r"2 images in .* 3 labels"):
        read_idx_pair(*paths)


def test_files_that_were_swapped(tmp_path):
    images, labels = pair(tmp_path, np.ones((2, 3, 3), "uint8"), np.zeros(2, "uint8"))
    with pytest.raises(ValueError, match="swapped"):
        read_idx_pair(labels, images)
