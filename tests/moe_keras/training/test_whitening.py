import numpy as np
import pytest

from moe_keras.training._whitening import whitening_filters

# Neighboring pixels and channels are alike, as in a photograph.
COMMON, OWN = np.random.default_rng(0).normal(size=(2, 40, 8, 8, 2))
IMAGES = COMMON[..., :1] + 0.3 * OWN.cumsum(axis=2)


def patches():
    """All 2x2 patches side by side: (N, 2 * 2 * channels)."""
    blocks = IMAGES.reshape(40, 4, 2, 4, 2, 2).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(-1, 8)


def test_answers_are_uncorrelated_and_of_variance_1():
    kernel = whitening_filters(IMAGES, size=2, count=16, epsilon=0)
    answers = patches() @ kernel.reshape(8, 16)[:, :8]
    np.testing.assert_allclose(answers.T @ answers / len(answers), np.eye(8), atol=1e-4)


def test_the_second_half_is_the_negative_of_the_first():
    kernel = whitening_filters(IMAGES, size=2, count=16)
    assert kernel.dtype == "float32"
    assert np.array_equal(kernel[..., :8], -kernel[..., 8:])


def test_those_of_the_largest_variance_are_taken(rng):
    # Both pixels of a patch are a + b and a - b with variances 4 and 1.
    a, b = 2 * rng.normal(size=5000), rng.normal(size=5000)
    images = np.stack([a + b, a - b], axis=1).reshape(5000, 1, 1, 2)
    kernel = whitening_filters(images, size=1, count=2, epsilon=0)
    # The direction (1, 1) / sqrt(2), in which the variance is 2 * 4.
    np.testing.assert_allclose(abs(kernel.reshape(2, 2)), 0.25, rtol=0.1)
    assert np.sign(kernel[0, 0, 0, 0]) == np.sign(kernel[0, 0, 1, 0])


def test_epsilon_holds_noise_down():
    images = np.zeros((3, 4, 4, 1))
    kernel = whitening_filters(images, size=2, count=2, epsilon=0.01)
    np.testing.assert_allclose(np.linalg.norm(kernel[..., 0]), 10, rtol=1e-6)  # 1 / sqrt(0.01)


@pytest.mark.parametrize("count", [0, 3, 18])
def test_the_count_is_checked(count):
    with pytest.raises(ValueError, match=f"even number of filters from 2 to 16.*count={count}"):
        whitening_filters(IMAGES, size=2, count=count)
