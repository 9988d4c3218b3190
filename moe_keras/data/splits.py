"""Stratified split and stratified subset."""

import numpy as np


def split_validation(labels, count, seed):
    """Stratified split into training and validation indices.

    Args:
        labels: Integer array (N,), labels of the training part.
        count: Integer, number of images to hold out, as evenly over the classes as their sizes
            allow.
        seed: Integer, seed of the choice; the same seed gives the same images.

    Returns:
        Two sorted index arrays that share nothing: kept (N - count,) and held out (count,).

    Raises:
        ValueError: if count is no integer from 0 up to what leaves each class one training image.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    limit = len(labels) - len(classes)
    if (
        isinstance(count, bool)
        or not isinstance(count, int | np.integer)
        or not 0 <= count <= limit
    ):
        raise ValueError(
            f"`validation` must be a whole number of images from 0 to {limit}, so that each class "
            f"keeps one of the {len(labels)} training images. Received: validation={count!r}"
        )
    held_out = _choose(labels, classes, _shares(sizes, count), seed)
    kept = np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True)
    return kept, held_out


def thin(labels, fraction, seed):
    """Stratified subset: sorted indices of a fraction of each class, at least one image a class.

    Args:
        labels: Integer array (N,), labels.
        fraction: Float above 0 and at most 1, fraction to keep.
        seed: Integer, seed of the choice; the same seed gives the same images.

    Raises:
        ValueError: if the fraction is out of range.
    """
    number = isinstance(fraction, int | float | np.number) and not isinstance(fraction, bool)
    if not number or not 0 < fraction <= 1:
        raise ValueError(
            "`subset` must be a fraction above 0 and at most 1 of the images to keep (0.1 for a "
            f"tenth). Received: subset={fraction!r}"
        )
    classes, sizes = np.unique(labels, return_counts=True)
    wanted = np.maximum(1, np.rint(sizes * fraction).astype(int))
    return _choose(labels, classes, wanted, seed)


def _shares(sizes, count):
    """Whole numbers that add up to count, in proportion to sizes; never all of a class."""
    exact = sizes * (count / max(1, sizes.sum()))
    shares = np.minimum(np.floor(exact).astype(int), sizes - 1)
    for _ in range(count - shares.sum()):
        # The class furthest below its exact share is next, as long as it keeps one image.
        shares[np.argmax(np.where(shares < sizes - 1, exact - shares, -np.inf))] += 1
    return shares


def _choose(labels, classes, wanted, seed):
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:number]
        for label, number in zip(classes, wanted, strict=True)
    ]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, int)
