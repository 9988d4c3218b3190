"""Grouped matrix product: rows in groups of any sizes, each group times a matrix of its own."""

import keras
from keras import ops

from moe_keras.ops.map_groups import map_groups
from moe_keras.precision import float32_or_better_dtype


def ragged_dot(x, w, group_sizes):
    """Grouped matrix product ("ragged dot", "grouped matmul"), with gradients for both factors.

        y_i = x_i w_e        for each row i of group e; zeros for rows beyond the last group

    The rows of a group lie together, group 0 first. Cost grows with m, not with m g, and all sizes
    follow from those of the arguments, so that a compiler can take it. Name and meaning are those
    of `jax.lax.ragged_dot`.

    - TensorFlow: a product for each group; under XLA, and in a graph with 128 groups or more, a
      loop over blocks of rows.
    - JAX: the same loop on a CPU under `jit`, where the default lowering of `jax.lax.ragged_dot`
      multiplies every row by every matrix; `jax.lax.ragged_dot` on a GPU or a TPU. (Not timed
      there.)
    - PyTorch: `torch.nn.functional.grouped_mm`, where rows of both factors are multiples of 16
      bytes, as it needs; else a product for each group. (Not timed on a GPU.)

    Factors of 16 bits are accumulated in float32.

    Args:
        x: tensor of floats of shape (m, k).
        w: tensor of shape (g, k, n), of the same dtype.
        group_sizes: integer tensor of shape (g,), not negative; its sum is m at most.

    Returns:
        Tensor of shape (m, n), of the dtype of `x`.

    Raises:
        ValueError: if the shapes do not fit together.

    Reference:
        Gale, Narayanan, Young & Zaharia (2022), MegaBlocks, section 3 (products of groups).

    Example:

    >>> import numpy as np
    >>> from moe_keras.ops import ragged_dot
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]], "float32")
    >>> w = np.array([[[1.0]], [[10.0]], [[100.0]]], "float32")
    >>> ops.convert_to_numpy(ragged_dot(x, w, np.array([2, 0, 1])))[:, 0].tolist()
    [1.0, 2.0, 300.0, 0.0]
    """
    x, w, group_sizes = (ops.convert_to_tensor(tensor) for tensor in (x, w, group_sizes))
    _check_shapes(*(tuple(tensor.shape) for tensor in (x, w, group_sizes)))
    group_sizes = ops.cast(group_sizes, "int32")
    backend = keras.backend.backend()
    if backend == "torch" and _grouped_mm_takes(x, w):
        return _of_torch(x, w, group_sizes)
    if backend == "jax" and on_accelerator():
        import jax

        wide = float32_or_better_dtype(x.dtype)
        y = jax.lax.ragged_dot(x, w, group_sizes, preferred_element_type=wide)
        return ops.cast(y, x.dtype)
    return map_groups(ops.matmul, x, [w], group_sizes, w.shape[2:])


def on_accelerator():
    """Whether a loop over blocks would leave the device idle: JAX on a GPU or a TPU."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() != "cpu"


def _check_shapes(x, w, group_sizes):
    fits = len(x) == 2 and len(w) == 3 and len(group_sizes) == 1
    fits = fits and all(
        None in pair or pair[0] == pair[1] for pair in ((x[1], w[1]), (w[0], group_sizes[0]))
    )
    if not fits:
        raise ValueError(
            "Expected x of shape (m, k), w of shape (g, k, n) and group_sizes of shape (g,). "
            f"Received: x of shape {x}, w of shape {w}, group_sizes of shape {group_sizes}"
        )


def _grouped_mm_takes(x, w):
    import torch

    aligned = all(size * x.element_size() % 16 == 0 for size in w.shape[1:])
    known = hasattr(torch.nn.functional, "grouped_mm") and x.device.type != "meta"
    fast = x.dtype == torch.bfloat16 or (x.device.type == "cpu" and x.dtype == torch.float32)
    return known and aligned and fast and x.dtype == w.dtype and len(x) > 0


def _of_torch(x, w, group_sizes):
    import torch

    ends = torch.cumsum(group_sizes, 0, dtype=torch.int32)  # (g,)
    there = (torch.arange(len(x), device=x.device) < ends[-1])[:, None]  # (m, 1)
    # It leaves rows beyond the last group as it found them, in the gradient, too.
    x = torch.where(there, x, torch.zeros_like(x))
    y = torch.nn.functional.grouped_mm(x, w, offs=ends)  # (m, n)
    return torch.where(there, y, torch.zeros_like(y))
