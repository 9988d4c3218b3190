"""Content digests: whether arrays hold the images and labels of a dataset, in any order."""

import hashlib

import numpy as np

from moe_keras.data.specs import ARRAY_NAMES


def verified(arrays, spec, origin):
    """Verify arrays against a `DatasetSpec` and sort each part.

    An example's digest is BLAKE2b (16 bytes) over its image's bytes and its label's byte; a part's
    is SHA-256 over its examples' digests in sorted order. So one constant recognizes the original
    files and copies of them in another order. The parts come back sorted by their examples'
    digests: the same images in the same order, wherever they came from, with classes well mixed.

    Args:
        arrays: Dictionary with x_train, y_train, x_test and y_test.
        spec: `DatasetSpec` to check against.
        origin: Pair of strings for messages: where the arrays came from, and what to do if they are
            wrong.

    Returns:
        Dictionary like `arrays`, sorted.

    Raises:
        ValueError: if an array is missing or has another dtype, shape, count, label range, class
            balance or content than expected.
    """
    _check_structure(arrays, spec, origin)
    result = {}
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        digests = _example_digests(images, labels)
        order = np.array(sorted(range(len(digests)), key=digests.__getitem__))
        digest = _part_digest(digests)
        if part in spec.digests and digest != spec.digests[part]:
            raise _error(
                origin,
                f"the {part} images and labels of {spec.title}, content digest "
                f"{spec.digests[part][:16]}...",
                f"content digest {digest[:16]}..., so at least one pixel or label differs",
            )
        result[f"x_{part}"], result[f"y_{part}"] = images[order], labels[order]
    return result


def content_digest(images, labels):
    """Content digest of labeled images, the same in every order."""
    return _part_digest(_example_digests(images, labels))


def _part_digest(example_digests):
    return hashlib.sha256(b"".join(sorted(example_digests))).hexdigest()


def _example_digests(images, labels):
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    digests = []
    for row, label in zip(rows, labels.tobytes(), strict=True):
        example = hashlib.blake2b(row, digest_size=16)
        example.update(bytes((label,)))
        digests.append(example.digest())
    return digests


def check_form(arrays, spec, origin):
    """Check names, dtypes and shapes, of arrays or of their headers in a file.

    Raises:
        ValueError: if they are others than the dataset's.
    """
    if set(arrays) != set(ARRAY_NAMES):
        raise _error(
            origin, f"the arrays {', '.join(ARRAY_NAMES)}", f"{', '.join(arrays) or 'no array'}"
        )
    for name, array in arrays.items():
        count = spec.count(name[2:])
        shape = (count, *spec.image_shape) if name.startswith("x_") else (count,)
        if array.dtype != np.uint8:
            raise _error(origin, f"{name} of dtype uint8", f"dtype {array.dtype}")
        if array.shape != shape:
            raise _error(origin, f"{name} of shape {shape}", f"shape {array.shape}")


def _check_structure(arrays, spec, origin):
    check_form(arrays, spec, origin)
    for part in ("train", "test"):
        labels = arrays[f"y_{part}"]
        if labels.max() >= spec.num_classes:
            raise _error(
                origin,
                f"y_{part} with labels from 0 to {spec.num_classes - 1}",
                f"label {labels.max()}",
            )
        counts = np.bincount(labels, minlength=spec.num_classes)
        if spec.balanced and counts.min() != counts.max():
            raise _error(
                origin,
                f"y_{part} with {len(labels) // spec.num_classes} labels of each class",
                f"{counts.tolist()}",
            )


def _error(origin, expected, received):
    place, advice = origin
    return ValueError(f"Expected {expected}. Received: {received} in {place}. {advice}")
