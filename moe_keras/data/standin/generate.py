"""Generating all images of a stand-in."""

import numpy as np

from moe_keras.data.content import NUM_CLASSES
from moe_keras.data.standin.canvas import make_textures
from moe_keras.data.standin.digits import paint_digits
from moe_keras.data.standin.garments import paint_garments
from moe_keras.data.standin.scenes import paint_scenes

# Part of the cache's file name: raise it with every change of what is generated.
VERSION = 1

PAINTERS = {"cifar10": paint_scenes, "mnist": paint_digits, "fashion_mnist": paint_garments}

# Pictures painted at once: few enough for their arrays to stay in a processor's cache.
BATCH = 50


def generate_standin(spec):
    """Images and labels with the shapes and counts of a dataset, equally many of each class.

    Training and test images come from different seeds. One version gives the same bytes everywhere.

    Args:
        spec: the dataset's `DatasetSpec`.

    Returns:
        A dictionary with x_train, y_train, x_test and y_test, sorted by class.
    """
    paint = PAINTERS[spec.name]
    arrays = {}
    for seed, part in enumerate(("train", "test")):
        rng = np.random.default_rng((VERSION, seed))
        textures = make_textures(rng)
        count = spec.count(part) // NUM_CLASSES
        images = [
            paint(rng, label, batch, min(BATCH, count - batch * BATCH), textures)
            for label in range(NUM_CLASSES)
            for batch in range(-(-count // BATCH))
        ]
        arrays[f"x_{part}"] = np.concatenate(images)
        arrays[f"y_{part}"] = np.repeat(np.arange(NUM_CLASSES, dtype=np.uint8), count)
    return arrays
