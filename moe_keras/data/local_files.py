"""Where a dataset's own .npz file lies, and reading it."""

import os
from pathlib import Path

from moe_keras.data.content import verified
from moe_keras.data.npz import read_npz

FOLDER_VARIABLE = "MOE_KERAS_DATA"


def chosen_folder(data_dir=None):
    """The folder of dataset files, existing or not: data_dir, else $MOE_KERAS_DATA, else None."""
    chosen = data_dir if data_dir is not None else os.environ.get(FOLDER_VARIABLE) or None
    return None if chosen is None else Path(chosen).expanduser()


def local_file(spec, data_dir=None):
    """The dataset's file in the data folder, or None if there is no folder or no such file.

    Raises:
        FileNotFoundError: if data_dir is given and the file is not in it, or the folder does not
            exist.
    """
    folder = chosen_folder(data_dir)
    if folder is None:
        return None
    if not folder.is_dir():
        named = "data_dir" if data_dir is not None else f"${FOLDER_VARIABLE}"
        raise FileNotFoundError(
            f"`{named}` must be an existing folder of .npz files. Received: "
            f"{named}={str(folder)!r}. Create it, correct the path, or leave it out to let Keras "
            "download the data."
        )
    path = folder / spec.file_name
    if path.is_file():
        return path
    if data_dir is not None:
        there = ", ".join(sorted(file.name for file in folder.glob("*.npz"))) or "no .npz file"
        raise FileNotFoundError(
            f"Expected {spec.file_name} in `data_dir`. Received: data_dir={str(data_dir)!r}, which "
            f"holds {there}. {_advice(spec, folder)}"
        )
    return None


def read_local(path, spec):
    """The verified arrays of a dataset's file, in the order that `verified` gives them."""
    advice = _advice(spec, path.parent)
    return verified(read_npz(path, advice), spec, (str(path), advice))


def _advice(spec, folder):
    return (
        f"To get a good copy, delete {spec.file_name} if it is there and run "
        f"`moe_keras.data.fetch({spec.name!r}, data_dir={str(folder)!r})`."
    )
