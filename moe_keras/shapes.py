"""Shapes that have to fit, where broadcasting would make a wrong number of a mistake."""

import math


def shapes_agree(shape, other):
    """Whether two shapes can be the same, given that None is a size not yet known.

    >>> shapes_agree((None, 3), (4, 3)), shapes_agree((4,), (4, 1))
    (True, False)
    """
    return len(shape) == len(other) and all(
        a == b or a is None or b is None for a, b in zip(shape, other, strict=True)
    )


def flat_size(shape):
    """Size of one axis in place of these; -1, as in a reshape, if one of them is not known.

    A -1 where it is known will not do: next to an axis of size 0, such as an empty batch's, JAX and
    PyTorch refuse it.

    >>> flat_size((2, 3)), flat_size(()), flat_size((2, None))
    (6, 1, -1)
    """
    return -1 if None in tuple(shape) else math.prod(shape)


def expect_shape(name, shape, expected, source):
    """Raise a ValueError unless a tensor has the shape that follows from another one.

    Args:
        name: what to call the tensor in the message.
        shape: its shape.
        expected: the shape that it must have, None where a size is not known.
        source: where that follows from, for the message.
    """
    shape, expected = tuple(shape), tuple(expected)
    if not shapes_agree(shape, expected):
        raise ValueError(
            f"Expected {name} of shape {expected}, as follows from {source} (another shape would "
            "be repeated, so that tokens are counted against each other). "
            f"Received: {name} of shape {shape}. Reshape it"
        )
