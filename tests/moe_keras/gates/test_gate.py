import keras
import numpy as np
from keras import ops
from layer_contract import to_numpy

from moe_keras.gates import Gate, PerClassGate


@keras.saving.register_keras_serializable(package="gate_tests")
class NearestGate(Gate):
    """Prefers near prototypes. Written as a student would: nothing about shapes, dtypes, masks."""

    def build(self, input_shape):
        self.prototypes = self.add_weight(shape=(3, input_shape[-1]), name="prototypes")

    def call(self, inputs):
        apart = ops.expand_dims(inputs, -2) - self.prototypes  # (B, ..., E, D)
        logits = -ops.sum(ops.square(apart), axis=-1)
        return {
            "logits": logits,
            "probabilities": ops.softmax(logits),
            "nearest": ops.argmax(logits, axis=-1),
        }


def test_a_custom_gate_needs_only_build_and_call():
    gate = NearestGate()
    assert gate.compute_output_shape((None, 5, 4)) == {
        "logits": (None, 5, 3),
        "nearest": (None, 5),
        "probabilities": (None, 5, 3),
    }
    tensors = gate(keras.Input((5, 4)))
    assert tensors["probabilities"].dtype == "float32"
    assert "int" in tensors["nearest"].dtype


def test_the_mask_stays_where_its_axes_and_one_more_are_left():
    inputs = np.array([[[1.0, 2.0], [0.0, 0.0]]], "float32")  # the second token is masked
    tensors = NearestGate()(keras.layers.Masking()(inputs))
    assert to_numpy(keras.ops.cast(tensors["logits"]._keras_mask, "int32")).tolist() == [[1, 0]]
    assert getattr(tensors["nearest"], "_keras_mask", None) is None


def test_a_subclass_may_return_something_else():
    class WeightsOnly(PerClassGate):
        def call(self, inputs):
            return super().call(inputs)["probabilities"]

    assert WeightsOnly(3, 2)(keras.Input((5,))).shape == (None, 3, 2)


def test_float32_or_better_under_every_policy_unless_asked():
    before = keras.config.dtype_policy()
    # On TensorFlow alone; elsewhere Keras's rules of promotion have no float64.
    widest = "float64" if keras.backend.backend() == "tensorflow" else "float32"
    try:
        for policy in ("mixed_float16", "mixed_bfloat16", "float64"):
            keras.config.set_dtype_policy(policy)
            expected = widest if policy == "float64" else "float32"
            assert NearestGate().compute_dtype == expected
        assert NearestGate(dtype="bfloat16").compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy(before)
