import os
import runpy
import warnings

import numpy as np
import pytest

from moe_keras import data
from moe_keras.data import datasets, specs
from moe_keras.npz import write_npz


def parts(dataset):
    return {
        part: (getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}"))
        for part in ("train", "validation", "test")
    }


def test_a_local_file(folder, arrays):
    dataset = data.load("cifar10", data_dir=folder, validation=40)
    assert (dataset.name, dataset.source, dataset.label) == ("cifar10", "local file", "CIFAR-10")
    assert dataset.key == "cifar10"
    assert not dataset.is_stand_in
    assert dataset.num_classes == 10
    assert dataset.class_names[3] == "cat"
    sizes = {part: len(x) for part, (x, _) in parts(dataset).items()}
    assert sizes == {"train": 160, "validation": 40, "test": 50}
    for x, y in parts(dataset).values():
        assert x.dtype == np.uint8
        assert x.shape[1:] == (32, 32, 3)
        assert y.dtype == np.int32
    # No image is lost, doubled, or given another label.
    read = [
        (x.tobytes(), int(label))
        for part in ("train", "validation")
        for x, label in zip(*parts(dataset)[part], strict=True)
    ]
    given = zip(arrays["x_train"], arrays["y_train"], strict=True)
    assert sorted(read) == sorted((x.tobytes(), int(label)) for x, label in given)


def test_parts_are_balanced(folder):
    dataset = data.load("cifar10", data_dir=folder, validation=40, subset=0.5)
    counts = {part: np.bincount(y).tolist() for part, (_, y) in parts(dataset).items()}
    # Of 20 and 5 images a class: 16 and 4 and 5, then half of them; 2.5 is rounded to even.
    assert counts == {"train": [8] * 10, "validation": [2] * 10, "test": [2] * 10}


def test_the_order_in_the_file_does_not_matter(folder, arrays, tmp_path):
    order = np.random.default_rng(3).permutation(200)
    moved = dict(arrays, x_train=arrays["x_train"][order], y_train=arrays["y_train"][order])
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "cifar10.npz", **moved)
    first = data.load("cifar10", data_dir=folder, validation=40, subset=0.5)
    second = data.load("cifar10", data_dir=tmp_path / "other", validation=40, subset=0.5)
    for (x1, y1), (x2, y2) in zip(parts(first).values(), parts(second).values(), strict=True):
        assert (x1 == x2).all()
        assert (y1 == y2).all()


def test_the_seed_chooses(folder):
    first, second, again = (
        data.load("cifar10", data_dir=folder, validation=40, seed=seed) for seed in (0, 1, 0)
    )
    assert (first.x_validation == again.x_validation).all()
    assert not (first.x_validation == second.x_validation).all()


def test_it_prints_in_one_line(folder):
    dataset = data.load("cifar10", data_dir=str(folder), validation=0)
    assert str(dataset) == (
        "CIFAR-10 [local file]: 200 training, 0 validation and 50 test images of 32 x 32 x 3, "
        "10 classes"
    )
    assert dataset.x_validation.shape == (0, 32, 32, 3)


def test_the_data_folder_of_the_environment(folder, monkeypatch):
    monkeypatch.setenv("MOE_KERAS_DATA", str(folder))
    assert data.load("cifar10", validation=40).source == "local file"


def test_a_data_folder_without_the_file_goes_on_to_keras(keras_has_it, tmp_path, monkeypatch):
    monkeypatch.setenv("MOE_KERAS_DATA", str(tmp_path))
    assert data.load("cifar10", validation=40).source == "download"


def test_data_dir_is_not_left(keras_has_it, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cifar10\.npz in `data_dir`.*no \.npz.*fetch"):
        data.load("cifar10", data_dir=tmp_path)


def test_gray_images_get_a_channel(gray_folder):
    dataset = data.load("mnist", data_dir=gray_folder, validation=10)
    assert dataset.x_train.shape == (90, 28, 28, 1)
    assert dataset.x_test.shape == (20, 28, 28, 1)


@pytest.mark.parametrize("name", ["cifar100", "CIFAR10", "", None, 10])
def test_unknown_names(name):
    known = ", ".join(data.SPECS)
    with pytest.raises(ValueError, match=rf"{known}\. Received: name="):
        data.load(name)


def test_missing_folders(tmp_path, monkeypatch):
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"`data_dir`.*Received: data_dir=.*nowhere"):
        data.load("cifar10", data_dir=nowhere)
    monkeypatch.setenv("MOE_KERAS_DATA", nowhere)
    with pytest.raises(FileNotFoundError, match=r"\$MOE_KERAS_DATA.*Received: .*nowhere.*Create"):
        data.load("cifar10")


