"""Every expert answers every token: the way whose result all others must give."""

from keras import ops

from moe_keras.mixtures.combine import combine


def dense(tokens, indices, weights, experts, training):
    """Asks every expert about every token and weighs the answers, mostly with 0.

        w_te = sum of w_tj over the choices j of token t that are expert e

    Cost and memory grow with T * E, however few experts each token chose. Every size is known
    beforehand, so that any compiler can take it, and it is too plain to be wrong.

    Args:
        tokens: tensor of shape (T, ...).
        indices: whole numbers of shape (T, k), from 0 to E - 1: the experts chosen.
        weights: tensor of shape (T, k).
        experts: list of E Keras layers or models, each from (n, ...) to (n, ...).
        training: passed on to the experts.

    Returns:
        Tensor of shape (T, ...), the shape after T being that of one answer.
    """
    # One-hot vectors (T, k, E), not the weights scattered: the sum passes its gradient on to each.
    chosen = ops.one_hot(indices, len(experts), dtype=weights.dtype)
    weights = ops.sum(chosen * ops.expand_dims(weights, -1), axis=1)  # (T, E)
    return combine(weights, [expert(tokens, training=training) for expert in experts])
