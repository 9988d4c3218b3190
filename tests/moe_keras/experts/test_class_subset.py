import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts import ClassSubset, FrozenExpert

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def oracle(inputs):
    def expected(subset):
        known = to_numpy(subset.layer(inputs))
        spread = np.zeros((*known.shape[:-1], subset.num_classes), known.dtype)
        for j, class_id in enumerate(subset.class_ids):
            spread[..., class_id] = known[..., j]
        return spread

    return expected


@pytest.mark.parametrize(("inputs", "mask"), [(ROWS, None), (TOKENS, MASK)])
def test_contract(inputs, mask):
    run_layer_contract(
        lambda: ClassSubset(keras.layers.Dense(3, activation="softmax"), (4, 0, 2), num_classes=6),
        inputs,
        expected_output=oracle(inputs),
        trainable=2,
        non_trainable=0,
        mask=mask,
    )


def test_by_hand():
    # Output 0 is class 3, output 1 is class 0; nobody speaks for classes 1 and 2.
    subset = ClassSubset(keras.layers.Identity(), class_ids=(3, 0), num_classes=4)
    probabilities = np.array([[0.125, 0.875], [1.0, 0.0]], "float32")
    assert to_numpy(subset(probabilities)).tolist() == [[0.875, 0, 0, 0.125], [0, 0, 0, 1]]


def test_all_classes_in_another_order():
    subset = ClassSubset(keras.layers.Identity(), class_ids=(2, 0, 1), num_classes=3)
    assert to_numpy(subset(np.array([[0.5, 0.25, 0.125]], "float32"))).tolist() == [
        [0.25, 0.125, 0.5]
    ]


def test_around_a_frozen_expert():
    subset = ClassSubset(FrozenExpert(keras.layers.Dense(2)), class_ids=(1, 2), num_classes=3)
    subset(ROWS)
    subset.trainable = True
    assert subset.trainable_weights == []


@pytest.mark.parametrize(
    ("class_ids", "message"),
    [
        ((), "one or more whole numbers from 0 to 9"),
        ((1, 10), r"from 0 to 9. Received: class_ids=\(1, 10\)"),
        ((-1, 1), "from 0 to 9"),
        ((1, 2, 1), r"no id twice. Received: \[1\] twice"),
        ((1.0, 2.0), "whole numbers"),
    ],
)
def test_class_ids_are_checked(class_ids, message):
    with pytest.raises(ValueError, match=message):
        ClassSubset(keras.layers.Dense(2), class_ids, num_classes=10)


def test_num_classes_is_checked():
    with pytest.raises(ValueError, match="Expected num_classes to be a whole number of at least 1"):
        ClassSubset(keras.layers.Dense(2), (0, 1), num_classes=0)


def test_as_many_class_ids_as_outputs():
    subset = ClassSubset(keras.layers.Dense(3, name="natural"), (0, 1), num_classes=10)
    message = r"each output of 'natural'. Received: 2 class ids for outputs of shape \(6, 3\)"
    with pytest.raises(ValueError, match=message):
        subset(ROWS)
