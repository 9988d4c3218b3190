import numpy as np
import pytest
from gradients import assert_gradient
from layer_contract import to_numpy

from moe_keras.losses import importance_loss, load_balancing_loss, load_loss


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("top_k", [1, 2, 4])
@pytest.mark.parametrize("num_experts", [4, 8])
def test_balance_of_even_routing_is_1(num_experts, top_k):
    tokens = 2 * num_experts
    even = np.full((tokens, num_experts), 1 / num_experts)
    in_turn = (np.arange(tokens)[:, None] + np.arange(top_k)) % num_experts
    assert float(load_balancing_loss(even, in_turn)) == pytest.approx(1)


def test_balance_of_a_collapsed_router_is_the_number_of_experts():
    certain = np.tile([0.0, 0.0, 1.0], (5, 1))
    assert float(load_balancing_loss(certain, np.full((5, 1), 2))) == pytest.approx(3)


def test_balance_by_hand():
    # f = (2/3, 1/3), P = ((0.9 + 0.6 + 0.3) / 3, ...) = (0.6, 0.4):
    # 2 (2/3 * 0.6 + 1/3 * 0.4) = 2 (0.4 + 0.4/3) = 16/15
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    indices = np.array([[0], [0], [1]])
    assert float(load_balancing_loss(probabilities, indices)) == pytest.approx(16 / 15)
    # The same tokens as a batch, and one more that is masked.
    padded = np.concatenate([probabilities, [[1.0, 0.0]]]).reshape(2, 2, 2)
    mask = np.array([[True, True], [True, False]])
    loss = load_balancing_loss(padded, np.array([[[0], [0]], [[1], [0]]]), mask)
    assert float(loss) == pytest.approx(16 / 15)


def test_importance_by_hand():
    # Importance (3, 1): mean 2, variance 1, so 1 / 4.
    weights = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert float(importance_loss(weights)) == pytest.approx(0.25)
    # Without the first: (2, 1), mean 1.5, variance 0.25, so 1/9.
    assert float(importance_loss(weights, [False, True, True])) == pytest.approx(1 / 9)


def test_importance_ranges_from_0_to_one_less_than_the_experts():
    assert float(importance_loss(np.full((6, 4), 0.25))) == pytest.approx(0)
    assert float(importance_loss(np.tile([0.0, 0.0, 1.0, 0.0], (6, 1)))) == pytest.approx(3)


def test_load_is_the_chance_to_be_chosen_were_the_noise_of_one_expert_drawn_anew(rng):
    logits = np.array([[0.3, -0.2, 0.5, 0.0]])
    noisy = np.array([[0.9, -0.1, 0.2, 0.4]])
    scale = np.array([[0.5, 1.0, 2.0, 0.7]])
    # k = 2. The second best of the other three: for 0 and 3, which are in, 0.2; for 1 and 2, 0.4.
    drawn = logits + scale * rng.normal(size=(400_000, 4))
    chances = (drawn > np.array([[0.2, 0.4, 0.4, 0.2]])).mean(axis=0)
    expected = chances.var() / chances.mean() ** 2
    assert float(load_loss(logits, noisy, scale, top_k=2)) == pytest.approx(expected, rel=0.02)


def test_load_by_hand():
    # Phi(1) = 0.841345 for the one that is in, Phi(-1) for the other: mean 0.5.
    logits, noisy, scale = np.array([[1.0, -1.0]]), np.array([[1e-9, 0.0]]), np.ones((1, 2))
    assert float(load_loss(logits, noisy, scale, top_k=1)) == pytest.approx(
        (0.841345 - 0.5) ** 2 / 0.25, rel=1e-4
    )


def test_load_takes_logits_of_any_size():
    # Probabilities in their place could never tell these two from each other: all are in [0, 1].
    noisy, scale = np.array([[20.0, -20.0]]), np.ones((1, 2))
    assert float(load_loss(noisy, noisy, scale, top_k=1)) == pytest.approx(1)
    assert float(load_loss(noisy / 200, noisy / 200, scale, top_k=1)) < 0.05


def test_every_expert_is_loaded_when_all_are_chosen(rng):
    logits = rng.normal(size=(5, 3))
    assert float(load_loss(logits, logits, np.ones((5, 3)), top_k=3)) == pytest.approx(0)


def test_nothing_left_is_no_loss(rng):
    logits, nothing = rng.normal(size=(2, 3)), np.zeros(2, bool)
    assert float(load_balancing_loss(softmax(logits), np.zeros((2, 1), int), nothing)) == 0
    assert float(importance_loss(softmax(logits), nothing)) == 0
    assert float(load_loss(logits, logits, np.ones((2, 3)), 1, nothing)) == 0


LOGITS, NOISE = np.random.default_rng(0).normal(size=(2, 4, 3))
SCALE = np.random.default_rng(1).uniform(0.5, 1.5, size=(4, 3))
INDICES = np.array([[0, 1], [0, 2], [0, 1], [2, 0]])


@pytest.mark.parametrize(
    ("function", "array"),
    [
        (lambda p: load_balancing_loss(p, INDICES), softmax(LOGITS)),
        (importance_loss, softmax(LOGITS)),
        (lambda x: load_loss(x, x + SCALE * NOISE, SCALE, top_k=1), LOGITS),
        (lambda s: load_loss(LOGITS, LOGITS + s * NOISE, s, top_k=2), SCALE),
    ],
)
def test_gradients(function, array):
    assert_gradient(function, array)
    assert to_numpy(function(array)).shape == ()
