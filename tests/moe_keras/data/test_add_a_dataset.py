"""A new dataset is one `DatasetSpec`; all that can be left out is left out here."""

import dataclasses
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from moe_keras import data
from moe_keras.data.content import verified
from moe_keras.data.specs import SPECS

SHAPES = data.DatasetSpec(
    name="shapes",
    title="Shapes",
    image_shape=(4, 4),
    class_names=("bar", "disc", "dot"),
    train_count=12,
    test_count=6,
    balanced=True,
    mirror_allowed=True,
)


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A folder with shapes.npz."""
    monkeypatch.setitem(SPECS, "shapes", SHAPES)
    images = np.random.default_rng(0).integers(0, 256, (18, 4, 4), dtype=np.uint8)
    labels = (np.arange(18) % 3).astype(np.uint8)
    np.savez(
        tmp_path / "shapes.npz",
        **{"x_train": images[:12], "y_train": labels[:12]},
        **{"x_test": images[12:], "y_test": labels[12:]},
    )
    return tmp_path


def test_it_loads_from_a_file(shapes):
    few = data.load("shapes", data_dir=shapes)
    assert (len(few.x_train), len(few.x_validation)) == (11, 1)  # a tenth of 12
    dataset = data.load("shapes", data_dir=shapes, validation=3)
    assert dataset.class_names == ("bar", "disc", "dot")
    assert dataset.num_classes == 3
    assert dataset.mirror_allowed
    assert dataset.x_train.shape == (9, 4, 4, 1)
    assert np.bincount(dataset.y_validation).tolist() == [1, 1, 1]
    assert data.verify(shapes / "shapes.npz").content_known is False
    assert data.groups("shapes") == {}


def test_labels_are_checked_against_its_own_classes(shapes):
    arrays = dict(np.load(shapes / "shapes.npz"))
    arrays["y_test"][0] = 3
    with pytest.raises(ValueError, match=r"labels from 0 to 2\. Received: label 3"):
        verified(arrays, SHAPES, ("here", "Get another."))


def test_without_a_painter_there_is_no_stand_in(shapes, tmp_path, monkeypatch):
    words = r"local file of Shapes.*Received: no shapes\.npz.*MOE_KERAS_DATA"
    with pytest.raises(ConnectionError, match=words + r".*no painter"):
        data.load("shapes")
    with pytest.raises(ConnectionError, match=words):
        data.load("shapes", fallback=False)
    with pytest.raises(ConnectionError, match=words):
        data.fetch("shapes", data_dir=tmp_path / "new")
    here = data.locate("shapes")
    assert (here.source, here.path) == ("missing", None)
    assert "no address" in here.note
    assert data.fetch("shapes", data_dir=shapes).path == shapes / "shapes.npz"


def test_a_painter_makes_the_stand_in(shapes, monkeypatch):
    monkeypatch.setitem(sys.modules, "painters", SimpleNamespace(paint_shapes=paint_shapes))
    painted = dataclasses.replace(SHAPES, painter="painters:paint_shapes")
    monkeypatch.setitem(SPECS, "shapes", painted)
    with pytest.warns(data.StandInWarning, match="stand in for Shapes"):
        dataset = data.load("shapes", validation=3)
    assert dataset.is_stand_in
    for label in range(3):
        assert (dataset.x_test[dataset.y_test == label] == 100 + label).all()


def paint_shapes(rng, label, batch, count, textures):
    return np.full((count, 4, 4), 100 + label, np.uint8)
