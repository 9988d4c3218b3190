"""A list and a stack of the same networks are the same set of experts."""

import keras
import numpy as np
import pytest
from layer_contract import to_numpy

from moe_keras.experts import StackedMLP
from moe_keras.experts.expert_list import ExpertList, as_expert_set
from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures import DenseMoE

GROUPS = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")  # (E, S, D)


def both():
    """A stack of three networks, and a list of networks with its weights."""
    stack = StackedMLP(3, intermediate_dim=6, units=2, name="stack")
    stack.build(GROUPS.shape)
    random = np.random.default_rng(1)
    stack.set_weights([random.normal(size=weight.shape) for weight in stack.weights])
    networks = [
        keras.Sequential(
            [keras.layers.Dense(6, "relu"), keras.layers.Dense(2)], name=f"network_{e}"
        )
        for e in range(3)
    ]
    for e, network in enumerate(networks):
        network.build((None, 5))
        network.set_weights([weight[e] for weight in stack.get_weights()])
    return stack, ExpertList(networks)


def test_the_same_answers_however_they_are_called():
    stack, networks = both()
    expected = [to_numpy(networks.experts[e](GROUPS[e])) for e in range(3)]
    for experts in (stack, networks):
        one_by_one = [to_numpy(one(group)) for one, group in zip(experts, GROUPS, strict=True)]
        by_number = [to_numpy(experts[e](GROUPS[e], training=False)) for e in range(3)]
        for answers in (to_numpy(experts(GROUPS)), one_by_one, by_number):
            np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-5)


def test_the_same_sizes_and_weights():
    for experts in both():
        assert len(experts) == len(list(experts)) == 3
        assert experts.output_shapes((None, 5)) == [(None, 2)] * 3
        assert experts.compute_output_shape((3, 8, 5)) == (3, 8, 2)
        with pytest.raises(IndexError):
            experts[3]
    stack, networks = both()
    for one, other in zip(stack, networks, strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_names_and_layers():
    stack, networks = both()
    assert stack.names == ["stack/0", "stack/1", "stack/2"]
    assert networks.names == ["network_0", "network_1", "network_2"]
    assert stack.layers_inside() == [stack] and networks.layers_inside() == networks.experts


def test_a_set_stays_what_it_is():
    stack, networks = both()
    assert as_expert_set(stack) is stack and as_expert_set(networks) is networks
    mixture = DenseMoE(networks, SoftmaxGate(3))
    assert mixture.experts is networks
    assert [*DenseMoE(networks.experts, SoftmaxGate(3)).experts] == networks.experts


def test_what_is_no_set_is_refused():
    with pytest.raises(ValueError, match="at least one expert"):
        ExpertList([])
    with pytest.raises(ValueError, match=r"Keras layers or models. Received: 'dense'"):
        ExpertList(["dense"])
    with pytest.raises(ValueError, match=r"a list of .* Received: <Dense"):
        DenseMoE(keras.layers.Dense(2), SoftmaxGate(3))
