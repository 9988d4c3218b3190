"""One level of experts and gates for several tasks."""

import keras
from keras import ops

from moe_keras.call_expert import call_expert
from moe_keras.experts.expert_list import as_expert_set, check_distinct, check_layers
from moe_keras.gates.choice import spread
from moe_keras.masks import check_mask
from moe_keras.mixtures.combine import check_shapes, combine
from moe_keras.mixtures.dense import _weights, inputs_shown
from moe_keras.mixtures.task_layer import SHARED, TaskLayer, deserialized
from moe_keras.quantization import never_quantize
from moe_keras.serialization import output_shape, serialize, sharing


@keras.saving.register_keras_serializable(package="moe_keras")
class ExtractionLevel(TaskLayer):
    """One level of experts for several tasks, shared ones and each task's own, and a gate each.

        y_k = sum over shared experts and those of task k of G_k(x_k)_e y_e
        y_shared = sum over all experts of G_shared(x_shared)_e y_e

    where y_e is the expert's answer to x_shared if it is shared, else to its task's x_k. Each
    expert runs once, whoever weighs it. A gate's weights are in this order: the shared experts,
    then its task's own; the shared gate's: the shared experts, then all tasks', as `expert_sets`
    lists them.

    Args:
        expert_sets: Dict of lists of Keras layers or models, or of instances of `ExpertSet`:
            `"shared"`, and the experts of a task under its name.
        gates: Dict of gates, a task's under its name, and `"shared"` if there is a next level.

    Call arguments:
        inputs: tensor that all see, or a dict of tensors, one for each task and `"shared"`.
        mask: boolean tensor of the inputs' first axes, False for padding, or a dict of them and of
            `None`; passed on to the experts and the gates.
        training: passed on to the experts and the gates.

    Returns:
        Dict of tensors, one for each gate.
    """

    def __init__(self, expert_sets, gates, **kwargs):
        super().__init__(**kwargs)
        self.expert_sets = {name: as_expert_set(experts) for name, experts in expert_sets.items()}
        self.gates = dict(gates)
        check_layers(self.gates.values())
        check_distinct([e for s in self.expert_sets.values() for e in s.layers_inside()])
        for task, gate in self.gates.items():
            if sum(gate is other for other in self.gates.values()) > 1:
                raise ValueError(
                    "Expected a gate of its own for each task (with one for all it would be a "
                    f"DenseMoE). Received: '{gate.name}', the gate of '{task}', twice"
                )

    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        for gate in self.gates.values():
            never_quantize(gate)  # which may be a layer of any kind
        return outputs

    def visible(self, task):
        """Names of the expert lists that a gate weighs, in the order of its weights."""
        names = [name for name in self.expert_sets if name != SHARED and task in (name, SHARED)]
        return [SHARED, *names]

    def build(self, input_shape):
        shapes = self._for_each(input_shape)
        names, outputs = {}, {}
        for name, experts in self.expert_sets.items():
            names[name] = [f"expert {e} of '{name}' ('{n}')" for e, n in enumerate(experts.names)]
            outputs[name] = experts.output_shapes(shapes[name])
        for task, gate in self.gates.items():
            visible = self.visible(task)
            check_shapes(
                _weights(output_shape(gate, shapes[task]), gate),
                [shape for name in visible for shape in outputs[name]],
                [expert for name in visible for expert in names[name]],
                f"weights of '{gate.name}', the gate of '{task}',",
            )

    def call(self, inputs, mask=None, training=None):
        inputs, mask = self._with_masks(inputs, mask)
        weights = {}
        for task, gate in self.gates.items():
            answer = call_expert(gate, inputs[task], mask[task], training=training)
            weights[task] = _all_weights(answer, gate)
        outputs = {
            name: [
                call_expert(expert, shown, mask[name], training=training)
                for expert, shown in zip(*self._shown(name, inputs[name], weights), strict=True)
            ]
            for name in self.expert_sets
        }
        return {
            task: combine(own, [y for name in self.visible(task) for y in outputs[name]])
            for task, own in weights.items()
        }

    def _shown(self, name, inputs, weights):
        """The experts of a set, and what each sees: rows that any gate weighs, as in a DenseMoE."""
        experts, weighed = list(self.expert_sets[name]), []
        for task, own in weights.items():
            visible = self.visible(task)
            if name in visible:
                before = visible[: visible.index(name)]
                start = sum(len(self.expert_sets[other]) for other in before)
                weighed.append(ops.abs(own[..., start : start + len(experts)]))
        if not weighed or any(len(one.shape) != 2 for one in weighed):
            return experts, [inputs] * len(experts)
        return experts, inputs_shown(inputs, sum(weighed), experts)

    def route(self, inputs, mask=None, training=None):
        """Routing of the inputs: for each gate's name the tensors that it gives.

        Args:
            inputs, mask, training: as in a call.
        """
        inputs, mask = self._with_masks(inputs, mask)
        answers = {
            task: call_expert(gate, inputs[task], mask[task], training=training)
            for task, gate in self.gates.items()
        }
        return {
            task: answer if isinstance(answer, dict) else {"probabilities": answer}
            for task, answer in answers.items()
        }

    def _with_masks(self, inputs, mask):
        """Inputs and masks for each task and `"shared"`."""
        inputs = self._for_each(inputs)
        if not isinstance(mask, dict):
            mask = dict.fromkeys(inputs, mask)
        mask = {name: mask.get(name) for name in inputs}
        for name, tensor in inputs.items():
            check_mask(mask[name], tensor)
        return inputs, mask

    def _for_each(self, inputs):
        """Inputs, or their shapes, for each task and `"shared"`."""
        names = dict.fromkeys([*self.expert_sets, *self.gates])
        if not isinstance(inputs, dict):
            return dict.fromkeys(names, inputs)
        if names.keys() - inputs.keys():
            raise ValueError(
                f"Expected one tensor, or a dict with {', '.join(map(repr, names))}. "
                f"Received: a dict with {', '.join(map(repr, inputs))}"
            )
        return inputs

    def get_config(self):
        config = {
            "expert_sets": {name: serialize(experts) for name, experts in self.expert_sets.items()},
            "gates": {task: serialize(gate) for task, gate in self.gates.items()},
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        with sharing():
            layers = {name: deserialized(config[name]) for name in ("expert_sets", "gates")}
        return cls(**{**config, **layers})


def _all_weights(answer, gate):
    """A gate's weights over all experts: 0 for those that it did not choose."""
    probabilities = _weights(answer, gate)
    if isinstance(answer, dict) and {"indices", "weights"} <= answer.keys():
        return spread(answer["weights"], answer["indices"], probabilities.shape[-1])
    return probabilities
