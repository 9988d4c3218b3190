"""Load a dataset from a file, through Keras, or as the stand-in."""

import warnings
from dataclasses import dataclass

import numpy as np

from moe_keras.data.keras_cache import load_from_keras
from moe_keras.data.local_files import local_file, read_local
from moe_keras.data.specs import get_spec
from moe_keras.data.splits import split_validation, thin
from moe_keras.data.standin import load_standin


class StandInWarning(UserWarning):
    """Warning that generated images stand in for the dataset."""


# Shown at every load, not once a process: nobody should take generated images for the real ones.
# Appended, so that filters the user has set come first.
warnings.simplefilter("always", StandInWarning, append=True)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labeled images: training, validation and test part.

    Attributes:
        name: String, name of a dataset in `SPECS`, such as "cifar10".
        title: String, the dataset's name for people: "CIFAR-10".
        x_train, x_validation, x_test: uint8 arrays (N, height, width, channels), pixel values 0 to
            255.
        y_train, y_validation, y_test: int32 arrays (N,), class ids.
        class_names: Tuple of strings, a name for each class id.
        source: String, "local file", "download" (Keras's cache counts) or "stand-in" (generated
            images).
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
        """Integer, number of classes C."""
        return len(self.class_names)

    @property
    def mirror_allowed(self):
        """Boolean, whether a mirrored image is still one of its class."""
        return get_spec(self.name).mirror_allowed

    @property
    def is_stand_in(self):
        """Boolean, whether the images are generated ones in place of the real ones."""
        return self.source == "stand-in"

    @property
    def key(self):
        """String, name under which trained weights are kept: a stand-in has one of its own."""
        return f"{self.name}-stand-in" if self.is_stand_in else self.name

    @property
    def label(self):
        """String, the data's name in figures and tables."""
        return f"stand-in for {self.title} (generated images)" if self.is_stand_in else self.title

    def __str__(self):
        counts = (
            f"{len(self.x_train):,} training, {len(self.x_validation):,} validation and "
            f"{len(self.x_test):,} test images"
        )
        shape = " x ".join(str(size) for size in self.x_train.shape[1:])
        return f"{self.label} [{self.source}]: {counts} of {shape}, {self.num_classes} classes"

    __repr__ = __str__


def load(name, data_dir=None, fallback=True, validation=None, subset=None, seed=0):
    """Load a dataset: CIFAR-10, MNIST, Fashion-MNIST or another one in `SPECS`.

    Looks for `<name>.npz` in data_dir (then nowhere else), for the same in the folder
    $MOE_KERAS_DATA, then asks Keras, which has it cached or downloads it. What is found is
    verified: shapes, types, label range, counts and, where it is known, the content of every image.
    Without file and network the built-in stand-in takes its place: generated images of the same
    shapes, classes and groups, with a `StandInWarning`.

    The images come in one order, whatever the order in the file, and are split by the seed alone:
    the same call gives the same arrays on every machine. Every class keeps its share in every part.

    Args:
        name: String, name of a dataset in `SPECS`, such as "cifar10".
        data_dir: Path of the folder that holds `<name>.npz`.
        fallback: Boolean, whether the stand-in may replace data that cannot be loaded or
            downloaded.
        validation: Integer, number of training images to hold out for validation; 0 for none.
            `None`: 5000, but at most a tenth of them.
        subset: Float above 0 and at most 1, fraction of each part to keep; at least one image a
            class stays. `None` keeps all.
        seed: Integer, seed of the choice of the images that are held out and kept.

    Returns:
        `Dataset`, labeled images in three parts.

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
    if validation is None:
        validation = min(5000, spec.train_count // 10)
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
        name=name, title=spec.title, class_names=spec.class_names, source=source, **parts
    )


def _find(spec, data_dir, fallback):
    """The verified arrays and their source."""
    path = local_file(spec, data_dir)
    if path is not None:
        return read_local(path, spec), "local file"
    try:
        return load_from_keras(spec), "download"
    except ConnectionError as error:
        if not fallback:
            raise
        if spec.painter is None:
            raise ConnectionError(
                f"{error} (No generated images can stand in for {spec.title}: its `DatasetSpec` "
                "has no painter.)"
            ) from error
        warnings.warn(
            f"Generated images stand in for {spec.title}: they have its shapes and classes, but "
            f"nothing measured on them holds for {spec.title}. {error}",
            StandInWarning,
            stacklevel=3,  # the line that called load
        )
        return load_standin(spec), "stand-in"


def _with_channels(images):
    return images if images.ndim == 4 else images[..., None]
