"""Losses between labels and experts."""

from keras import ops

from moe_keras.losses.router import SMALLEST
from moe_keras.losses.tokens import checked_mask, one_hot, token_mean, token_sum
from moe_keras.precision import float32_or_better
from moe_keras.shapes import expect_shape


def guidance_loss(labels, logits, label_to_expert, mask=None):
    """Guidance loss: cross-entropy between the gate and the experts assigned to a label.

        loss = mean over tokens of -sum_e M[label, e] log softmax(logits)_e

    Smallest when the gate gives each token the weights in its label's row of M.

    Args:
        labels: Integer tensor of shape (...), from 0 to C - 1; a token with any other label, -1
            say, is left out.
        logits: Tensor of shape (..., E), the gate's.
        label_to_expert: Tensor M of shape (C, E), each row a distribution over the experts.
        mask: Boolean tensor of shape (...), or of its first axes; tokens where it is False are left
            out.

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
    logarithms = ops.log_softmax(float32_or_better(logits))  # (..., E)
    matrix = ops.cast(label_to_expert, logarithms.dtype)
    labels = ops.cast(labels, "int32")
    num_classes = matrix.shape[0]
    expect_shape("labels", labels.shape, logarithms.shape[:-1], "the logits")
    expect_shape("label_to_expert", matrix.shape, (num_classes, logarithms.shape[-1]), "the logits")
    known = ops.logical_and(labels >= 0, labels < num_classes)  # (...)
    wanted = ops.take(matrix, ops.where(known, labels, 0), axis=0)  # (..., E)
    mask = known if mask is None else ops.logical_and(known, checked_mask(mask, logarithms))
    return ops.squeeze(token_mean(-ops.sum(wanted * logarithms, axis=-1, keepdims=True), mask))


def mutual_information(probabilities, labels, num_classes, mask=None):
    """Mutual information of labels and experts, in nats.

        p(c, e) = mean over tokens of [label = c] p_e
        I = sum_{c, e} p(c, e) log(p(c, e) / (p(c) p(e)))

    0 when every label is spread over the experts alike, whether evenly or all to one expert; ln E,
    with balanced experts, when each label has its own. Subtract it from a loss to make experts
    specialize.

    Args:
        probabilities: Tensor of shape (..., E), or the one-hot choice of a hard gate.
        labels: Integer tensor of shape (...), from 0 to C - 1; a token with any other label is left
            out.
        num_classes: Integer, number of classes C.
        mask: Boolean tensor of shape (...); tokens where it is False are left out.

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
    probabilities = float32_or_better(probabilities)
    classes = one_hot(labels, num_classes, probabilities.dtype)  # (..., C)
    expect_shape("labels", classes.shape[:-1], probabilities.shape[:-1], "the probabilities")
    pairs = ops.expand_dims(classes, -1) * ops.expand_dims(probabilities, -2)  # (..., C, E)
    flat = ops.reshape(pairs, (*ops.shape(classes)[:-1], num_classes * probabilities.shape[-1]))
    joint = ops.reshape(token_sum(flat, mask), (num_classes, probabilities.shape[-1]))
    joint = joint / ops.maximum(ops.sum(joint), SMALLEST)  # (C, E)
    apart = ops.sum(joint, axis=1, keepdims=True) * ops.sum(joint, axis=0, keepdims=True)
    return ops.sum(joint * (_log(joint) - _log(apart)))


def _log(x):
    return ops.log(ops.maximum(x, SMALLEST))
