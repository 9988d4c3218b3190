import numpy as np
import pytest
from gradients import assert_gradient

from moe_keras.losses import guidance_loss, mutual_information

PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 4))  # (B, T, E)
MATRIX = np.random.default_rng(1).dirichlet(np.ones(3), size=4)  # (C, E)
LABELS = np.random.default_rng(2).integers(0, 4, size=(2, 4))


def test_guidance_by_hand():
    # Label 2 wants both experts alike: -(0.5 ln 0.2 + 0.5 ln 0.8); label 0 expert 0: -ln 0.6.
    matrix = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    logits = np.log([[0.2, 0.8], [0.6, 0.4]])
    expected = (-0.5 * np.log(0.16) - np.log(0.6)) / 2
    assert float(guidance_loss([2, 0], logits, matrix)) == pytest.approx(expected)
    masked = guidance_loss([2, 0], logits, matrix, mask=[False, True])
    assert float(masked) == pytest.approx(-np.log(0.6))


def test_guidance_is_least_at_what_the_matrix_says(rng):
    row = np.array([[0.7, 0.2, 0.1]])
    least = float(guidance_loss([0], np.log(row), row))
    assert least == pytest.approx(-(row * np.log(row)).sum())
    for _ in range(5):
        other = np.log(row) + rng.normal(size=(1, 3))
        assert float(guidance_loss([0], other, row)) > least


def test_guidance_of_a_certain_and_wrong_gate_is_finite():
    assert float(guidance_loss([0], np.array([[-500.0, 500.0]]), np.eye(2))) == pytest.approx(1000)


def test_information_by_hand():
    # p(c, e): 3/8 1/8 / 1/8 3/8, all margins 1/2:
    # I = 2 (3/8 ln(3/2) + 1/8 ln(1/2)) = 0.75 ln 1.5 - 0.25 ln 2
    probabilities = np.array([[0.75, 0.25], [0.25, 0.75]])
    expected = 0.75 * np.log(1.5) - 0.25 * np.log(2)
    assert float(mutual_information(probabilities, [0, 1], 2)) == pytest.approx(expected)


def test_information_against_entropies():
    # I = H(labels) + H(experts) - H(both)
    joint = np.zeros((4, 3))
    for token in np.ndindex(2, 4):
        joint[LABELS[token]] += PROBABILITIES[token] / 8

    def entropy(p):
        return -(p[p > 0] * np.log(p[p > 0])).sum()

    expected = entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint)
    assert float(mutual_information(PROBABILITIES, LABELS, 4)) == pytest.approx(expected)


def test_information_of_a_collapsed_gate_is_0():
    everything_to_0 = np.tile([1.0, 0.0], (4, 1))
    assert float(mutual_information(everything_to_0, [0, 1, 0, 1], 2)) == pytest.approx(0)


def test_information_leaves_out_masked_tokens():
    mask = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], bool)
    alone = mutual_information(PROBABILITIES[0, :2], LABELS[0, :2], 4)
    assert float(mutual_information(PROBABILITIES, LABELS, 4, mask)) == pytest.approx(float(alone))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: guidance_loss(LABELS, x, MATRIX),
        lambda x: mutual_information(x, LABELS, 4),
    ],
)
def test_gradients(function):
    assert_gradient(function, PROBABILITIES)


@pytest.mark.parametrize("keep", [[1, 0, 1], [0, 1, 1], [0, 0, 1]])
def test_a_mask_of_sequences_is_of_the_first_axis(keep, rng):
    # As many sequences as steps: a mask of the wrong axis would fit as well.
    labels, logits = rng.integers(0, 2, (3, 3)), rng.normal(size=(3, 3, 2))
    keep = np.array(keep, bool)
    whole = guidance_loss(labels, logits, np.eye(2), np.repeat(keep[:, None], 3, axis=1))
    of_sequences = guidance_loss(labels, logits, np.eye(2), keep)
    np.testing.assert_allclose(float(of_sequences), float(whole), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3), (2,), (3, 3, 1)])
def test_a_mask_that_would_be_repeated_is_refused(shape):
    with pytest.raises(ValueError, match="a mask"):
        guidance_loss(np.zeros((3, 3), int), np.zeros((3, 3, 2)), np.eye(2), np.ones(shape, bool))
