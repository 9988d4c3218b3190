"""Cooperative loss and mixture likelihood of the first mixtures of experts."""

from keras import ops

from moe_keras.losses.tokens import mean
from moe_keras.precision import float32_or_better
from moe_keras.shapes import expect_shape, flat_size, shapes_agree


def cooperative_loss(logits, outputs, targets):
    """Cooperative loss: squared error of the mixture's output.

        p = softmax(logits)
        loss = mean over the batch of ||d - sum_e p_e o_e||^2

    Each expert's gradient depends on what the others leave over, so that all of them get drawn into
    every case.

    Args:
        logits: Tensor of shape (B, E), the gate's.
        outputs: List of E tensors of shape (B, ...), the experts' outputs o.
        targets: Tensor of shape (B, ...), the targets d.

    Returns:
        Scalar tensor.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts, equation (1.1).

    Example:

    >>> import numpy as np
    >>> outputs = [np.array([[1.0]]), np.array([[3.0]])]
    >>> targets = np.array([[2.0]])  # (1 + 3) / 2
    >>> float(cooperative_loss(np.zeros((1, 2)), outputs, targets))
    0.0
    """
    errors = _errors(outputs, targets)  # (B, E, D)
    weights = ops.expand_dims(ops.softmax(_checked(logits, outputs)), -1)  # (B, E, 1)
    # The weights have sum 1: the error of the sum is the sum of the errors.
    return mean(ops.sum(ops.square(ops.sum(weights * errors, axis=1)), axis=-1))


def mixture_nll(logits, outputs, targets):
    """Negative log-likelihood of a mixture of Gaussians: the competitive loss.

        p = softmax(logits)
        loss = mean over the batch of -log sum_e p_e exp(-||d - o_e||^2 / 2)

    An expert learns from a case as far as it answers better than the others, so that each comes to
    its own. The variance is 1 and the constant (D / 2) log(2 pi) left out, as in the paper: 0 is
    the least.

    For experts that give class probabilities there is nothing to add: the cross-entropy of their
    weighted sum, -log sum_e p_e q_e(class), is this loss for classes.

    Args:
        logits: Tensor of shape (B, E), the gate's.
        outputs: List of E tensors of shape (B, ...), the experts' outputs o.
        targets: Tensor of shape (B, ...), the targets d.

    Returns:
        Scalar tensor.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts, equation (1.3).

    Example:

    >>> import numpy as np
    >>> outputs = [np.array([[1.0]]), np.array([[3.0]])]
    >>> round(float(mixture_nll(np.zeros((1, 2)), outputs, np.array([[2.0]]))), 3)  # both are 1 off
    0.5
    """
    squares = ops.sum(ops.square(_errors(outputs, targets)), axis=-1)  # (B, E)
    # In logarithms: the exponential of a large error would be 0, and its logarithm not finite.
    logarithms = ops.log_softmax(_checked(logits, outputs))  # (B, E)
    return -mean(ops.logsumexp(logarithms - squares / 2, axis=-1))


def _checked(logits, outputs):
    """The logits (B, E), one for each of the outputs."""
    logits = float32_or_better(logits)
    expected = (ops.convert_to_tensor(outputs[0]).shape[0], len(outputs))
    expect_shape("logits", logits.shape, expected, f"{len(outputs)} outputs")
    return logits


def _errors(outputs, targets):
    """Error of each expert, shape (B, E, D)."""
    targets, outputs = float32_or_better(targets), [float32_or_better(y) for y in outputs]
    for e, output in enumerate(outputs):
        if not shapes_agree(tuple(output.shape), tuple(targets.shape)):
            raise ValueError(
                "Expected outputs and targets of one shape (broadcasting would compare every case "
                f"with every other). Received: output {e} of shape {tuple(output.shape)}, targets "
                f"of shape {tuple(targets.shape)}"
            )
    errors = [ops.subtract(targets, output) for output in outputs]
    flat = [
        ops.reshape(error, (ops.shape(error)[0], flat_size(error.shape[1:]))) for error in errors
    ]
    return ops.stack(flat, axis=1)
