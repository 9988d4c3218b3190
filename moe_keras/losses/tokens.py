"""Sums and means over tokens, with or without a mask: in float32 or better, 0 over nothing."""

from keras import ops

from moe_keras.masks import over_axes
from moe_keras.precision import float32_or_better
from moe_keras.shapes import expect_shape


def token_sum(values, mask=None):
    """Sum of `values` (..., E) over all axes but the last, leaving out where `mask` (...) is False.

    >>> import numpy as np
    >>> ops.convert_to_numpy(token_sum(np.array([[1.0, 2.0], [3.0, 4.0]]), [True, False])).tolist()
    [1.0, 2.0]
    """
    values = float32_or_better(values)
    if mask is not None:
        mask = checked_mask(mask, values)
        values = ops.where(ops.expand_dims(mask, -1), values, 0)
    return ops.sum(values, axis=_all_but_last(values))  # (E,)


def token_mean(values, mask=None):
    """Mean of `values` (..., E) over all axes but the last; 0 if there are no tokens.

    >>> import numpy as np
    >>> ops.convert_to_numpy(token_mean(np.array([[1.0, 2.0], [3.0, 4.0]]))).tolist()
    [2.0, 3.0]
    """
    values = float32_or_better(values)
    if mask is None:
        return mean(values, axis=_all_but_last(values))  # (E,)
    mask = checked_mask(mask, values)
    tokens = ops.sum(ops.cast(mask, values.dtype))
    return token_sum(values, mask) / ops.maximum(tokens, 1)


def mean(values, axis=None):
    """Mean over some axes; 0 over nothing, as for a replica that gets no token of the last batch.

    >>> float(mean(ops.zeros((0,))))
    0.0
    """
    values = float32_or_better(values)
    # Of the tensor, not of its shape: a size that is not known yet is no number everywhere.
    something = ops.any(ops.ones_like(values, dtype="bool"))
    return ops.where(something, ops.mean(values, axis=axis), 0)


def one_hot(indices, size, dtype="float32"):
    """One-hot vectors (..., size) of whole numbers (...); zeros for one that is not in [0, size).

    Keras's own raises for some of those, or not, depending on the backend.

    >>> ops.convert_to_numpy(one_hot([1, -1, 2], size=2)).tolist()
    [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    """
    indices = ops.expand_dims(ops.cast(indices, "int32"), -1)
    return ops.cast(ops.equal(indices, ops.arange(size, dtype="int32")), dtype)


def _all_but_last(values):
    return tuple(range(len(values.shape) - 1))


def checked_mask(mask, values):
    """The mask as a boolean for each token of `values` (..., E).

    Raises:
        ValueError: if its axes are not the first ones of the tokens'.
    """
    mask = ops.cast(mask, "bool")
    axes = tuple(values.shape[:-1])
    expected = axes[: max(len(mask.shape), 1)]
    expect_shape("a mask", mask.shape, expected, f"one entry for each token {axes}")
    if len(mask.shape) == len(axes):
        return mask
    return ops.broadcast_to(over_axes(mask, values[..., 0]), ops.shape(values)[:-1])
