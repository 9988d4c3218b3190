import numpy as np
import pytest
from layer_contract import to_numpy

from moe_keras.evaluation import fit_threshold
from moe_keras.mixtures.confidence import confidence_of


def answers(rng, count=200):
    return rng.dirichlet([0.5] * 4, size=count).astype("float32")


@pytest.mark.parametrize("measure", ["margin", "entropy"])
@pytest.mark.parametrize("share", [0, 0.005, 0.29, 0.5, 1])
def test_the_share_wanted_lies_below(rng, measure, share):
    probabilities = answers(rng)
    threshold = fit_threshold(probabilities, share, measure)
    below = to_numpy(confidence_of(probabilities, measure)) < np.float32(threshold)
    assert below.mean() == pytest.approx(share)


def test_equal_confidences_stay_together():
    same = np.array([[0.6, 0.4]] * 3 + [[0.9, 0.1]])
    assert fit_threshold(same, 0.5) == pytest.approx(0.2)  # all three, or none: none
    assert fit_threshold(same, 0.75) == pytest.approx(0.8)


def test_confidence_by_hand():
    p = np.array([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(to_numpy(confidence_of(p, "margin")), [0.25, 1, 0], atol=1e-6)
    # 0.5 * 1 bit + 2 * 0.25 * 2 bits = 1.5 bits of at most 2.
    np.testing.assert_allclose(to_numpy(confidence_of(p, "entropy")), [0.25, 1, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("probabilities", "share", "confidence", "message"),
    [
        (np.ones((0, 3)), 0.1, "margin", r"N at least 1.* Received: shape \(0, 3\)"),
        (np.ones((4, 1)), 0.1, "margin", r"C at least 2. Received: shape \(4, 1\)"),
        (np.ones(4), 0.1, "margin", r"Received: shape \(4,\)"),
        (np.full((4, 2), np.nan), 0.1, "margin", "NaN"),
        (np.ones((4, 2)), 1.1, "margin", "from 0 to 1. Received: share=1.1"),
        (np.ones((4, 2)), -0.1, "margin", "share=-0.1"),
        (np.ones((4, 2)), 0.1, "logits", "margin, entropy. Received: confidence='logits'"),
    ],
)
def test_wrong_arguments(probabilities, share, confidence, message):
    with pytest.raises(ValueError, match=message):
        fit_threshold(probabilities, share, confidence)
