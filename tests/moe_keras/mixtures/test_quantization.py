"""A quantized model is saved and loaded with its answers; its gates keep all their bits."""

import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from layer_contract import to_numpy

import moe_keras as moe


def experts(count=3):
    return [keras.layers.Dense(4) for _ in range(count)]


MODELS = {
    "dense": lambda: moe.DenseMoE(experts(), moe.SoftmaxGate(3)),
    "sparse": lambda: moe.SparseMoE(experts(), moe.TopKGate(3)),
    "noisy": lambda: moe.SparseMoE(experts(), moe.NoisyTopKGate(3)),
    "tree": lambda: moe.HierarchicalMoE([experts(2), experts(2)]),
    "wrapped": lambda: moe.DenseMoE(
        [moe.Expert(keras.layers.Dense(4)), moe.FrozenExpert(keras.layers.Dense(4))],
        moe.SoftmaxGate(2),
    ),
    "any gate": lambda: moe.DenseMoE(
        experts(2), keras.Sequential([keras.layers.Dense(2, "softmax")])
    ),
    "slots": lambda: moe.SoftMoE(experts(), moe.SlotGate(3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_quantized_model_is_loaded(name, tmp_path):
    x = TOKENS if name == "slots" else ROWS
    model = keras.Sequential([keras.Input(x.shape[1:]), MODELS[name]()])
    gate = model.layers[0].gate
    before = to_numpy(keras.tree.flatten(gate(x))[0])
    model.quantize("int8")
    assert all("int8" not in layer.dtype_policy.name for layer in gate._flatten_layers())
    inside = model.layers[0].experts._flatten_layers()
    assert any("int8" in layer.dtype_policy.name for layer in inside)
    np.testing.assert_array_equal(to_numpy(keras.tree.flatten(gate(x))[0]), before)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))


TASKS = {
    "several gates": lambda gate: moe.MultiGateMoE(experts(2), {"a": gate(), "b": gate()}),
    "levels": lambda gate: moe.ProgressiveExtraction(
        [experts(1)], {"a": [experts(1)], "b": [experts(1)]}, gates=[{"a": gate(), "b": gate()}]
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_gates_of_tasks_keep_all_their_bits_whatever_they_are(name, tmp_path):
    gates = []

    def gate():
        gates.append(keras.Sequential([keras.layers.Dense(2, "softmax")]))
        return gates[-1]

    inputs = keras.Input(ROWS.shape[1:])
    model = keras.Model(inputs, TASKS[name](gate)(inputs))
    before = [to_numpy(one(ROWS)) for one in gates]
    model.quantize("int8")
    for one, answer in zip(gates, before, strict=True):
        np.testing.assert_array_equal(to_numpy(one(ROWS)), answer)
    assert any("int8" in layer.dtype_policy.name for layer in model._flatten_layers())
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    for task, answer in model(ROWS).items():
        np.testing.assert_array_equal(to_numpy(again(ROWS)[task]), to_numpy(answer))


def test_stacked_experts_are_blocked():
    def first(count, dispatch="auto"):
        stack = moe.StackedMLP(count, intermediate_dim=2)
        mixture = moe.SparseMoE(stack, moe.TopKGate(count), dispatch=dispatch)
        return type(mixture._dispatchers[0]).__name__

    assert first(4) == "BlockedDispatcher"
    assert first(1024) == "BlockedDispatcher"
    assert first(1024, "grouped") == "GroupedDispatcher"
