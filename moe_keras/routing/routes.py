"""Routes of inputs through the mixtures inside a model."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from moe_keras.evaluation.recording import record_calls
from moe_keras.metrics.expert_load import expert_load
from moe_keras.mixtures.mixture import Mixture


class Route(NamedTuple):
    """Inputs, output and gate tensors of one use of a mixture.

    Attributes:
        mixture: The layer.
        inputs: Array (N, ...), its inputs; a list or dict of arrays if it takes several.
        output: Array, its output.
        gate: Dictionary of arrays, what `mixture.route(inputs)` returned: `"probabilities"` (N,
            ..., E) and the gate's other tensors.
    """

    mixture: object
    inputs: np.ndarray
    output: np.ndarray
    gate: dict

    @property
    def num_experts(self):
        """Integer, number of experts E."""
        return self.gate["probabilities"].shape[-1]

    def experts(self):
        """List of strings, a name for each expert."""
        return self.mixture.experts.names

    def chosen(self):
        """Assignments of tokens to experts: 1 or 0, or the probability where all experts run.

        Array of the probabilities' shape (N, ..., E).
        """
        if "indices" in self.gate:
            return _by_expert(self.gate["indices"], 1.0, self.num_experts)
        if "token_indices" in self.gate:
            return self._by_token(1.0)
        return self.gate["probabilities"]

    def load(self):
        """Array (E,), fraction of assignments per expert."""
        return ops.convert_to_numpy(expert_load(self.chosen()))

    def weights(self):
        """Array (N, ..., E), what each expert's output is multiplied by; 0 where it has none."""
        if "indices" in self.gate:
            kept = self.gate.get("kept", True)
            return _by_expert(self.gate["indices"], kept * self.gate["weights"], self.num_experts)
        if "token_indices" in self.gate:
            return self._by_token(self.gate["token_weights"])
        return self.gate["probabilities"]

    def _by_token(self, values):
        """Experts' choices of tokens (N, E, capacity), seen from the tokens."""
        num_tokens = self.gate["probabilities"].shape[1]
        spread = _by_expert(self.gate["token_indices"], values, num_tokens)  # (N, E, T)
        return spread.swapaxes(1, 2)


def _by_expert(indices, values, size):
    """Values (..., k) at their indices among `size`, 0 elsewhere; an index out of range is none."""
    there = np.expand_dims(indices, -1) == np.arange(size)  # (..., k, size)
    return np.where(there, np.expand_dims(values, -1), 0.0).sum(axis=-2)


def mixtures_in(model):
    """The mixtures in a model, outer ones first.

    Raises:
        ValueError: if there are none.
    """
    found = [layer for layer in model._flatten_layers() if isinstance(layer, Mixture)]
    if not found:
        raise ValueError(
            "Expected a model with a mixture inside, such as a DenseMoE or a SparseMoE. "
            f"Received: '{model.name}', which has none"
        )
    return found


def routes(model, x, batch_size=256):
    """Run a model in inference mode and record the routes through its mixtures.

    Args:
        model: Keras model, or a mixture itself, with mixtures at any depth.
        x: Array (N, ...), inputs; a list or dict of arrays for a model that takes several.
        batch_size: Integer, inputs at a time.

    Returns:
        List of `Route`, one for each use of a mixture, in the order in which they are used.

    Raises:
        ValueError: if the model has no mixture, or `x` is empty or has values that are not finite.
    """
    x = checked_inputs(x)
    batches = []
    for start in range(0, count(x), batch_size):
        with record_calls(mixtures_in(model)) as calls:
            model(rows(x, start, start + batch_size), training=False)
        batches.append([(mixture, *_as_arrays(mixture, *seen)) for mixture, *seen in calls])
    return [
        Route(
            mixture=uses[0][0],
            inputs=keras.tree.map_structure(
                lambda *parts: np.concatenate(parts), *[inputs for _, inputs, _, _ in uses]
            ),
            output=np.concatenate([output for _, _, output, _ in uses]),
            gate={name: np.concatenate([use[3][name] for use in uses]) for name in uses[0][3]},
        )
        for uses in zip(*batches, strict=True)
    ]


def as_arrays(x):
    """Whatever `fit` takes as arrays: one, or a list or dict of them.

    As in Keras a list of arrays is several inputs, a list of numbers is one.

    >>> [array.shape for array in as_arrays([np.zeros((2, 3)), np.zeros((2, 1))])]
    [(2, 3), (2, 1)]
    >>> as_arrays([[1.0], [2.0]]).shape
    (2, 1)
    """
    if isinstance(x, dict):
        return {name: as_arrays(part) for name, part in x.items()}
    # A NumPy number has a shape too, ().
    if isinstance(x, list | tuple) and any(
        isinstance(part, dict) or len(getattr(part, "shape", ())) for part in x
    ):
        return [as_arrays(part) for part in x]
    return ops.convert_to_numpy(x) if ops.is_tensor(x) else np.asarray(x)


def count(arrays):
    """How many inputs or targets there are, N."""
    return len(keras.tree.flatten(arrays)[0])


def rows(arrays, start, stop):
    """Those from `start` up to `stop`."""
    return keras.tree.map_structure(lambda array: array[start:stop], arrays)


def checked_inputs(x):
    """Validate inputs: arrays that are as long as each other, not empty, of finite values."""
    x = as_arrays(x)
    arrays = keras.tree.flatten(x)
    shapes = [array.shape for array in arrays]
    if not shapes or any(not shape or shape[0] == 0 for shape in shapes):
        shapes = shapes[0] if len(shapes) == 1 else shapes
        raise ValueError(f"Expected one input or more, (N, ...). Received: shape {shapes}")
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"Expected as many of each input. Received: shapes {shapes}")
    bad = sum(int((~_finite(array)).sum()) for array in arrays)
    if bad:
        raise ValueError(f"Expected finite inputs. Received: {bad} values that are NaN or inf")
    return x


def _finite(array):
    """Which values are finite; words are."""
    return np.isfinite(array.astype("float64")) if array.dtype.kind not in "OSU" else array == array


def _as_arrays(mixture, inputs, output, mask):
    gate = mixture.route(inputs, mask=mask, training=False)
    arrays = {name: _as_array(tensor) for name, tensor in gate.items()}
    return keras.tree.map_structure(_as_array, inputs), _as_array(output), arrays


def _as_array(tensor):
    """An array to compute with: in 16 bits a sum over experts or inputs would be rounded."""
    array = ops.convert_to_numpy(tensor)
    short = keras.backend.standardize_dtype(array.dtype) in ("float16", "bfloat16")
    return array.astype("float32") if short else array


def the_one(found, name):
    """The route of the mixture called `name`; of the only one for `None`."""
    names = [route.mixture.name for route in found]
    if name is None and len(found) == 1:
        return found[0]
    if name not in names:
        raise ValueError(
            f"Expected mixture to be one of {', '.join(dict.fromkeys(names))}. "
            f"Received: mixture={name!r}"
        )
    return found[names.index(name)]
