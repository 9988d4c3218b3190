"""Gathers by a permutation, whose gradients are gathers by its inverse."""

import keras
from keras import ops


def permute(values, order, inverse):
    """values[order], for an order that is a permutation and its inverse.

        d loss / d values = (d loss / d result)[inverse]

    A framework does not know that no row is taken twice, so it would add up gradients row by row;
    taking them by the inverse is several times as quick.

    >>> import numpy as np
    >>> rows = permute(np.array([5.0, 6.0, 7.0]), np.array([2, 0, 1]), np.array([1, 2, 0]))
    >>> ops.convert_to_numpy(rows).tolist()
    [7.0, 5.0, 6.0]
    """
    return _with_gradient(
        lambda values: ops.take(values, order, axis=0),
        lambda upstream: permute(upstream, inverse, order),
    )(values)


def spread(tokens, choices, rows, k):
    """tokens[choices % T]: a row for each of the T * k choices, in the order of `Order.choices`.

        d loss / d token t = sum_j (d loss / d result)[rows[j * T + t]]

    Args:
        tokens: tensor of shape (T, ...).
        choices: permutation of T * k choices.
        rows: its inverse.
        k: how many choices a token has.

    >>> import numpy as np
    >>> rows = spread(np.array([5.0, 6.0]), np.array([1, 2, 3, 0]), np.array([3, 0, 1, 2]), k=2)
    >>> ops.convert_to_numpy(rows).tolist()
    [6.0, 5.0, 6.0, 5.0]
    """

    def gradient(upstream):
        by_choice = permute(upstream, rows, choices)
        return ops.sum(ops.reshape(by_choice, (k, *ops.shape(tokens))), axis=0)

    token_of = choices % ops.shape(tokens)[0]
    return _with_gradient(lambda tokens: ops.take(tokens, token_of, axis=0), gradient)(tokens)


def _with_gradient(function, gradient):
    """`function` with its gradient given, on TensorFlow; elsewhere the backend derives its own."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.custom_gradient(lambda values: (function(values), gradient))
