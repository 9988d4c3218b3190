import math

import keras
import numpy as np
import pytest
from gradients import assert_gradient
from layer_contract import to_numpy

from moe_keras.losses import gaussian_mixture_nll, mixture_nll


def drawn(rng, *axes, size=2, experts=3):
    """A mixture of shape (*axes, E, 1 + 2 D)."""
    log_weights = np.log(rng.dirichlet(np.ones(experts), size=axes))[..., None]
    shape = (*axes, experts, size)
    return np.concatenate(
        [log_weights, rng.normal(size=shape), rng.uniform(0.3, 2, size=shape)], axis=-1
    )


def density(y, mixture):
    """Density of one target (D,), Gaussian by Gaussian."""
    total = 0.0
    for log_weight, *rest in mixture:
        means, scales = rest[: len(y)], rest[len(y) :]
        product = math.exp(log_weight)
        for value, mean, scale in zip(y, means, scales, strict=True):
            product *= math.exp(-(((value - mean) / scale) ** 2) / 2)
            product /= scale * math.sqrt(2 * math.pi)
        total += product
    return total


@pytest.mark.parametrize("axes", [(5,), (2, 3)])
@pytest.mark.parametrize("size", [1, 3])
def test_against_the_density(rng, axes, size):
    mixture, y = drawn(rng, *axes, size=size), rng.normal(size=(*axes, size))
    expected = [-math.log(density(y[place], mixture[place])) for place in np.ndindex(axes)]
    found = to_numpy(gaussian_mixture_nll(y, mixture))
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)
    if size == 1:
        again = to_numpy(gaussian_mixture_nll(y[..., 0], mixture))
        assert np.array_equal(again, found)


def test_the_density_integrates_to_one(rng):
    mixture = drawn(rng, 1, size=1)
    y = np.linspace(-12, 12, 4001)[:, None]
    densities = np.exp(-to_numpy(gaussian_mixture_nll(y, np.repeat(mixture, 4001, axis=0))))
    assert np.trapezoid(densities, y[:, 0]) == pytest.approx(1, abs=1e-4)


def test_with_scales_of_one_it_is_mixture_nll_and_a_constant(rng):
    logits, outputs = rng.normal(size=(4, 3)), rng.normal(size=(3, 4, 2))
    y = rng.normal(size=(4, 2))
    log_weights = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    mixture = np.concatenate(
        [log_weights[..., None], outputs.swapaxes(0, 1), np.ones((4, 3, 2))], axis=-1
    )
    expected = to_numpy(mixture_nll(logits, list(outputs), y)) + math.log(2 * math.pi)
    np.testing.assert_allclose(
        to_numpy(gaussian_mixture_nll(y, mixture)).mean(), expected, rtol=1e-5
    )


def test_far_targets_and_16_bits_stay_finite(rng):
    mixture = drawn(rng, 2, size=1).astype("float32")
    assert np.isfinite(to_numpy(gaussian_mixture_nll(np.full((2, 1), 1e6, "float32"), mixture)))[0]
    half = to_numpy(
        gaussian_mixture_nll(np.full((2, 1), 6e4, "float16"), mixture.astype("float16"))
    )
    assert half.dtype == np.float32
    assert np.isfinite(half).all()


def test_gradients(rng):
    y, mixture = rng.normal(size=(2, 2)), drawn(rng, 2)
    assert_gradient(lambda m: keras.ops.sum(gaussian_mixture_nll(y, m)), mixture)


def test_it_is_a_loss_with_sample_weights(rng):
    y, mixture = rng.normal(size=(4, 2)), drawn(rng, 4)
    each = to_numpy(gaussian_mixture_nll(y, mixture))
    inputs = keras.Input(mixture.shape[1:])
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile(loss=gaussian_mixture_nll)
    weights = np.array([1.0, 0.0, 2.0, 1.0])
    found = model.evaluate(mixture, y, sample_weight=weights, verbose=0)
    assert found == pytest.approx((weights * each).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("y", "mixture", "message"),
    [
        ((4, 2), (4, 3, 3), r"targets of shape \(4, 1\)"),
        ((4,), (4, 3, 5), r"targets of shape \(4, 2\)"),
        ((1, 1), (5, 2, 3), r"targets of shape \(5, 1\)"),
        ((1,), (5, 2, 3), r"targets of shape \(5, 1\)"),
        ((5, 1), (1, 2, 3), r"targets of shape \(1, 1\)"),
        ((4, 1), (4, 3, 4), r"output of a GaussianMoE.*Received: shape \(4, 3, 4\)"),
        ((4, 1), (4, 3, 1), "output of a GaussianMoE"),
        ((4, 1), (3,), "output of a GaussianMoE"),
    ],
)
def test_shapes_are_checked(y, mixture, message):
    with pytest.raises(ValueError, match=message):
        gaussian_mixture_nll(np.zeros(y), np.ones(mixture))
