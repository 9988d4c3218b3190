import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_keras.evaluation import fit_temperature, negative_log_likelihood, with_temperature

LOGITS = np.random.default_rng(0).normal(size=(300, 4))


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_by_hand():
    # 9 : 1 becomes 3 : 1 at temperature 2, and 81 : 1 at temperature 1/2.
    assert with_temperature([[0.9, 0.1]], 2) == pytest.approx(np.array([[0.75, 0.25]]))
    assert with_temperature([[0.9, 0.1]], 0.5) == pytest.approx(np.array([[81, 1]]) / 82)


@pytest.mark.parametrize("temperature", [0.1, 1, 7])
def test_is_the_softmax_of_divided_logits(temperature):
    expected = softmax(LOGITS / temperature)
    assert with_temperature(softmax(LOGITS), temperature) == pytest.approx(expected)


def test_a_class_that_is_ruled_out_stays_so():
    assert with_temperature([[0.5, 0.5, 0.0]], 3).tolist() == [[0.5, 0.5, 0.0]]


@settings(deadline=None, max_examples=20)
@given(st.floats(0.2, 5))
def test_the_fit_finds_the_temperature_that_made_the_labels(temperature):
    """Labels drawn from p; who says p^T needs the temperature T."""
    truth = softmax(2 * LOGITS)
    labels = np.array([np.random.default_rng(i).choice(4, p=p) for i, p in enumerate(truth)])
    best = fit_temperature(truth, labels)
    assert fit_temperature(with_temperature(truth, 1 / temperature), labels) == pytest.approx(
        best * temperature, rel=0.01
    )


def test_the_fit_is_the_best_of_a_grid():
    probabilities = softmax(LOGITS)
    labels = LOGITS.argmax(axis=1)
    labels[::5] = 0
    best = fit_temperature(probabilities, labels)
    surprise = negative_log_likelihood(with_temperature(probabilities, best), labels)
    for other in np.geomspace(0.1, 10, 41):
        assert (
            surprise
            <= negative_log_likelihood(with_temperature(probabilities, other), labels) + 1e-5
        )


@pytest.mark.parametrize("temperature", [0, -1, [1.0]])
def test_no_temperature(temperature):
    with pytest.raises(ValueError, match="above 0"):
        with_temperature([[0.5, 0.5]], temperature)
