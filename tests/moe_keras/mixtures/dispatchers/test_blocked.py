"""Blocks under a compiler: what experts of any kind compute, and which experts are refused."""

import keras
import numpy as np
import pytest
from draws import normal
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate

import moe_keras as moe
from moe_keras.experts.by_blocks import first_objection

BACKEND = keras.backend.backend()
COMPILED = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has no XLA")
TOKENS = normal(40, 4, seed=4)  # (T, D): more than a block
INDICES = [[0]] * 35 + [[2]] * 5  # nothing for expert 1


def seeded(seed):
    return keras.initializers.GlorotNormal(seed=seed)


def dense(seed=0, **kwargs):
    return keras.layers.Dense(4, kernel_initializer=seeded(seed), **kwargs)


class Centered(keras.layers.Layer):
    """Looks at all rows that are there: a layer of one's own."""

    def call(self, inputs, mask=None):
        return inputs - ops.mean(inputs, axis=0)


REFUSED = {
    "batch_normalization": lambda: keras.Sequential([keras.layers.BatchNormalization()]),
    "adds to the loss": lambda: dense(activity_regularizer="l2"),
    "a gate or a mixture": lambda: moe.SparseMoE([dense()], moe.TopKGate(1, 1)),
    "takes a mask": Centered,
}
TAKEN = {
    "dense": dense,
    "dropout": lambda: keras.Sequential([dense(), keras.layers.Dropout(0.5, seed=1)]),
    "frozen": lambda: moe.FrozenExpert(keras.Sequential([keras.layers.BatchNormalization()])),
    "wrapped": lambda: moe.Expert(dense()),
    "layer normalization": lambda: keras.layers.LayerNormalization(),
}


def objection(expert, training=True):
    expert(TOKENS)
    return first_objection([expert], (4,), "float32", training=training)


@pytest.mark.parametrize("reason", REFUSED)
def test_refused(reason):
    assert reason in objection(REFUSED[reason]())


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    assert objection(TAKEN[name]()) is None


def test_what_does_not_change_in_inference_is_taken_there():
    assert objection(REFUSED["batch_normalization"](), training=False) is None


def test_asked_for_by_name_it_says_what_is_in_the_way():
    experts = [REFUSED["batch_normalization"]() for _ in range(3)]
    mixture = moe.SparseMoE(experts, GivenGate(INDICES, 3), dispatch="blocked")
    with pytest.raises(ValueError, match=r"itself, .*batch_normalization.* dispatch='dense'"):
        mixture(TOKENS, training=True)


def trained(make_expert, dispatch, jit_compile=True):
    mixture = moe.SparseMoE([make_expert() for _ in range(3)], GivenGate(INDICES, 3), dispatch)
    model = keras.Sequential([keras.Input(batch_shape=(40, 4)), mixture])
    model.compile(
        keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile, run_eagerly=not jit_compile
    )
    model.fit(TOKENS, np.zeros((40, 4)), batch_size=40, epochs=2, shuffle=False, verbose=0)
    return model


