"""Find and read the local .npz file of a dataset."""

import os
from pathlib import Path

from moe_keras.data.content import check_form, verified
from moe_keras.npz import read_npz

FOLDER_VARIABLE = "MOE_KERAS_DATA"


def chosen_folder(data_dir=None):
    """Path of the folder of dataset files: data_dir, else $MOE_KERAS_DATA, else `None`."""
    chosen = data_dir if data_dir is not None else os.environ.get(FOLDER_VARIABLE) or None
    return None if chosen is None else expanded(chosen)


def expanded(path):
    """A path with the home folder in place of ~.

    Raises:
        ValueError: if there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"Expected a path below a home folder that exists. Received: {str(path)!r} ({error})"
        ) from error


def is_there(path):
    """Whether there is anything of this name: a file, but also a folder or a link to nowhere.

    Raises:
        OSError: if that cannot be found out.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise OSError(
            f"Expected a folder that can be read. Received: {path.parent} ({error.strerror}). "
            "Change its permissions, or choose another folder."
        ) from error
    return True


def local_file(spec, data_dir=None):
    """Path of the dataset's file in the data folder, or `None`.

    Raises:
        FileNotFoundError: if data_dir is given and the file is not in it, or the folder does not
            exist.
        OSError: if the folder cannot be read.
    """
    folder = chosen_folder(data_dir)
    if folder is None:
        return None
    if not (is_there(folder) and folder.is_dir()):
        named = "data_dir" if data_dir is not None else f"${FOLDER_VARIABLE}"
        raise FileNotFoundError(
            f"`{named}` must be an existing folder of .npz files. Received: "
            f"{named}={str(folder)!r}. Create it, correct the path, or leave it out to let Keras "
            "download the data."
        )
    path = folder / spec.file_name
    if is_there(path):  # be it a folder: nobody who put it there wants generated images
        return path
    if data_dir is not None:
        there = ", ".join(sorted(file.name for file in folder.glob("*.npz"))) or "no .npz file"
        raise FileNotFoundError(
            f"Expected {spec.file_name} in `data_dir`. Received: data_dir={str(data_dir)!r}, which "
            f"holds {there}. {_advice(spec, folder)}"
        )
    return None


def read_local(path, spec):
    """Read and verify a dataset's file; `verified` sets the order."""
    advice = _advice(spec, path.parent)
    origin = (str(path), advice)
    arrays = read_npz(path, advice, lambda headers: check_form(headers, spec, origin))
    return verified(arrays, spec, origin)


def _advice(spec, folder):
    if spec.origin is None:
        return f"Replace {spec.file_name} in that folder with a good copy."
    return (
        f"To get a good copy, delete {spec.file_name} if it is there and run "
        f"`moe_keras.data.fetch({spec.name!r}, data_dir={str(folder)!r})`."
    )
