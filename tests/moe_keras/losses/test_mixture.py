import numpy as np
import pytest
from gradients import assert_gradient

from moe_keras.losses import cooperative_loss, mixture_nll

LOGITS = np.random.default_rng(0).normal(size=(4, 3))  # (B, E)
SAID = np.random.default_rng(1).normal(size=(3, 4, 2, 5))  # (E, B, ...)
RIGHT = np.random.default_rng(2).normal(size=(4, 2, 5))
WEIGHTS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def test_cooperative_by_hand():
    # Weights 3/4 and 1/4: 0.75 * 1 + 0.25 * 5 = 2, which is 1 off 3.
    logits = np.log([[3.0, 1.0]])
    outputs = [np.array([[1.0]]), np.array([[5.0]])]
    assert float(cooperative_loss(logits, outputs, np.array([[3.0]]))) == pytest.approx(1)


def test_competitive_by_hand():
    # Weights 3/4 and 1/4, errors 0 and 2: -ln(0.75 + 0.25 exp(-2))
    logits = np.log([[3.0, 1.0]])
    outputs = [np.array([[1.0]]), np.array([[3.0]])]
    expected = -np.log(0.75 + 0.25 * np.exp(-2))
    assert float(mixture_nll(logits, outputs, np.array([[1.0]]))) == pytest.approx(expected)


def test_against_loops():
    together, apart = 0.0, 0.0
    for b in range(4):
        mixed = sum(WEIGHTS[b, e] * SAID[e, b] for e in range(3))
        together += ((RIGHT[b] - mixed) ** 2).sum() / 4
        errors = [((RIGHT[b] - SAID[e, b]) ** 2).sum() for e in range(3)]
        apart -= np.log(sum(WEIGHTS[b, e] * np.exp(-errors[e] / 2) for e in range(3))) / 4
    assert float(cooperative_loss(LOGITS, list(SAID), RIGHT)) == pytest.approx(together)
    assert float(mixture_nll(LOGITS, list(SAID), RIGHT)) == pytest.approx(apart)


def test_far_off_is_finite():
    outputs = [np.array([[1000.0]]), np.array([[2000.0]])]
    loss = mixture_nll(np.zeros((1, 2)), outputs, np.array([[0.0]]))
    assert float(loss) == pytest.approx(500_000 + np.log(2))


@pytest.mark.parametrize("function", [cooperative_loss, mixture_nll])
def test_gradients(function):
    assert_gradient(lambda logits: function(logits, list(SAID), RIGHT), LOGITS)
    assert_gradient(lambda outputs: function(LOGITS, [outputs[e] for e in range(3)], RIGHT), SAID)


@pytest.mark.parametrize("function", [cooperative_loss, mixture_nll])
def test_labels_of_another_rank_are_refused(function):
    with pytest.raises(
        ValueError, match=r"of one shape .* Received: output 0 of shape \(4, 2, 5\)"
    ):
        function(LOGITS, list(SAID), RIGHT[:, 0, 0])
