"""Random arguments for the cases of exercises.

An axis that is mistaken for another goes unseen where both have the same length; so lengths differ.
"""

import numpy as np


def sizes(random, count, low=2, high=7):
    """Different lengths from `low` to `high`, as many as asked for."""
    return map(int, random.choice(np.arange(low, high + 1), count, replace=False))


def numbers(random, *shape, scale=1):
    """Normally distributed numbers."""
    return (scale * random.normal(size=shape)).astype("float32")


def far_apart(random, logits, axis=-1):
    """Logits of which each softmax over `axis` stays as it is, but every exp is infinite or 0.

    Some are so much larger than others that it does not help to take away the largest of all.
    """
    shape = np.array(logits.shape)
    shape[np.array(axis)] = 1
    offsets = np.resize(np.float32([200, -200]), np.prod(shape))
    return logits + random.permutation(offsets).reshape(shape)


def probabilities(random, *shape):
    """Positive numbers with sum 1 over the last axis."""
    return random.dirichlet(np.ones(shape[-1]), size=shape[:-1]).astype("float32")


def one_hot(random, images, classes):
    """A target for each image."""
    return np.eye(classes, dtype="float32")[random.integers(classes, size=images)]


def grouped(random):
    """Cases of probabilities (B, C), and the C classes in two groups or more of different sizes."""
    for low, high, count in ((4, 6, 2), (4, 8, 3), (11, 13, 4)):
        images, classes = sizes(random, 2, low, high)
        cuts = np.sort(random.choice(np.arange(1, classes), count - 1, replace=False))
        groups = np.split(random.permutation(classes), cuts)
        if count == 3:
            groups.sort(key=len)
        yield probabilities(random, images, classes), [tuple(ids.tolist()) for ids in groups]
    yield probabilities(random, images, 10), [(2, 3, 4, 5, 6, 7), (0, 1, 8, 9)]
    yield probabilities(random, images, 10), [tuple(range(5)), tuple(range(5, 10))]
