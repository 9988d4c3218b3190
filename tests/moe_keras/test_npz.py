import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import moe_keras
from moe_keras.npz import read_npz, write_npz

ADVICE = "Fetch it again."
ARRAYS = {"a": np.arange(2000, dtype=np.uint8).reshape(20, 100), "b": np.array([1, 2], np.uint8)}


class Mischief:
    def __reduce__(self):
        return os.system, ("touch mischief",)


@pytest.mark.parametrize("compress", [True, False])
def test_what_is_written_is_read(tmp_path, compress):
    path = tmp_path / "new" / "a.npz"
    write_npz(path, ARRAYS, compress)
    read = read_npz(path, ADVICE)
    assert list(read) == ["a", "b"]
    assert all((read[name] == ARRAYS[name]).all() for name in ARRAYS)
    assert os.listdir(path.parent) == ["a.npz"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_writing_the_same_gives_the_same_bytes(tmp_path):
    write_npz(tmp_path / "1.npz", ARRAYS, compress=True)
    write_npz(tmp_path / "2.npz", ARRAYS, compress=True)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def truncated(good):
    return good[: len(good) // 2]


def end_cut_off(good):
    return good[:-30]


def bit_flipped(good):
    middle = bytearray(good)
    middle[len(good) // 3] ^= 1
    return bytes(middle)


def random_bytes(good):
    return np.random.default_rng(0).bytes(5000)


def one_array(good):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def pickled(good):
    return pickle.dumps(Mischief())


def objects_inside(good):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([Mischief()], dtype=object))
    return buffer.getvalue()


def huge_header(good):
    member = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**15,)}
    np.lib.format.write_array_header_1_0(member, header)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", member.getvalue())
    return buffer.getvalue()


def with_header(text):
    """A file whose one array has this header."""

    def spoil(good):
        header = text.encode().ljust(117) + b"\n"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            size = len(header).to_bytes(2, "little")
            archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + size + header + b"\0" * 3)
        return buffer.getvalue()

    return spoil


HEADERS = [
    *("{'descr': '|u1', 'fortran_order': False, 'shape': (3,", "{[]: 1}", "{'descr': '|u1'}", "3"),
    *(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {s}}}" for s in ("(-1, -3)", "(3.0,)")),
    *(f"{{'descr': {d}, 'fortran_order': False, 'shape': (3,)}}" for d in (5, "[('a',)]", "'O'")),
]


def garbled(method):
    """A file compressed in some way, with bytes in its middle that do not belong there."""

    def spoil(good):
        buffer = io.BytesIO()
        np.save(content := io.BytesIO(), np.arange(4000))
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr("a.npy", content.getvalue())
        bad = bytearray(buffer.getvalue())
        bad[60:90] = np.random.default_rng(0).bytes(30)
        return bytes(bad)

    return spoil


def encrypted(good):
    """Each member's first flag bit set, in its own header and in the directory."""
    content = bytearray(good)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + place] |= 1
            start = content.find(mark, start + 1)
    return bytes(content)


def no_array(good):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("note.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "spoil",
    [
        encrypted,
        no_array,
        truncated,
        end_cut_off,
        bit_flipped,
        random_bytes,
        one_array,
        pickled,
        objects_inside,
        huge_header,
        lambda good: b"",
        *map(with_header, HEADERS),
        *map(garbled, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
    ],
)
def test_unreadable_files_say_so(tmp_path, monkeypatch, spoil):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.npz"
    write_npz(path, ARRAYS, compress=False)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(
        ValueError, match=r"Expected a readable NumPy .npz.*Received: .*a\.npz.*Fetch"
    ):
        read_npz(path, ADVICE)
    assert os.listdir(tmp_path) == ["a.npz"]  # nothing was run, nothing left behind


@pytest.mark.parametrize("seed", range(5))
def test_any_byte_may_be_wrong(tmp_path, seed):
    """A file is read as it was written, or refused in words."""
    rng, path = np.random.default_rng(seed), tmp_path / "a.npz"
    write_npz(path, ARRAYS, compress=bool(seed % 2))
    good = path.read_bytes()
    header = good.index(b"{")
    for start, stop in ((0, len(good)), (header, header + 60)):
        for _ in range(40):
            bad = bytearray(good)
            for place in rng.integers(start, stop, size=2):
                bad[place] = rng.integers(256)
            path.write_bytes(bad)
            try:
                read = read_npz(path, ADVICE)
            except ValueError as error:
                assert "Expected a readable NumPy .npz" in str(error)
            else:
                assert all((array == ARRAYS.get(name, array)).all() for name, array in read.items())


def test_numbers_are_read_after_the_headers_were_checked(tmp_path):
    """Zeros shrink a thousandfold: a small file may hold more than fits in memory."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x_train=np.zeros(10**7, "uint8"))
    seen = {}

    def check(headers):
        seen.update(headers)
        raise ValueError("too large")

    with pytest.raises(ValueError, match="too large"):
        read_npz(path, ADVICE, check)
    assert seen == {"x_train": ((10**7,), np.dtype("uint8"), True)}


@pytest.mark.parametrize("what", ["a folder", "a link to nowhere", "not ours"])
def test_what_is_no_file_is_not_called_damaged(tmp_path, monkeypatch, what):
    path = tmp_path / "a.npz"
    if what == "a folder":
        path.mkdir()
        message = "is a folder"
    elif what == "a link to nowhere":
        path.symlink_to("gone.npz")
        message = r"a link to gone\.npz, which is not there"
    else:
        # Not by permissions, which do not bind an administrator.
        def refuse(*arguments):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
        message = "this user may read"
    with pytest.raises(OSError, match=message) as caught:
        read_npz(path, ADVICE)
    assert "damaged" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: .*none\.npz.*not there.*Fetch"):
        read_npz(tmp_path / "none.npz", ADVICE)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, ARRAYS, compress=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Object arrays"):
        write_npz(path, {"a": ARRAYS["a"], "b": np.array([{}], dtype=object)}, compress=False)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_npz(tmp_path / "a.npz", ARRAYS, compress=False)
    assert os.listdir(tmp_path) == []


def test_there_is_one_reader():
    """Of what a damaged file raises there is one list, and it is in `npz.py`."""
    package = Path(moe_keras.__file__).parent
    readers = [path.name for path in package.rglob("*.py") if "np.load(" in path.read_text()]
    assert readers == ["npz.py"]
