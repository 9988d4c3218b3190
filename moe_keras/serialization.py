"""Layers inside layers: how to build them and how to write them down."""

import contextlib

import keras
from keras.src.backend.common import global_state

KNOWN = "shared_objects/id_to_obj_map"  # where Keras keeps layers by the identity in a file


def output_shape(layer, input_shape):
    """Shape of what any layer or model makes of `input_shape`; the layer is built on the way.

    A symbolic call is the one way to build that works for every layer: a custom layer or model
    may have no `build` and no `compute_output_shape` of its own. It leaves no node on the layer:
    in a file, a Functional model's places of a layer are counted from its first call.

    >>> output_shape(keras.layers.Dense(3), (None, 4))
    (None, 3)
    """
    inputs = keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
    calls_before = len(layer._inbound_nodes)
    outputs = layer(inputs)
    del layer._inbound_nodes[calls_before:]
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), outputs)


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


@contextlib.contextmanager
def sharing(anew=False):
    """While it is open, a layer that `serialize` wrote down in several places is read as one.

    Keras does so while it loads a file, and not for `from_config` or `clone_model`. (Its own
    `ObjectSharingScope` would also mark what layers write meanwhile, and close one around it.)

    Args:
        anew: Boolean, whether to know nothing of what was read before, for one more copy; else an
            open one goes on.
    """
    before = global_state.get_global_attribute(KNOWN)
    known = {} if anew or before is None else before
    global_state.set_global_attribute(KNOWN, known)
    try:
        yield
    finally:
        global_state.set_global_attribute(KNOWN, before)
