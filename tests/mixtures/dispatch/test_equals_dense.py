"""Each way against the dense one, for sizes and loads that hypothesis chooses: outputs and every
gradient. (`dense` itself is held to a loop in NumPy, in ../test_sparse.py.)"""

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from layer_contract import to_numpy
from sparse_gate import GivenGate

from moe_keras.experts import StackedMLP
from moe_keras.mixtures import SparseMoE
from moe_keras.mixtures.dispatch.blocked import BLOCK

if keras.backend.backend() != "tensorflow":
    pytest.skip("the gradients are taken by TensorFlow's tape", allow_module_level=True)
tf = pytest.importorskip("tensorflow")

WAYS = ("grouped", "capacity")


@st.composite
def routings(draw):
    """(indices, E): ragged loads, and often experts that no token chose."""
    num_experts = draw(st.integers(1, 16))
    num_tokens = draw(st.integers(1, 9))
    k = draw(st.integers(1, num_experts))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(num_experts, 0.3)) + 1e-9
    shares /= shares.sum()
    choose = [random.choice(num_experts, k, replace=False, p=shares) for _ in range(num_tokens)]
    return np.array(choose), num_experts


def experts(num_experts):
    """Small networks that differ, the same each time."""
    return [
        keras.Sequential(
            [
                keras.layers.Dense(4, "tanh", kernel_initializer=initial(2 * e)),
                keras.layers.Dense(2, kernel_initializer=initial(2 * e + 1)),
            ]
        )
        for e in range(num_experts)
    ]


def initial(seed):
    return keras.initializers.GlorotNormal(seed=seed)


def output_and_gradients(way, make_experts, indices, num_experts, run=lambda compute: compute):
    """Output, and gradients of a loss with respect to inputs, weights and all that is trained.

    Eagerly, or as `run` makes a function run.
    """
    random = np.random.default_rng(0)
    shares = random.uniform(0.1, 1.0, indices.shape)
    inputs = keras.Variable(random.normal(size=(len(indices), 3)))
    mixture = SparseMoE(
        make_experts(num_experts),
        GivenGate(indices, num_experts, shares),
        dispatch=way,
        capacity_factor=num_experts,
    )
    mixture.build(inputs.shape)
    slopes = random.normal(size=(len(indices), 2)).astype("float32")
    variables = [inputs, *mixture.trainable_variables]
    values = [variable.value for variable in variables]

    def compute():
        with tf.GradientTape() as tape:
            output = mixture(inputs)
            loss = keras.ops.sum(slopes * output)
        return [output, *tape.gradient(loss, values, unconnected_gradients="zero")]

    return [to_numpy(tf.convert_to_tensor(result)) for result in run(compute)()]


def assert_equal_dense(ways, make_experts, routing, run=lambda compute: compute):
    expected = output_and_gradients("dense", make_experts, *routing)
    for way in ways:
        assert_close(output_and_gradients(way, make_experts, *routing, run), expected)


def assert_close(found, expected):
    """Equal to within 1e-5 of the largest number of each tensor."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(np.abs(b).max(), 1e-3))


def stack(num_experts):
    """A `StackedMLP` whose biases are not zeros, the same each time."""
    keras.utils.set_random_seed(0)
    layer = StackedMLP(num_experts, hidden=4, units=2, activation="tanh")
    layer.build((num_experts, None, 3))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    return layer


@settings(deadline=None, max_examples=8)
@given(routing=routings())
@example(routing=(np.array([[0]]), 1))
@example(routing=(np.full((BLOCK + 3, 1), 2), 5))  # one expert takes more than a block
@example(routing=(np.array([[1, 0]] * BLOCK), 3))  # blocks just filled
def test_a_stack(routing):
    assert_equal_dense((*WAYS, "blocked", "auto"), stack, routing)


@settings(deadline=None, max_examples=12)
@given(routing=routings())
@example(routing=(np.array([[0]]), 1))  # one token, one expert
@example(routing=(np.array([[3, 1, 0, 2]]), 4))  # one token, every expert
@example(routing=(np.full((7, 1), 2), 5))  # one expert takes all
@example(routing=(np.array([[15, 0], [3, 15], [15, 7]]), 16))  # 11 of 16 with nothing to do
def test_output_and_gradients(routing):
    assert_equal_dense(WAYS, experts, routing)


@pytest.mark.parametrize(
    "make_experts, ways", [(experts, WAYS), (stack, (*WAYS, "blocked", "auto"))]
)
def test_in_a_graph(make_experts, ways):
    # Hypothesis would trace a graph for each of its examples, which takes most of a second.
    routing = (np.array([[0, 3], [3, 1], [0, 1], [3, 0], [1, 3]]), 4)  # nothing for expert 2
    assert_equal_dense(ways, make_experts, routing, run=tf.function)
