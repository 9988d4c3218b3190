"""Gates for tests of what stands behind one: the least that is a sparse gate, and odd ones."""

import keras
import numpy as np
from keras import ops

from moe_keras.gates import Gate


@keras.saving.register_keras_serializable(package="moe_keras_tests")
class PlainTopKGate(Gate):
    """softmax(x W), its k largest."""

    def __init__(self, num_experts, k, **kwargs):
        super().__init__(**kwargs)
        self.num_experts, self.k = num_experts, k
        initial = keras.initializers.GlorotUniform(seed=0)  # the same experts chosen in every run
        self.dense = keras.layers.Dense(
            num_experts, kernel_initializer=initial, dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        logits = self.dense(inputs)
        probabilities = ops.softmax(logits)
        weights, indices = ops.top_k(probabilities, self.k)
        return {
            "logits": logits,
            "probabilities": probabilities,
            "indices": indices,
            "weights": weights,
        }

    def get_config(self):
        return {**super().get_config(), "num_experts": self.num_experts, "k": self.k}


class GivenGate(keras.layers.Layer):
    """Chooses what it was told to, whatever the inputs; every weight is a variable."""

    def __init__(self, indices, num_experts, weights=None):
        super().__init__()
        self.indices = np.array(indices, "int32")
        self.num_experts = num_experts
        start = np.ones(self.indices.shape) if weights is None else np.array(weights)
        self.given = self.add_weight(
            shape=start.shape, initializer=keras.initializers.Constant(start), name="given"
        )

    def call(self, inputs):
        probabilities = ops.zeros((*self.indices.shape[:-1], self.num_experts))
        return {
            "logits": probabilities,
            "probabilities": probabilities,
            "indices": ops.convert_to_tensor(self.indices),
            "weights": ops.convert_to_tensor(self.given),
        }


class Answers(keras.layers.Layer):
    """A gate that gives zeros of the shapes that it was told."""

    def __init__(self, **shapes):
        super().__init__(name="odd")
        self.shapes = shapes

    def call(self, inputs):
        return {name: ops.zeros(shape) for name, shape in self.shapes.items()}
