"""Balance loss within each sequence."""

from keras import ops

from moe_keras.losses.tokens import checked_mask, one_hot
from moe_keras.precision import float32_or_better
from moe_keras.shapes import expect_shape


def sequence_balance_loss(probabilities, indices, mask=None):
    """Sequence-wise balance loss of DeepSeek-V3: the load-balancing loss of each sequence.

        loss = mean over sequences of E sum_e f_e P_e
        f_e = share of the sequence's choices that fell on expert e
        P_e = mean probability of expert e in the sequence

    1 for even routing within every sequence, E for one expert alone. `load_balancing_loss` asks for
    an even load over the whole batch and lets one sequence go to few experts, which specialize by
    that; this one does not, so its coefficient is small (DeepSeek-V3: 0.0001). Sequences do not
    depend on each other, so it is the same however a batch is split over devices.

    Args:
        probabilities: Tensor of shape (B, ..., E), B sequences of tokens, each token's with sum 1.
        indices: Tensor of shape (B, ..., k), the chosen experts.
        mask: Boolean tensor of shape (B, ...); tokens where it is False are left out, and a
            sequence without tokens with them.

    Returns:
        Scalar tensor.

    Raises:
        ValueError: if there is no axis of tokens, or indices or mask have other axes than the
            probabilities.

    Reference:
        DeepSeek-AI (2024), DeepSeek-V3 technical report, equations (17) to (20).

    Example:

    Each sequence has an expert of its own: even over the batch, not within a sequence.

    >>> import numpy as np
    >>> from moe_keras.losses import load_balancing_loss
    >>> probabilities = np.array([[[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3], "float32")
    >>> indices = np.array([[[0]] * 3, [[1]] * 3])
    >>> float(load_balancing_loss(probabilities, indices))
    1.0
    >>> float(sequence_balance_loss(probabilities, indices))
    2.0
    """
    probabilities, indices = float32_or_better(probabilities), ops.convert_to_tensor(indices)
    if len(probabilities.shape) < 3:
        raise ValueError(
            "Expected probabilities of sequences of tokens, (B, T, E). "
            f"Received: shape {tuple(probabilities.shape)}"
        )
    num_experts, top_k = probabilities.shape[-1], indices.shape[-1]
    expected = (*probabilities.shape[:-1], top_k)
    expect_shape("indices", indices.shape, expected, "the probabilities")
    chosen = ops.sum(one_hot(indices, num_experts, probabilities.dtype), axis=-2)  # (B, ..., E)
    here = ops.ones_like(probabilities[..., 0], dtype="bool")  # (B, ...)
    if mask is not None:
        here = checked_mask(mask, probabilities)
    here = ops.expand_dims(here, -1)
    tokens = _sums(ops.cast(here, probabilities.dtype))  # (B, 1)

    def mean(values):  # over a sequence's tokens: (B, E)
        return _sums(ops.where(here, values, 0)) / ops.maximum(tokens, 1)

    losses = num_experts * ops.sum(mean(chosen) / top_k * mean(probabilities), axis=-1)  # (B,)
    sequences = ops.sum(ops.cast(tokens > 0, probabilities.dtype))
    return ops.sum(losses) / ops.maximum(sequences, 1)


def _sums(values):
    """Sums over the axes between the first and the last."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape) - 1)))
