"""Gradients of the soft gates by finite differences; the sparse ones' are beside their tests."""

import keras
import numpy as np
import pytest
from gradients import assert_gradients
from keras import ops

from moe_keras.gates import GroupGate, LabelGuidedGate, PerClassGate, SoftmaxGate

ROWS = np.random.default_rng(0).normal(size=(6, 5))  # (B, D)


def group_gate():
    dense = keras.layers.Dense(4, activation="softmax", dtype="float64")
    return GroupGate(dense, groups=[[0, 2], [1]], dtype="float64")  # class 3 is in no group


@pytest.mark.parametrize(
    "make_gate",
    [
        lambda: SoftmaxGate(3, temperature=0.5, dtype="float64"),
        lambda: PerClassGate(num_classes=2, num_experts=3, dtype="float64"),
        group_gate,
        lambda: LabelGuidedGate(SoftmaxGate(2, dtype="float64"), [[1, 0], [0, 1]], dtype="float64"),
    ],
    ids=["softmax", "per class", "group", "label guided"],
)
def test_gradients(rng, make_gate):
    gate = make_gate()
    target = rng.normal(size=gate(ROWS)["probabilities"].shape)
    assert_gradients(gate, lambda gate: ops.sum(target * gate(ROWS)["probabilities"]))
