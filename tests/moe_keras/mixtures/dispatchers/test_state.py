"""What experts keep and add to the loss is of their own tokens, however tokens are dispatched."""

import keras
import numpy as np
import pytest
from draws import normal
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate

import moe_keras as moe
from moe_keras.mixtures import CapacityDispatcher

BACKEND = keras.backend.backend()
TOKENS = normal(6, 4, seed=4)  # (T, D)
INDICES = [[0], [2], [0], [0], [2], [0]]  # nothing for experts 1 and 3
TARGET = np.zeros((6, 3), "float32")
# How a step may run: (jit_compile, run_eagerly).
WAYS = {"graph": (False, False), "eager": (False, True), "XLA": (True, False)}
if BACKEND != "tensorflow":
    WAYS = {"eager": (False, True), **({"XLA": (True, False)} if BACKEND == "jax" else {})}
DISPATCHERS = {
    "grouped": "grouped",
    "dense": "dense",
    "capacity": CapacityDispatcher(9.0),  # slots for all
}


def initial(seed):
    return keras.initializers.GlorotNormal(seed=seed)


def dense(seed=0, units=3, **kwargs):
    return keras.layers.Dense(units, kernel_initializer=initial(seed), **kwargs)


def normalized():
    layers = [dense(1, 4, activity_regularizer="l2"), keras.layers.BatchNormalization()]
    # Not "l1": one row, normalized, is 0 but for rounding, and it would learn from that sign.
    return keras.Sequential([*layers, dense(2, activation="tanh", activity_regularizer="l2")])


def convolutional():
    layers = [
        keras.layers.Reshape((2, 2, 1)),
        keras.layers.Conv2D(2, 2, kernel_initializer=initial(3), activity_regularizer="l2"),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
    ]
    return keras.Sequential([*layers, dense(4)])


def mixture_inside():
    inner = moe.SparseMoE([normalized(), normalized()], Split(balance_loss=0.5), dispatch="grouped")
    return keras.Sequential([dense(5, 4), inner])


class Split(moe.TopKGate):
    """A `TopKGate` of two experts that is the same each time."""

    def __init__(self, **kwargs):
        super().__init__(2, top_k=1, **kwargs)
        self.dense.kernel_initializer = initial(6)


@keras.saving.register_keras_serializable(package="moe_keras_tests")
class Counting(keras.layers.Layer):
    """Counts the rows that are there, and adds a loss of their mean: a layer of one's own."""

    def build(self, input_shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.kernel = self.add_weight(shape=(input_shape[-1], 3), initializer=initial(7))

    def call(self, inputs, mask=None, training=None):
        there = ops.ones_like(inputs[:, 0]) if mask is None else ops.cast(mask, inputs.dtype)
        outputs = ops.matmul(inputs, self.kernel)
        if training:
            self.seen.assign_add(ops.sum(there))
            squares = ops.sum(ops.square(outputs), axis=-1)
            self.add_loss(ops.sum(there * squares) / ops.maximum(ops.sum(there), 1))
        return outputs


BY_NIGHT = [pytest.mark.slow, pytest.mark.nightly]
EXPERTS = {
    "batch normalization": normalized,
    "of images": convolutional,
    "wrapped": lambda: moe.Expert(normalized()),
    "a mixture": mixture_inside,
    "of one's own": Counting,
}


def after_a_step(make_expert, dispatch, way):
    """Loss and every weight after one step, and the mixture."""
    jit_compile, run_eagerly = WAYS[way]
    mixture = moe.SparseMoE(
        [make_expert() for _ in range(4)], GivenGate(INDICES, 4), DISPATCHERS[dispatch]
    )
    model = keras.Sequential([keras.Input(batch_shape=(6, 4)), mixture])
    model.compile(
        keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile, run_eagerly=run_eagerly
    )
    history = model.fit(TOKENS, TARGET, batch_size=6, shuffle=False, verbose=0)
    return [np.array(history.history["loss"]), *model.get_weights()], mixture


@pytest.fixture(scope="module")
def reference():
    """After a step as it goes, each expert called on its own tokens and no others."""
    return {name: after_a_step(make, "grouped", "eager") for name, make in EXPERTS.items()}


# Of the others a compiled step takes long to compile.
COMPILED = ("batch normalization", "of one's own")
CASES = [(d, w, name) for d in DISPATCHERS for w in WAYS for name in EXPERTS]


@pytest.mark.parametrize(
    ("dispatch", "way", "name"),
    [
        pytest.param(d, w, name, marks=[] if w != "XLA" or name in COMPILED else BY_NIGHT)
        for d, w, name in CASES
        if (d, w) != ("grouped", "eager")
    ],
)
def test_a_step_is_the_same(dispatch, way, name, reference):
    found, _ = after_a_step(EXPERTS[name], dispatch, way)
    for a, b in zip(found, reference[name][0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EXPERTS)
def test_an_expert_without_tokens_learns_and_keeps_nothing(name, reference):
    _, mixture = reference[name]
    fresh = EXPERTS[name]()
    fresh(TOKENS)
    for e, busy in enumerate((True, False, True, False)):
        same = [
            np.array_equal(to_numpy(a), to_numpy(b))
            for a, b in zip(mixture.experts[e].weights, fresh.weights, strict=True)
        ]
        assert all(same) is not busy


def test_the_loss_by_hand(reference):
    # Mean of the squared answers, and of each expert the mean of its own.
    kernel = to_numpy(initial(7)((4, 3)))
    squares = np.square(TOKENS @ kernel).sum(axis=-1)
    chosen = np.array(INDICES)[:, 0]
    expected = squares.mean() / 3 + squares[chosen == 0].mean() + squares[chosen == 2].mean()
    np.testing.assert_allclose(reference["of one's own"][0][0][0], expected, rtol=1e-5)
    assert float(to_numpy(reference["of one's own"][1].experts[0].seen)) == 4


@pytest.mark.parametrize("dispatch", DISPATCHERS)
def test_nothing_of_the_change_is_left_on_the_layers(dispatch):
    expert = normalized()
    mixture = moe.SparseMoE([expert, normalized()], GivenGate([[0]] * 6, 2), DISPATCHERS[dispatch])
    mixture(TOKENS, training=True)
    for layer in expert._flatten_layers():
        assert not {"call", "add_loss"} & set(vars(layer))
    assert type(expert.layers[0].activity_regularizer).__name__ == "L2"
