"""Tokens into places of fixed groups (blocks, slots), and the answers back from there."""

from keras import ops

from moe_keras.masks import fill_groups
from moe_keras.mixtures.combine import combine
from moe_keras.ops.take_rows import take_rows


def fill_places(tokens, token_in_place, taken):
    """Groups of places filled with tokens; where there is none, with the group's first.

    Args:
        tokens: tensor of shape (T, ...).
        token_in_place: integer tensor of shape (N, S): N groups of S places.
        taken: boolean tensor of shape (N, S).

    Returns:
        Tensor of shape (N, S, ...).

    >>> import numpy as np
    >>> groups = fill_places(np.array([5.0, 6.0]), np.array([[1, 0]]), np.array([[True, False]]))
    >>> ops.convert_to_numpy(groups).tolist()
    [[6.0, 6.0]]
    """
    groups = take_rows(tokens, token_in_place)  # (N, S, ...)
    return fill_groups(groups, taken)


def take_back(outputs, places, weights):
    """Each token's weighted sum of the outputs in the places of its choices.

    Args:
        outputs: tensor of shape (N, S, ...).
        places: integer tensor of shape (k, T), from 0 to N S - 1.
        weights: tensor of shape (T, k), 0 for a choice that has no place.

    Returns:
        Tensor of shape (T, ...).

    >>> import numpy as np
    >>> outputs, weights = np.array([[1.0, 10.0]]), np.array([[0.5, 0.5], [1.0, 0.0]])
    >>> ops.convert_to_numpy(take_back(outputs, np.array([[0, 1], [1, 0]]), weights)).tolist()
    [5.5, 10.0]
    """
    rows = ops.reshape(outputs, (-1, *ops.shape(outputs)[2:]))  # (N S, ...)
    return combine(weights, [ops.take(rows, places[j], axis=0) for j in range(places.shape[0])])
