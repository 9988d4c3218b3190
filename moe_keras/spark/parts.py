"""A dataset as Parquet files: what the trees, the gate and the choice between them each see."""

from pathlib import Path

import numpy as np

from moe_keras.spark.parquet import write_parquet

# Three quarters of the training images grow the trees; the gate learns from the rest.
FOR_TREES = 0.75


def write_parts(dataset, folder, seed=0):
    """Write a dataset as trees.parquet, gate.parquet, validation.parquet and test.parquet.

    No image is in two of them. The gate must learn how good the trees are on images that they have
    not seen, and so gets a quarter of the training images for itself.

    Args:
        dataset: what `moe_keras.data.load` returns.
        folder: made if need be; on a cluster all machines must see it.
        seed: of the draw of the images for the gate.

    Returns:
        A dict of the four paths: "trees", "gate", "validation" and "test".

    Raises:
        OSError: if a file cannot be written.
    """
    order = np.random.default_rng(seed).permutation(len(dataset.x_train))
    cut = int(FOR_TREES * len(order))
    images = {
        "trees": (dataset.x_train[order[:cut]], dataset.y_train[order[:cut]]),
        "gate": (dataset.x_train[order[cut:]], dataset.y_train[order[cut:]]),
        "validation": (dataset.x_validation, dataset.y_validation),
        "test": (dataset.x_test, dataset.y_test),
    }
    paths = {part: Path(folder) / f"{part}.parquet" for part in images}
    for part, path in paths.items():
        write_parquet(*images[part], path, dataset.label)
    return paths
