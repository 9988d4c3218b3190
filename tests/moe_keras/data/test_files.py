import errno
import os

import numpy as np
import pytest

from moe_keras import data
from moe_keras.data import files


def test_locate_a_local_file(folder, monkeypatch):
    here = data.locate("cifar10", data_dir=folder)
    assert (here.name, here.title, here.source) == ("cifar10", "CIFAR-10", "local file")
    assert here.path == folder / "cifar10.npz"
    assert str(here.path) in here.note
    monkeypatch.setenv("MOE_KERAS_DATA", str(folder))
    assert data.locate("cifar10") == here


def test_locate_keras_copy(keras_has_it):
    here = data.locate("cifar10")
    assert (here.source, here.path) == ("Keras cache", keras_has_it)


def test_locate_without_a_copy(spec, monkeypatch):
    here = data.locate("cifar10")
    assert (here.source, here.path) == ("stand-in", None)
    assert "Name or service not known" in here.note
    monkeypatch.setattr(files, "network_problem", lambda url: None)
    here = data.locate("cifar10")
    assert (here.source, here.path) == ("download", None)
    assert "170 MB" in here.note


def test_locate_refuses_what_load_refuses(tmp_path):
    with pytest.raises(ValueError, match="Received: name='imagenet'"):
        data.locate("imagenet")
    with pytest.raises(FileNotFoundError, match="Received"):
        data.locate("cifar10", data_dir=tmp_path / "nowhere")


def test_fetch_writes_a_file_that_loads(keras_has_it, tmp_path):
    folder = tmp_path / "new" / "folder"
    here = data.fetch("cifar10", data_dir=folder)
    assert here.path == folder / "cifar10.npz"
    assert os.listdir(folder) == ["cifar10.npz"]
    fetched = data.load("cifar10", data_dir=folder, validation=40)
    from_keras = data.load("cifar10", validation=40)
    assert (fetched.source, from_keras.source) == ("local file", "download")
    assert (fetched.x_train == from_keras.x_train).all()
    before = here.path.stat().st_mtime_ns
    assert "intact" in data.fetch("cifar10", data_dir=folder).note
    assert here.path.stat().st_mtime_ns == before


def test_fetch_goes_to_the_data_folder_or_keras_cache(keras_has_it, tmp_path, monkeypatch):
    assert data.fetch("cifar10").path == keras_has_it
    monkeypatch.setenv("MOE_KERAS_DATA", str(tmp_path / "made"))
    assert data.fetch("cifar10").path == tmp_path / "made" / "cifar10.npz"


def test_fetch_leaves_a_damaged_file_to_its_owner(keras_has_it, tmp_path):
    path = tmp_path / "cifar10.npz"
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"Received: .*cifar10\.npz.*delete"):
        data.fetch("cifar10", data_dir=tmp_path)
    assert path.read_bytes() == b"mine"


def test_fetch_without_network_gives_no_stand_in(spec, tmp_path):
    with pytest.raises(ConnectionError, match=r"CIFAR-10.*Received.*Connect"):
        data.fetch("cifar10", data_dir=tmp_path / "new")
    assert os.listdir(tmp_path / "new") == []


def test_fetch_into_a_place_that_is_no_folder(keras_has_it, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"can be written to.*Received: .*file.*Choose"):
        data.fetch("cifar10", data_dir=tmp_path / "file" / "below")


def test_fetch_into_a_read_only_folder(keras_has_it, tmp_path, monkeypatch):
    # Not by permissions, which do not bind an administrator.
    monkeypatch.setattr(files.os, "access", lambda path, mode: "read_only" not in str(path))
    with pytest.raises(OSError, match=r"Received: .*read_only.*permission denied"):
        data.fetch("cifar10", data_dir=tmp_path / "read_only")


def test_fetch_onto_a_full_disk(keras_has_it, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match=r"with room.*Received: .*No space left"):
        data.fetch("cifar10", data_dir=tmp_path / "full")
    assert os.listdir(tmp_path / "full") == []


def test_fetch_an_unknown_dataset(tmp_path):
    with pytest.raises(ValueError, match="Received: name='imagenet'"):
        data.fetch("imagenet", data_dir=tmp_path)
    assert os.listdir(tmp_path) == []


def test_verify_a_file(folder):
    report = data.verify(folder / "cifar10.npz")
    assert (report.name, report.path) == ("cifar10", folder / "cifar10.npz")
    assert report.content_known
    assert "200 training and 50 test images" in report.note
    renamed = folder / "copy.npz"
    (folder / "cifar10.npz").rename(renamed)
    assert data.verify(renamed, name="cifar10").path == renamed
    with pytest.raises(ValueError, match=r"called cifar10\.npz.*`name`.*Received: .*copy\.npz"):
        data.verify(renamed)


def test_verify_what_is_found(folder, keras_has_it, monkeypatch):
    assert data.verify("cifar10").path == keras_has_it
    monkeypatch.setenv("MOE_KERAS_DATA", str(folder))
    assert data.verify("cifar10").path == folder / "cifar10.npz"


def test_verify_says_what_it_cannot_know(gray_folder):
    report = data.verify(gray_folder / "mnist.npz")
    assert not report.content_known
    assert "form, counts" in report.note


def test_verify_without_a_copy(spec, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"copy of CIFAR-10.*Received.*fetch"):
        data.verify("cifar10")
    with pytest.raises(FileNotFoundError, match=r"Received: .*cifar10\.npz.*not there"):
        data.verify(tmp_path / "cifar10.npz")


def test_verify_a_tampered_file(folder, arrays):
    arrays["x_train"][0, 0, 0, 0] ^= 1
    np.savez(folder / "cifar10.npz", **arrays)
    with pytest.raises(ValueError, match=r"train images.*pixel or label differs in .*cifar10\.npz"):
        data.verify(folder / "cifar10.npz")
