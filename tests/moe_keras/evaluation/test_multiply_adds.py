import keras
import numpy as np
import pytest

from moe_keras.evaluation import multiply_adds
from moe_keras.experts import ClassSubset, FrozenExpert, StackedMLP, vgg
from moe_keras.gates import GroupGate, TopKGate
from moe_keras.mixtures import DenseMoE, SparseMoE

IMAGE = np.zeros((1, 32, 32, 3), "float32")


def test_a_vgg_by_hand():
    by_hand = (
        31 * 31 * 24 * (2 * 2 * 3)  # first layer
        + 31 * 31 * 8 * (3 * 3 * 24)  # block 1: before pooling
        + 15 * 15 * 8 * (3 * 3 * 8)  # and after
        + 15 * 15 * 16 * (3 * 3 * 8)  # block 2
        + 7 * 7 * 16 * (3 * 3 * 16)
        + 16 * 10  # dense
    )
    assert multiply_adds(vgg(10, (8, 16)), IMAGE) == by_hand


def test_strides_groups_and_dense():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(6, 3, strides=2, padding="same", groups=2),  # 4 * 4 places
            keras.layers.Flatten(),
            keras.layers.Dense(5, use_bias=False),
        ]
    )
    expected = 4 * 4 * 6 * (3 * 3 * 2) + 96 * 5
    assert multiply_adds(model, np.zeros((3, 8, 8, 4))) == expected


def test_a_dense_layer_on_tokens():
    assert multiply_adds(keras.layers.Dense(5), np.zeros((2, 7, 3))) == 7 * 3 * 5


def test_a_shared_layer_counts_as_often_as_it_is_called():
    one, inputs = keras.layers.Dense(4), keras.Input((4,))
    assert multiply_adds(keras.Model(inputs, one(one(inputs))), np.zeros((1, 4))) == 2 * 16


def test_a_mixture_is_the_sum_of_its_networks():
    networks = [FrozenExpert(vgg(classes, (4, 4))) for classes in (6, 4, 2)]
    parts = [multiply_adds(network, IMAGE) for network in networks]
    experts = [
        ClassSubset(networks[0], range(2, 8), 10),
        ClassSubset(networks[1], (0, 1, 8, 9), 10),
    ]
    mixture = DenseMoE(experts, GroupGate(networks[2]))
    assert multiply_adds(mixture, IMAGE) == sum(parts)
    assert multiply_adds(mixture, IMAGE) == sum(parts)  # nothing of the count stays in the model


def test_a_sparse_mixture_counts_what_is_chosen():
    experts = [keras.layers.Dense(8) for _ in range(5)]
    mixture = SparseMoE(experts, TopKGate(5, top_k=2))
    tokens = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
    assert multiply_adds(mixture, tokens) == 2 * 8 * 8 + 8 * 5  # two of five, and the gate


def test_two_inputs():
    inputs = [keras.Input((2,)), keras.Input((3,))]
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Concatenate()(inputs)))
    assert multiply_adds(model, [np.zeros((1, 2)), np.zeros((1, 3))]) == 5 * 4


def test_what_it_cannot_count_it_refuses():
    stack = StackedMLP(num_experts=2, intermediate_dim=3)
    with pytest.raises(ValueError, match="StackedMLP"):
        multiply_adds(SparseMoE(stack, TopKGate(2, top_k=1)), np.zeros((4, 8), "float32"))
