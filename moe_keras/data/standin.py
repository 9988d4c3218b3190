"""The stand-in for a dataset: generated once, then read from the cache."""

import os
import sys
import warnings
from dataclasses import replace

import numpy as np

from moe_common.keras_home import keras_home
from moe_keras.data.content import check_form, verified
from moe_keras.npz import read_npz, write_npz
from moe_keras.standin import VERSION

# A cached stand-in holds one more array, so that it can never be taken for the real dataset's file.
MARK = "standin_version"


def standin_file(spec):
    """Path where the stand-in for a dataset is kept."""
    return keras_home() / "moe_keras" / f"{spec.name}_standin_v{VERSION}.npz"


def load_standin(spec):
    """Stand-in for a dataset, from the cache or generated in seconds.

    A damaged cache file is replaced; a cache that cannot be written costs the seconds again next
    time. Both are warned of.

    Args:
        spec: `DatasetSpec` of a dataset that has a painter.

    Returns:
        Dictionary with x_train, y_train, x_test and y_test as `verified` returns them.
    """
    path = standin_file(spec)
    # The archive's own checksums notice damage; the content is whatever was generated.
    facts = replace(spec, digests={}, balanced=True)
    origin = (str(path), "It is generated again.")
    if os.path.isfile(path):
        try:
            arrays = read_npz(path, origin[1], lambda headers: _check_form(headers, facts, origin))
            arrays.pop(MARK, None)
            return verified(arrays, facts, origin)
        except (ValueError, OSError) as error:
            fault = "damaged" if isinstance(error, ValueError) else "not to be read"
            warnings.warn(f"The stand-in's cache file is {fault}. {error}", stacklevel=2)
    print(
        f"Generating the stand-in for {spec.title}, about ten seconds ...",
        file=sys.stderr,
        flush=True,
    )
    from moe_keras.standin.generate import generate_standin  # the painters are many lines

    arrays = verified(generate_standin(spec), facts, origin)
    try:
        write_npz(path, {**arrays, MARK: np.array(VERSION, np.uint8)}, compress=True)
    except OSError as error:
        warnings.warn(
            f"The stand-in for {spec.title} cannot be kept in {path.parent} ({error}), so it is "
            "generated each time. Set KERAS_HOME to a folder that can be written to.",
            stacklevel=2,
        )
    return arrays


def _check_form(headers, spec, origin):
    check_form({name: h for name, h in headers.items() if name != MARK}, spec, origin)
