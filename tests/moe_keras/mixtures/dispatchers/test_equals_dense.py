"""Each dispatcher against the dense one, for sizes and loads that hypothesis chooses: outputs and
every gradient. (`dense` itself is held to a loop in NumPy, in ../test_sparse.py.)"""

import keras
import numpy as np
import pytest
from gradients import output_and_gradients
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from layer_contract import to_numpy
from sparse_gate import GivenGate

from moe_keras.experts import StackedMLP
from moe_keras.mixtures import CapacityDispatcher, SparseMoE
from moe_keras.mixtures.dispatchers import DISPATCHERS
from moe_keras.ops.blocks import SMALLEST

# JAX compiles each operation anew for each size: there, the cases named below alone.
BACKEND = keras.backend.backend()
PHASES = [Phase.explicit] if BACKEND == "jax" else list(Phase)
NAMES = (*DISPATCHERS, "auto")


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


def trained(name, make_experts, indices, num_experts, run=lambda compute: compute):
    """Output, and gradients of a loss with respect to inputs, weights and all that is trained.

    Eagerly, or as `run` makes a function run.
    """
    random = np.random.default_rng(0)
    shares = random.uniform(0.1, 1.0, indices.shape)
    inputs = keras.Variable(random.normal(size=(len(indices), 3)))
    mixture = SparseMoE(
        make_experts(num_experts),
        GivenGate(indices, num_experts, shares),
        dispatch=CapacityDispatcher(num_experts) if name == "capacity" else name,
    )
    mixture.build(inputs.shape)
    slopes = random.normal(size=(len(indices), 2)).astype("float32")

    def compute():
        output = mixture(inputs.value)
        return keras.ops.sum(keras.ops.multiply(output, slopes)), output

    variables = [inputs, *mixture.trainable_variables]
    results = run(lambda: output_and_gradients(compute, variables))()
    return [to_numpy(result) for result in results]


def assert_equal_dense(names, make_experts, routing, run=lambda compute: compute):
    expected = trained("dense", make_experts, *routing)
    for name in names:
        assert_close(trained(name, make_experts, *routing, run), expected)


def assert_close(found, expected):
    """Equal to within 1e-5 of the largest number of each tensor."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(np.abs(b).max(), 1e-3))


def stack(num_experts):
    """A `StackedMLP` whose biases are not zeros, the same each time."""
    keras.utils.set_random_seed(0)
    layer = StackedMLP(num_experts, intermediate_dim=4, units=2, activation="tanh")
    layer.build((num_experts, None, 3))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    return layer


@settings(deadline=None, max_examples=8, phases=PHASES)
@given(routing=routings())
@example(routing=(np.array([[0]]), 1))
@example(routing=(np.full((SMALLEST + 3, 1), 2), 5))  # one expert takes more than a block
@example(routing=(np.array([[1, 0]] * SMALLEST), 3))  # blocks just filled
def test_a_stack(routing):
    assert_equal_dense(NAMES, stack, routing)


@settings(deadline=None, max_examples=12, phases=PHASES)
@given(routing=routings())
@example(routing=(np.array([[0]]), 1))  # one token, one expert
@example(routing=(np.array([[3, 1, 0, 2]]), 4))  # one token, every expert
@example(routing=(np.full((7, 1), 2), 5))  # one expert takes all
@example(routing=(np.array([[15, 0], [3, 15], [15, 7]]), 16))  # 11 of 16 with nothing to do
def test_output_and_gradients(routing):
    assert_equal_dense(NAMES, experts, routing)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch runs as it goes")
@pytest.mark.parametrize("make_experts", [experts, stack])
@pytest.mark.parametrize("jit_compile", [False, True] if BACKEND == "tensorflow" else [True])
def test_in_a_graph(make_experts, jit_compile):
    # Hypothesis would trace a graph for each of its examples, which takes most of a second.
    routing = (np.array([[0, 3], [3, 1], [0, 1], [3, 0], [1, 3]]), 4)  # nothing for expert 2
    names = ("blocked", "capacity", "auto") if jit_compile else NAMES
    assert_equal_dense(names, make_experts, routing, run=in_a_graph(jit_compile))


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch runs as it goes")
def test_many_blocks_under_a_compiler():
    random = np.random.default_rng(0)
    indices = random.choice([0, 0, 0, 2], (3 * SMALLEST, 1))  # several blocks, one and a bit, none
    assert_equal_dense(["blocked"], experts, (indices, 3), run=in_a_graph(True))


def in_a_graph(jit_compile):
    if BACKEND == "jax":
        import jax

        return jax.jit
    import tensorflow as tf

    return tf.function(jit_compile=jit_compile)
