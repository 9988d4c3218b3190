"""The contract must be able to fail: each promise is broken once, on purpose."""

import keras
import layer_contract
import numpy as np
import pytest
from keras import ops

from moe_keras.gates import Gate

INPUTS = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")  # (B, T, D)
MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)
registered = keras.saving.register_keras_serializable(package="contract_tests")


@registered
class Sound(keras.layers.Layer):
    """Keeps every promise: inputs times a kernel times a constant. The others break one each."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.supports_masking = True

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 3), name="kernel")
        self.counter = self.add_weight(
            shape=(), trainable=False, initializer="zeros", name="counter"
        )

    def call(self, inputs, training=None):
        return self.factor * ops.matmul(inputs, self.kernel)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@registered
class LateWeights(Sound):
    def build(self, input_shape):
        pass

    def call(self, inputs, training=None):
        if not hasattr(self, "kernel"):
            self._tracker.unlock()
            super().build(tuple(inputs.shape))
        return super().call(inputs)


@registered
class WrongShape(Sound):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)


@registered
class WrongDtype(Sound):
    def call(self, inputs, training=None):
        return ops.cast(super().call(inputs), "float16")


@registered
class FixedBatch(Sound):
    def call(self, inputs, training=None):
        return ops.reshape(super().call(inputs), (3, 4, 3))


@registered
class WrongRowsInAModel(Sound):
    def call(self, inputs, training=None):
        outputs = super().call(inputs)
        return ops.concatenate([outputs, outputs], axis=0)


@registered
class ForgetsArgument(Sound):
    def get_config(self):
        return keras.layers.Layer.get_config(self)


class Unregistered(Sound):
    pass


@registered
class HidesArgument(Sound):
    def __init__(self, factor=2.0, unkept=1, **kwargs):
        super().__init__(factor, **kwargs)


@registered
class NoGradient(Sound):
    def call(self, inputs, training=None):
        return self.factor * ops.matmul(inputs, ops.stop_gradient(self.kernel))


@registered
class MovesUntrained(Sound):
    def call(self, inputs, training=None):
        if training:
            self.counter.assign(self.counter + 1.0)
        return super().call(inputs)


@registered
class HiddenState(Sound):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = float(np.random.default_rng().normal())

    def call(self, inputs, training=None):
        return self.hidden * super().call(inputs)


@registered
class TrainsByDefault(Sound):
    def call(self, inputs, training=None):
        return super().call(inputs) * (1.0 if training is False else 2.0)


@registered
class Overflows(Sound):
    def call(self, inputs, training=None):
        return super().call(inputs * 1e6)


@registered
class SixteenBitGate(Gate):
    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": keras.config.dtype_policy()})

    def call(self, inputs):
        return {"logits": inputs, "probabilities": ops.softmax(inputs)}


@registered
class NotCompilable(Sound):
    def call(self, inputs, training=None):
        return super().call(ops.convert_to_numpy(inputs))


@registered
class LosesMask(Sound):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = False


@registered
class WrongMask(Sound):
    def compute_mask(self, inputs, previous_mask):
        return None if previous_mask is None else ops.logical_not(previous_mask)


@registered
class StumblesOnMask(Sound):
    def call(self, inputs, mask=None, training=None):
        outputs = super().call(inputs)
        return outputs if mask is None else ops.log(-ops.abs(outputs) - 1)


def test_a_sound_layer_passes():
    layer_contract.run_layer_contract(
        Sound,
        INPUTS,
        expected_output=lambda layer: 2.0 * INPUTS @ np.asarray(layer.get_weights()[0]),
        trainable=1,
        non_trainable=1,
        mask=MASK,
    )


@pytest.mark.parametrize(
    ("layer", "check", "message"),
    [
        (LateWeights, "check_builds_once", "build alone does not make every weight"),
        (WrongShape, "check_spec", "spec"),
        (WrongDtype, "check_spec", "float16"),
        (FixedBatch, "check_free_batch", "fixed to 3|reshape|size"),
        (WrongRowsInAModel, "check_free_batch", "2 outputs"),
        (ForgetsArgument, "check_config", "factor is not in the configuration"),
        (HidesArgument, "check_config", "unkept is no attribute"),
        (Unregistered, "check_config", "Could not locate class"),
        (NoGradient, "check_training_and_saving", "no gradient reaches"),
        (MovesUntrained, "check_training_and_saving", "counter moved"),
        (HiddenState, "check_training_and_saving", "output of the model"),
        (TrainsByDefault, "check_training_argument", "training=None"),
        (Overflows, "check_mixed_precision", "not finite"),
        (SixteenBitGate, "check_mixed_precision", "a gate gives"),
        pytest.param(
            NotCompilable,
            "check_jit",
            "numpy|Tracer|attribute",
            marks=pytest.mark.skipif(keras.backend.backend() == "torch", reason="no XLA"),
        ),
        (LosesMask, "check_mask", "destroy the mask"),
        (WrongMask, "check_mask", "expected the mask"),
        (StumblesOnMask, "check_masked_model", "evaluate|not finite"),
    ],
)
def test_each_broken_promise_is_noticed(layer, check, message):
    contract = layer_contract.Contract(layer, INPUTS, mask=MASK)
    with pytest.raises(Exception, match=message):
        getattr(layer_contract, check)(contract)


@pytest.mark.parametrize(
    ("expectation", "check"),
    [
        ({"trainable": 2}, "check_weight_counts"),
        ({"non_trainable": 0}, "check_weight_counts"),
        ({"expected_output": lambda layer: INPUTS[..., :1] * np.ones(3)}, "check_expected_output"),
    ],
)
def test_wrong_expectations_are_noticed(expectation, check):
    contract = layer_contract.Contract(Sound, INPUTS, **expectation)
    with pytest.raises(AssertionError):
        getattr(layer_contract, check)(contract)


def test_exempt_weights_may_stand_still_or_move():
    for layer, exemption in (
        (NoGradient, {"no_gradient": ("kernel",)}),
        (MovesUntrained, {"moves_untrained": ("counter",)}),
    ):
        layer_contract.check_training_and_saving(
            layer_contract.Contract(layer, INPUTS, **exemption)
        )


def test_every_check_is_in_the_contract():
    checks = {name for name in vars(layer_contract) if name.startswith("check_")}
    assert checks == {check.__name__ for check in layer_contract.CHECKS}
