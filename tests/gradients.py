"""Gradients as the backend derives them, and by finite differences, to hold them to."""

import keras
import numpy as np
import pytest
from layer_contract import to_numpy


def output_and_gradients(compute, variables):
    """What `compute()` gives beside its loss, and the loss's gradient in each Keras variable.

    Args:
        compute: function that gives (loss, output), from the variables' values at that time.
        variables: list of Keras variables. One that the loss does not depend on has gradient 0.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        def loss_and_output(values):
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                return compute()

        start = [variable.value for variable in variables]
        gradients, output = jax.grad(loss_and_output, has_aux=True)(start)
    elif backend == "torch":
        import torch

        loss, output = compute()
        values = [variable.value for variable in variables]
        gradients = torch.autograd.grad(loss, values, allow_unused=True, materialize_grads=True)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss, output = compute()
        values = [variable.value for variable in variables]
        gradients = tape.gradient(loss, values, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return [output, *gradients]


class Probe(keras.Model):
    """A model whose only loss is a function of a layer; one step of it tells the gradient."""

    def __init__(self, layer, loss):
        super().__init__(dtype="float64")
        self.layer, self.loss_of = layer, loss

    def build(self, input_shape):
        pass  # the layer is

    def call(self, inputs):
        self.add_loss(self.loss_of(self.layer))
        return inputs


class Held(keras.layers.Layer):
    """One array as a trainable weight."""

    def __init__(self, array):
        super().__init__(dtype="float64")
        self.array = self.add_weight(shape=array.shape)
        self.array.assign(array)

    def call(self, inputs):
        return inputs


def assert_gradient(function, array, tolerance=1e-5):
    """Hold a function of one float64 tensor to its finite differences at `array`."""
    assert_gradients(Held(array), lambda held: function(held.array.value), tolerance)


def assert_gradients(layer, loss, tolerance=1e-5, step=1e-5):
    """Hold the gradient of `loss(layer)` in every trainable weight to finite differences.

    The layer is built, of dtype float64.
    """
    if keras.backend.backend() != "tensorflow":
        # JAX has float64 only by a switch; on PyTorch, Keras falls to float32 in some operations.
        pytest.skip("finite differences need float64 throughout")
    weights = layer.trainable_variables
    before = [to_numpy(w) for w in weights]
    numeric = [np.zeros_like(b) for b in before]
    for weight, values, slopes in zip(weights, before, numeric, strict=True):
        for place in np.ndindex(values.shape):
            moved = {}
            for sign in (1, -1):
                changed = values.copy()
                changed[place] += sign * step
                weight.assign(changed)
                moved[sign] = float(to_numpy(loss(layer)))
            slopes[place] = (moved[1] - moved[-1]) / (2 * step)
        weight.assign(values)

    probe = Probe(layer, loss)
    # Eagerly: in a graph whose inputs are constants TensorFlow 2.21's Grappler may compute a loss
    # from weights that the same step has moved already (with real inputs it does not).
    eager = keras.backend.backend() == "tensorflow"
    probe.compile(optimizer=keras.optimizers.SGD(1.0), jit_compile=False, run_eagerly=eager)
    probe.fit(np.zeros((1, 1)), verbose=0)
    for weight, values, slopes in zip(weights, before, numeric, strict=True):
        found = values - to_numpy(weight)
        assert np.abs(slopes).max() > 1e-3, "the test says nothing: the gradient is 0"
        np.testing.assert_allclose(found, slopes, rtol=tolerance, atol=tolerance)
