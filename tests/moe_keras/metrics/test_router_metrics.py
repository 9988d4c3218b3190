import keras
import numpy as np
import pytest
from layer_contract import to_numpy

from moe_keras.metrics import DroppedShare, ExpertLoad, LoadVariation, RouterEntropy
from moe_keras.metrics.expert_load import expert_load


def test_load_by_hand():
    load = ExpertLoad(3)
    assert to_numpy(load.result()).tolist() == [0.0, 0.0, 0.0]
    load.update_state(np.array([[[0, 1], [0, 2]]]))  # (B, T, k)
    load.update_state(np.array([[[0, 1], [0, 1]]]), sample_weight=np.array([[True, False]]))
    # 0 three times, 1 twice, 2 once
    np.testing.assert_allclose(to_numpy(load.result()), [1 / 2, 1 / 3, 1 / 6], atol=1e-6)
    load.reset_state()
    assert to_numpy(load.result()).tolist() == [0.0, 0.0, 0.0]


def test_a_smaller_last_batch_counts_for_what_it_is(rng):
    choices = rng.integers(0, 4, size=(10, 2))
    whole, parts = LoadVariation(4), LoadVariation(4)
    whole.update_state(choices)
    for part in (choices[:7], choices[7:]):
        parts.update_state(part)
    counts = np.bincount(choices.ravel(), minlength=4)
    for metric in (whole, parts):
        assert float(metric.result()) == pytest.approx(counts.std() / counts.mean(), rel=1e-5)


def test_variation_ranges_from_0_to_the_root_of_one_less_than_the_experts():
    variation = LoadVariation(5)
    assert float(variation.result()) == 0
    variation.update_state([[2]] * 4)
    assert float(variation.result()) == pytest.approx(2)
    variation.reset_state()
    for expert in range(5):  # busy in turn
        variation.update_state([[expert]])
    assert float(variation.result()) == pytest.approx(0, abs=1e-6)


def test_entropy_over_batches(rng):
    entropy = RouterEntropy()
    first, second = rng.dirichlet(np.ones(3), size=(2, 4)), rng.dirichlet(np.ones(3), size=(1, 4))
    mask = np.array([[True, True, False, False]])
    entropy.update_state(first)
    entropy.update_state(second, sample_weight=mask)
    tokens = np.concatenate([first.reshape(-1, 3), second[mask]])
    expected = -(tokens * np.log(tokens)).sum(axis=1).mean()
    assert float(entropy.result()) == pytest.approx(expected, rel=1e-5)


def test_dropped_by_hand():
    dropped = DroppedShare()
    dropped.update_state(np.array([[True, False], [False, True]]))
    dropped.update_state(np.array([[True, True], [False, False]]), sample_weight=[[1], [0]])
    # 2 of 4 and 0 of 2
    assert float(dropped.result()) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "make_metric",
    [
        lambda: ExpertLoad(3),
        lambda: LoadVariation(3),
        RouterEntropy,
        lambda: DroppedShare(name="lost"),
    ],
    ids=["load", "variation", "entropy", "dropped"],
)
def test_configuration(make_metric):
    metric = make_metric()
    config = keras.metrics.serialize(metric)
    again = keras.metrics.deserialize(config)
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_num_experts_is_checked():
    with pytest.raises(ValueError, match=r"Expected num_experts to be .* Received: num_experts=0"):
        ExpertLoad(0)


def test_load_of_counts_and_weights_is_their_share():
    # Columns 1 + 0, 2 + 1, 3 + 1 of 8 in all.
    load = to_numpy(expert_load(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]])))
    np.testing.assert_allclose(load, [0.125, 0.375, 0.5], atol=1e-6)
    np.testing.assert_array_equal(to_numpy(expert_load(np.zeros((4, 2)))), [0, 0])
