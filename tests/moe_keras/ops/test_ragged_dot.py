"""Products, and gradients, against a loop over groups in NumPy."""

import keras
import numpy as np
import pytest
from draws import normal
from gradients import output_and_gradients
from keras import ops
from layer_contract import to_numpy

from moe_keras.ops import map_groups as groups
from moe_keras.ops import ragged_dot

BACKEND = keras.backend.backend()
SIZES = {
    "ragged": [3, 0, 130, 1],
    "one group": [0, 200, 0, 0],
    "none": [0, 0, 0, 0],
    "all rows": [50, 50, 50, 50],
}
X, W, SLOPES = normal(200, 8, seed=0), normal(4, 8, 4, seed=1), normal(200, 4, seed=2)


def by_a_loop(x, w, sizes, slopes):
    """y, and the gradients of sum(slopes * y) in x and w."""
    y, of_x, of_w = np.zeros(slopes.shape), np.zeros(x.shape), np.zeros(w.shape)
    start = 0
    for e, size in enumerate(sizes):
        rows = slice(start, start + size)
        y[rows] = x[rows] @ w[e]
        of_x[rows] = slopes[rows] @ w[e].T
        of_w[e] = x[rows].T @ slopes[rows]
        start += size
    return y, of_x, of_w


def computed(sizes, run, dtype="float32"):
    """The same by `ragged_dot`, in a function that `run` makes run."""
    x, w = (keras.Variable(array, dtype=dtype) for array in (X, W))

    def compute():
        y = ragged_dot(x.value, w.value, np.array(sizes))
        return ops.sum(ops.multiply(ops.cast(y, "float32"), SLOPES)), y

    return run(lambda: output_and_gradients(compute, [x, w]))()


def as_it_goes(function):
    return function


def compiled(function):
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


WAYS = [as_it_goes] if BACKEND == "torch" else [as_it_goes, compiled]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_equals_a_loop_over_groups(sizes, way):
    found = computed(sizes, way)
    for a, b in zip(found, by_a_loop(X, W, sizes, SLOPES), strict=True):
        np.testing.assert_allclose(to_numpy(a), b, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_16_bits_are_accumulated_in_float32(way):
    found = computed(SIZES["one group"], way, "bfloat16")
    # The gradient that comes in has 16 bits, too.
    x, w, slopes = (to_numpy(ops.cast(ops.cast(a, "bfloat16"), "float32")) for a in (X, W, SLOPES))
    for a, b in zip(found, by_a_loop(x, w, SIZES["one group"], slopes), strict=True):
        assert keras.backend.standardize_dtype(a.dtype) == "bfloat16"
        # One rounding to 8 bits, at the end: half of 2^-7 of what comes out.
        a = to_numpy(ops.cast(a, "float32"))
        np.testing.assert_allclose(a, b, rtol=2**-7, atol=2**-7)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="sizes that are not known: TensorFlow's")
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("many", [1, 128])
def test_a_number_of_rows_that_is_not_known(jit_compile, many, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(groups, "MANY", many)
    signature = [tf.TensorSpec((None, 8)), tf.TensorSpec((4,), "int32")]
    function = tf.function(
        lambda x, sizes: ragged_dot(x, W, sizes), signature, jit_compile=jit_compile
    )
    for num_rows, sizes in ((200, SIZES["ragged"]), (50, [7, 3, 0, 33]), (0, SIZES["none"])):
        expected, *_ = by_a_loop(X[:num_rows], W, sizes, SLOPES[:num_rows])
        found = function(tf.constant(X[:num_rows]), tf.constant(sizes))
        np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_rows_of_no_group_may_be_anything(way):
    x = np.where(np.arange(200)[:, None] < 134, X, np.nan)
    y = way(lambda: ragged_dot(x, W, np.array(SIZES["ragged"])))()
    assert not to_numpy(y)[134:].any()
    assert np.isfinite(to_numpy(y)).all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"Expected x of shape \(m, k\), .* Received: x of shape"):
        ragged_dot(X, W[:, :3], np.array([1, 1, 1, 1]))
    with pytest.raises(ValueError, match=r"group_sizes of shape \(3,\)"):
        ragged_dot(X, W, np.array([1, 1, 1]))
