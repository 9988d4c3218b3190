"""Multi-gate mixture of experts: several tasks share experts, and each has a gate of its own."""

import keras

from moe_keras.experts.expert_list import as_expert_set
from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures.extraction_level import ExtractionLevel
from moe_keras.mixtures.task_layer import SHARED, check_tasks, deserialized
from moe_keras.serialization import serialize, sharing


@keras.saving.register_keras_serializable(package="moe_keras")
class MultiGateMoE(ExtractionLevel):
    """Multi-gate mixture of experts (MMoE) for multi-task learning: a gate for each task.

        y_k = sum_e G_k(x)_e E_e(x)        for each task k

    The tasks share the experts, and each expert runs once on an input, however many tasks there
    are. Each task weighs them by a gate of its own, so that tasks that have little in common can
    use different experts. What comes after, a task's tower, is up to you: a Keras layer for each
    of the outputs.

    A gate that chooses k experts (`TopKGate`) leaves the others out of its task's sum; other tasks
    may need them, so all are computed. Each gate adds its own losses.

    For experts that belong to one task, see `ProgressiveExtraction`. With the same gate for all
    tasks this would be a `DenseMoE`.

    Args:
        experts: List of Keras layers or models whose outputs have one shape, no instance twice; or
            a `StackedMLP`.
        gates: Dict of gates by the tasks' names: each a `Gate`, or a layer or model that gives a
            weight tensor or a dict with `"probabilities"`. Or a list of names: each gets a
            `SoftmaxGate`.

    Call arguments:
        inputs: tensor that the experts and the gates take; or a dict of what each gate takes under
            its task's name, and of what the experts take under `"shared"`.
        mask: boolean tensor of the inputs' first axes, False for padding, or a dict of them and of
            `None`; passed on to the experts and the gates.
        training: passed on to the experts and the gates.

    Returns:
        Dict of tensors by the tasks' names, each of the shape and dtype of the experts' outputs.

    Raises:
        ValueError: if there are no experts or no tasks, a task is called `"shared"`, an expert or a
            gate comes twice or is not a Keras layer, the experts' outputs differ in shape, or a
            gate weighs another number of experts or axes that the outputs do not have.

    Reference:
        Ma, Zhao, Yi, Chen, Hong & Chi (2018), Modeling task relationships in multi-task learning
        with multi-gate mixture-of-experts, equations (5) to (7).

    Example:

    >>> import numpy as np
    >>> from moe_keras.mixtures import MultiGateMoE
    >>> inputs = keras.Input((8,))
    >>> experts = [keras.layers.Dense(16, "relu") for _ in range(4)]
    >>> shared = MultiGateMoE(experts, gates=["digit", "parity"])(inputs)
    >>> outputs = {
    ...     "digit": keras.layers.Dense(10, "softmax")(shared["digit"]),
    ...     "parity": keras.layers.Dense(1, "sigmoid")(shared["parity"]),
    ... }
    >>> model = keras.Model(inputs, outputs)
    >>> model.compile(
    ...     "adam", {"digit": "sparse_categorical_crossentropy", "parity": "binary_crossentropy"}
    ... )
    >>> predictions = model(np.ones((5, 8), "float32"))
    >>> {task: tuple(predictions[task].shape) for task in ("digit", "parity")}
    {'digit': (5, 10), 'parity': (5, 1)}
    """

    def __init__(self, experts, gates, **kwargs):
        experts = as_expert_set(experts)
        check_tasks(gates, "gates")
        if not isinstance(gates, dict):
            gates = {task: SoftmaxGate(len(experts)) for task in gates}
        super().__init__({SHARED: experts}, gates, **kwargs)

    @property
    def experts(self):
        """The `ExpertSet`; a list becomes an `ExpertList`."""
        return self.expert_sets[SHARED]

    def get_config(self):
        config = super().get_config()
        del config["expert_sets"]
        return {**config, "experts": serialize(self.experts)}

    @classmethod
    def from_config(cls, config):
        with sharing():
            experts = keras.saving.deserialize_keras_object(config["experts"])
            gates = deserialized(config["gates"])
        return cls(**{**config, "experts": experts, "gates": gates})
