"""A function of groups of rows, each with weights of its own."""

import keras
from keras import ops

from moe_keras.masks import over_axes
from moe_keras.ops.blocks import (
    block_size,
    for_each_block,
    own_or_first,
    own_or_zero,
    padded,
    read,
    write,
)
from moe_keras.ops.compilers import needs_static_sizes
from moe_keras.ops.gradients import vjp, with_gradient
from moe_keras.ops.split_groups import split_groups
from moe_keras.precision import float32_or_better_dtype

MANY = 128  # groups, from which on a graph of TensorFlow loops, too: it takes long to write down


def map_groups(function, x, weights, group_sizes, answer_shape):
    """Answers of a function to groups of rows, each with weights of its own; gradients included.

        y_i = function(x_i, *[w[e] for w in weights])        for each row i of group e

    Sums of 16-bit floats are accumulated in float32.

    Args:
        function: function of rows (n, ...) and one group's weights that answers each row by
            itself, with a tensor (n, ...).
        x: tensor of shape (m, ...).
        weights: list of tensors of shape (g, ...).
        group_sizes: integer tensor of shape (g,): the first so many rows are group 0, and so on.
        answer_shape: shape of the answer to one row.

    Returns:
        Tensor of shape (m, ...), of the dtype of `x`; zeros for rows beyond the last group.
    """
    group_sizes = ops.cast(group_sizes, "int32")
    loops = needs_static_sizes(group_sizes) and keras.backend.backend() != "torch"
    if not loops:
        loops = keras.backend.backend() == "tensorflow" and len_of(weights) >= MANY
    return (by_blocks if loops else by_slices)(function, x, weights, group_sizes, answer_shape)


def len_of(weights):
    """g, the number of groups."""
    return weights[0].shape[0]


def by_slices(function, x, weights, group_sizes, answer_shape):
    """`map_groups` where the sizes of tensors may follow from the data."""
    *groups, rest = split_groups(x, group_sizes)
    each = zip(*[ops.unstack(w, len_of(weights)) for w in weights], strict=True)
    outputs = [function(rows, *own) for rows, own in zip(groups, each, strict=True)]
    nothing = ops.zeros((ops.shape(rest)[0], *answer_shape), outputs[0].dtype)
    return ops.concatenate([*outputs, nothing])


def by_blocks(function, x, weights, group_sizes, answer_shape):
    """`map_groups` where all sizes must be known: loops over groups, and over blocks of each.

    A group's weights are read once, not once a block, and nothing is computed for an empty group.
    Only `x` and the weights are kept for the gradient, which computes each block anew.
    """
    num_groups, block = len_of(weights), block_size(x.shape[0], len_of(weights))

    def of_group(weights, e):
        return [exact(w[e]) for w in weights]

    def answer(*tensors):
        return function(*tensors), None

    def forward(x, group_sizes, *weights):
        rows_of_all, starts = padded(x, block), ops.cumsum(group_sizes) - group_sizes  # (g,)

        def group(e, y):
            own_weights = of_group(weights, e)

            def step(at, own, y):
                rows = exact(read(rows_of_all, at, block))  # (block, ...)
                return write(y, at, function(own_or_first(rows, own), *own_weights))

            return for_each_block(starts[e], group_sizes[e], block, step, y)

        num_rows = ops.shape(x)[0]
        y = ops.zeros((num_rows + block, *answer_shape), x.dtype)  # (m + block, ...)
        y = ops.fori_loop(0, num_groups, group, y)[:num_rows]  # (m, ...)
        there = ops.arange(num_rows, dtype="int32") < ops.sum(group_sizes)  # (m,)
        return ops.where(over_axes(there, y), y, ops.zeros_like(y))

    def backward(tensors, upstream):
        x, group_sizes, *weights = tensors
        rows_of_all, upstream_of_all = padded(x, block), padded(upstream, block)
        starts = ops.cumsum(group_sizes) - group_sizes  # (g,)

        def group(e, carry):
            of_rows, *of_weights = carry
            own_weights = of_group(weights, e)

            def step(at, own, carry):
                of_rows, *of_own = carry
                rows = own_or_first(exact(read(rows_of_all, at, block)), own)
                up = own_or_zero(exact(read(upstream_of_all, at, block)), own)
                (of_block, *more), _ = vjp(answer, [rows, *own_weights], up)
                of_rows = write(of_rows, at, own_or_zero(of_block, own))
                return [of_rows, *[ops.add(a, b) for a, b in zip(of_own, more, strict=True)]]

            zeros = [ops.zeros_like(w) for w in own_weights]
            of_rows, *of_own = for_each_block(
                starts[e], group_sizes[e], block, step, [of_rows, *zeros]
            )
            pairs = zip(of_weights, of_own, strict=True)
            of_weights = [write(all_of, e, ops.expand_dims(own, 0)) for all_of, own in pairs]
            return [of_rows, *of_weights]

        carry = [ops.zeros_like(rows_of_all), *[ops.zeros_like(w) for w in weights]]
        of_rows, *of_weights = ops.fori_loop(0, num_groups, group, carry)
        return [of_rows[: ops.shape(x)[0]], None, *of_weights]

    return with_gradient(forward, backward)(x, group_sizes, *weights)


def exact_dtype(x):
    """The dtype in which 16-bit floats are accumulated."""
    return float32_or_better_dtype(x.dtype)


def exact(x):
    """`x` in that dtype."""
    return ops.cast(x, exact_dtype(x))
