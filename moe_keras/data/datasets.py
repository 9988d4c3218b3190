"""Loading a dataset: from a file, through Keras, or the stand-in."""

import warnings
from dataclasses import dataclass

import numpy as np

from moe_keras.data.class_groups import CLASS_NAMES
from moe_keras.data.keras_cache import load_from_keras
from moe_keras.data.local_files import local_file, read_local
from moe_keras.data.specs import get_spec
from moe_keras.data.splits import split_validation, thin
from moe_keras.data.standin import load_standin


class StandInWarning(UserWarning):
    """Generated images are used in place of the dataset that was asked for."""


# Shown at every load, not once a process: nobody should take generated images for the real ones.
# Appended, so that filters the user has set come first.
warnings.simplefilter("always", StandInWarning, append=True)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in three parts.

    Attributes:
        name: "cifar10", "mnist" or "fashion_mnist".
        title: the dataset's name for people: "CIFAR-10".
        x_train, x_validation, x_test: images uint8 (N, height, width, channels), values 0-255.
        y_train, y_validation, y_test: class ids int32 (N,).
        class_names: a name for each class id.
        source: "local file", "download" (Keras's cache counts) or "stand-in" (generated images).
    """

    name: str
    title: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple
    source: str

    @property
    def num_classes(self):
        """How many classes there are."""
        return len(self.class_names)

    @property
    def is_stand_in(self):
        """Whether the images are generated ones in place of the real ones."""
        return self.source == "stand-in"

    @property
    def key(self):
        """Under which name what was learnt from it is kept: never mixed up with the stand-in's."""
        return f"{self.name}-stand-in" if self.is_stand_in else self.name

    @property
    def label(self):
        """What figures and tables give as their data."""
        return f"stand-in for {self.title} (generated images)" if self.is_stand_in else self.title

    def __str__(self):
        counts = (
            f"{len(self.x_train):,} training, {len(self.x_validation):,} validation and "
            f"{len(self.x_test):,} test images"
        )
        shape = " x ".join(str(size) for size in self.x_train.shape[1:])
        return f"{self.label} [{self.source}]: {counts} of {shape}, {self.num_classes} classes"

    __repr__ = __str__


def load(name, data_dir=None, fallback=True, validation=5000, subset=None, seed=0):
    """Load CIFAR-10, MNIST or Fashion-MNIST.

    Looks for `<name>.npz` in data_dir (then nowhere else), for the same in the folder
    $MOE_KERAS_DATA, then asks Keras, which has it cached or downloads it. What is found is
    verified: shapes, types, label range, counts and, where it is known, the content of every image.
    Without file and network the built-in stand-in takes its place: generated images of the same
    shapes, classes and groups, with a `StandInWarning`.

    The images come in one order, whatever the order in the file, and are split by the seed alone:
    the same call gives the same arrays on every machine. Every class keeps its share in every part.

    Args:
        name: "cifar10", "mnist" or "fashion_mnist".
        data_dir: folder that holds `<name>.npz`.
        fallback: whether the stand-in may take the place of data that cannot be had.
        validation: how many of the training images to hold out for validation, 0 for none.
        subset: fraction of each part to keep, above 0 and at most 1; at least one image a class
            stays.
        seed: which images are held out and kept.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: for an unknown name, a validation or subset out of range, or data that is
            damaged, altered or of another form.
        FileNotFoundError: if data_dir or $MOE_KERAS_DATA does not exist, or data_dir has no such
            file.
        ConnectionError: if the data must be downloaded, cannot be, and fallback is False.
        OSError: if Keras cannot write into its cache.

    Example:

    >>> from moe_keras import data
    >>> cifar10 = data.load("cifar10", subset=0.02)  # doctest: +SKIP
    >>> cifar10.x_train.shape, cifar10.y_test.shape  # doctest: +SKIP
    ((900, 32, 32, 3), (200,))
    """
    spec = get_spec(name)
    arrays, source = _find(spec, data_dir, fallback)
    images = {part: _with_channels(arrays[f"x_{part}"]) for part in ("train", "test")}
    labels = {part: arrays[f"y_{part}"].astype(np.int32) for part in ("train", "test")}
    kept, held_out = split_validation(labels["train"], validation, seed)
    chosen = {"train": ("train", kept), "validation": ("train", held_out), "test": ("test", None)}
    parts = {}
    for part, (origin, indices) in chosen.items():
        x, y = images[origin], labels[origin]
        if indices is not None:
            x, y = x[indices], y[indices]
        if subset is not None:
            few = thin(y, subset, seed)
            x, y = x[few], y[few]
        parts[f"x_{part}"], parts[f"y_{part}"] = x, y
    return Dataset(
        name=name, title=spec.title, class_names=CLASS_NAMES[name], source=source, **parts
    )


def _find(spec, data_dir, fallback):
    """The verified arrays and where they came from."""
    path = local_file(spec, data_dir)
    if path is not None:
        return read_local(path, spec), "local file"
    try:
        return load_from_keras(spec), "download"
    except ConnectionError as error:
        if not fallback:
            raise
        warnings.warn(
            f"Generated images stand in for {spec.title}: they have its shapes and classes, but "
            f"nothing measured on them holds for {spec.title}. {error}",
            StandInWarning,
            stacklevel=3,  # the line that called load
        )
        return load_standin(spec), "stand-in"


def _with_channels(images):
    return images if images.ndim == 4 else images[..., None]
