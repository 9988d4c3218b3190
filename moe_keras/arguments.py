"""Checks of arguments that several layers take; each returns the value in its plain form."""

import math
import numbers

import numpy as np


def positive_integer(name, value):
    """`value` as an int, if it is a whole number of at least 1.

    >>> positive_integer("num_experts", 3)
    3
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ValueError(
            f"Expected {name} to be a whole number of at least 1. Received: {name}={value!r}"
        )
    return int(value)


def non_negative_integer(name, value):
    """`value` as an int, if it is a whole number of at least 0.

    >>> non_negative_integer("save_every", 0)
    0
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < 0:
        raise ValueError(
            f"Expected {name} to be a whole number of 0 or more. Received: {name}={value!r}"
        )
    return int(value)


def positive_number(name, value):
    """`value` as a float, if it is a finite number above 0.

    >>> positive_number("temperature", 2)
    2.0
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError(
            f"Expected {name} to be a finite number above 0. Received: {name}={value!r}"
        )
    return float(value)


def non_negative_float(name, value, below=math.inf):
    """`value` as a float, if it is a finite number of at least 0 and less than `below`.

    >>> non_negative_float("jitter", 0.01, below=1)
    0.01
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value < below:
        bound = "" if below == math.inf else f" and less than {below}"
        raise ValueError(
            f"Expected {name} to be a finite number of at least 0{bound}. "
            f"Received: {name}={value!r}"
        )
    return float(value)


def valid_top_k(top_k, num_experts):
    """`top_k` as an int, if so many of `num_experts` can be chosen.

    >>> valid_top_k(2, 8)
    2
    """
    whole = isinstance(top_k, numbers.Integral) and not isinstance(top_k, bool)
    if not whole or not 1 <= top_k <= num_experts:
        raise ValueError(
            f"Expected top_k to be a whole number from 1 to num_experts={num_experts}. "
            f"Received: top_k={top_k!r}"
        )
    return int(top_k)


def distinct_ids(name, ids, limit=None):
    """`ids` as a tuple of ints, if there is at least one, all from 0 to `limit` - 1, none twice.

    >>> distinct_ids("class_ids", [8, 0, 1], limit=10)
    (8, 0, 1)
    """
    ids = tuple(ids)
    whole = all(isinstance(i, numbers.Integral) and not isinstance(i, bool) for i in ids)
    if not ids or not whole or min(ids) < 0 or (limit is not None and max(ids) >= limit):
        bounds = "of 0 or more" if limit is None else f"from 0 to {limit - 1}"
        raise ValueError(
            f"Expected {name} to be one or more whole numbers {bounds}. Received: {name}={ids}"
        )
    twice = sorted({int(i) for i in ids if ids.count(i) > 1})
    if twice:
        raise ValueError(f"Expected {name} to hold no id twice. Received: {twice} twice in {ids}")
    return tuple(int(i) for i in ids)


def pixel_images(images):
    """`images` as an array, if it holds images with pixel values from 0 to 255.

    Values from 0 to 1 are refused: everything here scales pixels itself, and would take images
    that are scaled already for black ones.

    >>> pixel_images([[[[0], [255]]]]).shape
    (1, 1, 2, 1)
    """
    images = np.asarray(images)
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            "Expected one or more images, of shape (N, height, width, channels). "
            f"Received: shape {images.shape}"
        )
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.number) or not np.isfinite(images).all():
            raise ValueError(
                "Expected pixel values that are finite numbers. "
                f"Received: dtype {images.dtype}{_not_finite(images)}"
            )
        low, high = images.min(), images.max()
        if low < 0 or high > 255 or 0 < high <= 1:
            raise ValueError(
                "Expected pixel values from 0 to 255, not scaled to 0-1 or standardized. "
                f"Received: values from {low:.3g} to {high:.3g}"
            )
    return images


def _not_finite(images):
    return " with NaN or infinity" if np.issubdtype(images.dtype, np.number) else ""
