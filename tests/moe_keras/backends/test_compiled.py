"""Compiled by XLA or not, training gives the same; the layer contract compares answers alone."""

import keras
import numpy as np
import pytest
from public_layers import MODELS, answers_of, inputs_of, with_weights

BACKEND = keras.backend.backend()


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has no XLA")
@pytest.mark.parametrize("name", [name for name in MODELS if "Noisy" not in name])
def test_a_step_of_training(name):
    plain, by_xla = (trained(name, jit_compile) for jit_compile in (False, True))
    for a, b in zip(plain, by_xla, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def trained(name, jit_compile):
    """Weights and answers after one step."""
    model = with_weights(MODELS[name]())
    if not model.trainable_weights:
        pytest.skip("nothing to train")
    target = [np.zeros(y.shape, "float32") for y in answers_of(model)]
    flat = keras.Model(model.inputs, keras.tree.flatten(model.outputs))
    floats = [i for i, y in enumerate(flat.outputs) if "float" in y.dtype]
    flat = keras.Model(flat.inputs, [flat.outputs[i] for i in floats])
    flat.compile(keras.optimizers.SGD(0.1), ["mse"] * len(floats), jit_compile=jit_compile)
    flat.train_on_batch(inputs_of(model), [target[i] for i in floats])
    return [*model.get_weights(), *answers_of(model)]


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has no XLA")
@pytest.mark.parametrize("name", MODELS)
def test_in_a_compiled_function(name):
    """Of its argument, or of a constant, whose values the compiler knows and its sizes' too."""
    model = with_weights(MODELS[name]())
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs_of(model))
    function = compiled(lambda x: [model(x, training=False), model(inputs, training=False)])
    for outputs in function(inputs):
        for a, b in zip(keras.tree.flatten(outputs), answers_of(model), strict=True):
            np.testing.assert_allclose(np.array(a), b, rtol=1e-5, atol=1e-6)


def compiled(function):
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)
