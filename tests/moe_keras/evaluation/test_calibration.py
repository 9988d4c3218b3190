import keras
import numpy as np
import pytest

from moe_keras.evaluation import expected_calibration_error, negative_log_likelihood, reliability

# Confidences 0.9, 0.8, 0.6, 0.55; the first and the last two are right.
SAID = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.55, 0.45]])
LABELS = np.array([0, 0, 1, 0])


def test_calibration_by_hand():
    # Two bins: all four lie above 0.5; accuracy 3/4, confidence (0.9 + 0.8 + 0.6 + 0.55) / 4.
    assert expected_calibration_error(SAID, LABELS, bins=2) == pytest.approx(0.75 - 0.7125)
    # Ten bins: 0.9 in (0.8, 0.9], 0.8 in (0.7, 0.8], 0.6 and 0.55 in (0.5, 0.6].
    expected = (0.1 + 0.8 + (2 - 1.15)) / 4
    assert expected_calibration_error(SAID, LABELS, bins=10) == pytest.approx(expected)


def test_certain_and_right_or_wrong():
    certain = np.eye(3)
    assert expected_calibration_error(certain, [0, 1, 2]) == 0
    assert expected_calibration_error(certain, [1, 2, 0]) == 1


def test_a_loop_in_numpy():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), size=200)
    labels = rng.integers(0, 4, 200)
    error = 0
    for b in range(15):
        own = (probabilities.max(axis=1) > b / 15) & (probabilities.max(axis=1) <= (b + 1) / 15)
        if own.any():
            accuracy = (probabilities[own].argmax(axis=1) == labels[own]).mean()
            error += own.mean() * abs(accuracy - probabilities[own].max(axis=1).mean())
    assert expected_calibration_error(probabilities, labels) == pytest.approx(error)


def test_likelihood_by_hand():
    expected = -np.log([0.9, 0.2, 0.6, 0.55]).mean()
    assert negative_log_likelihood(SAID, LABELS) == pytest.approx(expected)
    metric = keras.metrics.SparseCategoricalCrossentropy()
    metric.update_state(LABELS, SAID.astype("float32"))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_a_certain_error_is_not_infinite():
    assert negative_log_likelihood([[1.0, 0.0]], [1]) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize("measure", [expected_calibration_error, negative_log_likelihood])
@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (SAID, LABELS[:3], r"shapes \(4, 2\) and \(3,\)"),
        (SAID[0], LABELS, r"shapes \(2,\) and \(4,\)"),
        (SAID[:0], LABELS[:0], "shapes"),
        (2 * SAID, LABELS, "sums from 2.0 to 2.0"),
        (np.full((4, 2), np.nan), LABELS, "the least is nan"),
        (SAID, LABELS + 1, "dtype int64, from 1 to 2"),
        (SAID, LABELS.astype("float32"), "dtype float32"),
    ],
)
def test_bad_input(measure, probabilities, labels, message):
    with pytest.raises(ValueError, match=f"Expected .* Received: .*{message}"):
        measure(probabilities, labels)


def test_the_number_of_bins_is_checked():
    with pytest.raises(ValueError, match="bins=0"):
        expected_calibration_error(SAID, LABELS, bins=0)


def test_reliability_by_hand():
    confidence, accuracy, count = reliability(SAID, LABELS, bins=10)
    # (0.5, 0.6] holds the third and the fourth image, (0.7, 0.8] the second, (0.8, 0.9] the first.
    assert confidence == pytest.approx([0.575, 0.8, 0.9])
    assert accuracy.tolist() == [1, 0, 1]
    assert count.tolist() == [2, 1, 1]
