"""Balance loss within each sequence."""

import keras
from keras import ops


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
        ValueError: if there is no axis of tokens.

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
    probabilities = ops.convert_to_tensor(probabilities)
    if len(probabilities.shape) < 3:
        raise ValueError(
            "Expected probabilities of sequences of tokens, (B, T, E). "
            f"Received: shape {tuple(probabilities.shape)}"
        )
    dtype = keras.backend.result_type(probabilities.dtype, "float32")
    num_experts, top_k = probabilities.shape[-1], indices.shape[-1]
    chosen = ops.sum(ops.one_hot(indices, num_experts, dtype=dtype), axis=-2)  # (B, ..., E)
    here = ops.ones_like(chosen[..., :1]) if mask is None else ops.expand_dims(mask, -1)
    tokens = _sums(ops.cast(here, dtype))  # (B, 1)

    def mean(values):  # over a sequence's tokens: (B, E)
        kept = ops.where(ops.cast(here, "bool"), ops.cast(values, dtype), 0)
        return _sums(kept) / ops.maximum(tokens, 1)

    losses = num_experts * ops.sum(mean(chosen) / top_k * mean(probabilities), axis=-1)  # (B,)
    sequences = ops.sum(ops.cast(tokens > 0, dtype))
    return ops.sum(losses) / ops.maximum(sequences, 1)


def _sums(values):
    """Sums over the axes between the first and the last."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape) - 1)))
