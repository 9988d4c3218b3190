"""Load-balancing losses."""

import math

from keras import ops

from moe_keras.losses.tokens import one_hot, token_mean, token_sum
from moe_keras.precision import float32_or_better
from moe_keras.shapes import expect_shape

# So many standard deviations from the threshold an expert is in or out for certain: the density
# of the noise, exp(-15^2 / 2), is 0 in float32.
CERTAIN = 15.0
# Smaller noise is none: its square, which a gradient divides by, would be 0 in float32.
LEAST_NOISE = 1e-18


def load_balancing_loss(probabilities, indices, mask=None):
    """Load-balancing loss of Switch Transformers: 1 for even routing, E for one expert alone.

        loss = E sum_e f_e P_e
        f_e = share of all choices that fell on expert e
        P_e = mean probability of expert e

    The gradient flows through P alone: f counts. With k choices a token, f is the share of all
    T k choices, so that even routing scores 1 for every k.

    Args:
        probabilities: Tensor of shape (..., E), softmax over all experts.
        indices: Tensor of shape (..., k), the chosen experts.
        mask: Boolean tensor of shape (...); tokens where it is False are left out.

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
    probabilities, indices = float32_or_better(probabilities), ops.convert_to_tensor(indices)
    num_experts, top_k = probabilities.shape[-1], indices.shape[-1]
    expected = (*probabilities.shape[:-1], top_k)
    expect_shape("indices", indices.shape, expected, "the probabilities")
    chosen = ops.sum(one_hot(indices, num_experts, probabilities.dtype), axis=-2)  # (..., E)
    share = token_mean(chosen, mask) / top_k  # (E,)
    return num_experts * ops.sum(share * token_mean(probabilities, mask))


def importance_loss(weights, mask=None):
    """Importance loss: squared coefficient of variation of the gate's weight per expert.

        importance_e = sum of expert e's weights over the tokens
        loss = CV(importance)^2 = variance / mean^2

    0 when every expert gets the same weight in all, E - 1 when one gets everything.

    Args:
        weights: Tensor of shape (..., E), the gate's weight of each expert, 0 where it is not
            chosen.
        mask: Boolean tensor of shape (...); tokens where it is False are left out.

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
    """Load loss: squared coefficient of variation of a smooth number of tokens per expert.

        P_e = Phi((logits_e - threshold_e) / noise_scale_e)
        load_e = sum of P_e over the tokens
        loss = CV(load)^2 = variance / mean^2

    P_e is the probability that expert e is among the first k if its noise, and only its, is drawn
    anew; threshold_e is the k-th largest of the other experts' noisy logits, Phi the normal
    distribution function. All of this is about logits, which the noise is added to; probabilities
    in their place would be on another scale.

    Args:
        logits: Tensor of shape (..., E), before the noise.
        noisy_logits: Tensor of shape (..., E), as they were ranked.
        noise_scale: Tensor of shape (..., E), the standard deviations of the noise. Where it is 0,
            or too small to change the logit, P is 1 or 0 and has no gradient.
        top_k: Integer, number of experts k of each token.
        mask: Boolean tensor of shape (...); tokens where it is False are left out.

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
    logits = float32_or_better(logits)
    noisy_logits, noise_scale = (ops.cast(x, logits.dtype) for x in (noisy_logits, noise_scale))
    expect_shape("noisy_logits", noisy_logits.shape, logits.shape, "the logits")
    expect_shape("noise_scale", noise_scale.shape, logits.shape, "the logits")
    if top_k == logits.shape[-1]:
        return ops.ones_like(logits)
    best = ops.top_k(noisy_logits, top_k + 1)[0]  # (..., k + 1)
    last_in, first_out = best[..., top_k - 1 : top_k], best[..., top_k:]  # (..., 1)
    # Without an expert that is in, the first one out is the k-th.
    threshold = ops.where(noisy_logits > first_out, first_out, last_in)
    margin = logits - threshold
    # Divided only where noise could change the choice: elsewhere the quotient may overflow, and
    # its gradient be 0 * infinity.
    changes = ops.not_equal(logits + noise_scale, logits)
    open_ = ops.logical_and(ops.abs(margin) < CERTAIN * noise_scale, changes)
    open_ = ops.logical_and(open_, noise_scale > LEAST_NOISE)
    z = margin / ops.where(open_, noise_scale, 1)
    z = ops.where(open_, z, CERTAIN * ops.sign(margin))
    return 0.5 * (1 + ops.erf(z / math.sqrt(2)))


def variation_squared(totals):
    """Squared coefficient of variation of (E,): variance / mean^2; 0 if all are 0."""
    return ops.divide_no_nan(ops.var(totals), ops.square(ops.mean(totals)))