def test_a_file_in_place_of_the_folder(folder):
    with pytest.raises(FileNotFoundError, match="existing folder"):
        data.load("cifar10", data_dir=folder / "cifar10.npz")


def test_a_damaged_file_never_gives_way_to_the_stand_in(folder):
    path = folder / "cifar10.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"readable.*cifar10\.npz.*delete.*fetch"):
        data.load("cifar10", data_dir=folder, fallback=True)


@pytest.mark.parametrize("kind", ["a folder", "a link to nowhere"])
def test_what_has_the_files_name_never_gives_way_to_the_stand_in(tmp_path, monkeypatch, kind):
    path = tmp_path / "cifar10.npz"
    path.mkdir() if kind == "a folder" else path.symlink_to("gone")
    monkeypatch.setenv("MOE_KERAS_DATA", str(tmp_path))
    with pytest.raises(OSError, match=r"Received: .*cifar10\.npz, .*(a folder|a link to gone)"):
        data.load("cifar10")
    with pytest.raises(OSError, match="Received"):
        data.fetch("cifar10")
    assert os.path.lexists(path)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(OSError, match=r"folder that can be read.*Permission denied"):
        data.load("cifar10", data_dir=tmp_path)


def test_a_home_that_is_nobodys():
    with pytest.raises(ValueError, match=r"home folder that exists.*Received: '~nobody_there/x'"):
        data.load("cifar10", data_dir="~nobody_there/x")


def test_the_cached_stand_in_does_not_pass_for_a_dataset(folder, arrays):
    marked = {**arrays, "standin_version": np.array(1, np.uint8)}
    write_npz(folder / "cifar10.npz", marked, compress=False)
    with pytest.raises(ValueError, match="standin_version"):
        data.load("cifar10", data_dir=folder)


@pytest.mark.parametrize("validation", [-1, 200, 191, 2.5])
def test_validation_out_of_range(folder, validation):
    with pytest.raises(ValueError, match=r"`validation`.*0 to 190.*Received: validation="):
        data.load("cifar10", data_dir=folder, validation=validation)


@pytest.mark.parametrize("subset", [0, -1, 2, 1000])
def test_subset_out_of_range(folder, subset):
    with pytest.raises(ValueError, match=r"`subset`.*Received: subset="):
        data.load("cifar10", data_dir=folder, validation=40, subset=subset)


def test_no_network_and_no_fallback(spec):
    with pytest.raises(ConnectionError, match=r"CIFAR-10.*Received.*Connect.*MOE_KERAS_DATA"):
        data.load("cifar10", fallback=False)


def test_the_stand_in_is_announced_every_time(spec, capsys):
    words = r"Generated images stand in for CIFAR-10.*nothing.*holds.*Connect to the internet"
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("always", data.StandInWarning, append=True)
        for _ in range(2):
            dataset = data.load("cifar10", validation=40)
    assert [warning.category for warning in caught] == [data.StandInWarning] * 2
    assert caught[0].filename == __file__
    with pytest.warns(data.StandInWarning, match=words):
        data.load("cifar10", validation=40)
    assert dataset.is_stand_in
    assert dataset.source == "stand-in"
    assert dataset.label == "stand-in for CIFAR-10 (generated images)"
    assert dataset.key == "cifar10-stand-in"
    assert "stand-in" in str(dataset)
    assert capsys.readouterr().err.count("Generating the stand-in for CIFAR-10") == 1


def test_the_announcement_is_not_cut_to_one_a_line():
    """As Python does by default with other warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        fresh = runpy.run_path(datasets.__file__)
        for _ in range(2):
            warnings.warn("generated", fresh["StandInWarning"], stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["generated", "another", "generated"]


REAL = os.environ.get("MOE_KERAS_DATA")


@pytest.mark.skipif(not REAL, reason="MOE_KERAS_DATA is not set")
@pytest.mark.parametrize("name", specs.SPECS)
def test_the_real_data(name):
    if not os.path.exists(os.path.join(REAL, f"{name}.npz")):
        pytest.skip(f"no {name}.npz in MOE_KERAS_DATA")
    dataset = data.load(name, data_dir=REAL)
    assert dataset.source == "local file"
    per_class = np.bincount(dataset.y_train) + np.bincount(dataset.y_validation)
    if name == "cifar10":
        assert np.bincount(dataset.y_validation).tolist() == [500] * 10
        assert np.bincount(dataset.y_test).tolist() == [1000] * 10
        # Channel means over the training part, as published with many models for CIFAR-10.
        both = np.concatenate([dataset.x_train, dataset.x_validation])
        np.testing.assert_allclose(both.mean((0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)
    if name == "mnist":
        # Counts of the digits, as published for MNIST.
        counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        assert per_class.tolist() == counts
        assert dataset.x_train.shape == (55_000, 28, 28, 1)
