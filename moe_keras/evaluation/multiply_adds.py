"""Multiply-adds (MACs) of a network."""

import math

import keras

from moe_keras.evaluation.recording import record_calls

COUNTED = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)


def multiply_adds(model, inputs):
    """Multiply-adds (MACs) per example of the convolutions and dense layers of a model.

        one layer: (numbers in its output) * (weights that each of them needs)
        convolution: height * width * filters * (size * size * channels)
        dense: units * features

    Twice this is what others call FLOPs. The model is run once on the inputs, and what is run is
    counted: layers in layers too, a layer as often as it is called, and in a sparse mixture only
    the experts that were chosen (one that nobody chose may still run on one row). Biases,
    activations, pooling and normalization are left out; in an image network they are a few percent.

    Args:
        model: Keras model or layer.
        inputs: Array (B, ...) of what it takes, or list of such arrays.

    Returns:
        Integer, multiply-adds an example; a float if examples differ.

    Raises:
        ValueError: if a layer inside has a matrix of weights and is of another kind, so that its
            cost is not known.

    Reference:
        Sze et al. (2017), Efficient processing of deep neural networks, section III (the count).

    Example:

    >>> import numpy as np
    >>> from moe_keras.evaluation import multiply_adds
    >>> model = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D()])
    >>> multiply_adds(model, np.zeros((1, 8, 8, 3)))  # 6 * 6 places, 4 filters, 3 * 3 * 3 weights
    3888
    """
    inputs = [keras.ops.convert_to_tensor(part) for part in _listed(inputs)]
    several = len(inputs) > 1
    model(inputs if several else inputs[0], training=False)  # builds what is not built yet
    with record_calls(_innermost(model)) as calls:
        model(inputs if several else inputs[0], training=False)
    total, batch = sum(map(_cost, calls)), inputs[0].shape[0]
    return total // batch if total % batch == 0 else total / batch


def _listed(inputs):
    return inputs if isinstance(inputs, list | tuple) else [inputs]


def _innermost(model):
    """The layers inside that convolve or multiply, each once."""
    found = []
    for layer in model._flatten_layers():
        if isinstance(layer, COUNTED):
            found.append(layer)
        elif not list(layer._flatten_layers(include_self=False)) and any(
            len(weight.shape) > 1 for weight in layer.weights
        ):
            raise ValueError(
                "Expected convolutions and dense layers to hold all matrices of weights. "
                f"Received: '{layer.name}', a {type(layer).__name__}"
            )
    return found


def _cost(call):
    """Multiply-adds of one call of a layer."""
    weights = math.prod(call.layer.kernel.shape[:-1])  # that one number of the output needs
    return math.prod(call.output.shape) * weights
