"""Generating all images of a stand-in."""

from pkgutil import resolve_name

import numpy as np

from moe_keras.standin import VERSION
from moe_keras.standin.canvas import make_textures

# Pictures painted at once: few enough for their arrays to stay in a processor's cache.
BATCH = 50


def generate_standin(spec):
    """Images and labels with the shapes and counts of a dataset, equally many of each class.

    Training and test images come from different seeds. One version gives the same bytes everywhere.

    Args:
        spec: `DatasetSpec` of a dataset that has a painter.

    Returns:
        A dictionary with x_train, y_train, x_test and y_test, sorted by class.
    """
    paint = resolve_name(spec.painter)
    arrays = {}
    for seed, part in enumerate(("train", "test")):
        rng = np.random.default_rng((VERSION, seed))
        textures = make_textures(rng)
        count = spec.count(part) // spec.num_classes
        images = [
            paint(rng, label, batch, min(BATCH, count - batch * BATCH), textures)
            for label in range(spec.num_classes)
            for batch in range(-(-count // BATCH))
        ]
        arrays[f"x_{part}"] = np.concatenate(images)
        arrays[f"y_{part}"] = np.repeat(np.arange(spec.num_classes, dtype=np.uint8), count)
    return arrays
