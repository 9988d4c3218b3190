"""Router z-loss and gate entropy."""

from keras import ops

from moe_keras.losses.tokens import token_mean
from moe_keras.precision import float32_or_better

# 0 log 0 is 0, but a computer's log(0) is not: no probability below this adds anything to a sum.
SMALLEST = 1e-30


def router_z_loss(logits, mask=None):
    """Router z-loss: squared logsumexp of the logits, which keeps them small.

        loss = mean over tokens of (log sum_e exp(logits_e))^2

    Args:
        logits: Tensor of shape (..., E).
        mask: Boolean tensor of shape (...); tokens where it is False are left out.

    Returns:
        Scalar tensor.

    Reference:
        Zoph et al. (2022), ST-MoE, equation (5).

    Example:

    >>> import numpy as np
    >>> round(float(router_z_loss(np.zeros((3, 2), "float32"))), 4)  # (ln 2)^2
    0.4805
    """
    z = ops.logsumexp(float32_or_better(logits), axis=-1, keepdims=True)  # (..., 1)
    return ops.squeeze(token_mean(ops.square(z), mask))


def gate_entropy(probabilities, mask=None):
    """Mean entropy of the gate in nats: 0 when it is certain, ln E when all experts are equal.

        H = mean over tokens of -sum_e p_e log p_e

    Add it to a loss to make the gate decide; subtract it to keep the gate open.

    Args:
        probabilities: Tensor of shape (..., E).
        mask: Boolean tensor of shape (...); tokens where it is False are left out.

    Returns:
        Scalar tensor, 0 or more.

    Reference:
        Shannon (1948), A mathematical theory of communication, section 6.

    Example:

    >>> import numpy as np
    >>> round(float(gate_entropy(np.array([[0.5, 0.5], [1.0, 0.0]], "float32"))), 4)  # (ln 2) / 2
    0.3466
    """
    each = ops.expand_dims(entropy(probabilities), -1)  # (..., 1)
    return ops.squeeze(token_mean(each, mask))


def entropy(probabilities):
    """Entropy of each distribution (..., E) in nats, shape (...)."""
    probabilities = float32_or_better(probabilities)
    logarithms = ops.log(ops.maximum(probabilities, SMALLEST))
    return -ops.sum(probabilities * logarithms, axis=-1)
