"""The base of every mixture of a list of experts and a gate."""

import keras

from moe_keras.experts import StackedMLP
from moe_keras.layer import MoELayer
from moe_keras.nested import output_shape, serialize


class Mixture(MoELayer):
    """Holds experts and a gate, refuses what cannot be either, and writes them down.

    Args:
        experts: list of Keras layers or models, no instance twice; or a `StackedMLP`.
        gate: a Keras layer or model.
    """

    def __init__(self, experts, gate, **kwargs):
        # No autocast: each expert and the gate cast the inputs to their own dtype.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(experts, StackedMLP):
            experts = list(experts)
        if not isinstance(experts, StackedMLP) and not experts:
            raise ValueError("Expected at least one expert. Received: experts=[]")
        self._check(gate, [experts] if isinstance(experts, StackedMLP) else experts)
        self.experts = experts
        self.gate = gate

    @staticmethod
    def _check(gate, experts):
        """Raise a ValueError unless these are Keras layers, no expert twice."""
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

    def gate_shapes(self, input_shape, needed, such_as=""):
        """Shapes of the tensors that this mixture needs of its gate, by name.

        Args:
            input_shape: of what the gate sees.
            needed: their names.
            such_as: a gate that gives them, for the message.

        Raises:
            ValueError: if the gate does not give a dict with all of them.
        """
        answer = output_shape(self.gate, input_shape)
        given = sorted(answer) if isinstance(answer, dict) else "no dict"
        if given == "no dict" or not set(needed) <= set(given):
            example = f", such as {such_as}" if such_as else ""
            raise ValueError(
                f"Expected a gate that gives a dict with {', '.join(needed)}{example}. "
                f"Received: '{self.gate.name}', which gives {given}"
            )
        return {name: tuple(answer[name]) for name in needed}

    def route(self, inputs, training=None):
        """What the gate says of the inputs.

        Args:
            inputs, training: as in a call.

        Returns:
            The gate's dict; `{"probabilities": weights}` for a gate that gives a tensor of weights.
        """
        answer = self.gate(inputs, training=training)
        return answer if isinstance(answer, dict) else {"probabilities": answer}

    @property
    def stacked(self):
        """Whether the experts are a `StackedMLP`."""
        return isinstance(self.experts, StackedMLP)

    def members(self):
        """The experts one by one, to be called on inputs."""
        return self.experts.unstacked() if self.stacked else self.experts

    def expert_shapes(self, input_shape):
        """What to call each expert in a message, and the shape of its output for such inputs."""
        if self.stacked:
            stack, num_experts = self.experts, self.experts.num_experts
            *_, units = output_shape(stack, (num_experts, None, input_shape[-1]))
            names = [f"expert {e} of '{stack.name}'" for e in range(num_experts)]
            return names, [(*input_shape[:-1], units)] * num_experts
        return self._shapes("expert", self.experts, input_shape)

    @staticmethod
    def _shapes(kind, experts, input_shape):
        names = [f"{kind} {e} ('{expert.name}')" for e, expert in enumerate(experts)]
        shapes = [output_shape(expert, input_shape) for expert in experts]
        for name, shape in zip(names, shapes, strict=True):
            if not isinstance(shape, tuple):
                raise ValueError(
                    f"Expected each expert to give one tensor. Received: {name} gives {shape}"
                )
        return names, shapes

    def get_config(self):
        held = self.experts
        experts = serialize(held) if self.stacked else [serialize(expert) for expert in held]
        return {**super().get_config(), "experts": experts, "gate": serialize(self.gate)}

    @classmethod
    def from_config(cls, config):
        held = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("experts", "shared_experts", "gate")
            if name in config
        }
        return cls(**{**config, **held})
