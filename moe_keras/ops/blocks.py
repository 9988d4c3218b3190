"""Loops over the blocks of a group of rows: how often follows from the data, no size does.

Groups lie one after another in the rows. A group's last block reaches into the next group, or into
rows that were put behind the last one for that. What is computed there for rows that are not the
group's own is overwritten when their own turn comes: groups are taken in order.
"""

from keras import ops

from moe_keras.masks import over_axes

LARGEST, SMALLEST, USUAL = 256, 32, 64  # rows of a block


def block_size(num_rows, num_groups):
    """Rows of a block: about half of an even share, so that little of it is padding.

    >>> block_size(num_rows=8192, num_groups=64), block_size(num_rows=8192, num_groups=4)
    (64, 256)
    """
    if not isinstance(num_rows, int):
        return USUAL
    half = max(num_rows // (2 * num_groups), 1)
    return min(max(2 ** (half.bit_length() - 1), SMALLEST), LARGEST)


def for_each_block(start, size, block, step, carry):
    """Repeat `carry = step(at, own, carry)` for the blocks of a group.

    Args:
        start: integer tensor, the group's first row.
        size: integer tensor, how many it has.
        block: Integer, rows of a block.
        step: function of a block's first row, which of its rows are the group's own, boolean of
            shape (block,), and what is carried along.
        carry: what is carried into the first step.
    """
    rows = ops.arange(block, dtype="int32")  # (block,)

    def body(i, carry):
        return step(start + i * block, rows < size - i * block, carry)

    return ops.fori_loop(0, (size + block - 1) // block, body, carry)


def padded(x, block):
    """`x` with a block of zeros behind its rows, which the last block of the last group meets."""
    # Sizes inside a row may be known only when it runs, as the length of a sequence.
    return ops.concatenate([x, ops.zeros((block, *ops.shape(x)[1:]), x.dtype)])  # (m + block, ...)


def read(x, at, block):
    """Rows `at` to `at + block` of a tensor."""
    return ops.slice(x, (at, *[0] * (len(x.shape) - 1)), (block, *ops.shape(x)[1:]))


def write(x, at, rows):
    """The tensor with these rows from `at` onwards."""
    rows = ops.cast(rows, x.dtype)
    return ops.slice_update(x, (at, *[0] * (len(x.shape) - 1)), rows)


def own_or_first(rows, own):
    """A block with its first row in place of those that are not the group's own.

    An expert may not stand another's rows: 0 times an infinite slope is no 0.
    """
    return ops.where(over_axes(own, rows), rows, rows[:1])


def own_or_zero(rows, own):
    """A block with zeros in place of the rows that are not the group's own."""
    return ops.where(over_axes(own, rows), rows, ops.zeros_like(rows))
