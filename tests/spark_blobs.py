"""Images whose clusters, labels and best trees are known."""

import numpy as np


def blobs(rows=40, seed=0):
    """Three groups of images of 4 by 4 pixels, of two labels each: which, pixel 15 tells.

    The first pixels of a group are bright; pixel 14 is always 7; group g has the labels g and 3.
    """
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(3), rows)
    images = rng.integers(0, 20, size=(len(groups), 16)).astype("uint8")
    for group in range(3):
        images[groups == group, 4 * group : 4 * group + 4] += 200
    second = np.arange(len(groups)) % 2 == 1
    images[:, 14] = 7
    images[:, 15] = np.where(second, 30, 0)
    labels = np.where(second, 3, groups)
    order = rng.permutation(len(groups))
    return images[order].reshape(-1, 4, 4), labels[order], groups[order]
