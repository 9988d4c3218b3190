"""Locate, download and verify datasets."""

import os
from dataclasses import dataclass
from pathlib import Path

from moe_common.keras_home import keras_home
from moe_keras.data.keras_cache import cached_files, load_from_keras
from moe_keras.data.local_files import (
    FOLDER_VARIABLE,
    chosen_folder,
    expanded,
    is_there,
    local_file,
    read_local,
)
from moe_keras.data.network import network_problem
from moe_keras.data.specs import SPECS, get_spec
from moe_keras.npz import write_npz


@dataclass(frozen=True)
class Location:
    """Source and path of a dataset.

    Attributes:
        name, title: Strings such as "cifar10" and "CIFAR-10".
        source: String, "local file", "Keras cache", "download", "stand-in" or "missing".
        path: Path of the file, or `None` while there is none.
        note: String, one sentence for people.
    """

    name: str
    title: str
    source: str
    path: Path | None
    note: str


@dataclass(frozen=True)
class Verification:
    """Result of a successful verification of a dataset.

    Attributes:
        name, title: Strings such as "cifar10" and "CIFAR-10".
        path: Path of the file that was read.
        content_known: Boolean, whether each image and label was compared with the published
            dataset; if not, shapes, types, counts and class balance were.
        note: String, one sentence for people.
    """

    name: str
    title: str
    path: Path
    content_known: bool
    note: str


def locate(name, data_dir=None):
    """Locate a dataset without reading or downloading it.

    Args:
        name: String, name of a dataset in `SPECS`, such as "cifar10".
        data_dir: Path, as for `load`.

    Returns:
        `Location` with `source`, `path` and `note`.

    Raises:
        ValueError, FileNotFoundError: as `load` does for names and folders.
    """
    spec = get_spec(name)
    path = local_file(spec, data_dir)
    if path is not None:
        return Location(name, spec.title, "local file", path, f"{path}")
    files = cached_files(spec)
    if files:
        return Location(name, spec.title, "Keras cache", files[0], f"Keras has it at {files[0]}")
    problem = "it has no address" if spec.origin is None else network_problem(spec.origin)
    if problem and spec.painter is None:
        note = (
            f"not here, and no download ({problem}); put {spec.file_name} into ${FOLDER_VARIABLE}"
        )
        return Location(name, spec.title, "missing", None, note)
    if problem:
        note = f"not here, and no download ({problem}): generated images would take its place"
        return Location(name, spec.title, "stand-in", None, note)
    note = f"not here yet: Keras would download about {spec.megabytes} MB"
    return Location(name, spec.title, "download", None, note)


def fetch(name, data_dir=None):
    """Download a verified copy of a dataset.

    With a folder (data_dir, else $MOE_KERAS_DATA) a file `<name>.npz` is written there, whole or
    not at all; one that is there already is verified and left alone. Without a folder Keras
    downloads the data into its cache. The stand-in is never fetched.

    Args:
        name: String, name of a dataset in `SPECS`, such as "cifar10".
        data_dir: Path of the folder for the file; it is made if need be.

    Returns:
        `Location` of the copy.

    Raises:
        ValueError: for an unknown name or damaged data.
        ConnectionError: if the data must be downloaded and cannot be.
        OSError: if the copy cannot be written.
    """
    spec = get_spec(name)
    folder = chosen_folder(data_dir)
    path = None if folder is None else folder / spec.file_name
    if path is not None and is_there(path):
        read_local(path, spec)
        return Location(name, spec.title, "local file", path, f"{path} was there and is intact")
    if folder is not None:
        _make_writable(folder)  # found out before the download, not after it
    arrays = load_from_keras(spec)
    if path is None:
        file = (cached_files(spec) or [keras_home()])[0]
        return Location(name, spec.title, "Keras cache", file, f"Keras has it at {file}")
    try:
        # Photographs hardly shrink, and would take seconds more to read; drawings of digits do.
        write_npz(path, arrays, compress=len(spec.image_shape) == 2)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return Location(name, spec.title, "local file", path, f"written to {path}")


def verify(target, name=None):
    """Verify a dataset: shapes, types, counts, class balance and content.

    Args:
        target: Path of a .npz file, or name of a dataset, to verify the copy that `load` would
            find.
        name: String, the dataset that the file should hold, if the file is not called `<name>.npz`.

    Returns:
        `Verification` with `path`, `content_known` and `note`.

    Raises:
        ValueError: if the data is damaged, altered or of another form, or the dataset is unknown.
        FileNotFoundError: if there is no such file, or no copy of the dataset yet.
    """
    in_keras_cache = False
    if target in SPECS:
        spec, location = SPECS[target], locate(target)
        if location.path is None:
            raise FileNotFoundError(
                f"Expected a copy of {spec.title} to verify. Received: {target!r}, which is "
                f"{location.note}. `moe_keras.data.fetch({target!r})` downloads it."
            )
        path, in_keras_cache = location.path, location.source == "Keras cache"
        read = load_from_keras(spec) if in_keras_cache else read_local(path, spec)
    else:
        path = expanded(target)
        if name is None and path.stem not in SPECS:
            raise ValueError(
                f"Expected a file called {', '.join(f'{known}.npz' for known in SPECS)}, or `name` "
                f"to say what it should hold. Received: {str(target)!r}"
            )
        spec = get_spec(path.stem if name is None else name)
        read = read_local(path, spec)
    counts = f"{len(read['x_train']):,} training and {len(read['x_test']):,} test images"
    # Keras's copy has been compared by the checksums of its files at least.
    known = bool(spec.digests) or in_keras_cache
    how = "each image and label as published" if known else "form, counts and class balance right"
    return Verification(
        spec.name, spec.title, path, known, f"{spec.title}, {counts}, {how}: {path}"
    )


def _make_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.access(folder, os.W_OK):
        raise _unwritable(folder, "permission denied")


def _unwritable(folder, reason):
    return OSError(
        "Expected a folder that can be written to, with room for the dataset. Received: "
        f"{str(folder)!r} ({reason}). Choose another folder, or change its permissions."
    )
