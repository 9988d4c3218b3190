import numpy as np
import pytest
from draws import TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import ExpertChoiceGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def oracle(capacity):
    """One expert of one sequence at a time."""

    def expected(gate):
        logits = TOKENS @ gate.get_weights()[0].astype("float64")
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        indices = np.zeros((3, 3, capacity), int)
        weights = np.zeros((3, 3, capacity))
        for b, e in np.ndindex(3, 3):
            tokens = sorted(range(4), key=lambda t, b=b, e=e: -probabilities[b, t, e])[:capacity]
            indices[b, e], weights[b, e] = tokens, probabilities[b, tokens, e]
        return {
            "logits": logits,
            "probabilities": probabilities,
            "token_indices": indices,
            "token_weights": weights,
        }

    return expected


def test_contract():
    run_layer_contract(
        lambda: ExpertChoiceGate(3, capacity_factor=1.5),
        TOKENS,
        expected_output=oracle(2),  # 4 * 1.5 / 3
        trainable=1,
        non_trainable=0,
        mask=MASK,
    )


def test_by_hand():
    # Tokens -1, 0, 2 say (ln 3, 0) times their value: expert 0 has 1/4, 1/2, 9/10.
    gate = ExpertChoiceGate(2, capacity_factor=1)  # ceil(3 / 2) = 2 tokens each
    gate.build((None, 3, 1))
    gate.set_weights([np.log([[3.0, 1.0]])])
    tokens = np.array([[[-1.0], [0.0], [2.0]]], "float32")
    tensors = gate(tokens)
    assert to_numpy(tensors["token_indices"])[0].tolist() == [[2, 1], [0, 1]]
    weights = to_numpy(tensors["token_weights"])[0]
    np.testing.assert_allclose(weights, [[0.9, 0.5], [0.75, 0.5]], atol=1e-6)
    # Without the last token each has ceil(2 / 2) = 1: the second for expert 0, the first for 1.
    tensors = gate(tokens, mask=np.array([[True, True, False]]))
    assert to_numpy(tensors["token_indices"])[0].tolist() == [[1, -1], [0, -1]]
    weights = to_numpy(tensors["token_weights"])[0]
    np.testing.assert_allclose(weights, [[0.5, 0.0], [0.75, 0.0]], atol=1e-6)


def test_every_expert_is_as_busy_as_the_others():
    indices = to_numpy(ExpertChoiceGate(2, 1)(TOKENS)["token_indices"])
    assert indices.shape == (3, 2, 2)
    assert all(len(set(chosen)) == 2 for chosen in indices.reshape(-1, 2))


def test_sequences_do_not_compete():
    gate = ExpertChoiceGate(3, 1)
    together, alone = gate(TOKENS), gate(TOKENS[1:2])
    for name in alone:
        np.testing.assert_allclose(to_numpy(together[name])[1:2], to_numpy(alone[name]), atol=1e-6)


@pytest.mark.parametrize(
    ("num_tokens", "num_experts", "factor", "capacity"),
    [(8, 4, 2, 4), (8, 4, 1, 2), (5, 4, 1, 2), (1, 16, 1, 1), (4, 2, 100, 4)],
)
def test_capacity(num_tokens, num_experts, factor, capacity):
    gate = ExpertChoiceGate(num_experts, factor)
    assert gate.capacity(num_tokens) == capacity
    tensors = gate(np.zeros((1, num_tokens, 3), "float32"))
    assert tensors["token_weights"].shape == (1, num_experts, capacity)


def test_gradients(rng):
    gate = ExpertChoiceGate(3, 1, dtype="float64")
    gate.build((None, 4, 5))
    target = rng.normal(size=(3, 3, 2))
    assert_gradients(gate, lambda gate: ops.sum(target * gate(TOKENS)["token_weights"]))


@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 4, 3), (2, None, 5)])
def test_shape_is_checked(shape):
    with pytest.raises(ValueError, match=r"Expected inputs of shape \(B, T, D\), .* Received: sha"):
        ExpertChoiceGate(3).build(shape)


@pytest.mark.parametrize("factor", [0, -1, float("inf"), None])
def test_capacity_factor_is_checked(factor):
    with pytest.raises(ValueError, match=r"Expected capacity_factor to be .* Received: capacity_f"):
        ExpertChoiceGate(3, factor)
