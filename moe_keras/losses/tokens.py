"""Sums and means over tokens, with or without a mask."""

from keras import ops


def token_sum(values, mask=None):
    """Sum of `values` (..., E) over all axes but the last, leaving out where `mask` (...) is False.

    >>> import numpy as np
    >>> ops.convert_to_numpy(token_sum(np.array([[1.0, 2.0], [3.0, 4.0]]), [True, False])).tolist()
    [1.0, 2.0]
    """
    values = ops.convert_to_tensor(values)
    if mask is not None:
        values = ops.where(ops.expand_dims(ops.cast(mask, "bool"), -1), values, 0)
    return ops.sum(values, axis=tuple(range(len(values.shape) - 1)))  # (E,)


def token_mean(values, mask=None):
    """Mean of `values` (..., E) over all axes but the last; 0 if the mask leaves nothing.

    >>> import numpy as np
    >>> ops.convert_to_numpy(token_mean(np.array([[1.0, 2.0], [3.0, 4.0]]))).tolist()
    [2.0, 3.0]
    """
    values = ops.convert_to_tensor(values)
    if mask is None:
        return ops.mean(values, axis=tuple(range(len(values.shape) - 1)))  # (E,)
    tokens = ops.sum(ops.cast(mask, values.dtype))
    return token_sum(values, mask) / ops.maximum(tokens, 1)
