"""Where sizes must be known beforehand, asked of choices that are a constant or an argument."""

import keras
import numpy as np
import pytest

from moe_keras.ops.compilers import needs_static_sizes

INDICES = np.array([[0, 1], [2, 0]], "int32")  # (T, k)
BACKEND = keras.backend.backend()


def answers(run):
    """What is said of a constant and of what depends on an argument, where `run` calls."""
    constant, said = keras.ops.convert_to_tensor(INDICES), []

    def function(x):
        said.append(needs_static_sizes(constant))
        said.append(needs_static_sizes(keras.ops.argsort(x)))
        return keras.ops.sum(x)

    run(function)(keras.ops.convert_to_tensor(np.ones((2, 2), "float32")))
    return set(said)


def test_as_it_goes():
    assert answers(lambda function: function) == {False}


@pytest.mark.skipif(BACKEND != "jax", reason="JAX's transformations")
@pytest.mark.parametrize(
    ("transformation", "expected"),
    [("jit", {True}), ("checkpoint", {True}), ("grad", {False}), ("vmap", {False, True})],
)
def test_within_jax(transformation, expected):
    import jax

    # `vmap` computes a constant once; what differs along the axis has one size for all.
    assert answers(getattr(jax, transformation)) == expected


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's graphs")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_within_a_graph_of_tensorflow(jit_compile):
    import tensorflow as tf

    graph = tf.function(jit_compile=jit_compile)
    assert answers(graph) == {jit_compile}
