"""Experts that answer in whole numbers, and inputs that are: weighed as floats, never cut off."""

import keras
import numpy as np
import pytest
from draws import TOKENS
from keras import ops
from layer_contract import to_numpy

import moe_keras as moe

COUNTS = np.random.default_rng(0).integers(0, 9, (6, 4, 5))  # (B, T, D)


class Votes(keras.layers.Layer):
    """One vote for each of 3 classes, of a dtype."""

    def __init__(self, seed, of):
        super().__init__()
        self.of = of
        self.kernel = np.random.default_rng(seed).normal(size=(5, 3)).astype("float32")

    def call(self, inputs):
        return ops.cast(ops.matmul(ops.cast(inputs, "float32"), self.kernel) > 0, self.of)


MIXTURES = {
    "dense": lambda experts: moe.DenseMoE(experts, moe.SoftmaxGate(3)),
    "soft": lambda experts: moe.SoftMoE(experts, moe.SlotGate(3)),
    "expert choice": lambda experts: moe.ExpertChoiceMoE(experts, moe.ExpertChoiceGate(3)),
    **{
        way: lambda experts, way=way: moe.SparseMoE(experts, moe.TopKGate(3), dispatch=way)
        for way in ("grouped", "capacity", "dense")
    },
}


@pytest.mark.parametrize("of", ["int32", "uint8", "bool"])
@pytest.mark.parametrize("way", MIXTURES)
def test_votes_are_weighed(way, of):
    outputs = []
    for dtype in ("float32", of):
        keras.utils.set_random_seed(0)
        mixture = MIXTURES[way]([Votes(e, dtype) for e in range(3)])
        output = mixture(TOKENS)
        assert keras.backend.standardize_dtype(output.dtype) == "float32"
        spec = mixture.compute_output_spec(keras.KerasTensor(TOKENS.shape))
        assert spec.dtype == "float32"
        outputs.append(to_numpy(output))
    np.testing.assert_array_equal(*outputs)
    assert outputs[0].any()


@pytest.mark.parametrize("way", MIXTURES)
def test_a_gate_learns_from_votes(way):
    if way == "soft":
        return  # its gradient goes through the experts too, and a vote has none
    mixture = MIXTURES[way]([Votes(e, "int32") for e in range(3)])
    model = keras.Sequential([keras.Input((4, 5)), mixture])
    model.compile("sgd", "mse")
    before = [to_numpy(w) for w in model.trainable_variables]
    model.fit(TOKENS, np.ones((3, 4, 3)), verbose=0)
    after = [to_numpy(w) for w in model.trainable_variables]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("way", MIXTURES)
def test_whole_inputs_are_what_they_are(way):
    outputs = []
    for dtype in ("float32", "int32"):
        keras.utils.set_random_seed(0)
        mixture = MIXTURES[way]([keras.layers.Dense(3) for _ in range(3)])
        outputs.append(to_numpy(mixture(COUNTS.astype(dtype))))
    np.testing.assert_allclose(*outputs, atol=1e-5)


def test_combine_weighs_votes():
    weights = np.array([[0.7, 0.3]], "float32")
    combined = moe.Combine()(weights, [np.array([[1, 0]]), np.array([[0, 1]])])
    np.testing.assert_allclose(to_numpy(combined), [[0.7, 0.3]], atol=1e-6)
