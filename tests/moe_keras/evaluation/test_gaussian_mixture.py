import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_keras.evaluation import gaussian_mixture_interval, gaussian_mixture_moments


def drawn(rng, *axes, size=2, experts=3):
    log_weights = np.log(rng.dirichlet(np.ones(experts), size=axes))[..., None]
    shape = (*axes, experts, size)
    means, scales = rng.normal(scale=3, size=shape), rng.uniform(0.1, 2, size=shape)
    return np.concatenate([log_weights, means, scales], axis=-1)


def samples(rng, mixture, count=40_000):
    """Draws from one mixture (E, 1 + 2 D): shape (count, D)."""
    weights = np.exp(mixture[:, 0])
    e = rng.choice(len(weights), size=count, p=weights / weights.sum())
    size = mixture.shape[-1] // 2
    return rng.normal(mixture[e, 1 : 1 + size], mixture[e, 1 + size :])


@given(
    seed=st.integers(0, 2**16),
    experts=st.integers(1, 4),
    size=st.integers(1, 3),
    coverage=st.floats(0.3, 0.98),
)
@settings(max_examples=10, deadline=None)
def test_against_samples(seed, experts, size, coverage):
    rng = np.random.default_rng(seed)
    mixture = drawn(rng, 2, size=size, experts=experts)
    low, high = gaussian_mixture_interval(mixture, coverage)
    mean, deviation = gaussian_mixture_moments(mixture)
    assert low.shape == high.shape == mean.shape == deviation.shape == (2, size)
    for i in range(2):
        y = samples(rng, mixture[i])
        tail = (1 - coverage) / 2
        # Five standard errors of a share of 40,000.
        error = 5 * np.sqrt(tail * (1 - tail) / len(y))
        np.testing.assert_allclose((y < low[i]).mean(axis=0), tail, atol=error)
        np.testing.assert_allclose((y > high[i]).mean(axis=0), tail, atol=error)
        np.testing.assert_allclose(mean[i], y.mean(axis=0), atol=5 * deviation[i].max() / 200)
        np.testing.assert_allclose(deviation[i], y.std(axis=0), rtol=0.05)


def test_one_gaussian_by_hand():
    low, high = gaussian_mixture_interval(np.array([[0.0, 10.0, 2.0]]), coverage=0.6827)
    np.testing.assert_allclose([low[0], high[0]], [8, 12], atol=1e-3)


def test_far_from_zero_the_deviation_keeps_its_digits():
    mixture = np.array([[np.log(0.5), 1e8 - 1, 0.1], [np.log(0.5), 1e8 + 1, 0.1]])
    np.testing.assert_allclose(gaussian_mixture_moments(mixture)[1], np.sqrt(1.01), rtol=1e-6)


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 1.5, float("nan")])
def test_coverage_is_checked(coverage):
    with pytest.raises(
        ValueError, match=r"Expected coverage between 0 and 1\. Received: coverage="
    ):
        gaussian_mixture_interval(np.ones((2, 3)), coverage)


def test_what_cannot_be_a_mixture_is_refused():
    with pytest.raises(ValueError, match=r"output of a GaussianMoE.*Received: shape \(2, 4\)"):
        gaussian_mixture_moments(np.ones((2, 4)))
