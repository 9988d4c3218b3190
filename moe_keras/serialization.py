"""Layers inside layers: how to build them and how to write them down."""

import keras


def output_shape(layer, input_shape):
    """Shape of what any layer or model makes of `input_shape`; the layer is built on the way.

    A symbolic call is the one way to build that works for every layer: a custom layer or model
    may have no `build` and no `compute_output_shape` of its own.

    >>> output_shape(keras.layers.Dense(3), (None, 4))
    (None, 3)
    """
    inputs = keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), layer(inputs))


def serialize(layer):
    """Configuration of a layer for that of the layer around it.

    The identity is what Keras needs to load a layer with two places in a model as one layer again
    (a baseline that is an expert of two mixtures, say). It writes the identity down itself, but
    loses that of the first place if it is a nested one. How a nested model was compiled is left
    out: its own training is over, and its loss may be unknown where the file is read.
    """
    config = keras.saving.serialize_keras_object(layer)
    config.pop("compile_config", None)
    return {**config, "shared_object_id": id(layer)}
