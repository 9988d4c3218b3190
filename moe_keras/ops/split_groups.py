"""Groups of rows, cut apart where sizes may follow from the data."""

import itertools

import keras
from keras import ops


def split_groups(x, group_sizes):
    """The groups that lie one after another in the rows of a tensor.

    Not where a compiler must know each size.

    Args:
        x: tensor of shape (m, ...).
        group_sizes: integer tensor of shape (g,), whose sum is m at most.

    Returns:
        List of g + 1 tensors: the groups, and the rows that are left.

    >>> import numpy as np
    >>> groups = split_groups(np.arange(5), np.array([2, 0, 1]))
    >>> [ops.convert_to_numpy(group).tolist() for group in groups]
    [[0, 1], [], [2], [3, 4]]
    """
    x, group_sizes = ops.convert_to_tensor(x), ops.convert_to_tensor(group_sizes)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # `ops.split` would want the sizes now.
        rest = tf.shape(x, group_sizes.dtype)[:1] - tf.reduce_sum(group_sizes)
        return tf.split(x, tf.concat([group_sizes, rest], 0), num=group_sizes.shape[0] + 1)
    sizes = ops.convert_to_numpy(group_sizes).tolist()
    sizes.append(x.shape[0] - sum(sizes))
    if backend == "torch":
        import torch

        # One operation: each slice of its own would have a gradient of the size of all rows.
        return list(torch.split(x, sizes))
    ends = itertools.accumulate(sizes)
    return [x[end - size : end] for size, end in zip(sizes, ends, strict=True)]
