"""Wrapper: any layer or model as an expert."""

import keras

from moe_keras.layer import MoELayer
from moe_keras.masks import call_masked
from moe_keras.serialization import output_shape, serialize


@keras.saving.register_keras_serializable(package="moe_keras")
class Expert(MoELayer, keras.layers.Wrapper):
    """Wraps any layer or model, answering exactly as it does: E(x) = layer(x).

    A mixture takes bare layers as experts too. The wrapper gives an expert a name of its own, and
    is the base of those that change something: `FrozenExpert`, `ClassSubset`.

    Args:
        layer: Keras layer or model.

    Call arguments:
        inputs: what the layer takes; in the layer's own dtype, since the wrapper casts nothing.
        mask: passed on to the layer, and to the layers inside.
        training: passed on to the layer.

    Returns:
        What the layer returns.

    Raises:
        ValueError: if `layer` is not a Keras layer or model.

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts import Expert
    >>> expert = Expert(keras.layers.Dense(3), name="natural")
    >>> expert.name, tuple(expert(np.ones((5, 8), "float32")).shape)
    ('natural', (5, 3))
    """

    def __init__(self, layer, **kwargs):
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                "Expected a Keras layer or model; put a function into a class that derives from "
                f"keras.layers.Layer. Received: {layer!r}"
            )
        super().__init__(layer, autocast=False, **kwargs)

    def build(self, input_shape):
        output_shape(self.layer, input_shape)

    def call(self, inputs, mask=None, training=None):
        return call_masked(self.layer, inputs, mask, training)

    def get_config(self):
        return {**super().get_config(), "layer": serialize(self.layer)}
