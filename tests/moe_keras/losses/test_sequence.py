import numpy as np
import pytest
from gradients import assert_gradient
from layer_contract import to_numpy

from moe_keras.losses import load_balancing_loss, sequence_balance_loss


def by_hand(probabilities, indices, mask):
    """Equations (17) to (20), sequence by sequence and token by token."""
    num_experts, top_k = probabilities.shape[-1], indices.shape[-1]
    losses = []
    for p, chosen, here in zip(probabilities, indices, mask, strict=True):
        tokens = [place for place in np.ndindex(here.shape) if here[place]]
        if tokens:
            f = [sum(e in chosen[t] for t in tokens) for e in range(num_experts)]
            f = num_experts / (top_k * len(tokens)) * np.array(f)
            losses.append(sum(f * np.mean([p[t] for t in tokens], axis=0)))
    return np.mean(losses)


@pytest.mark.parametrize("tokens", [(5,), (2, 3)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("top_k", [1, 3])
def test_against_the_equations(rng, tokens, masked, top_k):
    probabilities = rng.dirichlet(np.ones(4), size=(3, *tokens))
    indices = np.argsort(-probabilities, axis=-1)[..., :top_k]
    mask = rng.random((3, *tokens)) < 0.5 if masked else np.ones((3, *tokens), bool)
    if masked:
        mask[1] = False  # a sequence without tokens
        mask[0].flat[0] = True
        probabilities[~mask] = np.nan
    loss = sequence_balance_loss(probabilities, indices, mask if masked else None)
    np.testing.assert_allclose(to_numpy(loss), by_hand(probabilities, indices, mask), rtol=1e-5)


def test_one_sequence_is_the_load_balancing_loss(rng):
    probabilities = rng.dirichlet(np.ones(4), size=(1, 7))
    indices = np.argsort(-probabilities, axis=-1)[..., :2]
    expected = load_balancing_loss(probabilities, indices)
    np.testing.assert_allclose(
        to_numpy(sequence_balance_loss(probabilities, indices)), to_numpy(expected), rtol=1e-5
    )


def test_nothing_but_masked_tokens_costs_nothing():
    loss = sequence_balance_loss(
        np.full((2, 3, 2), 0.5), np.zeros((2, 3, 1), int), np.zeros((2, 3), bool)
    )
    assert float(loss) == 0.0


def test_gradient(rng):
    indices = rng.integers(0, 3, (2, 4, 1))
    assert_gradient(lambda p: sequence_balance_loss(p, indices), rng.dirichlet(np.ones(3), (2, 4)))


@pytest.mark.parametrize("wrong", [-1, 4, 99])
def test_a_choice_of_no_expert_counts_nowhere(rng, wrong):
    probabilities = rng.dirichlet(np.ones(4), size=(3, 5))
    indices = np.argsort(-probabilities, axis=-1)[..., :2]
    indices[indices == 1] = wrong
    everything = np.ones((3, 5), bool)
    loss = sequence_balance_loss(probabilities.tolist(), indices.tolist())  # lists are tensors too
    np.testing.assert_allclose(
        to_numpy(loss), by_hand(probabilities, indices, everything), rtol=1e-5
    )


@pytest.mark.parametrize("indices", [(1, 4, 1), (3, 1, 1), (3, 4), (3, 4, 1, 1)])
def test_indices_of_other_tokens_are_refused(indices):
    with pytest.raises(ValueError, match=r"Expected indices of shape .*Received"):
        sequence_balance_loss(np.full((3, 4, 2), 0.5), np.zeros(indices, int))


@pytest.mark.parametrize("mask", [(3, 1), (1, 4), (4,), (3, 4, 1), ()])
def test_masks_of_other_tokens_are_refused(mask):
    arguments = np.full((3, 4, 2), 0.5), np.zeros((3, 4, 1), int)
    for loss in (sequence_balance_loss, load_balancing_loss):
        with pytest.raises(ValueError, match=r"Expected a mask of shape .*Received"):
            loss(*arguments, np.ones(mask, bool))


def test_a_mask_of_sequences_is_one_of_their_tokens(rng):
    probabilities = rng.dirichlet(np.ones(4), size=(3, 5))
    indices = np.argsort(-probabilities, axis=-1)[..., :2]
    mask = np.array([True, False, True])
    for loss in (sequence_balance_loss, load_balancing_loss):
        expected = to_numpy(loss(probabilities[mask], indices[mask]))
        np.testing.assert_allclose(to_numpy(loss(probabilities, indices, mask)), expected, 1e-5)


def test_rows_are_refused():
    with pytest.raises(ValueError, match=r"Expected .*\(B, T, E\).*Received: shape \(4, 2\)"):
        sequence_balance_loss(np.full((4, 2), 0.5), np.zeros((4, 1), int))
