import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from moe_keras.data.npz import read_npz, write_npz

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


@pytest.mark.parametrize(
    "spoil",
    [
        truncated,
        end_cut_off,
        bit_flipped,
        random_bytes,
        one_array,
        pickled,
        objects_inside,
        huge_header,
        lambda good: b"",
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
