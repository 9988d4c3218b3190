"""Gathers there and back, whose gradients are gathers too.

A framework does not know that no row is taken twice, so it would add up gradients row by row;
taking them by the way back is several times as quick.
"""

import keras
from keras import ops

from moe_keras.masks import neutral, over_axes
from moe_keras.mixtures.combine import combine
from moe_keras.ops.gradients import with_gradient
from moe_keras.precision import as_float


def rows_of(tokens, order, k):
    """The token of each row of an `Order`; for that of an empty expert a `neutral` one.

        d loss / d token t = sum_j d loss / d row r_tj               r_tj = order.rows[j * T + t]

    Args:
        tokens: tensor of shape (T, ...).
        order: an `Order` of the T * k choices.
        k: how many choices a token has.

    >>> import numpy as np
    >>> from moe_keras.mixtures.dispatchers.order import order_by_expert
    >>> order = order_by_expert(np.array([[2, 0], [0, 2]]), num_experts=3, fill=True)
    >>> rows = rows_of(np.array([5.0, 6.0]), order, k=2)
    >>> ops.convert_to_numpy(rows).tolist()  # of tokens 1, 0; none; 0, 1
    [6.0, 5.0, 1.0, 5.0, 6.0]
    """

    def forward(tokens, choices, places):
        rows = _by_row(tokens, choices)  # (rows, ...)
        stands_in = over_axes(choices >= k * ops.shape(tokens)[0], rows)
        return ops.where(stands_in, neutral(rows), rows)

    def backward(tensors, upstream):
        _, _, places = tensors
        return [sum(_each_choice(upstream, places, k)), None, None]  # (T, ...)

    tokens = ops.convert_to_tensor(tokens)
    has_gradient = "float" in keras.backend.standardize_dtype(tokens.dtype)
    function = with_gradient(forward, backward) if has_gradient else forward
    return function(tokens, order.choices, order.rows)


def answers_of(rows, weights, order):
    """What `combine` makes of the experts' answers, which lie in the rows of an `Order`.

        y_t = sum_j w_tj row r_tj                             w_tj = 0 for a choice of no expert
        d loss / d row r_tj = w_tj d loss / d y_t        zeros for the row of an empty expert
        d loss / d w_tj = sum(d loss / d y_t * row r_tj)

    Args:
        rows: tensor of shape (rows, ...).
        weights: tensor of shape (T, k).
        order: an `Order` of the T * k choices.

    >>> import numpy as np
    >>> from moe_keras.mixtures.dispatchers.order import order_by_expert
    >>> order = order_by_expert(np.array([[2, 0], [0, 2]]), num_experts=3, fill=True)
    >>> rows, weights = np.array([6.0, 5.0, 0.0, 5.0, 6.0]), np.array([[0.5, 0.5], [1.0, 2.0]])
    >>> ops.convert_to_numpy(answers_of(rows, weights, order)).tolist()
    [5.0, 18.0]
    """
    rows, k = as_float(rows), weights.shape[-1]

    def forward(rows, weights, choices, places):
        return combine(weights, _each_choice(rows, places, k))

    def backward(tensors, upstream):
        rows, weights, choices, places = tensors
        by_choice = ops.reshape(ops.transpose(weights), (-1,))  # (k T,)
        none = ops.shape(by_choice)[0]
        by_choice = ops.concatenate([by_choice, ops.zeros((1,), by_choice.dtype)])  # (k T + 1,)
        by_row = ops.cast(ops.take(by_choice, ops.minimum(choices, none)), upstream.dtype)
        by_row = ops.reshape(by_row, (-1, *[1] * (len(upstream.shape) - 1)))  # (rows, 1, ...)
        axes = tuple(range(1, len(upstream.shape)))
        agreement = [ops.sum(upstream * row, axis=axes) for row in _each_choice(rows, places, k)]
        of_weights = ops.cast(ops.stack(agreement, axis=-1), weights.dtype)  # (T, k)
        return [by_row * _by_row(upstream, choices), of_weights, None, None]

    return with_gradient(forward, backward)(rows, weights, order.choices, order.rows)


def _by_row(tokens, choices):
    """The token (T, ...) of each row, (rows, ...)."""
    tokens = at_least_one(tokens)
    return ops.take(tokens, choices % ops.shape(tokens)[0], axis=0)


def _each_choice(rows, places, k):
    """The rows of the tokens' first choices (T, ...), of their second ones, and so on."""
    return [ops.take(rows, place, axis=0) for place in ops.split(places, k)]


def at_least_one(tokens):
    """`tokens`, or one of zeros if there are none, for an empty expert to look at."""
    size = ops.shape(tokens)[0]
    if isinstance(size, int):
        return tokens if size else ops.zeros((1, *tokens.shape[1:]), tokens.dtype)
    if not ops.is_tensor(size):
        return tokens  # JAX works out shapes for a batch of any size
    zeros = (1, *ops.shape(tokens)[1:])
    return ops.cond(size > 0, lambda: tokens, lambda: ops.zeros(zeros, tokens.dtype))
