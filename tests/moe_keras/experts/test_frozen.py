import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS, normal
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts import FrozenExpert

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def network():
    """A network with everything that moves in training."""
    return keras.Sequential(
        [
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3),
        ]
    )


class Stack(keras.layers.Layer):
    """Layers one after the other, not told whether they train: they must learn it from Keras."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = layers

    def build(self, input_shape):
        for layer in self.layers:
            layer.build(input_shape)

    def call(self, inputs):
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs


def fit(model, outputs=2):
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    model.fit(ROWS, normal(6, outputs, seed=2), epochs=2, verbose=0)


def test_contract():
    run_layer_contract(
        lambda: FrozenExpert(network()),
        ROWS,
        expected_output=lambda expert: expert.layer(ROWS, training=False),
        trainable=0,
        non_trainable=8,
    )


def test_contract_on_tokens():
    run_layer_contract(
        lambda: FrozenExpert(keras.layers.Dense(3)), TOKENS, trainable=0, non_trainable=2, mask=MASK
    )


def test_nothing_in_it_moves_whatever_the_model_says():
    expert = FrozenExpert(network())
    model = keras.Sequential([keras.Input((5,)), expert, keras.layers.Dense(2)])
    for thaw in (lambda: None, lambda: setattr(model, "trainable", True)):
        thaw()
        before = expert.get_weights()
        fit(model)
        for old, new in zip(before, expert.get_weights(), strict=True):
            assert np.array_equal(old, new)
    assert len(model.trainable_weights) == 2


def test_setting_trainable_on_it_does_not_thaw_it():
    expert = FrozenExpert(network())
    expert(ROWS)
    expert.trainable = True
    assert not expert.trainable and not expert.layer.trainable and not expert.trainable_weights


def test_it_answers_the_same_in_training():
    expert = FrozenExpert(network())
    assert np.array_equal(to_numpy(expert(ROWS, training=True)), to_numpy(expert(ROWS)))
    inside = FrozenExpert(Stack(keras.layers.Dropout(0.9)))
    assert np.array_equal(to_numpy(inside(ROWS, training=True)), ROWS)


def test_layers_after_it_still_know_that_they_train():
    block = Stack(FrozenExpert(keras.layers.Identity()), keras.layers.Dropout(0.9, seed=0))
    assert (to_numpy(block(ROWS, training=True)) == 0).any()
    assert np.array_equal(to_numpy(block(ROWS, training=False)), ROWS)
    assert np.array_equal(to_numpy(block(ROWS)), ROWS)


def test_gradients_pass_through_to_its_inputs():
    before_it = keras.layers.Dense(5)
    model = keras.Sequential([keras.Input((5,)), before_it, FrozenExpert(network())])
    old = before_it.get_weights()
    fit(model, outputs=3)
    for was, now in zip(old, before_it.get_weights(), strict=True):
        assert not np.array_equal(was, now)


def test_it_comes_back_frozen_from_a_file(tmp_path):
    model = keras.Sequential([keras.Input((5,)), FrozenExpert(network())])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.trainable = True
    assert loaded.trainable_weights == []


def test_the_layer_itself_can_be_trained_again():
    layer = network()
    FrozenExpert(layer)(ROWS)
    assert not layer.trainable_weights
    layer.trainable = True
    assert len(layer.trainable_weights) == 6


def test_the_layer_is_checked():
    with pytest.raises(ValueError, match="Expected a Keras layer or model"):
        FrozenExpert(lambda x: x)


def test_a_thawed_layer_stays_so_in_every_copy(tmp_path):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    expert = FrozenExpert(net)
    net.trainable = True
    net.layers[0].trainable = False
    model = keras.Sequential([keras.Input((3,)), expert])
    model.save(tmp_path / "m.keras")
    copies = [
        keras.saving.load_model(tmp_path / "m.keras"),
        keras.models.clone_model(model),
        keras.models.model_from_json(model.to_json()),
    ]
    for copy in copies:
        copy.trainable = True
        assert [tuple(w.shape) for w in copy.trainable_weights] == [(4, 2), (2,)]


def test_a_frozen_layer_stays_so_in_every_copy():
    model = keras.Sequential([keras.Input((3,)), FrozenExpert(keras.layers.Dense(4))])
    for copy in (keras.models.clone_model(model), keras.models.model_from_json(model.to_json())):
        copy.trainable = True
        assert copy.trainable_weights == []
