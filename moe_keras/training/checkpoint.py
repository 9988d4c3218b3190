"""Checkpoint of a training: all that it needs to continue as if it had never stopped."""

import json
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from moe_keras.npz import FLOATS_OF_OTHERS, in_numpys_dtype, read_npz, write_npz


class Checkpoint(NamedTuple):
    """State of a training after an epoch.

    Attributes:
        about: Dictionary of what JSON can hold, such as the history.
        variables: List of arrays, the values of the model's and the optimizer's variables.
        averages: List of arrays, averaged weights, if the training keeps any.
    """

    about: dict
    variables: list
    averages: list

    @classmethod
    def of(cls, model, about, averages=()):
        """Checkpoint of a compiled model: weights, random states, router biases, optimizer."""
        values = [ops.convert_to_numpy(variable) for variable in _variables(model)]
        return cls(about, [in_numpys_dtype(value) for value in values], list(averages))

    def restore(self, model):
        """Assign the variables to a model that is built and compiled like the saved one.

        Raises:
            ValueError: if the model has other variables.
        """
        variables = _variables(model)
        wanted = [(tuple(v.shape), _dtype_in_a_file(v)) for v in variables]
        if wanted != [(value.shape, value.dtype.name) for value in self.variables]:
            raise ValueError(
                f"Expected a checkpoint of this model, with {len(wanted)} variables of its shapes "
                f"and dtypes. Received: {len(self.variables)} of others"
            )
        for variable, value in zip(variables, self.variables, strict=True):
            variable.assign(value)

    def write(self, path):
        """Write a .npz file, all of it or nothing."""
        arrays = {"about": np.array(json.dumps(self.about))}
        for name in ("variables", "averages"):
            arrays |= {f"{name}_{i}": value for i, value in enumerate(getattr(self, name))}
        write_npz(path, arrays, compress=False)

    @classmethod
    def read(cls, path, advice="Delete it to start anew."):
        """Read what `write` wrote.

        Args:
            path: Path of the file.
            advice: String, a sentence that says what to do if the file cannot be read.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged or no checkpoint.
        """
        try:
            arrays = read_npz(path, advice, _check_stored)
            about = json.loads(str(arrays.pop("about")))
            if not isinstance(about, dict):
                raise ValueError(f"it is about a {type(about).__name__}")
            parts = {"variables": [], "averages": []}
            for name, array in arrays.items():  # in the order in which they were written
                parts[name.partition("_")[0]].append(array)
        except (KeyError, ValueError, RecursionError) as error:
            raise ValueError(
                f"Expected {path} to be a checkpoint; it is damaged. {advice} Received: {error}"
            ) from error
        return cls(about, **parts)


def _check_stored(headers):
    """Of what is written as it is, no more can be read than lies on the disk."""
    compressed = [name for name, header in headers.items() if header.compressed]
    if compressed:
        raise ValueError(f"{compressed[0]} in it is compressed")


def _dtype_in_a_file(variable):
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return "float32" if dtype in FLOATS_OF_OTHERS else dtype


def _variables(model):
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    metrics = {id(v) for v in model.metrics_variables}
    return [v for v in model.variables if id(v) not in metrics] + model.optimizer.variables
