"""Losses that spread the work over the experts."""

import math

from keras import ops

from moe_keras.losses.tokens import token_mean, token_sum

# Keeps a quotient finite where no expert gets anything; far below the square of any real mean.
EPSILON = 1e-10


def load_balancing_loss(probabilities, indices, mask=None):
    """Switch Transformers' balance: 1 when routing is even, E when one expert gets everything.

        loss = E sum_e f_e P_e
        f_e = share of all choices that fell on expert e
        P_e = mean probability of expert e

    The gradient flows through P alone: f counts. With k choices a token, f is the share of all
    T k choices, so that even routing scores 1 for every k.

    Args:
        probabilities: tensor of shape (..., E), softmax over all experts.
        indices: tensor of shape (..., k), the chosen experts.
        mask: boolean tensor of shape (...); tokens where it is False are left out.

    Returns:
        Scalar tensor.

    Reference:
        Fedus, Zoph & Shazeer (2021), Switch Transformers, equations (4) to (6).

    Example:

    >>> import numpy as np
    >>> even = np.full((4, 2), 0.5, "float32")
    >>> float(load_balancing_loss(even, np.array([[0], [1], [0], [1]])))
    1.0
    """
    num_experts, top_k = probabilities.shape[-1], indices.shape[-1]
    chosen = ops.sum(ops.one_hot(indices, num_experts, dtype=probabilities.dtype), axis=-2)
    share = token_mean(chosen, mask) / top_k  # (E,)
    return num_experts * ops.sum(share * token_mean(probabilities, mask))


def importance_loss(weights, mask=None):
    """How unevenly the gate's weight is spread: the squared coefficient of variation.

        importance_e = sum of expert e's weights over the tokens
        loss = CV(importance)^2 = variance / mean^2

    0 when every expert gets the same weight in all, E - 1 when one gets everything.

    Args:
        weights: tensor of shape (..., E), the gate's weight of each expert, 0 where it is not
            chosen.
        mask: boolean tensor of shape (...); tokens where it is False are left out.

    Returns:
        Scalar tensor.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, equations (6) and (7).

    Example:

    >>> import numpy as np
    >>> float(importance_loss(np.array([[1.0, 0.0], [1.0, 0.0]], "float32")))
    1.0
    """
    return variation_squared(token_sum(weights, mask))


def load_loss(logits, noisy_logits, noise_scale, top_k, mask=None):
    """How unevenly the tokens are spread, smoothly: counts have no gradient, probabilities have.

        P_e = Phi((logits_e - threshold_e) / noise_scale_e)
        load_e = sum of P_e over the tokens
        loss = CV(load)^2 = variance / mean^2

    P_e is the probability that expert e is among the first k if its noise, and only its, is drawn
    anew; threshold_e is the k-th largest of the other experts' noisy logits, Phi the normal
    distribution function. All of this is about logits, which the noise is added to; probabilities
    in their place would be on another scale.

    Args:
        logits: tensor of shape (..., E), before the noise.
        noisy_logits: tensor of shape (..., E), as they were ranked.
        noise_scale: tensor of shape (..., E), the standard deviations of the noise, above 0.
        top_k: k, how many experts a token gets.
        mask: boolean tensor of shape (...); tokens where it is False are left out.

    Returns:
        Scalar tensor; 0 if k = E, when every token goes to every expert.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, equations (8) to (11).

    Example:

    Two experts with equal logits have equal chances, whichever the noise made the first.

    >>> import numpy as np
    >>> logits, scale = np.zeros((1, 2), "float32"), np.ones((1, 2), "float32")
    >>> drawn = np.array([[0.5, -0.5]], "float32")
    >>> round(float(load_loss(logits, drawn, scale, top_k=1)), 3)  # Phi(0.5), Phi(-0.5): 0.69, 0.31
    0.147
    """
    return variation_squared(token_sum(_chance(logits, noisy_logits, noise_scale, top_k), mask))


def _chance(logits, noisy_logits, noise_scale, top_k):
    """Probability of each expert to be among the first `top_k`, were its noise drawn anew."""
    logits = ops.convert_to_tensor(logits)
    noisy_logits, noise_scale = (ops.cast(x, logits.dtype) for x in (noisy_logits, noise_scale))
    if top_k == logits.shape[-1]:
        return ops.ones_like(logits)
    best = ops.top_k(noisy_logits, top_k + 1)[0]  # (..., k + 1)
    last_in, first_out = best[..., top_k - 1 : top_k], best[..., top_k:]  # (..., 1)
    # Without an expert that is in, the first one out is the k-th.
    threshold = ops.where(noisy_logits > first_out, first_out, last_in)
    z = (logits - threshold) / noise_scale
    return 0.5 * (1 + ops.erf(z / math.sqrt(2)))


def variation_squared(totals):
    """Squared coefficient of variation of (E,): variance / mean^2; 0 if all are 0."""
    return ops.var(totals) / (ops.square(ops.mean(totals)) + EPSILON)
