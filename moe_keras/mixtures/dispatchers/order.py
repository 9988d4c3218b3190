"""The one sort that brings each expert's tokens together."""

from typing import NamedTuple

from keras import ops

from moe_keras.masks import in_range


class Order(NamedTuple):
    """The T * k choices of T tokens, sorted by expert.

    Attributes:
        choices: for each row the choice it is of, in [0, T * k): choice j * T + t is the j-th one
            of token t. Within an expert all first choices come first, then all second ones; choices
            of no expert come after those of all experts.
        rows: for each choice the row it became: the way back.
        starts: for each expert its first row, of shape (E,).
        counts: for each expert how many rows it has, of shape (E,).
    """

    choices: object
    rows: object
    starts: object
    counts: object


def order_by_expert(indices, num_experts, fill=False):
    """Sort the choices of a sparse gate by expert, in O(T k log(T k)) whatever E is.

    Args:
        indices: whole numbers of shape (T, k); any that is not from 0 to E - 1 is no expert.
        num_experts: E.
        fill: whether an expert that nothing chose gets one row nevertheless, of a choice that does
            not exist, T * k or above. How many rows there are then follows from the data.

    Returns:
        An `Order`.

    Example: tokens that choose experts 2 and 0, 0 and 1.

    >>> import numpy as np
    >>> order = order_by_expert(np.array([[2, 0], [0, 1]]), num_experts=3)
    >>> [ops.convert_to_numpy(part).tolist() for part in order]
    [[1, 2, 3, 0], [3, 0, 1, 2], [0, 2, 3], [2, 1, 1]]
    """
    indices = ops.where(in_range(indices, num_experts), indices, num_experts)
    experts = ops.reshape(ops.transpose(ops.cast(indices, "int32")), (-1,))  # (k T,)
    num_choices = ops.shape(experts)[0]
    if fill:
        (empty,) = ops.nonzero(_counts(experts, num_experts) == 0)
        experts = ops.concatenate([experts, ops.cast(empty, "int32")])  # (rows,)
    # (rows,); stable in every backend of Keras
    choices = ops.cast(ops.argsort(experts), "int32")
    # (k T,): the inverse permutation, without the rows of choices that do not exist. Sorted, not
    # scattered: Keras scatters on PyTorch row by row, in a loop in Python.
    rows = ops.cast(ops.argsort(choices), "int32")[:num_choices]
    counts = _counts(experts, num_experts)
    return Order(choices, rows, ops.cumsum(counts) - counts, counts)


def _counts(experts, num_experts):
    # One more, for the choices of no expert.
    return ops.segment_sum(ops.ones_like(experts), experts, num_experts + 1)[:-1]  # (E,)
