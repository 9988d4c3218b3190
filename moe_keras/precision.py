"""Precision of numbers: whole ones are weighed as floats, and routers are judged in float32."""

import keras
from keras import ops


def float32_or_better(x):
    """`x` as a tensor of float32, or of float64 if it is one; whole numbers and 16 bits become
    float32.

    A 16-bit float has 8 to 11 bits: a sum over tokens stops growing, a small constant vanishes.

    >>> keras.backend.standardize_dtype(float32_or_better([1, 0]).dtype)
    'float32'
    """
    x = ops.convert_to_tensor(x)
    return ops.cast(x, float32_or_better_dtype(x.dtype))


def float32_or_better_dtype(dtype=None):
    """String, "float64" if that is the dtype, else "float32"; `None`: of `keras.config.floatx()`.

    On TensorFlow alone: elsewhere Keras's rules of promotion have no float64.

    >>> float32_or_better_dtype("bfloat16"), float32_or_better_dtype("float64")
    ('float32', 'float64')
    """
    return keras.backend.result_type(dtype or keras.config.floatx(), "float32")


def as_float(x):
    """`x` as a tensor of floats: whole numbers as `float_dtype` says, floats as they are.

    >>> keras.backend.standardize_dtype(as_float([1, 0]).dtype)
    'float32'
    """
    x = ops.convert_to_tensor(x)
    return ops.cast(x, float_dtype(x.dtype))


def float_dtype(*dtypes):
    """String, the dtype that holds all these; `keras.config.floatx()` if all are whole numbers.

    A weight times a whole number is none: in an integer's dtype 0.7 votes would be 0.

    >>> float_dtype("int32"), float_dtype("float16", "int32")
    ('float32', 'float16')
    """
    return keras.backend.result_type(*dtypes, float)
