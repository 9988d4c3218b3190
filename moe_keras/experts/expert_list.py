"""A set of experts that are layers of their own."""

import keras
from keras import ops

from moe_keras.call_expert import call_expert
from moe_keras.experts.by_blocks import call_by_blocks, first_objection
from moe_keras.experts.expert_set import ExpertSet
from moe_keras.serialization import output_shape, serialize, sharing


@keras.saving.register_keras_serializable(package="moe_keras")
class ExpertList(ExpertSet):
    """A list of layers or models as a set of experts: E_e(x) = experts[e](x).

    Args:
        experts: List of Keras layers or models, no instance twice.

    Call arguments:
        inputs: tensor of shape (E, S, ...): a group of S rows for each expert, in order.
        mask: boolean tensor of the inputs' first axes, more than two.
        row_mask: boolean tensor of shape (E, S), which rows are there; see `call_expert`.
        training: passed on to the experts.

    Returns:
        Tensor of shape (E, S, ...).

    Raises:
        ValueError: if it is no list or an empty one, or an expert is not a Keras layer or comes
            twice.

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts.expert_list import ExpertList
    >>> experts = ExpertList([keras.layers.Rescaling(1.0), keras.layers.Rescaling(10.0)])
    >>> groups = np.array([[[1.0], [2.0]], [[3.0], [4.0]]], "float32")
    >>> ops.convert_to_numpy(experts(groups))[..., 0].tolist()
    [[1.0, 2.0], [30.0, 40.0]]
    """

    takes_groups = True
    takes_masks = True

    def __init__(self, experts, **kwargs):
        # No autocast: each expert casts the inputs to its own dtype.
        super().__init__(autocast=False, **kwargs)
        if isinstance(experts, keras.layers.Layer) or not hasattr(experts, "__iter__"):
            raise ValueError(
                "Expected experts to be a list of Keras layers or models, or an ExpertSet. "
                f"Received: {experts!r}"
            )
        experts = list(experts)
        if not experts:
            raise ValueError("Expected at least one expert. Received: experts=[]")
        check_layers(experts)
        check_distinct(experts)
        self.experts = experts

    def __len__(self):
        return len(self.experts)

    def __getitem__(self, e):
        return self.experts[e]

    @property
    def names(self):
        return [expert.name for expert in self.experts]

    def layers_inside(self):
        return list(self.experts)

    def output_shapes(self, input_shape):
        shapes = layer_shapes("expert", self.experts, input_shape)
        self.built = True  # its experts are, and it has no weights besides
        return shapes

    def build(self, inputs_shape):
        self.output_shapes(inputs_shape[1:])

    def call(self, inputs, mask=None, row_mask=None, training=None):
        groups = [
            [None] * len(self) if tensor is None else ops.unstack(tensor, len(self))
            for tensor in (inputs, mask, row_mask)
        ]  # E times (S, ...)
        outputs = [
            call_expert(expert, *group, training=training)
            for expert, *group in zip(self.experts, *groups, strict=True)
        ]
        return ops.stack(outputs)  # (E, S, ...)

    def run_groups(self, rows, group_sizes, mask=None, training=None):
        return call_by_blocks(self.experts, rows, group_sizes, mask, training)

    def objection_to_blocks(self, row_shape, dtype, mask=None, training=None):
        return first_objection(self.experts, row_shape, dtype, mask, training)

    def get_config(self):
        return {**super().get_config(), "experts": [serialize(expert) for expert in self.experts]}

    @classmethod
    def from_config(cls, config):
        with sharing():
            experts = keras.saving.deserialize_keras_object(config["experts"])
        return cls(**{**config, "experts": experts})


def as_expert_set(experts):
    """`experts` if it is an `ExpertSet`, else the list of layers as an `ExpertList`."""
    return experts if isinstance(experts, ExpertSet) else ExpertList(experts)


def check_layers(layers):
    """Raise a ValueError unless each is a Keras layer or model."""
    for layer in layers:
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                "Expected the experts and the gate to be Keras layers or models. "
                f"Received: {layer!r}"
            )


def check_distinct(layers):
    """Raise a ValueError if an instance comes twice."""
    for e, layer in enumerate(layers):
        if any(layer is earlier for earlier in layers[:e]):
            raise ValueError(
                "Expected different experts; to share one on purpose, wrap it in an Expert each "
                f"time. Received: '{layer.name}' twice"
            )


def layer_shapes(kind, layers, input_shape):
    """Build the layers; the shapes of their outputs, a ValueError for one that gives no tensor."""
    shapes = [output_shape(layer, input_shape) for layer in layers]
    for e, (layer, shape) in enumerate(zip(layers, shapes, strict=True)):
        if not isinstance(shape, tuple):
            raise ValueError(
                "Expected each expert to give one tensor. "
                f"Received: {kind} {e} ('{layer.name}') gives {shape}"
            )
    return shapes
