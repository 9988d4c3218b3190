"""Rows by their numbers, also of a batch that has none."""

from keras import ops


def take_rows(rows, indices):
    """rows[indices]: (T, ...) and (N, S) to (N, S, ...), as `keras.ops.take`.

    Where there are no rows, JAX forgets the axes of the indices, and PyTorch refuses to take any.

    >>> tuple(take_rows(ops.zeros((0, 5)), ops.zeros((2, 0), "int32")).shape)
    (2, 0, 5)
    """
    if rows.shape[0] == 0:
        return ops.zeros((*ops.shape(indices), *ops.shape(rows)[1:]), rows.dtype)
    return ops.take(rows, indices, axis=0)
