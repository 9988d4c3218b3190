"""Likelihood of a mixture of Gaussians with learned scales."""

import math

import keras
from keras import ops

from moe_keras.shapes import expect_shape


@keras.saving.register_keras_serializable(package="moe_keras")
def gaussian_mixture_nll(targets, mixture):
    """Negative log-likelihood of targets under a mixture of Gaussians, as a Keras loss.

        nll = -log sum_e w_e prod_d N(y_d; mean_ed, scale_ed^2)

    For `model.compile(loss=gaussian_mixture_nll)` with a `GaussianMoE` as the model's output; Keras
    takes the mean over the batch and applies sample weights. `mixture_nll` is the same with all
    scales fixed at 1 and without the constant.

    Args:
        targets: Tensor of shape (..., D); (...) will do for D = 1.
        mixture: Tensor of shape (..., E, 1 + 2 D), a `GaussianMoE`'s output: for each expert the
            logarithm of its weight, D means and D scales above 0.

    Returns:
        Tensor of shape (...), a number for each target. It may be below 0, for a density may be
        above 1.

    Raises:
        ValueError: if the two shapes do not belong together.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts, equation (1.3),
        there with scale 1.
        Bishop (1994), Mixture density networks, equations (22) and (23), there with one scale
        for all D.

    Example:

    >>> import numpy as np
    >>> from moe_keras.losses import gaussian_mixture_nll
    >>> one = np.array([[[0.0, 5.0, 2.0]]])  # one Gaussian, log(1), mean 5, scale 2
    >>> nll = gaussian_mixture_nll(np.array([[5.0]]), one)
    >>> round(float(nll[0]), 4)  # log(2) + log(2 pi) / 2
    1.6121
    """
    targets, mixture = ops.convert_to_tensor(targets), ops.convert_to_tensor(mixture)
    log_weights, means, scales = mixture_parts(mixture)
    dtype = keras.backend.result_type(mixture.dtype, "float32")
    log_weights, means, scales = (ops.cast(x, dtype) for x in (log_weights, means, scales))
    size = means.shape[-1]
    targets = ops.cast(targets, dtype)
    if size == 1 and len(targets.shape) == len(mixture.shape) - 2:
        targets = ops.expand_dims(targets, -1)
    expect_shape("targets", targets.shape, (*mixture.shape[:-2], size), "the mixture")
    z = (ops.expand_dims(targets, -2) - means) / scales  # (..., E, D)
    log_densities = -ops.sum(
        ops.square(z) / 2 + ops.log(scales) + math.log(2 * math.pi) / 2, axis=-1
    )
    return -ops.logsumexp(log_weights + log_densities, axis=-1)


def mixture_parts(mixture):
    """Logarithms of weights (..., E), means and scales (..., E, D) in a `GaussianMoE`'s output.

    Raises:
        ValueError: if it cannot be one.
    """
    if len(mixture.shape) < 2 or mixture.shape[-1] < 3 or mixture.shape[-1] % 2 == 0:
        raise ValueError(
            "Expected the output of a GaussianMoE, of shape (..., E, 1 + 2 D). "
            f"Received: shape {tuple(mixture.shape)}"
        )
    size = mixture.shape[-1] // 2
    return mixture[..., 0], mixture[..., 1 : 1 + size], mixture[..., 1 + size :]
