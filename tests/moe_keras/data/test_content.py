import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from moe_keras.data.content import content_digest, verified
from moe_keras.data.specs import SPECS
from moe_keras.npz import read_npz

ORIGIN = ("here.npz", "Get another.")


def test_digest_worked_out_from_its_definition():
    images = np.array([[[7]], [[3]]], np.uint8)
    labels = np.array([1, 0], np.uint8)
    examples = sorted(
        hashlib.blake2b(data, digest_size=16).digest() for data in (b"\x07\x01", b"\x03\x00")
    )
    assert content_digest(images, labels) == hashlib.sha256(examples[0] + examples[1]).hexdigest()


def test_digest_ignores_the_order_but_not_who_is_labelled_what(arrays):
    x, y = arrays["x_train"], arrays["y_train"]
    order = np.random.default_rng(0).permutation(len(x))
    assert content_digest(x[order], y[order]) == content_digest(x, y)
    assert content_digest(x[order], y) != content_digest(x, y)


def test_verified_gives_one_order(spec, arrays):
    order = np.random.default_rng(1).permutation(200)
    other = dict(arrays, x_train=arrays["x_train"][order], y_train=arrays["y_train"][order])
    first, second = verified(arrays, spec, ORIGIN), verified(other, spec, ORIGIN)
    assert all((first[name] == second[name]).all() for name in arrays)
    # Each image still has its label.
    label_of = {x.tobytes(): y for x, y in zip(arrays["x_train"], arrays["y_train"], strict=True)}
    pairs = zip(first["x_train"], first["y_train"], strict=True)
    assert all(label_of[x.tobytes()] == y for x, y in pairs)


def tampered_pixel(arrays):
    arrays["x_test"][3, 4, 5, 0] ^= 1


def swapped_labels(arrays):
    arrays["y_train"][[0, 1]] = arrays["y_train"][[1, 0]]


def repeated_image(arrays):
    arrays["x_train"][0] = arrays["x_train"][10]


def missing_array(arrays):
    del arrays["y_test"]


def wrong_name(arrays):
    arrays["x_valid"] = arrays.pop("x_test")


def extra_array(arrays):
    arrays["standin_version"] = np.array(1, np.uint8)


def float_images(arrays):
    arrays["x_train"] = arrays["x_train"] / np.float32(255)


def wide_labels(arrays):
    arrays["y_train"] = arrays["y_train"].astype(np.int64)


def too_few(arrays):
    arrays["x_train"] = arrays["x_train"][:-1]
    arrays["y_train"] = arrays["y_train"][:-1]


def gray_images(arrays):
    arrays["x_train"] = arrays["x_train"][..., 0]


def channels_first(arrays):
    arrays["x_train"] = arrays["x_train"].transpose(0, 3, 1, 2)


def label_column(arrays):
    arrays["y_train"] = arrays["y_train"][:, None]


def label_out_of_range(arrays):
    arrays["y_test"][0] = 10


def unbalanced(arrays):
    arrays["y_test"][0] = 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (tampered_pixel, "test images and labels of CIFAR-10.*one pixel or label differs"),
        (swapped_labels, "train images and labels of CIFAR-10.*differs"),
        (repeated_image, "train images and labels of CIFAR-10.*differs"),
        (missing_array, "x_train, y_train, x_test, y_test. Received: x_train, y_train, x_test in"),
        (wrong_name, "Received: .*x_valid"),
        (extra_array, "Received: .*standin_version"),
        (float_images, "x_train of dtype uint8. Received: dtype float32"),
        (wide_labels, "y_train of dtype uint8. Received: dtype int64"),
        (too_few, r"x_train of shape \(200, 32, 32, 3\). Received: shape \(199, 32, 32, 3\)"),
        (gray_images, r"\(200, 32, 32, 3\). Received: shape \(200, 32, 32\)"),
        (channels_first, r"\(200, 32, 32, 3\). Received: shape \(200, 3, 32, 32\)"),
        (label_column, r"y_train of shape \(200,\). Received: shape \(200, 1\)"),
        (label_out_of_range, "labels from 0 to 9. Received: label 10"),
        (unbalanced, r"5 labels of each class. Received: \[4, 6, 5"),
    ],
)
def test_wrong_data_says_what_and_where(spec, arrays, spoil, words):
    spoil(arrays)
    with pytest.raises(ValueError, match=words) as error:
        verified(arrays, spec, ORIGIN)
    assert str(error.value).startswith("Expected ")
    assert str(error.value).endswith("in here.npz. Get another.")


def test_without_digests_the_structure_alone_is_checked(spec, arrays):
    tampered_pixel(arrays)
    verified(arrays, dataclasses.replace(spec, digests={}), ORIGIN)


def test_facts_of_the_three_datasets():
    for spec in SPECS.values():
        assert set(spec.digests) == {"train", "test"}
        assert spec.test_count == 10_000


REAL = os.environ.get("MOE_KERAS_DATA")


@pytest.mark.skipif(not REAL, reason="MOE_KERAS_DATA is not set")
@pytest.mark.parametrize("name", SPECS)
def test_an_altered_image_of_the_real_data_is_noticed(name):
    path = Path(REAL, f"{name}.npz")
    if not path.exists():
        pytest.skip(f"no {path.name} in MOE_KERAS_DATA")
    spec, arrays = SPECS[name], read_npz(path, "")
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        assert content_digest(images[::-1], labels[::-1]) == spec.digests[part]
    arrays["x_train"][7, 9, 11] ^= 1
    with pytest.raises(ValueError, match=f"train images and labels of {spec.title}.*differs"):
        verified(arrays, spec, ORIGIN)


def test_a_mirrored_digit_is_no_digit_and_a_mirrored_pullover_is_one():
    allowed = {name: spec.mirror_allowed for name, spec in SPECS.items()}
    assert allowed == {"cifar10": True, "mnist": False, "fashion_mnist": True}
