import gzip
import os
import socket
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.backend import config
from keras.src.utils import file_utils

from moe_common.keras_home import keras_home
from moe_keras.data import keras_cache
from moe_keras.data.keras_cache import cached_files, load_from_keras


def failing(error):
    def load_data():
        raise error

    return load_data


def test_keras_copy_is_loaded_and_verified(spec, arrays, keras_has_it):
    read = load_from_keras(spec)
    assert read["y_train"].shape == (200,)
    assert {x.tobytes() for x in read["x_test"]} == {x.tobytes() for x in arrays["x_test"]}


def test_channels_first_is_turned_round(spec, arrays, keras_has_it, monkeypatch):
    train, test = keras.datasets.cifar10.load_data()
    first = [(x.transpose(0, 3, 1, 2), y) for x, y in (train, test)]
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: first)
    assert load_from_keras(spec)["x_train"].shape == (200, 32, 32, 3)


def test_a_download_has_a_timeout_and_gives_it_back(spec, online, keras_has_it, monkeypatch):
    load, seen = keras.datasets.cifar10.load_data, []

    def load_data():
        seen.append(socket.getdefaulttimeout())
        return load()

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", load_data)
    load_from_keras(spec)
    assert seen == [keras_cache.SILENCE_SECONDS]
    assert socket.getdefaulttimeout() is None


def test_no_network(spec):
    words = r"download CIFAR-10.*Received: www\.cs\.toronto\.edu: Name or service.*MOE_KERAS_DATA"
    with pytest.raises(ConnectionError, match=words):
        load_from_keras(spec)


@pytest.mark.parametrize(
    "error",
    [
        Exception("URL fetch failure on https://...: 403 -- Forbidden"),
        TimeoutError("timed out"),
        ConnectionResetError("reset by peer"),
    ],
)
def test_a_download_that_breaks_off(spec, online, monkeypatch, error):
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", failing(error))
    with pytest.raises(ConnectionError, match=r"download CIFAR-10.*Received: .*Connect") as caught:
        load_from_keras(spec)
    assert str(error) in str(caught.value)


def test_a_damaged_file_in_the_cache_is_named(spec, keras_has_it):
    keras_has_it.write_bytes(b"ab")
    with pytest.raises(ValueError, match=r"Expected.*Received.*damaged.*Delete it") as error:
        load_from_keras(spec)
    assert str(keras_has_it) in str(error.value)


@pytest.mark.parametrize(
    "error", [EOFError("ended"), gzip.BadGzipFile("no gzip"), zlib.error("bad"), KeyError("labels")]
)
def test_a_cache_that_keras_cannot_read(spec, keras_has_it, monkeypatch, error):
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", failing(error))
    with pytest.raises(ValueError, match=r"Received: .*damaged\. Delete") as caught:
        load_from_keras(spec)
    assert str(keras_has_it) in str(caught.value)
    assert type(error).__name__ in str(caught.value)


def test_altered_images_in_the_cache(spec, arrays, keras_has_it):
    arrays["x_train"][0, 0, 0, 0] ^= 1
    with pytest.raises(ValueError, match=r"pixel or label differs.*Delete") as error:
        load_from_keras(spec)
    assert str(keras_has_it) in str(error.value)


def test_a_full_disk(spec, online, bare_machine, monkeypatch):
    error = OSError(28, "No space left on device")
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", failing(error))
    with pytest.raises(OSError, match=r"340 MB free.*Received: .*No space left.*KERAS_HOME"):
        load_from_keras(spec)


def test_a_lack_of_memory_is_no_damage(spec, keras_has_it, monkeypatch):
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", failing(MemoryError()))
    with pytest.raises(MemoryError):
        load_from_keras(spec)


def test_the_cache_is_keras_own_folder(spec, bare_machine, keras_has_it):
    assert cached_files(spec) == [bare_machine / "datasets" / "archive"]
    keras_has_it.unlink()
    assert cached_files(spec) == []


def test_where_keras_looks(bare_machine, tmp_path, monkeypatch):
    """Keras's own function looks in the folder that is taken for its."""
    monkeypatch.setattr(config, "_KERAS_DIR", str(bare_machine))
    (tmp_path / "file").write_text("x")
    origin = (tmp_path / "file").as_uri()
    assert Path(keras.utils.get_file(origin=origin)) == keras_home() / "datasets" / "file"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "makedirs", lambda path, exist_ok: None)
    monkeypatch.setattr(file_utils, "urlretrieve", lambda *arguments: None)
    assert Path(keras.utils.get_file(origin=origin)) == keras_home() / "datasets" / "file"


def test_checksums_are_those_of_the_installed_keras():
    """The archives that this Keras accepts are those that this package accepts."""
    from moe_keras.data.specs import SPECS

    folder = Path(keras.__file__).parent / "src" / "datasets"
    for name in ("cifar10", "mnist"):
        source = (folder / f"{name}.py").read_text()
        for checksum in SPECS[name].cache_files.values():
            assert checksum.removeprefix("sha256:") in source
    source = (folder / "fashion_mnist.py").read_text()
    assert all(Path(file).name in source for file in SPECS["fashion_mnist"].cache_files)


def test_uint8_labels_of_any_rank(spec, keras_has_it):
    assert load_from_keras(spec)["y_test"].dtype == np.uint8


def test_a_damaged_file_is_downloaded_anew_where_there_is_a_network(
    spec, online, keras_has_it, monkeypatch, capsys
):
    load = keras.datasets.cifar10.load_data

    def load_data():
        if not keras_has_it.exists():
            keras_has_it.write_bytes(b"abc")
        return load()

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", load_data)
    keras_has_it.write_bytes(b"<html>")
    assert len(load_from_keras(spec)["x_train"]) == 200
    assert keras_has_it.read_bytes() == b"abc"
    assert "downloaded anew" in capsys.readouterr().err


def test_what_was_unpacked_in_part_is_unpacked_again(
    spec, arrays, keras_has_it, bare_machine, monkeypatch
):
    archive = keras_has_it.with_name("cifar_archive")
    keras_has_it.rename(archive)
    (spec.cache_files)["datasets/cifar_archive"] = spec.cache_files.pop("datasets/archive")
    unpacked = archive.with_name("cifar")
    unpacked.mkdir()
    load = keras.datasets.cifar10.load_data

    def load_data():
        if unpacked.is_dir():
            raise FileNotFoundError("data_batch_3")
        return load()

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", load_data)
    assert len(load_from_keras(spec)["x_train"]) == 200


def test_a_cache_of_someone_else(spec, keras_has_it, monkeypatch):
    def refuse(path, checksum):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(keras_cache, "has_checksum", refuse)
    with pytest.raises(OSError, match=r"cache of one's own.*Permission denied.*KERAS_HOME"):
        load_from_keras(spec)