@COMPILED
@pytest.mark.parametrize("name", ["dense", "frozen", "wrapped", "layer normalization"])
def test_steps_are_those_of_the_dense_one(name):
    blocked, oracle = (trained(TAKEN[name], way) for way in ("blocked", "dense"))
    for a, b in zip(blocked.get_weights(), oracle.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def of_sequences(make_expert, dispatch):
    """A model of sequences of any length, routed whole."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 4))
    gate = keras.Sequential([keras.layers.GlobalAveragePooling1D(), moe.TopKGate(2, 1)])
    mixture = moe.SparseMoE([make_expert() for _ in range(2)], gate, dispatch=dispatch)
    outputs = mixture(keras.layers.Masking()(inputs))
    if len(outputs.shape) > 2:
        outputs = keras.layers.GlobalMaxPooling1D()(outputs)
    return keras.Model(inputs, outputs)


SEQUENCES = {
    "read whole": lambda: keras.layers.LSTM(3),
    "answered one by one": lambda: keras.layers.LSTM(3, return_sequences=True),
    "answered by shorter ones": lambda: keras.layers.Conv1D(3, 2),
    "with dropout": lambda: keras.Sequential([dense(), keras.layers.Dropout(0.5, seed=1)]),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_tokens_may_have_sizes_that_are_known_only_when_it_runs(name):
    models = [of_sequences(SEQUENCES[name], way) for way in ("blocked", "grouped")]
    x = normal(6, 5, 4, seed=2).copy()
    x[1, 3:] = 0  # padding
    blocked, grouped = (model.predict(x, verbose=0) for model in models)
    np.testing.assert_allclose(blocked, grouped, rtol=1e-5, atol=1e-6)
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(x, np.ones_like(blocked), batch_size=6, epochs=2, verbose=0)
        model.predict(x[:, :4], verbose=0)  # another length
    if name == "with dropout":
        return  # which drops other units
    for a, b in zip(*[model.get_weights() for model in models], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others know all sizes where they compile")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["answered by shorter ones", "with dropout"])
def test_a_graph_of_tensorflow_for_any_size(name, compiled):
    import tensorflow as tf

    model, x = of_sequences(SEQUENCES[name], "blocked"), normal(6, 5, 4, seed=2)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4))], jit_compile=compiled)
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x) ** 2)
        return tape.gradient(loss, model.trainable_weights)

    for length in (5, 3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x[:, :length]) ** 2)
        expected = tape.gradient(loss, model.trainable_weights)
        for a, b in zip(gradient(x[:, :length]), expected, strict=True):
            np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=1e-4, atol=1e-5)


class Noisy(keras.layers.Layer):
    """w x, with dropout, and what it answered last."""

    def __init__(self):
        super().__init__()
        self.dropout = keras.layers.Dropout(0.5, seed=1)
        self.scale = self.add_weight(shape=(4,), initializer="ones")

    def call(self, inputs, training=None):
        return self.dropout(self.scale * inputs, training=training)


@COMPILED
def test_dropout_drops_in_the_gradient_what_it_dropped_in_the_answer():
    mixture = moe.SparseMoE([Noisy(), Noisy(), Noisy()], GivenGate(INDICES, 3), "blocked")
    mixture.build(TOKENS.shape)
    scale = mixture.experts[0].scale
    rest = [v for v in mixture.variables if v is not scale]

    def answers(values, others):
        with keras.StatelessScope([(scale, values), *zip(rest, others, strict=True)]) as scope:
            y = mixture(TOKENS, training=True)
            return y, [scope.get_current_value(v) for v in rest]

    start = [ops.convert_to_tensor(v.value) for v in rest]
    if BACKEND == "jax":
        import jax

        def loss(values):
            y, after = answers(values, start)
            return ops.sum(y), (y, after)

        step = jax.jit(jax.grad(loss, has_aux=True))
        gradient, (y, after) = step(scale.value)
    else:
        import tensorflow as tf

        @tf.function(jit_compile=True)
        def step(values):
            with tf.GradientTape() as tape:
                tape.watch(values)
                y, after = answers(values, start)
                loss = tf.reduce_sum(y)
            return tape.gradient(loss, values), y, after

        gradient, y, after = step(tf.convert_to_tensor(scale.value))
    y = to_numpy(y)
    dropped = (y[:35] == 0).mean()
    assert 0.3 < dropped < 0.7
    # The answers are linear in the scale, which is 1: the gradient is their sum.
    np.testing.assert_allclose(to_numpy(gradient), y[:35].sum(axis=0), rtol=1e-4, atol=1e-5)
    # Expert 0 has two blocks or one, expert 1 none, expert 2 one: each draw moves a seed on.
    moved = [
        int(to_numpy(b)[1] - to_numpy(a)[1])
        for v, a, b in zip(rest, start, after, strict=True)
        if v.name == "seed_generator_state"
    ]
    assert moved[0] >= 1
    assert moved[1:] == [0, 1]


@COMPILED
def test_auto_takes_the_dense_one_for_what_blocks_would_get_wrong():
    make = REFUSED["batch_normalization"]
    auto, oracle = (trained(make, way) for way in ("auto", "dense"))
    for a, b in zip(auto.get_weights(), oracle.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
