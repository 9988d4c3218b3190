"""Masks: which tokens are there, and how a mask is handed on. One rule each, for all layers.

A mask's axes are the first axes of what it masks; False is padding. Padding chooses no expert: its
choices are `NO_EXPERT`, as are indices out of range and choices of weight 0, and every dispatcher
drops such a choice. What is not there is selected away, not multiplied by 0: 0 times infinity is no
0, neither in an output nor in a gradient.
"""

import re
import warnings

import keras
from keras import ops
from keras.src.backend.common.masking import set_keras_mask

NO_EXPERT = -1  # the index of a choice that no expert answers


def check_mask(mask, inputs):
    """Raise a ValueError unless the mask's axes are the inputs' first axes."""
    if mask is None or keras.tree.is_nested(inputs):
        return
    shape, masked_shape = tuple(mask.shape), tuple(inputs.shape)
    agree = all(a == b or None in (a, b) for a, b in zip(shape, masked_shape, strict=False))
    if not 1 <= len(shape) <= len(masked_shape) or not agree:
        raise ValueError(
            "Expected a mask whose axes are the inputs' first axes, such as (B, T) for inputs "
            f"(B, T, D). Received: mask of shape {shape}, inputs of shape {masked_shape}"
        )


def call_masked(layer, inputs, mask=None, training=None):
    """Call a layer or model on masked inputs: the mask lies on them, as Keras hands masks on.

    So it is found by a layer that takes a mask and by those inside one that does not. The inputs
    are copied: the caller's own stay as they are.

    Args:
        layer: Keras layer or model.
        inputs: tensor, or a structure of tensors.
        mask: boolean tensor, or a structure of them and of `None`; `None` for no mask.
        training: passed on.
    """
    if mask is None:
        return layer(inputs, training=training)
    pairs = zip(keras.tree.flatten(inputs), keras.tree.flatten(mask), strict=True)
    inputs = keras.tree.pack_sequence_as(inputs, [_with_mask(*pair) for pair in pairs])
    with warnings.catch_warnings():
        # A `Sequential` hands the mask on inside and warns that it does not outside, where our
        # layers decide about masks themselves.
        warnings.filterwarnings("ignore", f"Layer '{re.escape(layer.name)}' .* destroy the mask")
        return layer(inputs, training=training)


def _with_mask(tensor, mask):
    if mask is None:
        return tensor
    tensor = ops.copy(tensor)
    set_keras_mask(tensor, ops.cast(mask, "bool"))
    return tensor


def put_masks(outputs, masks):
    """Put each mask on its output, in two structures of one shape; `None` for none."""
    for output, mask in zip(keras.tree.flatten(outputs), keras.tree.flatten(masks), strict=True):
        if mask is not None:
            set_keras_mask(output, mask)


def kept_mask(output_shape, mask, masked_shape):
    """The mask, for an output that still has the masked axes and one more; else `None`."""
    axes = tuple(masked_shape)[: len(mask.shape)]
    kept = len(output_shape) > len(axes) and tuple(output_shape)[: len(axes)] == axes
    return mask if kept else None


def over_axes(flags, tensor):
    """Flags (...) of a tensor's first axes, with axes of size 1 for the rest, to select by.

    >>> tuple(over_axes(ops.ones((2, 3)), ops.ones((2, 3, 4, 5))).shape)
    (2, 3, 1, 1)
    """
    missing = len(tensor.shape) - len(flags.shape)
    return ops.reshape(flags, (*ops.shape(flags), *[1] * missing))


def clear_padding(inputs, mask):
    """`inputs` with zeros for padding, so that nothing of it, not even NaN, gets into a result.

    >>> import numpy as np
    >>> padded = np.array([[1.0], [np.nan]], "float32")
    >>> ops.convert_to_numpy(clear_padding(padded, np.array([True, False]))).tolist()
    [[1.0], [0.0]]
    """
    if mask is None:
        return inputs
    check_mask(mask, inputs)
    inputs = ops.convert_to_tensor(inputs)
    return ops.where(over_axes(ops.cast(mask, "bool"), inputs), inputs, ops.zeros_like(inputs))


