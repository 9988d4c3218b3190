import os
import warnings

import numpy as np
import pytest

from moe_keras.data.standin import load_standin, standin_file
from moe_keras.npz import read_npz
from moe_keras.standin import generate


@pytest.fixture
def counted(monkeypatch):
    """How often the stand-in was generated."""
    paint, calls = generate.generate_standin, []

    def counting(spec):
        calls.append(spec.name)
        return paint(spec)

    monkeypatch.setattr(generate, "generate_standin", counting)
    return calls


def test_generated_once_then_read(spec, counted, capsys):
    first = load_standin(spec)
    assert "Generating the stand-in for CIFAR-10" in capsys.readouterr().err
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = load_standin(spec)
    assert capsys.readouterr().err == ""
    assert counted == ["cifar10"]
    assert all((first[name] == second[name]).all() for name in first)
    assert first["x_train"].shape == (200, 32, 32, 3)
    assert np.bincount(first["y_train"]).tolist() == [20] * 10


def test_the_cache_file(spec, bare_machine):
    load_standin(spec)
    path = bare_machine / "moe_keras" / "cifar10_standin_v1.npz"
    assert standin_file(spec) == path
    assert os.listdir(path.parent) == [path.name]
    # Marked, so that a copy under the dataset's name is refused.
    assert "standin_version" in read_npz(path, "")


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_damaged_cache_file_is_replaced(spec, counted, keep):
    first = load_standin(spec)
    path = standin_file(spec)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    with pytest.warns(UserWarning, match=r"damaged.*Received: .*standin_v1.*generated again"):
        second = load_standin(spec)
    assert (first["x_train"] == second["x_train"]).all()
    assert path.read_bytes() == whole
    assert os.listdir(path.parent) == [path.name]
    assert counted == ["cifar10"] * 2


def test_a_cache_that_cannot_be_written_does_not_stop_loading(spec, bare_machine):
    (bare_machine / "moe_keras").write_text("a file where the folder would be")
    with pytest.warns(UserWarning, match=r"cannot be kept in .*moe_keras.*each time.*KERAS_HOME"):
        arrays = load_standin(spec)
    assert arrays["x_test"].shape == (50, 32, 32, 3)
    assert os.listdir(bare_machine) == ["moe_keras"]


def test_a_cache_file_that_promises_more_is_replaced_before_it_is_read(spec, counted, monkeypatch):
    first = load_standin(spec)
    path = standin_file(spec)
    np.savez_compressed(path, **{**first, "x_train": np.zeros((10**6, 32), "uint8")})
    monkeypatch.setattr(np, "load", None)  # so it is not read
    with pytest.warns(UserWarning, match=r"Received: shape \(1000000, 32\)"):
        second = load_standin(spec)
    assert (first["x_train"] == second["x_train"]).all()
    assert counted == ["cifar10"] * 2
