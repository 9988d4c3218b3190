"""Every public layer on a batch of nothing, as it goes and compiled, in training too."""

import keras
import numpy as np
import pytest
from keras import ops
from layer_contract import to_numpy
from public_layers import MODELS, inputs_of

OF_ANY_BATCH = [name for name in MODELS if name != "StackedMLP"]  # whose batch is its experts


def nothing(model):
    inputs = inputs_of(model)
    return keras.tree.map_structure(lambda x: ops.convert_to_tensor(x[:0]), inputs)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", OF_ANY_BATCH)
def test_as_it_goes(name, training):
    model = MODELS[name]()
    before = [to_numpy(weight) for weight in model.weights]
    for output in keras.tree.flatten(model(nothing(model), training=training)):
        assert output.shape[0] == 0
    assert all(np.isfinite(to_numpy(loss)) for loss in model.losses)
    for weight, value in zip(model.weights, before, strict=True):
        assert np.array_equal(to_numpy(weight), value)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs as it goes")
@pytest.mark.parametrize("name", [name for name in OF_ANY_BATCH if "MoE" in name])
def test_compiled(name):
    model = MODELS[name]()
    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(lambda x: model(x, training=False))
    else:
        import tensorflow as tf

        function = tf.function(lambda x: model(x, training=False))
    for output in keras.tree.flatten(function(nothing(model))):
        assert output.shape[0] == 0
