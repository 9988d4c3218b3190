"""What the mixtures inside a model do with inputs, read off without a change to the model."""

import contextlib
from typing import NamedTuple

import numpy as np
from keras import ops

from moe_keras.mixtures.mixture import Mixture


class Route(NamedTuple):
    """One mixture's part in a model's answer.

    Attributes:
        mixture: the layer.
        inputs: array, what reached it, of shape (N, ...).
        output: array, what it answered.
        gate: dict of arrays, what `mixture.route(inputs)` gave: `"probabilities"` (N, ..., E) and
            whatever else its gate tells.
    """

    mixture: object
    inputs: np.ndarray
    output: np.ndarray
    gate: dict

    @property
    def num_experts(self):
        """E."""
        return self.gate["probabilities"].shape[-1]

    def experts(self):
        """A name for each expert."""
        if self.mixture.stacked:
            return [f"{self.mixture.experts.name}/{e}" for e in range(self.num_experts)]
        return [expert.name for expert in self.mixture.experts]

    def chosen(self):
        """What each expert is asked for: 1 or 0 a token, or its probability where all are asked.

        Array of the probabilities' shape (N, ..., E).
        """
        if "indices" in self.gate:
            return _by_expert(self.gate["indices"], 1.0, self.num_experts)
        if "token_indices" in self.gate:
            return self._by_token(1.0)
        return self.gate["probabilities"]

    def weights(self):
        """What each expert's answer is multiplied by, 0 where it gives none: (N, ..., E)."""
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
    """Values (..., k) at their indices among `size`, 0 elsewhere."""
    return (np.eye(size)[indices] * np.expand_dims(values, -1)).sum(axis=-2)


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
    """Run a model as in inference, and note what each of its mixtures does.

    Args:
        model: a Keras model, or a mixture itself, with mixtures at any depth.
        x: array of inputs, (N, ...).
        batch_size: how many of them at a time.

    Returns:
        List of `Route`, one for each use of a mixture, in the order in which they are used.

    Raises:
        ValueError: if the model has no mixture, or `x` is empty or has values that are not finite.
    """
    x = checked_inputs(x)
    batches = []
    for start in range(0, len(x), batch_size):
        noted = []
        with _noting(mixtures_in(model), noted):
            model(x[start : start + batch_size], training=False)
        batches.append([(mixture, *_as_arrays(mixture, *seen)) for mixture, *seen in noted])
    return [
        Route(
            mixture=uses[0][0],
            inputs=np.concatenate([inputs for _, inputs, _, _ in uses]),
            output=np.concatenate([output for _, _, output, _ in uses]),
            gate={name: np.concatenate([use[3][name] for use in uses]) for name in uses[0][3]},
        )
        for uses in zip(*batches, strict=True)
    ]


def checked_inputs(x):
    """`x` as an array with something in it, all of it finite."""
    x = np.asarray(x)
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"Expected one input or more, (N, ...). Received: shape {x.shape}")
    if not np.isfinite(x.astype("float64")).all():
        count = int((~np.isfinite(x.astype("float64"))).sum())
        raise ValueError(f"Expected finite inputs. Received: {count} values that are NaN or inf")
    return x


def _as_arrays(mixture, inputs, output):
    gate = mixture.route(inputs, training=False)
    arrays = {name: ops.convert_to_numpy(tensor) for name, tensor in gate.items()}
    return ops.convert_to_numpy(inputs), ops.convert_to_numpy(output), arrays


@contextlib.contextmanager
def _noting(mixtures, noted):
    """While this is open, each use of a mixture is added to `noted`: mixture, inputs, output."""

    def noting(mixture, call):
        def call_and_note(inputs, *args, **kwargs):
            place = len(noted)
            output = call(inputs, *args, **kwargs)
            noted.insert(place, (mixture, inputs, output))  # before mixtures inside this one
            return output

        return call_and_note

    try:
        for mixture in mixtures:
            # Past Keras's own __setattr__, which may be closed and would keep track.
            object.__setattr__(mixture, "call", noting(mixture, mixture.call))
        yield
    finally:
        for mixture in mixtures:
            if "call" in vars(mixture):
                object.__delattr__(mixture, "call")


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
