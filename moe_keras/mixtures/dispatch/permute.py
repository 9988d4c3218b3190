"""Gathers there and back, whose gradients are gathers too.

A framework does not know that no row is taken twice, so it would add up gradients row by row;
taking them by the way back is several times as quick.
"""

import keras
from keras import ops


def rows_of(tokens, order, k):
    """The token of each row of an `Order`, zeros for the row of an empty expert.

        d loss / d token t = sum_j (d loss / d result)[rows[j * T + t]]

    Args:
        tokens: tensor of shape (T, ...).
        order: an `Order` of the T * k choices.
        k: how many choices a token has.

    >>> import numpy as np
    >>> from moe_keras.mixtures.dispatch.order import order_by_expert
    >>> order = order_by_expert(np.array([[2, 0], [0, 2]]), num_experts=3, fill=True)
    >>> rows = rows_of(np.array([5.0, 6.0]), order, k=2)
    >>> ops.convert_to_numpy(rows).tolist()
    [6.0, 5.0, 0.0, 5.0, 6.0]
    """
    num_tokens = ops.shape(tokens)[0]

    def gather(tokens):
        choices = order.choices
        token_of = ops.where(choices < k * num_tokens, choices % num_tokens, num_tokens)
        return ops.take(_with_zeros(tokens), token_of, axis=0)

    def gradient(upstream):
        by_choice = ops.take(upstream, order.rows, axis=0)
        return ops.sum(ops.reshape(by_choice, (k, *ops.shape(tokens))), axis=0)

    return _with_gradient(gather, gradient)(tokens)


def choices_of(rows, order):
    """The row of each choice of an `Order`: what `rows_of` did, undone; empty experts' rows go.

        d loss / d row = (d loss / d result)[choices], zeros for the row of an empty expert

    >>> import numpy as np
    >>> from moe_keras.mixtures.dispatch.order import order_by_expert
    >>> order = order_by_expert(np.array([[2, 0], [0, 2]]), num_experts=3, fill=True)
    >>> ops.convert_to_numpy(choices_of(np.array([6.0, 5.0, 0.0, 5.0, 6.0]), order)).tolist()
    [5.0, 6.0, 5.0, 6.0]
    """

    def gradient(upstream):
        choice = ops.minimum(order.choices, ops.shape(upstream)[0])
        return ops.take(_with_zeros(upstream), choice, axis=0)

    return _with_gradient(lambda rows: ops.take(rows, order.rows, axis=0), gradient)(rows)


def _with_zeros(values):
    """`values` and one row of zeros after them."""
    return ops.concatenate([values, ops.zeros((1, *ops.shape(values)[1:]), values.dtype)])


def _with_gradient(function, gradient):
    """`function` with its gradient given, on TensorFlow; elsewhere the backend derives its own."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.custom_gradient(lambda values: (function(values), gradient))