def drop_choices(indices, weights, num_experts, mask=None):
    """A gate's choices, with `NO_EXPERT` and weight 0 for each that no expert is to answer.

    Args:
        indices: whole numbers of shape (..., k).
        weights: tensor of shape (..., k).
        num_experts: Integer, E.
        mask: boolean tensor of shape (...), or of its first axes; `None` for no padding.

    Returns:
        The indices and the weights.

    >>> import numpy as np
    >>> indices, weights = np.array([[0], [1], [7], [1]]), np.array([[1.0], [0.0], [1.0], [1.0]])
    >>> mask = np.array([True, True, True, False])
    >>> indices, _ = drop_choices(indices, weights, num_experts=2, mask=mask)
    >>> ops.convert_to_numpy(indices)[:, 0].tolist()  # there, weight 0, out of range, padding
    [0, -1, -1, -1]
    """
    there = ops.logical_and(in_range(indices, num_experts), ops.not_equal(weights, 0))
    if mask is not None:
        there = ops.logical_and(there, over_axes(ops.cast(mask, "bool"), indices))
    weights = ops.convert_to_tensor(weights)
    return ops.where(there, indices, NO_EXPERT), ops.where(there, weights, ops.zeros_like(weights))


def in_range(indices, size):
    """Whether each index is from 0 to `size` - 1."""
    indices = ops.convert_to_tensor(indices)
    return ops.logical_and(indices >= 0, indices < size)


def weigh(weights, values):
    """weights * values, where weight 0 means that the value is not there, whatever it is.

    Neither the product nor a gradient meets a value of weight 0.

    >>> import numpy as np
    >>> ops.convert_to_numpy(weigh(np.array([0.5, 0.0]), np.array([4.0, np.inf]))).tolist()
    [2.0, 0.0]
    """
    there = ops.not_equal(weights, 0)
    return ops.multiply(weights, ops.where(there, values, ops.zeros_like(values)))


def fill_groups(groups, own):
    """Rows of groups, with a stand-in for each that is not there: the first of its group.

    An expert that is shown more rows than it has must stand them, for 0 times the infinite slope of
    an answer that nobody takes is no 0. Its own rows it stands; if the first is not there, it gets
    `neutral` ones.

    Args:
        groups: tensor of shape (N, S, ...).
        own: boolean tensor of shape (N, S), which rows are there.

    >>> import numpy as np
    >>> groups = fill_groups(np.array([[5.0, 6.0], [7.0, 8.0]]), np.array([[1, 0], [0, 0]]) > 0)
    >>> ops.convert_to_numpy(groups).tolist()
    [[5.0, 5.0], [1.0, 1.0]]
    """
    groups = ops.convert_to_tensor(groups)
    first, there = groups[:, :1], over_axes(own[:, :1], groups)
    stand_in = ops.where(there, ops.stop_gradient(first), neutral(first))  # (N, 1, ...)
    return ops.where(over_axes(own, groups), groups, stand_in)


def fill_rows(rows, own):
    """For each of E experts the rows, with a stand-in for each that is not its own.

    As in `fill_groups`: the first of its own rows, and a `neutral` one if it has none.

    Args:
        rows: tensor of shape (T, ...).
        own: boolean tensor of shape (T, E).

    Returns:
        List of E tensors of shape (T, ...).

    >>> import numpy as np
    >>> own = np.array([[False, False], [True, False], [True, False]])
    >>> [ops.convert_to_numpy(x).tolist() for x in fill_rows(np.array([5.0, 6.0, 7.0]), own)]
    [[6.0, 6.0, 7.0], [1.0, 1.0, 1.0]]
    """
    rows, num_experts = ops.convert_to_tensor(rows), own.shape[1]
    nobodys = neutral(ops.zeros((1, *ops.shape(rows)[1:]), rows.dtype))
    candidates = ops.concatenate([rows, nobodys])  # (T + 1, ...)
    last = ops.ones((1, num_experts), "int32")  # whoever has none finds the neutral row, at T
    first = ops.argmax(ops.concatenate([ops.cast(own, "int32"), last]), axis=0)  # (E,)
    stand_ins = ops.stop_gradient(ops.take(candidates, first, axis=0))  # (E, ...)
    return [ops.where(over_axes(own[:, e], rows), rows, stand_ins[e]) for e in range(num_experts)]


def neutral(rows):
    """Rows of this shape that most experts stand: ones, which are no pole, no root and no padding.

    (Zeros, normalized, would have no gradient.) Of whole numbers, zeros, an index of everything.
    """
    whole = "int" in keras.backend.standardize_dtype(rows.dtype)
    return ops.zeros_like(rows) if whole else ops.ones_like(rows)
