"""Recording of calls of layers inside a model, without a change to the model."""

import contextlib
from typing import NamedTuple


class Call(NamedTuple):
    """One call of a layer.

    Attributes:
        layer: The layer.
        inputs: What it was called with.
        output: What it returned.
        mask: The mask that it was called with, or `None`.
    """

    layer: object
    inputs: object
    output: object
    mask: object = None


@contextlib.contextmanager
def record_calls(layers):
    """Record every call of some layers while the context is open.

    Args:
        layers: List of layers, each once.

    Yields:
        List of `Call`, in the order in which they began: a call comes before those inside it.

    Example:

    >>> import keras
    >>> dense = keras.layers.Dense(2)
    >>> with record_calls([dense]) as calls:
    ...     _ = dense(keras.ops.ones((3, 4)))
    >>> calls[0].output.shape == (3, 2)
    True
    """
    calls = []

    def recorded(layer, call):
        def call_and_record(inputs, *args, **kwargs):
            place = len(calls)
            output = call(inputs, *args, **kwargs)
            calls.insert(place, Call(layer, inputs, output, kwargs.get("mask")))
            return output

        return call_and_record

    try:
        for layer in layers:
            # Past Keras's own __setattr__, which may be closed and would keep track.
            object.__setattr__(layer, "call", recorded(layer, layer.call))
        yield calls
    finally:
        for layer in layers:
            if "call" in vars(layer):
                object.__delattr__(layer, "call")
