"""What has no slot left is dropped; what is kept is the oracle's (../test_equals_dense.py)."""

import keras
import numpy as np
import pytest
from gradients import assert_gradients
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate

from moe_keras.gates import TopKGate
from moe_keras.mixtures import CapacityDispatcher, SparseMoE
from moe_keras.mixtures.dispatchers.capacity import num_slots


def answers(indices, num_experts, factor, weights=None):
    """Outputs for tokens 1, 2, 3, ... and experts that multiply by 1, 10, 100, ..."""
    experts = [keras.layers.Rescaling(10.0**e) for e in range(num_experts)]
    gate = GivenGate(indices, num_experts, weights)
    mixture = SparseMoE(experts, gate, dispatch=CapacityDispatcher(factor))
    tokens = np.arange(1.0, len(indices) + 1, dtype="float32")[:, None]
    return to_numpy(mixture(tokens))[:, 0].tolist()


def test_every_slot_is_used_the_first_too():
    # 4 tokens, 2 experts: 2 slots each. Expert 0 takes tokens 1 and 2, and drops 3 and 4.
    assert answers([[0], [0], [0], [0]], 2, factor=1.0) == [1.0, 2.0, 0.0, 0.0]
    # One slot each (ceil(0.5 * 4 / 2)): the first token that comes.
    assert answers([[0], [1], [0], [1]], 2, factor=0.5) == [1.0, 20.0, 0.0, 0.0]


def test_first_choices_come_first():
    # 3 tokens, k = 2, 3 experts, factor 0.5: one slot each. Expert 0 is the second choice of token
    # 1 and the first of token 2, which gets it. Expert 1: token 1. Expert 2: token 3.
    assert answers([[1, 0], [0, 1], [2, 0]], 3, factor=0.5) == [10.0, 2.0, 300.0]


def test_a_kept_choice_keeps_its_weight():
    # One slot each. Token 1 gets expert 0 (0.6 * 1) and finds expert 1 taken by token 2, whose
    # first choice it is (0.7 * 20); token 2 finds expert 0 taken. What is left is not scaled up.
    shares = [[0.6, 0.4], [0.7, 0.3]]
    assert answers([[0, 1], [1, 0]], 2, 0.5, shares) == pytest.approx([0.6, 14.0])


def test_more_capacity_than_tokens():
    assert answers([[0], [0], [1]], 2, factor=1000.0) == [1.0, 2.0, 30.0]


def test_a_smaller_last_batch():
    experts = [keras.layers.Rescaling(1.0), keras.layers.Rescaling(10.0)]

    class Second(keras.layers.Layer):
        """Sends every token to expert 1."""

        def call(self, inputs):
            ones = keras.ops.ones_like(inputs[:, :1])
            probabilities = keras.ops.concatenate([0 * ones, ones], axis=-1)
            indices = keras.ops.cast(ones, "int32")
            return {"indices": indices, "weights": ones, "probabilities": probabilities}

    mixture = SparseMoE(experts, Second(), dispatch=CapacityDispatcher(1.0))
    model = keras.Sequential([keras.Input((1,)), mixture])
    # Batches of 4 and 3: ceil(4 / 2) = 2 and ceil(3 / 2) = 2 slots.
    outputs = model.predict(np.ones((7, 1), "float32"), batch_size=4, verbose=0)[:, 0]
    assert outputs.tolist() == [10.0, 10.0, 0.0, 0.0, 10.0, 10.0, 0.0]


@pytest.mark.parametrize(
    ("num_tokens", "k", "num_experts", "factor", "expected"),
    [(1, 1, 16, 0.1, 1), (100, 2, 8, 1.0, 25), (100, 2, 8, 1.25, 32), (3, 2, 2, 2.0, 3)],
)
def test_number_of_slots(num_tokens, k, num_experts, factor, expected):
    assert num_slots(num_tokens, k, num_experts, factor) == expected
    unknown = keras.ops.convert_to_tensor(num_tokens)
    assert int(to_numpy(num_slots(unknown, k, num_experts, factor))) == expected


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="finite differences need float64 throughout"
)
@pytest.mark.parametrize("batch_prioritized", [False, True])
def test_gradients_with_drops_are_those_of_what_is_kept(batch_prioritized):
    random = np.random.default_rng(0)
    tokens = random.normal(size=(9, 4))
    gate = TopKGate(3, top_k=2, dtype="float64")
    experts = [keras.layers.Dense(2, dtype="float64") for _ in range(3)]
    mixture = SparseMoE(
        experts,
        gate,
        dispatch=CapacityDispatcher(0.6, batch_prioritized),  # 4 slots for 6 choices on average
        dtype="float64",
    )
    mixture.build(tokens.shape)
    kept = to_numpy(mixture.route(tokens)["kept"])
    assert 0 < (~kept).sum() < kept.size

    def dense_sum():
        answer = gate(tokens)
        weights = answer["weights"] * kept
        shares = ops.sum(weights[..., None] * ops.one_hot(answer["indices"], 3, dtype="float64"), 1)
        return sum(shares[:, e : e + 1] * expert(tokens) for e, expert in enumerate(experts))

    np.testing.assert_allclose(to_numpy(mixture(tokens)), to_numpy(dense_sum()), rtol=1e-10)
    slopes = random.normal(size=(9, 2))
    assert_gradients(mixture, lambda mixture: ops.sum(slopes * mixture(tokens)))
