"""The base of every mixture of a list of experts and a gate."""

import keras

from moe_keras.layer import MoELayer
from moe_keras.nested import output_shape, serialize


class Mixture(MoELayer):
    """Holds experts and a gate, refuses what cannot be either, and writes them down.

    Args:
        experts: list of Keras layers or models, no instance twice.
        gate: a Keras layer or model.
    """

    def __init__(self, experts, gate, **kwargs):
        # No autocast: each expert and the gate cast the inputs to their own dtype.
        super().__init__(autocast=False, **kwargs)
        experts = list(experts)
        if not experts:
            raise ValueError("Expected at least one expert. Received: experts=[]")
        for layer in (*experts, gate):
            if not isinstance(layer, keras.layers.Layer):
                raise ValueError(
                    "Expected the experts and the gate to be Keras layers or models. "
                    f"Received: {layer!r}"
                )
        for e, expert in enumerate(experts):
            if any(expert is earlier for earlier in experts[:e]):
                raise ValueError(
                    "Expected different experts; to share one on purpose, wrap it in an Expert "
                    f"each time. Received: '{expert.name}' twice"
                )
        self.experts = experts
        self.gate = gate

    def expert_shapes(self, input_shape):
        """What to call each expert in a message, and the shape of its output for such inputs."""
        names = [f"expert {e} ('{expert.name}')" for e, expert in enumerate(self.experts)]
        shapes = [output_shape(expert, input_shape) for expert in self.experts]
        for name, shape in zip(names, shapes, strict=True):
            if not isinstance(shape, tuple):
                raise ValueError(
                    f"Expected each expert to give one tensor. Received: {name} gives {shape}"
                )
        return names, shapes

    def get_config(self):
        config = {
            "experts": [serialize(expert) for expert in self.experts],
            "gate": serialize(self.gate),
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        experts = [keras.saving.deserialize_keras_object(expert) for expert in config["experts"]]
        gate = keras.saving.deserialize_keras_object(config["gate"])
        return cls(**{**config, "experts": experts, "gate": gate})
