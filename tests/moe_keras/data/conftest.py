"""A small CIFAR-10 of 200 and 50 images, and a machine without network, files or caches."""

import dataclasses
import socket

import keras
import numpy as np
import pytest

from moe_keras.data import specs
from moe_keras.data.content import content_digest

# A test vector of FIPS 180-2.
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture(autouse=True)
def bare_machine(tmp_path_factory, monkeypatch):
    """No data folder, an empty Keras folder, no network; a download would fail the test."""
    home = tmp_path_factory.mktemp("keras_home")
    monkeypatch.setenv("KERAS_HOME", str(home))
    for name in ("MOE_KERAS_DATA", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def no_network(address, timeout=None):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", no_network)
    for name in specs.SPECS.keys() & vars(keras.datasets):  # Keras need not have all of ours
        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", lambda: 1 / 0)
    return home


@pytest.fixture
def online(monkeypatch):
    """Every host answers."""

    class Connection:
        def close(self):
            pass

    monkeypatch.setattr(socket, "create_connection", lambda address, timeout=None: Connection())


def make_arrays(train=200, test=50, shape=(32, 32, 3), seed=0):
    """Random images, equally many of each class."""
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (train, *shape), dtype=np.uint8),
        "y_train": (np.arange(train) % 10).astype(np.uint8),
        "x_test": rng.integers(0, 256, (test, *shape), dtype=np.uint8),
        "y_test": (np.arange(test) % 10).astype(np.uint8),
    }


@pytest.fixture
def arrays():
    return make_arrays()


@pytest.fixture
def spec(arrays, monkeypatch):
    """CIFAR-10's facts but for the small arrays, and with a cache file that is easy to fake."""
    digests = {
        part: content_digest(arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")
    }
    small = dataclasses.replace(
        specs.SPECS["cifar10"],
        train_count=200,
        test_count=50,
        digests=digests,
        cache_files={"datasets/archive": f"sha256:{SHA256_OF_ABC}"},
    )
    monkeypatch.setitem(specs.SPECS, "cifar10", small)
    return small


@pytest.fixture
def folder(tmp_path, spec, arrays):
    """A folder with a good cifar10.npz."""
    path = tmp_path / "data"
    path.mkdir()
    np.savez(path / "cifar10.npz", **arrays)
    return path


@pytest.fixture
def gray_folder(tmp_path, monkeypatch):
    """A folder with a small mnist.npz whose content is not known beforehand."""
    small = dataclasses.replace(
        specs.SPECS["mnist"], train_count=100, test_count=20, digests={}, cache_files={"none": ""}
    )
    monkeypatch.setitem(specs.SPECS, "mnist", small)
    path = tmp_path / "gray"
    path.mkdir()
    np.savez(path / "mnist.npz", **make_arrays(100, 20, (28, 28)))
    return path


@pytest.fixture
def keras_has_it(spec, arrays, bare_machine, monkeypatch):
    """Keras's cache holds the small CIFAR-10."""
    archive = bare_machine / "datasets" / "archive"
    archive.parent.mkdir()
    archive.write_bytes(b"abc")

    def load_data():
        train = arrays["x_train"].copy(), arrays["y_train"].reshape(-1, 1)
        return train, (arrays["x_test"].copy(), arrays["y_test"].reshape(-1, 1))

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", load_data)
    return archive
