"""What labels have to do with experts: to teach the gate, and to see what it has learned."""

from keras import ops

from moe_keras.losses.router import SMALLEST
from moe_keras.losses.tokens import token_mean, token_sum


def guidance_loss(labels, logits, label_to_expert, mask=None):
    """Teaches the gate which experts a label belongs to: cross-entropy.

        loss = mean over tokens of -sum_e M[label, e] log softmax(logits)_e

    Smallest when the gate gives each token the weights in its label's row of M.

    Args:
        labels: integer tensor of shape (...), from 0 to C - 1.
        logits: tensor of shape (..., E), the gate's.
        label_to_expert: M, tensor of shape (C, E), each row a distribution over the experts.
        mask: boolean tensor of shape (...); tokens where it is False are left out.

    Returns:
        Scalar tensor.

    Reference:
        Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm, section 4:
        the gate is fitted by cross-entropy to who should answer; here the labels say who.

    Example:

    >>> import numpy as np
    >>> logits = np.log([[0.5, 0.5], [0.25, 0.75]])
    >>> round(float(guidance_loss([0, 1], logits, np.eye(2))), 4)  # (-ln 0.5 - ln 0.75) / 2
    0.4904
    """
    logarithms = ops.log_softmax(logits)  # (..., E)
    matrix = ops.cast(label_to_expert, logarithms.dtype)
    wanted = ops.take(matrix, ops.cast(labels, "int32"), axis=0)  # (..., E)
    return ops.squeeze(token_mean(-ops.sum(wanted * logarithms, axis=-1, keepdims=True), mask))


def mutual_information(probabilities, labels, num_classes, mask=None):
    """How much the chosen expert tells about the label, and the label about the expert, in nats.

        p(c, e) = mean over tokens of [label = c] p_e
        I = sum_{c, e} p(c, e) log(p(c, e) / (p(c) p(e)))

    0 when every label is spread over the experts alike, whether evenly or all to one expert; ln E,
    with balanced experts, when each label has its own. Subtract it from a loss to make experts
    specialise.

    Args:
        probabilities: tensor of shape (..., E), or the one-hot choice of a hard gate.
        labels: integer tensor of shape (...), from 0 to C - 1.
        num_classes: C.
        mask: boolean tensor of shape (...); tokens where it is False are left out.

    Returns:
        Scalar tensor, 0 or more.

    Reference:
        Cover & Thomas (2006), Elements of information theory, equation (2.28).
        Chen et al. (2023), Mod-Squad (there between tasks and experts, as a loss).

    Example:

    >>> import numpy as np
    >>> by_label = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> round(float(mutual_information(by_label, [0, 1], num_classes=2)), 4)  # ln 2
    0.6931
    """
    probabilities = ops.convert_to_tensor(probabilities)
    classes = ops.one_hot(labels, num_classes, dtype=probabilities.dtype)  # (..., C)
    pairs = ops.expand_dims(classes, -1) * ops.expand_dims(probabilities, -2)  # (..., C, E)
    flat = ops.reshape(pairs, (*ops.shape(classes)[:-1], num_classes * probabilities.shape[-1]))
    joint = ops.reshape(token_sum(flat, mask), (num_classes, probabilities.shape[-1]))
    joint = joint / ops.maximum(ops.sum(joint), SMALLEST)  # (C, E)
    apart = ops.sum(joint, axis=1, keepdims=True) * ops.sum(joint, axis=0, keepdims=True)
    return ops.sum(joint * (_log(joint) - _log(apart)))


def _log(x):
    return ops.log(ops.maximum(x, SMALLEST))
