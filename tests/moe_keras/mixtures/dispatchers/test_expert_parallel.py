"""Each group fills its slots as if it were alone; several devices are in ../../distribution."""

import keras
import numpy as np
import pytest
from draws import normal
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_contract import to_numpy
from sparse_gate import GivenGate

import moe_keras as moe
from moe_keras.mixtures import CapacityDispatcher, ExpertParallelDispatcher, expert_parallel_layout


def experts(num_experts):
    return [keras.layers.Rescaling(10.0**e) for e in range(num_experts)]


def outputs(tokens, indices, num_experts, dispatch, weights=None):
    gate = GivenGate(indices, num_experts, weights)
    mixture = moe.SparseMoE(experts(num_experts), gate, dispatch)
    return to_numpy(mixture(tokens))


def test_slots_are_given_out_in_each_group():
    # Two groups of two tokens, one slot an expert: all four choose expert 0, so the first of each
    # group gets it. Of one group of four, which has two slots, the first two would.
    tokens, indices = np.array([[1.0], [2.0], [3.0], [4.0]]), [[0]] * 4
    found = outputs(tokens, indices, 2, ExpertParallelDispatcher(2, capacity_factor=1.0))
    assert found[:, 0].tolist() == [1.0, 0.0, 3.0, 0.0]
    found = outputs(tokens, indices, 2, CapacityDispatcher(1.0))
    assert found[:, 0].tolist() == [1.0, 2.0, 0.0, 0.0]


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 3), st.integers(0, 5), st.integers(1, 4), st.sampled_from([0.4, 1.0, 9.0]),
    st.data(),
)  # fmt: skip
def test_each_group_is_dispatched_by_its_capacity(groups, size, num_experts, factor, data):
    k = data.draw(st.integers(1, num_experts))
    draws = np.random.default_rng(data.draw(st.integers(0, 9)))
    indices = np.array(
        [draws.permutation(num_experts)[:k] for _ in range(groups * size)], "int32"
    ).reshape(-1, k)
    indices[draws.random(indices.shape) < 0.2] = -1  # a choice of no expert
    tokens = draws.normal(size=(groups * size, 2)).astype("float32")
    weights = draws.random(indices.shape).astype("float32")
    dispatch = ExpertParallelDispatcher(groups, factor)
    found = outputs(tokens, indices, num_experts, dispatch, weights)
    for g in range(groups):
        own = slice(g * size, (g + 1) * size)
        there = (indices[own] >= 0).any(axis=1).sum()  # tokens that chose an expert
        slots = min(np.ceil(factor * there * k / num_experts), there)
        expected = np.zeros((size, 2))
        for e in range(num_experts):
            queue = [(j, t) for j in range(k) for t in range(size) if indices[own][t, j] == e]
            for j, t in queue[: int(slots)]:
                expected[t] += weights[own][t, j] * tokens[own][t] * 10.0**e
        np.testing.assert_allclose(found[own], expected, rtol=1e-5, atol=1e-6)


def test_whatever_the_masks_and_the_axes_it_is_the_dense_one():
    x = normal(4, 6, 3, seed=1)
    mask = np.arange(6) < np.array([[6], [3], [0], [5]])
    outputs = []
    for dispatch in (ExpertParallelDispatcher(4, capacity_factor=2.0), "dense"):
        keras.utils.set_random_seed(0)
        mixture = moe.SparseMoE(moe.StackedMLP(4, 5), moe.TopKGate(4, top_k=2), dispatch)
        outputs.append(to_numpy(mixture(x, mask=mask)))
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)


def test_what_is_kept_is_told():
    mixture = moe.SparseMoE(
        experts(2), GivenGate([[0]] * 4, 2), ExpertParallelDispatcher(2, capacity_factor=1.0)
    )
    kept = mixture.route(np.ones((4, 1), "float32"))["kept"]
    assert to_numpy(kept)[:, 0].tolist() == [True, False, True, False]


def test_padding_of_a_group_takes_no_slot_and_gives_none():
    # Two groups of four tokens and half a slot a token: two for the first group, all of which is
    # there, and ceil(0.5 * 2) = 1 for the second one, the first half of which is padding.
    mixture = moe.SparseMoE(
        experts(1), GivenGate([[0]] * 8, 1), ExpertParallelDispatcher(2, capacity_factor=0.5)
    )
    tokens, mask = np.arange(1.0, 9.0)[:, None], np.array([1, 1, 1, 1, 0, 0, 1, 1], bool)
    kept = to_numpy(mixture.route(tokens, mask=mask)["kept"])[:, 0]
    assert np.flatnonzero(kept).tolist() == [0, 1, 6]
    assert to_numpy(mixture(tokens, mask=mask))[:, 0].tolist() == [1, 2, 0, 0, 0, 0, 7, 0]


@pytest.mark.parametrize("mask", [[0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize("factor", [0.3, 0.5, 1.0])
def test_one_group_keeps_what_the_capacity_keeps(mask, factor):
    tokens, gate = np.ones((4, 1), "float32"), GivenGate([[0, 1], [1, 0], [0, 1], [1, 0]], 2)
    kept, other = (
        to_numpy(moe.SparseMoE(experts(2), gate, way).route(tokens, np.array(mask, bool))["kept"])
        for way in (ExpertParallelDispatcher(1, factor), CapacityDispatcher(factor))
    )
    np.testing.assert_array_equal(kept, other)


def test_slots_of_a_batch_of_unknown_size_are_those_of_a_known_one():
    mixture = moe.SparseMoE(
        [keras.layers.Rescaling(10.0)], moe.TopKGate(1, 1), ExpertParallelDispatcher(2, 0.35)
    )
    inputs = keras.Input((6, 1))
    model = keras.Model(inputs, mixture(keras.layers.Masking()(inputs)))
    x = np.arange(12, dtype="float32").reshape(2, 6, 1)  # of which the first is padding
    # ceil(0.35 * 5) = 2 slots, and ceil(0.35 * 6) = 3.
    expected = [0, 10, 20, 0, 0, 0, 60, 70, 80, 0, 0, 0]
    for found in (model.predict(x, verbose=0), to_numpy(mixture(x, mask=x[..., 0] != 0))):
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


def test_tokens_that_do_not_divide():
    mixture = moe.SparseMoE(experts(2), GivenGate([[0]] * 5, 2), ExpertParallelDispatcher(2))
    with pytest.raises(ValueError, match=r"multiple of num_groups=2. Received: 5 tokens"):
        mixture(np.ones((5, 1), "float32"))


@pytest.mark.parametrize("arguments", [(0,), (1.5,), (2, 0.0), (2, float("nan"))])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received"):
        ExpertParallelDispatcher(*arguments)


def test_it_is_saved_with_its_mixture(tmp_path):
    mixture = moe.SparseMoE(
        moe.StackedMLP(4, 5), moe.TopKGate(4, top_k=2), ExpertParallelDispatcher(3, 0.5)
    )
    model = keras.Sequential([keras.Input((6, 3)), mixture])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = normal(2, 6, 3, seed=1)
    np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(model(x)))
    assert loaded.layers[0].dispatch.get_config() == {"num_groups": 3, "capacity_factor": 0.5}


def test_a_layout_of_no_axis():
    mesh = keras.distribution.DeviceMesh((2,), ["batch"], devices=["cpu:0", "cpu:1"])
    with pytest.raises(ValueError, match=r"one of batch. Received: 'expert'"):
        expert_parallel_layout(mesh, axis="expert")
