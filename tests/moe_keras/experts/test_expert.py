import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts import Expert

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


@keras.saving.register_keras_serializable(package="expert_tests")
class Unbuilt(keras.Model):
    """A model as many people write it: no `build`, no output shape."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def test_contract_with_everything_that_changes_in_training():
    layers = [
        keras.layers.Dense(4),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(3),
    ]

    def make():
        return Expert(
            keras.Sequential([type(layer).from_config(layer.get_config()) for layer in layers])
        )

    # Two dense layers and the scale and shift of the normalization: 6; its statistics: 2.
    run_layer_contract(
        make,
        ROWS,
        expected_output=lambda expert: expert.layer(ROWS),
        trainable=6,
        non_trainable=2,
        moves_untrained=("moving_mean", "moving_variance"),
    )


def test_contract_of_a_model_without_build():
    run_layer_contract(lambda: Expert(Unbuilt()), ROWS, trainable=2, non_trainable=0)


def test_contract_on_tokens():
    run_layer_contract(lambda: Expert(keras.layers.Dense(3)), TOKENS, trainable=2, mask=MASK)


def test_a_mask_ends_where_the_tokens_end():
    run_layer_contract(lambda: Expert(keras.layers.GlobalAveragePooling1D()), TOKENS, mask=MASK)


def test_training_reaches_the_layer():
    expert = Expert(keras.layers.Dropout(0.9, seed=0))
    assert (to_numpy(expert(ROWS, training=True)) == 0).any()
    assert np.array_equal(to_numpy(expert(ROWS)), ROWS)


def test_inputs_are_left_in_their_own_dtype():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        # 1 + 2 ** -20 is 1 in float16, but a float32 expert must see it.
        expert = Expert(keras.layers.Rescaling(1.0, offset=-1.0, dtype="float32"))
        assert to_numpy(expert(np.array([[1 + 2.0**-20]], "float32"))) == 2.0**-20
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("layer", [lambda x: x, None, "dense", keras.layers.Dense])
def test_the_layer_is_checked(layer):
    with pytest.raises(ValueError, match=r"Expected a Keras layer or model; .* Received: "):
        Expert(layer)
