import keras
import numpy as np
import pytest
from draws import normal
from layer_contract import run_layer_contract, to_numpy
from sparse_gate import GivenGate

from moe_keras.experts import StackedMLP
from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures import CapacityDispatcher, DenseMoE, SparseMoE

GROUPS = normal(2, 4, 5, seed=0)  # (E, S, D)


def network(weights, inputs):
    kernel_1, bias_1, kernel_2, bias_2 = weights
    return np.maximum(inputs @ kernel_1 + bias_1, 0) @ kernel_2 + bias_2


def test_each_group_gets_its_expert(rng):
    layer = StackedMLP(num_experts=2, intermediate_dim=6, units=3)
    layer.build(GROUPS.shape)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    weights = [to_numpy(weight) for weight in layer.weights]
    first, second = ([weight[e] for weight in weights] for e in range(2))
    expected = [network(first, GROUPS[0]), network(second, GROUPS[1])]
    np.testing.assert_allclose(to_numpy(layer(GROUPS)), expected, rtol=1e-5, atol=1e-5)
    one_by_one = [to_numpy(one(GROUPS[e])) for e, one in enumerate(layer)]
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-5, atol=1e-5)


def test_experts_start_as_dense_layers_do():
    """Each expert's kernels are drawn by Glorot's rule for its own sizes, and all differ."""
    layer = StackedMLP(num_experts=3, intermediate_dim=200)
    layer.build((3, None, 100))
    kernel = to_numpy(layer.kernel_1)
    limit = np.sqrt(6 / 300)
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    assert not np.allclose(kernel[0], kernel[1])


def test_built_by_a_call():
    layer = StackedMLP(num_experts=2, intermediate_dim=3)
    assert layer(GROUPS).shape == GROUPS.shape
    assert layer.compute_output_shape((2, 7, 5)) == (2, 7, 5)


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("shape", [(5, 8), (3, 4, 8), (1, 4, 8)])
def test_a_group_for_each_expert(shape, built):
    experts = StackedMLP(2, 16)
    if built:
        experts.build((2, None, 8))
    with pytest.raises(ValueError, match=r"Expected inputs of shape \(2, S, \.\.\., D\)"):
        experts(np.ones(shape))


@pytest.mark.parametrize("shape", [(None, 4), (7, 4), (None, 3, 4), (2, None, 4), (2, 5, 3, 4)])
def test_weights_follow_the_features_alone(shape):
    """So experts can be built ahead of their mixture, for the rows that it will see."""
    experts = StackedMLP(2, 16)
    experts.build(shape)
    assert experts.kernel_1.shape == (2, 4, 16)
    mixture = DenseMoE(experts, SoftmaxGate(2))
    assert mixture(np.ones((7, 4), "float32")).shape == (7, 4)


def test_no_activity_regularizer():
    with pytest.raises(ValueError, match="Expected a stack without an activity regularizer"):
        StackedMLP(2, 16, activity_regularizer="l2")


@pytest.mark.parametrize("steps", [3, 2, 1])
@pytest.mark.parametrize("dispatch", ["auto", "dense", "blocked", "grouped", "capacity"])
def test_tokens_with_axes_of_their_own(steps, dispatch):
    """A sequence goes to an expert whole, as rows of this expert; two slots, two experts."""
    indices = [[0], [1], [1], [0]]
    sequences, stack = normal(4, steps, 5, seed=5), StackedMLP(2, 6, units=3)
    dispatch = CapacityDispatcher(1.0) if dispatch == "capacity" else dispatch
    outputs = to_numpy(SparseMoE(stack, GivenGate(indices, 2), dispatch=dispatch)(sequences))
    weights = [to_numpy(weight) for weight in stack.weights]
    for i, (e,) in enumerate(indices):
        expected = network([weight[e] for weight in weights], sequences[i])
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-5, atol=1e-5)


def test_contract_as_experts_of_a_dense_mixture():
    run_layer_contract(
        lambda: DenseMoE(StackedMLP(2, intermediate_dim=4, activation="tanh"), SoftmaxGate(2)),
        GROUPS,
        trainable=6,
        non_trainable=0,
    )


@pytest.mark.parametrize("name", ["num_experts", "intermediate_dim", "units"])
def test_arguments_are_checked(name):
    arguments = {"num_experts": 2, "intermediate_dim": 3, "units": 4, name: 0}
    with pytest.raises(ValueError, match=f"Expected {name} to be .* Received: {name}=0"):
        StackedMLP(**arguments)


def test_configuration():
    layer = StackedMLP(2, intermediate_dim=3, activation=keras.activations.gelu)
    again = StackedMLP.from_config(layer.get_config())
    assert again.activation is keras.activations.gelu
    assert (again.num_experts, again.intermediate_dim, again.units) == (2, 3, None)


@pytest.mark.parametrize("use_bias", [True, False])
def test_gated_by_hand(use_bias, rng):
    layer = StackedMLP(2, 6, units=3, activation="silu", gated=True, use_bias=use_bias)
    layer.build(GROUPS.shape)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    w = {weight.name: to_numpy(weight) for weight in layer.weights}
    assert len(w) == (6 if use_bias else 3)

    def linear(x, name, e):
        return x @ w[f"kernel_{name}"][e] + (w[f"bias_{name}"][e] if use_bias else 0)

    expected = []
    for e in range(2):
        gate = linear(GROUPS[e], "gate", e)
        hidden = gate / (1 + np.exp(-gate)) * linear(GROUPS[e], "1", e)
        expected.append(linear(hidden, "2", e))
    np.testing.assert_allclose(to_numpy(layer(GROUPS)), expected, rtol=1e-4, atol=1e-5)
    rows = to_numpy(layer.run_groups(GROUPS.reshape(8, 5), np.array([4, 4], "int32")))
    np.testing.assert_allclose(rows.reshape(2, 4, 3), expected, rtol=1e-4, atol=1e-5)
    again = StackedMLP.from_config(layer.get_config())
    assert (again.gated, again.use_bias) == (True, use_bias)


def test_a_configuration_of_an_earlier_version():
    config = StackedMLP(2, intermediate_dim=3).get_config()
    del config["gated"], config["use_bias"]
    layer = StackedMLP.from_config(config)
    layer.build(GROUPS.shape)
    assert [weight.name for weight in layer.weights] == ["kernel_1", "bias_1", "kernel_2", "bias_2"]
