"""What a mixture is trained for: the experts' errors, one by one or together."""

from keras import ops


def cooperative_loss(logits, outputs, targets):
    """The error of the mixture's answer: experts that make up for each other.

        p = softmax(logits)
        loss = mean over the batch of ||d - sum_e p_e o_e||^2

    Each expert's gradient depends on what the others leave over, so that all of them get drawn into
    every case.

    Args:
        logits: tensor of shape (B, E), the gate's.
        outputs: list of E tensors of shape (B, ...), what the experts say: o.
        targets: tensor of shape (B, ...), what they should say: d.

    Returns:
        Scalar tensor.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts, equation (1.1).

    Example:

    >>> import numpy as np
    >>> said = [np.array([[1.0]]), np.array([[3.0]])]
    >>> float(cooperative_loss(np.zeros((1, 2)), said, np.array([[2.0]])))  # (1 + 3) / 2 is right
    0.0
    """
    errors = _errors(outputs, targets)  # (B, E, D)
    weights = ops.expand_dims(ops.softmax(logits), -1)  # (B, E, 1)
    # The weights have sum 1: the error of the sum is the sum of the errors.
    return ops.mean(ops.sum(ops.square(ops.sum(weights * errors, axis=1)), axis=-1))


def mixture_nll(logits, outputs, targets):
    """Negative log-likelihood of a mixture of Gaussians: experts that compete for each case.

        p = softmax(logits)
        loss = mean over the batch of -log sum_e p_e exp(-||d - o_e||^2 / 2)

    An expert learns from a case as far as it answers better than the others, so that each comes to
    its own. The variance is 1 and the constant (D / 2) log(2 pi) left out, as in the paper: 0 is
    the least.

    For experts that give class probabilities there is nothing to add: the cross-entropy of their
    weighted sum, -log sum_e p_e q_e(class), is this loss for classes.

    Args:
        logits: tensor of shape (B, E), the gate's.
        outputs: list of E tensors of shape (B, ...), what the experts say: o.
        targets: tensor of shape (B, ...), what they should say: d.

    Returns:
        Scalar tensor.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts, equation (1.3).

    Example:

    >>> import numpy as np
    >>> said = [np.array([[1.0]]), np.array([[3.0]])]
    >>> round(float(mixture_nll(np.zeros((1, 2)), said, np.array([[2.0]]))), 3)  # both are 1 off
    0.5
    """
    squares = ops.sum(ops.square(_errors(outputs, targets)), axis=-1)  # (B, E)
    # In logarithms: the exponential of a large error would be 0, and its logarithm not finite.
    return -ops.mean(ops.logsumexp(ops.log_softmax(logits) - squares / 2, axis=-1))


def _errors(outputs, targets):
    """What each expert is off by, shape (B, E, D)."""
    for e, output in enumerate(outputs):
        if len(output.shape) != len(targets.shape):
            raise ValueError(
                "Expected outputs and targets of one shape (broadcasting would compare every case "
                f"with every other). Received: output {e} of shape {tuple(output.shape)}, targets "
                f"of shape {tuple(targets.shape)}"
            )
    errors = [ops.subtract(targets, output) for output in outputs]
    flat = [ops.reshape(error, (ops.shape(error)[0], -1)) for error in errors]
    return ops.stack(flat, axis=1)
