import dataclasses
import hashlib

import numpy as np
import pytest

from moe_keras.data.specs import SPECS
from moe_keras.standin.generate import generate_standin

# SHA-256 over the four arrays of a small stand-in. They hold on every machine: whoever changes what
# is generated raises VERSION, which also seeds it, and records the new ones.
DIGESTS = {
    "cifar10": "994144ba97c5cf58aae0046989d9b72ad1de6d58b5e0a58a116022a48b0884e5",
    "mnist": "33b7b244f50e89cee8803642d5dba5cf386b7476e65bc2624e6d3c4c128c38b6",
    "fashion_mnist": "8d21756f48e1cd0554f309ce4435a2591eb231abaf1907ade9b4c65a3ece3d1f",
}


# 110 images a class are two whole batches, one for each view of a scene, and a part of one.
def small(name, train=1100, test=20):
    return dataclasses.replace(SPECS[name], train_count=train, test_count=test)


@pytest.fixture(scope="module", params=SPECS)
def generated(request):
    return request.param, generate_standin(small(request.param))


def test_form_and_balance(generated):
    name, arrays = generated
    spec = small(name)
    for part, count in (("train", 1100), ("test", 20)):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        assert x.shape == (count, *spec.image_shape)
        assert (x.dtype, y.dtype) == (np.uint8, np.uint8)
        assert np.bincount(y).tolist() == [count // 10] * 10


def test_the_same_bytes_everywhere(generated):
    name, arrays = generated
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays.values()))
    assert digest.hexdigest() == DIGESTS[name]


def test_no_image_twice_and_none_in_both_parts(generated):
    _, arrays = generated
    images = [image.tobytes() for part in ("train", "test") for image in arrays[f"x_{part}"]]
    assert len(set(images)) == 1120


def test_images_differ_within_and_between_classes(generated):
    _, arrays = generated
    x = arrays["x_train"].reshape(10, 110, -1).astype(float)
    assert x.std(axis=1).mean() > 10  # within a class
    assert x.mean(axis=1).std(axis=0).mean() > 5  # between classes


def test_digits_look_like_digits():
    """A 1 has the least ink, an 8 two holes: told apart without any model."""
    arrays = generate_standin(small("mnist", train=300, test=10))
    ink = [(arrays["x_train"][arrays["y_train"] == digit] > 100).mean() for digit in range(10)]
    assert np.argmin(ink) in (1, 7)
    assert ink[8] > 1.3 * ink[1]


def test_straight_edges_are_artificial():
    """Nearest class mean on mere edge directions tells more than chance: 6 of 10 are natural."""
    arrays = generate_standin(small("cifar10", train=2000, test=500))

    def features(images):
        gray = images.astype(float).mean(-1)
        down, across = np.diff(gray, axis=1)[:, :, 1:], np.diff(gray, axis=2)[:, 1:]
        size = np.hypot(down, across) + 1e-9
        means = images.reshape(len(images), -1, 3).mean(1)
        straight = (np.maximum(abs(down), abs(across)) / size).mean((1, 2))
        return np.column_stack([means, size.mean((1, 2)), straight, np.ones(len(images))])

    def natural(labels):
        return np.isin(labels, SPECS["cifar10"].groups["natural"])

    weights = np.linalg.lstsq(
        features(arrays["x_train"]), natural(arrays["y_train"]) * 2.0 - 1, rcond=None
    )[0]
    right = (features(arrays["x_test"]) @ weights > 0) == natural(arrays["y_test"])
    assert right.mean() > 0.65
