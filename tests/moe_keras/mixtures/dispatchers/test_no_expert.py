"""Choices of no expert, and answers of weight 0, are dropped by every dispatcher alike."""

import keras
import numpy as np
import pytest
from draws import normal
from gradients import output_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate

import moe_keras as moe
from moe_keras.mixtures import CapacityDispatcher
from moe_keras.mixtures.dispatchers import Routing

TOKENS = normal(5, 3, seed=5)  # (T, D)
DISPATCHERS = ["grouped", "blocked", CapacityDispatcher(9.0), "dense"]
IDS = ["grouped", "blocked", "capacity", "dense"]


def stack(num_experts=3):
    experts = moe.StackedMLP(num_experts, intermediate_dim=4, units=2, activation="tanh")
    experts.build((num_experts, None, 3))
    random = np.random.default_rng(1)
    experts.set_weights([random.normal(size=weight.shape) for weight in experts.weights])
    return experts


def by_a_loop(experts, tokens, indices, weights):
    """The weighted sums, token by token, in NumPy."""
    kernel_1, bias_1, kernel_2, bias_2 = (to_numpy(w) for w in experts.weights)
    output = np.zeros((len(tokens), 2))
    for t, j in np.ndindex(np.shape(indices)):
        e = indices[t][j]
        if 0 <= e < len(experts) and weights[t][j] != 0:
            hidden = np.tanh(tokens[t] @ kernel_1[e] + bias_1[e])
            output[t] += weights[t][j] * (hidden @ kernel_2[e] + bias_2[e])
    return output


def choices(draw_from):
    return st.lists(st.lists(draw_from, min_size=2, max_size=2), min_size=5, max_size=5)


@settings(deadline=None, max_examples=10)
@given(
    indices=choices(st.sampled_from([-7, -1, 0, 1, 2, 3, 99])),
    weights=choices(st.sampled_from([0.0, 0.25, 1.0])),
)
@pytest.mark.parametrize("dispatch", DISPATCHERS, ids=IDS)
def test_indices_out_of_range_are_no_expert(dispatch, indices, weights):
    indices = [[i, j if j != i else -1] for i, j in indices]  # no expert twice
    experts = stack()
    mixture = moe.SparseMoE(experts, GivenGate(indices, 3, weights), dispatch)
    expected = by_a_loop(experts, TOKENS, indices, weights)
    np.testing.assert_allclose(to_numpy(mixture(TOKENS)), expected, atol=1e-5)
    there = (np.array(indices) >= 0) & (np.array(indices) < 3) & (np.array(weights) != 0)
    assert to_numpy(mixture.route(TOKENS)["kept"]).tolist() == there.tolist()


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="no XLA")
@pytest.mark.parametrize("dispatch", DISPATCHERS, ids=IDS)
def test_indices_out_of_range_under_a_compiler(dispatch):
    indices, weights = [[0, -1], [5, 2], [-1, -1], [1, 0], [2, 3]], [[1.0, 0.5]] * 5
    experts = stack()
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(5, 3)),
            moe.SparseMoE(experts, GivenGate(indices, 3, weights), dispatch),
        ]
    )
    model.compile(jit_compile=True)
    expected = by_a_loop(experts, TOKENS, indices, weights)
    found = model.predict(TOKENS, batch_size=5, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", [CapacityDispatcher(0.5), CapacityDispatcher(0.5, True)])
def test_no_expert_takes_no_slot(kind):
    # Of six tokens two chose: each of 2 experts has ceil(0.5 * 2 / 2) = 1 slot, of T = 2.
    indices = np.array([[-1], [0], [-1], [0], [2], [-1]])
    weights = np.array([[0.9], [0.6], [0.9], [0.7], [0.9], [0.9]])
    routing = Routing(indices, weights, np.tile(weights, (1, 2)))
    first = 3 if kind.batch_prioritized else 1
    assert np.flatnonzero(to_numpy(kind.kept(routing))).tolist() == [first]


class Treacherous(keras.layers.Layer):
    """sqrt(x w): NaN for negative tokens, and of infinite slope at 0."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1],), initializer="ones")

    def call(self, inputs):
        return ops.sqrt(inputs * self.kernel)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
@pytest.mark.parametrize("dispatch", ["grouped", "dense", CapacityDispatcher(9.0)])
def test_an_expert_meets_no_other_tokens(dispatch, bad):
    # Token 0 is of expert 1, which stands anything; experts 0 and 2 would not.
    tokens = np.array([[bad, bad], [4.0, 9.0], [1.0, 1.0]], "float32")
    experts = [Treacherous(), keras.layers.Identity(), Treacherous()]
    mixture = moe.SparseMoE(experts, GivenGate([[1], [0], [0]], 3), dispatch)
    mixture.build(tokens.shape)

    def compute():
        output = mixture(tokens)
        return ops.sum(output[1:]), output

    output, *gradients = output_and_gradients(compute, mixture.trainable_variables)
    np.testing.assert_allclose(to_numpy(output)[1:], [[2, 3], [1, 1]], rtol=1e-6)
    # d sqrt(x w) / d w at w = 1 is sqrt(x) / 2, over both tokens; expert 2 has none.
    for variable, gradient in zip(mixture.trainable_variables, gradients, strict=True):
        if variable.path.startswith(experts[0].name):
            np.testing.assert_allclose(to_numpy(gradient), [1.5, 2.0], rtol=1e-6)
        assert np.isfinite(to_numpy(gradient)).all() or "given" in variable.path


@pytest.mark.parametrize("bad", [-1.0, 0.0])
def test_a_switch_lets_nothing_through_of_what_it_did_not_choose(bad):
    # The gate sends the positive to expert 0, and the others to expert 1, which stands anything.
    classifier = keras.layers.Softmax()
    inputs = np.array([[4.0, 1.0], [bad, 9.0]], "float32")
    mixture = moe.DenseMoE(
        [Treacherous(), keras.layers.Identity()], moe.GroupGate(classifier, hard=True)
    )
    mixture.build(inputs.shape)

    def compute():
        output = mixture(inputs)
        return ops.sum(output), output

    output, of_kernel = output_and_gradients(compute, mixture.trainable_variables)
    np.testing.assert_allclose(to_numpy(output), [[2, 1], [bad, 9]], rtol=1e-6)
    np.testing.assert_allclose(to_numpy(of_kernel), [1.0, 0.5], rtol=1e-6)


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_a_dense_mixture_takes_no_answer_of_weight_0(worst):
    weights = keras.Variable([[1.0, 0.0], [0.0, 1.0]])
    outputs = keras.Variable([[3.0], [worst]]), keras.Variable([[worst], [5.0]])

    def compute():
        output = moe.combine(weights.value, [y.value for y in outputs])
        return ops.sum(output), output

    found = output_and_gradients(compute, [weights, *outputs])
    output, of_weights, of_first, of_second = (to_numpy(x).tolist() for x in found)
    assert output == [[3], [5]]
    assert of_weights == [[3, 0], [0, 5]]
    assert (of_first, of_second) == ([[1], [0]], [[0], [1]])
