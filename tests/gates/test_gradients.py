"""Gradients of the soft gates by finite differences; the sparse ones' are beside their tests."""

import keras
import numpy as np
import pytest
from gradients import assert_gradients
from keras import ops

from moe_keras.gates import GroupGate, LabelGuidedGate, PerClassGate, SoftmaxGate

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 5))  # (B, D)


def group_gate():
    dense = keras.layers.Dense(4, activation="softmax", dtype="float64")
    return GroupGate(dense, groups=[[0, 2], [1]], dtype="float64")  # class 3 is in no group


@pytest.mark.parametrize(
    "gate",
    [
        SoftmaxGate(3, temperature=0.5, dtype="float64"),
        PerClassGate(num_classes=2, num_experts=3, dtype="float64"),
        group_gate(),
        LabelGuidedGate(SoftmaxGate(2, dtype="float64"), [[1, 0], [0, 1]], dtype="float64"),
    ],
    ids=lambda gate: type(gate).__name__,
)
def test_gradients(gate):
    target = RNG.normal(size=gate(ROWS)["probabilities"].shape)
    assert_gradients(gate, lambda gate: ops.sum(target * gate(ROWS)["probabilities"]))
