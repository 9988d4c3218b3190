"""Base class of mixtures of a set of experts and a gate."""

import keras

from moe_keras.call_expert import call_expert
from moe_keras.experts.expert_list import as_expert_set, check_layers
from moe_keras.layer import MoELayer
from moe_keras.masks import check_mask
from moe_keras.quantization import never_quantize
from moe_keras.serialization import output_shape, serialize, sharing


class Mixture(MoELayer):
    """Base class: validates and serializes experts and gate.

    Args:
        experts: List of Keras layers or models, no instance twice; or a `StackedMLP`, or another
            `ExpertSet`.
        gate: Keras layer or model; `None` where a mixture can do without.

    Attributes:
        experts: the `ExpertSet`; a list becomes an `ExpertList`.
        gate: the gate.
    """

    hands_masks_on = True
    needs_gate = True

    def __init__(self, experts, gate, **kwargs):
        # No autocast: each expert and the gate cast the inputs to their own dtype.
        super().__init__(autocast=False, **kwargs)
        self.experts = as_expert_set(experts)
        if gate is not None or self.needs_gate:
            check_layers([gate])
        self.gate = gate

    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        if self.gate is not None:
            never_quantize(self.gate)  # which may be a layer of any kind
        return outputs

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

    def ask_gate(self, inputs, mask, training):
        """The gate's answer to the inputs of a call."""
        check_mask(mask, inputs)
        return call_expert(self.gate, inputs, mask, training=training)

    def route(self, inputs, mask=None, training=None):
        """Routing of the inputs: the tensors that the gate gives.

        Args:
            inputs, mask, training: as in a call.

        Returns:
            The gate's dict; `{"probabilities": weights}` for a gate that gives a tensor of weights.
        """
        answer = self.ask_gate(inputs, mask, training)
        return answer if isinstance(answer, dict) else {"probabilities": answer}

    def expert_shapes(self, input_shape):
        """What to call each expert in a message, and the shape of its output for such inputs."""
        names = [f"expert {e} ('{name}')" for e, name in enumerate(self.experts.names)]
        return names, self.experts.output_shapes(input_shape)

    def get_config(self):
        config = {"experts": serialize(self.experts), "gate": self.gate and serialize(self.gate)}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        with sharing():
            nested = {
                name: keras.saving.deserialize_keras_object(config[name])
                for name in ("base", "experts", "shared_experts", "gate", "dispatch")
                if name in config
            }
        return cls(**{**config, **nested})
