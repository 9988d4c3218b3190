"""A layer with several places in a mixture is one layer in a copy, and not that of another copy."""

import keras
import numpy as np
import pytest
from draws import ROWS
from layer_contract import to_numpy

import moe_keras as moe
from moe_keras.mixtures import ProgressiveExtraction
from moe_keras.mixtures.extraction_level import ExtractionLevel
from moe_keras.serialization import serialize, sharing


def dense():
    return keras.layers.Dense(3)


def twice(layer):
    """One layer as two experts, on purpose."""
    return [moe.Expert(layer), moe.Expert(layer)]


def of_inner_mixtures():
    layer = dense()
    inner = [moe.DenseMoE([*twice(layer), dense()], moe.SoftmaxGate(3)) for _ in range(2)]
    return moe.DenseMoE(inner, moe.SoftmaxGate(2))


def with_a_shared_expert():
    one, *others = twice(dense())
    return moe.SparseMoE([one, dense()], moe.TopKGate(2), shared_experts=others)


def cascade():
    base, *experts = twice(keras.layers.Dense(3, "softmax"))
    return moe.CascadeMoE(base, experts)


def level():
    own, shared = twice(dense())
    return ExtractionLevel({"shared": [shared], "a": [own]}, {"a": moe.SoftmaxGate(2)})


def extraction():
    layer = dense()
    return ProgressiveExtraction([twice(layer)], {"a": [twice(layer)]})


# Each with how many weights it has: kernels and biases of experts and gates.
SHARING = {
    "DenseMoE": (lambda: moe.DenseMoE(twice(dense()), moe.SoftmaxGate(2)), 4),
    "HierarchicalMoE": (lambda: moe.HierarchicalMoE([twice(dense()), [dense(), dense()]]), None),
    "mixtures in a mixture": (of_inner_mixtures, 2 + 2 * (2 + 2) + 2),
    "SparseMoE": (with_a_shared_expert, 2 + 2 + 1),
    "CascadeMoE": (cascade, 2),
    "ExtractionLevel": (level, 4),
    "ProgressiveExtraction": (extraction, 4),
}


def built(layer):
    layer(ROWS)
    return layer


def outputs(layer):
    answer = layer(ROWS)
    return to_numpy(answer["a"] if isinstance(answer, dict) else answer)


@pytest.mark.parametrize("name", SHARING)
def test_from_config_keeps_layers_together(name):
    make, num_weights = SHARING[name]
    layer = built(make())
    copies = [built(type(layer).from_config(layer.get_config())) for _ in range(2)]
    assert num_weights in (None, len(layer.weights))
    for copy in copies:
        assert len(copy.weights) == len(layer.weights)
        copy.set_weights(layer.get_weights())
        np.testing.assert_allclose(outputs(copy), outputs(layer), atol=1e-6)
    first, second = ({id(weight) for weight in copy.weights} for copy in copies)
    assert not first & second


@pytest.mark.parametrize("name", SHARING)
def test_a_cloned_model_keeps_layers_together(name):
    layer = SHARING[name][0]()
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layer(inputs))
    clone = keras.models.clone_model(model)
    assert len(clone.weights) == len(model.weights)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(outputs(clone), outputs(model), atol=1e-6)


# Mixtures that hold a layer.
HOLDING = {
    "expert": lambda x: moe.DenseMoE([x, dense()], moe.SoftmaxGate(2)),
    "two experts": lambda x: moe.DenseMoE(twice(x), moe.SoftmaxGate(2)),
    "frozen": lambda x: moe.DenseMoE([moe.FrozenExpert(x), dense()], moe.SoftmaxGate(2)),
    "sparse": lambda x: moe.SparseMoE([dense(), x], moe.TopKGate(2, top_k=1)),
    "asked for all": lambda x: moe.SparseMoE(
        [dense(), dense()], moe.TopKGate(2, top_k=1), shared_experts=[x]
    ),
    "base of a cascade": lambda x: moe.CascadeMoE(x, [dense()]),
    "in a gate": lambda x: moe.DenseMoE([dense(), dense()], moe.GroupGate(x, [[0, 1], [2]])),
    "in a mixture inside": lambda x: moe.DenseMoE(
        [moe.DenseMoE([x, dense()], moe.SoftmaxGate(2)), dense()], moe.SoftmaxGate(2)
    ),
}


@pytest.mark.parametrize("by_itself_first", [True, False])
@pytest.mark.parametrize("name", HOLDING)
def test_a_layer_called_by_itself_and_inside_a_mixture_is_loaded_as_one(
    name, by_itself_first, tmp_path
):
    layer = dense()
    mixture = HOLDING[name](layer)
    inputs = keras.Input((5,))
    order = [layer, mixture] if by_itself_first else [mixture, layer]
    model = keras.Model(inputs, [called(inputs) for called in order])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights)
    for found, expected in zip(loaded(ROWS), model(ROWS), strict=True):
        np.testing.assert_array_equal(to_numpy(found), to_numpy(expected))


def test_nothing_is_known_after_an_error():
    layer = built(moe.DenseMoE(twice(dense()), moe.SoftmaxGate(2)))
    config = layer.get_config()
    with pytest.raises(ValueError, match="experts"):
        moe.DenseMoE.from_config({**config, "gate": None})
    with pytest.raises(TypeError):
        moe.DenseMoE.from_config({**config, "gate": 1.5, "experts": object()})
    read = keras.saving.deserialize_keras_object
    one = serialize(dense())
    assert read(one) is not read(one)


def test_an_open_scope_goes_on_and_one_anew_knows_nothing():
    read, config = keras.saving.deserialize_keras_object, serialize(dense())
    with sharing():
        first = read(config)
        with sharing():
            assert read(config) is first
        with sharing(anew=True):
            other = read(config)
            assert other is not first and read(config) is other
        assert read(config) is first


def test_layers_that_make_layers_of_their_own_stay_apart():
    # Keras's Bidirectional writes down and reads layers while it is made.
    experts = [keras.layers.Bidirectional(keras.layers.LSTM(2)) for _ in range(4)]
    gate = keras.Sequential([keras.layers.GlobalAveragePooling1D(), moe.SoftmaxGate(4)])
    mixture = moe.DenseMoE(experts, gate)
    copy = moe.DenseMoE.from_config(mixture.get_config())
    for one in (mixture, copy):
        one(np.ones((2, 5, 3), "float32"))
    assert len(copy.weights) == len(mixture.weights) == 4 * 6 + 2
