"""The largest of a row, found by each device in its own rows."""

import keras
from keras import ops


def largest(inputs, k):
    """The k largest along the last axis, as `keras.ops.top_k`, equal ones by their place.

    XLA knows no way to share its own top-k out over devices: each would get the rows of all. A
    sort it can share out.

    Args:
        inputs: tensor of shape (..., E).
        k: Integer, from 1 to E.

    Returns:
        Values and indices, of shape (..., k) each.

    >>> import numpy as np
    >>> values, indices = largest(np.array([[1.0, 3.0, 2.0]]), k=2)
    >>> ops.convert_to_numpy(values).tolist(), ops.convert_to_numpy(indices).tolist()
    ([[3.0, 2.0]], [[1, 2]])
    """
    if keras.distribution.distribution() is None:
        return ops.top_k(inputs, k)
    indices = ops.argsort(-inputs, axis=-1)[..., :k]
    return ops.take_along_axis(inputs, indices, axis=-1), indices
