"""An upcycled model starts as the model was, with experts that are copies."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops
from layer_contract import to_numpy

from moe_keras import DenseMoE, Expert
from moe_keras.gates import BiasBalancedGate, SoftmaxGate, TopKGate
from moe_keras.mixtures import SparseMoE, upcycle

IMAGES = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("float32")
ROWS = np.random.default_rng(1).normal(size=(6, 4)).astype("float32")
WORDS = np.random.default_rng(2).integers(1, 9, size=(4, 7))


def of_rows():
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(16, "relu", name="wide"), layers.Dense(3, name="out")],
        name="rows",
    )


def of_words():
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 6, mask_zero=True)(inputs)
    feed = keras.Sequential([layers.Dense(12, "gelu"), layers.Dense(6)], name="feed")
    x = layers.LayerNormalization()(layers.Add(name="residual")([x, feed(x)]))
    x = layers.LSTM(5, name="read")(x)
    return keras.Model(inputs, layers.Dense(2, name="out")(x), name="words")


def of_images():
    block = keras.Sequential(
        [layers.Conv2D(6, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()],
        name="block",
    )
    inputs = keras.Input((8, 8, 3))
    x = block(layers.Conv2D(6, 3, padding="same", name="stem")(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, "softmax", name="out")(x), name="images")


def nested():
    inner = of_rows()
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    return keras.Model(inputs, layers.Add()([inner(inputs["a"]), inner(inputs["b"])]))


def graph(of_shape, *inside):
    """A Functional model with a way around its layers."""
    inputs = x = keras.Input(of_shape)
    for layer in inside:
        x = layer(x)
    return keras.Model(inputs, layers.Add()([inputs, x]), name="inner")


def of_a_graph():
    inputs = keras.Input((4,))
    x = graph((4,), layers.Dense(8, "relu"), layers.Dense(4))(inputs)
    return keras.Model(inputs, layers.Dense(2)(x))


def of_words_in_a_graph():
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 6)(inputs)
    x = graph((None, 6), layers.Conv1D(6, 3, padding="same"))(x)
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(x))


def is_mixture(layer):
    return isinstance(layer, DenseMoE)


def without_weights():
    return keras.Sequential([keras.Input((4,)), layers.ReLU(name="bend"), layers.Dense(2)])


def with_a_shared_layer():
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    mixtures = [
        DenseMoE([Expert(shared), Expert(shared), Expert(layers.Dense(4))], SoftmaxGate(3))
        for _ in range(2)
    ]
    x = layers.Dense(4, name="wide")(mixtures[0](inputs))
    return keras.Model(inputs, layers.Add()([mixtures[1](x), x]))


CASES = {
    "a layer of a Sequential": (of_rows, ["wide"], ROWS),
    "the last layer": (of_rows, ["out"], ROWS),
    "all Dense layers": (of_rows, lambda layer: isinstance(layer, layers.Dense), ROWS),
    "tokens of any number": (of_words, ["feed"], WORDS),
    "masked tokens": (of_words, ["feed"], np.where(np.arange(7) < 4, WORDS, 0)),
    "a layer that reads sequences": (of_words, ["read"], np.where(np.arange(7) < 5, WORDS, 0)),
    "a block of convolutions": (of_images, ["block"], IMAGES),
    "a layer inside a model that is used twice": (nested, ["wide"], {"a": ROWS, "b": -ROWS}),
    "a model inside a model": (nested, ["rows"], {"a": ROWS, "b": -ROWS}),
    "a functional model as a whole": (of_a_graph, ["inner"], ROWS),
    "a functional model that reads sequences": (of_words_in_a_graph, ["inner"], WORDS),
    "a layer without weights": (without_weights, ["bend"], ROWS),
    "a layer beside shared ones": (with_a_shared_layer, ["wide"], ROWS),
    "a mixture that shares a layer": (with_a_shared_layer, is_mixture, ROWS),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("num_experts", [2, 5])
def test_it_starts_with_the_models_outputs(case, num_experts):
    build, chosen, x = case
    model = build()
    before = [np.array(w) for w in model.get_weights()]
    upcycled = upcycle(model, chosen, num_experts)
    np.testing.assert_allclose(to_numpy(upcycled(x)), to_numpy(model(x)), atol=1e-6)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    assert upcycled.count_params() > model.count_params()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_trains_and_is_saved(case, tmp_path):
    build, chosen, x = case
    upcycled = upcycle(build(), chosen, 3)
    upcycled.compile("sgd", "mse")
    targets = np.ones_like(to_numpy(upcycled(x)))
    upcycled.fit(x, targets, epochs=1, verbose=0)
    upcycled.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(loaded(x)), to_numpy(upcycled(x)), atol=1e-6)


def test_names_and_other_layers_stay():
    model = of_images()
    upcycled = upcycle(model, ["block"], 3)
    for old, new in zip(model.layers[1:], upcycled.layers[1:], strict=True):
        assert new.name == old.name
    assert isinstance(upcycled.get_layer("block"), SparseMoE)
    np.testing.assert_array_equal(
        upcycled.get_layer("stem").get_weights()[0], model.get_layer("stem").get_weights()[0]
    )


def test_an_image_is_routed_whole_and_a_token_alone():
    block = upcycle(of_images(), ["block"], 3).get_layer("block")
    assert block.route(np.zeros((5, 8, 8, 6), "float32"))["indices"].shape == (5, 2)
    feed = upcycle(of_words(), ["feed"], 3).get_layer("feed")
    assert feed.route(np.zeros((5, 7, 6), "float32"))["indices"].shape == (5, 7, 2)


def test_a_layer_with_several_places_stays_one():
    model = with_a_shared_layer()
    upcycled = upcycle(model, ["wide"], 2)
    first, second = (layer for layer in upcycled.layers if isinstance(layer, DenseMoE))
    shared = first.experts[0].layer
    places = [*first.experts[:2], *second.experts[:2]]
    assert all(expert.layer is shared for expert in places)
    # The mixture has a gate's kernel, and a kernel and a bias more; the rest is as it was.
    assert len(upcycled.weights) == len(model.weights) + 3


def test_copies_share_what_they_share_within_each_alone():
    mixtures = [
        layer
        for layer in upcycle(with_a_shared_layer(), is_mixture, 2).layers
        if isinstance(layer, SparseMoE)
    ]
    copies = [copy for mixture in mixtures for copy in mixture.experts]
    inside = [[expert.layer for expert in copy.experts][:2] for copy in copies]
    assert all(a is b for a, b in inside)
    assert len({id(a) for a, _ in inside}) == len(copies) == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda x: layers.MultiHeadAttention(2, 3, name="it")(x, x),
        lambda x: layers.MultiHeadAttention(2, 3, name="it")(query=x, value=x),
        lambda x: layers.Add(name="it")([x, x]),
        lambda x: layers.Concatenate(name="it")([x]),
        lambda x: layers.LSTM(4, name="it")(x, initial_state=[x[:, 0], x[:, 1]]),
    ],
)
@pytest.mark.parametrize("gate", [None, lambda: TopKGate(2)])
def test_a_layer_of_several_tensors_is_refused(call, gate):
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, call(inputs))
    with pytest.raises(ValueError, match=r"called on one tensor.*Received: 'it' of type"):
        upcycle(model, ["it"], 2, gate=gate)


def test_a_mask_that_is_given_is_no_further_tensor():
    inputs, mask = keras.Input((5, 4)), keras.Input((5,), dtype="bool")
    model = keras.Model([inputs, mask], layers.LSTM(3, name="read")(inputs, mask=mask))
    upcycled = upcycle(model, ["read"], 2)
    x, there = np.ones((2, 5, 4), "float32"), np.arange(5) < np.array([[3], [5]])
    np.testing.assert_allclose(
        to_numpy(upcycled([x, there])), to_numpy(model([x, there])), atol=1e-6
    )


def test_more_axes_than_the_default_gate_can_take_need_a_gate():
    inputs = keras.Input((2, 4, 4, 4, 3))
    model = keras.Model(inputs, layers.ConvLSTM3D(2, 2, name="read")(inputs))
    with pytest.raises(ValueError, match=r"at most 5 axes.*Received: 'read'.*6 axes. Give a"):
        upcycle(model, ["read"], 2)


def test_noise_sets_the_copies_apart_by_as_much_as_was_asked_for():
    model = keras.Sequential([keras.Input((50,)), layers.Dense(80, name="wide")])
    experts = list(upcycle(model, ["wide"], 3, noise=0.1, seed=0).get_layer("wide").experts)
    first, second, third = (expert.get_weights()[0] for expert in experts)
    kernel = model.layers[0].get_weights()[0]
    np.testing.assert_array_equal(first, kernel)
    for copy in (second, third):
        assert (copy - kernel).std() == pytest.approx(0.1 * kernel.std(), rel=0.1)
    assert abs(np.corrcoef((second - kernel).ravel(), (third - kernel).ravel())[0, 1]) < 0.1


def test_a_gate_and_options_of_ones_own():
    gate = lambda: BiasBalancedGate(4, top_k=2)  # noqa: E731
    mixture = upcycle(of_rows(), ["wide"], 4, gate=gate, dispatch="dense").get_layer("wide")
    assert isinstance(mixture.gate, BiasBalancedGate) and mixture.dispatch == "dense"


def test_one_expert_a_token_changes_the_outputs_and_says_so():
    model = of_rows()
    with pytest.warns(UserWarning, match="starts with other outputs"):
        upcycled = upcycle(model, ["wide"], 4, top_k=1)
    assert not np.allclose(to_numpy(upcycled(ROWS)), to_numpy(model(ROWS)), atol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        upcycle(of_rows(), ["wide"], 4, top_k=1, gate=lambda: TopKGate(4, top_k=1))


def test_copies_part_in_training():
    upcycled = upcycle(of_rows(), ["wide"], 4)
    upcycled.compile("sgd", "mse")
    upcycled.fit(ROWS, np.ones((6, 3)), epochs=2, verbose=0)
    kernels = [e.get_weights()[0] for e in upcycled.get_layer("wide").experts]
    assert any(not np.allclose(kernels[0], kernel) for kernel in kernels[1:])


def test_it_is_compiled_as_the_model_was():
    model = of_rows()
    model.compile(keras.optimizers.SGD(0.125), "mse")
    model.fit(ROWS, np.ones((6, 3)), verbose=0)
    upcycled = upcycle(model, ["wide"], 2)
    assert float(ops.convert_to_numpy(upcycled.optimizer.learning_rate)) == 0.125
    assert not of_rows().compiled and not upcycle(of_rows(), ["wide"], 2).compiled


def test_frozen_layers_stay_frozen():
    model = of_rows()
    model.get_layer("wide").trainable = False
    model.get_layer("out").trainable = False
    upcycled = upcycle(model, ["wide"], 2)
    assert not upcycled.get_layer("out").trainable_weights
    assert not any(e.trainable_weights for e in upcycled.get_layer("wide").experts)


@pytest.mark.slow
def test_a_network_of_keras_applications():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=5)
    upcycled = upcycle(model, ["Conv_1", "block_16_project"], 2)
    x = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(to_numpy(upcycled(x)), to_numpy(model(x)), atol=1e-6)


class OfItsOwn(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((of_rows, ["wrong"], 2), "layers of 'rows': out, wide. Received: wrong"),
        ((of_rows, lambda layer: False, 2), "at least one layer"),
        ((of_rows, [], 2), "at least one layer"),
        ((of_rows, ["wide"], 0), "num_experts"),
        ((of_rows, ["wide"], 2, 3), "top_k"),
        ((of_rows, ["wide"], 2, 2, None, -1.0), "noise"),
        ((OfItsOwn, ["wide"], 2), "Functional or Sequential"),
        ((lambda: keras.Sequential([layers.Dense(2)]), ["wide"], 2), "built"),
        ((lambda: layers.Dense(2), ["wide"], 2), "Functional or Sequential"),
    ],
)
def test_what_cannot_be_upcycled_is_refused(arguments, message):
    build, *others = arguments
    with pytest.raises(ValueError, match=message):
        upcycle(build(), *others)
