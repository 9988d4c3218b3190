"""Top-k selection: the one place where experts are chosen and weighed."""

from keras import ops

from moe_keras.losses.tokens import one_hot
from moe_keras.masks import drop_choices
from moe_keras.ops.largest import largest


def choose(logits, probabilities, top_k, scores=None, mask=None):
    """The `top_k` experts with the largest scores, and their weights.

    For k = 1 the weight is the probability; for k > 1 the probabilities of the chosen are divided
    by their sum, which is the softmax over the chosen logits: written that way it stays right where
    all the chosen probabilities are too small for a float.

    Args:
        logits: tensor of shape (..., E).
        probabilities: softmax(logits), same shape.
        top_k: Integer, k, from 1 to E.
        scores: tensor of shape (..., E) that decides who is chosen; the probabilities if `None`.
            They have no part in the weights.
        mask: boolean tensor of shape (...), or of its first axes; where it is False nobody is
            chosen: the indices are `NO_EXPERT`, the weights 0.

    Returns:
        A dict: `"indices"`, int32, best first, and `"weights"`, both of shape (..., k).

    Example:

    >>> import numpy as np
    >>> probabilities = np.array([[0.2, 0.5, 0.3]], "float32")
    >>> choice = choose(np.log(probabilities), probabilities, top_k=2)
    >>> ops.convert_to_numpy(choice["indices"]).tolist()
    [[1, 2]]
    >>> ops.convert_to_numpy(choice["weights"]).round(3).tolist()  # 0.5 / 0.8, 0.3 / 0.8
    [[0.625, 0.375]]
    """
    indices = largest(probabilities if scores is None else scores, top_k)[1]  # (..., k)
    if top_k == 1:
        weights = ops.take_along_axis(probabilities, indices, axis=-1)
    else:
        weights = ops.softmax(ops.take_along_axis(logits, indices, axis=-1))
    indices = ops.cast(indices, "int32")
    if mask is not None:
        indices, weights = drop_choices(indices, weights, probabilities.shape[-1], mask)
    return {"indices": indices, "weights": weights}


def spread(weights, indices, num_experts):
    """Weights of the chosen, laid out over all experts; 0 for the others.

    Args:
        weights: tensor of shape (..., k).
        indices: tensor of shape (..., k), no expert twice; one out of range is none.
        num_experts: Integer, E.

    Returns:
        Tensor of shape (..., E).

    Example:

    >>> import numpy as np
    >>> weights, indices = np.array([[0.75, 0.25]]), np.array([[2, 0]])
    >>> ops.convert_to_numpy(spread(weights, indices, num_experts=3)).tolist()
    [[0.25, 0.0, 0.75]]
    """
    places = one_hot(indices, num_experts, weights.dtype)  # (..., k, E)
    return ops.sum(ops.expand_dims(weights, -1) * places, axis=-2)
