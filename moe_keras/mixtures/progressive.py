"""Progressive layered extraction: levels of shared experts and of each task's own."""

import keras

from moe_keras.experts.expert_list import as_expert_set, check_distinct
from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures.extraction_level import ExtractionLevel
from moe_keras.mixtures.task_layer import SHARED, TaskLayer, check_tasks, deserialized
from moe_keras.serialization import output_shape, serialize, sharing


@keras.saving.register_keras_serializable(package="moe_keras")
class ProgressiveExtraction(TaskLayer):
    """Progressive layered extraction (PLE) for multi-task learning: shared experts and own ones.

        x_k = x_shared = x                                       before the first level
        y_k = sum_e G_k(x_k)_e y_e                               e: shared experts and those of k
        y_shared = sum_e G_shared(x_shared)_e y_e                e: all experts
        x_k, x_shared = y_k, y_shared                            the next level's inputs

    where y_e is the answer of expert e to x_shared if it is shared, else to its task's x_k. A task
    that others would disturb has experts that learn from it alone, which a `MultiGateMoE` has not.
    Each expert runs once. One level is customized gate control (CGC); the last level has no shared
    gate.

    A gate's weights are in this order: the shared experts, then its task's own; a shared gate's:
    the shared experts, then all tasks', in the order of `task_experts`. Each gate adds its own
    losses.

    Args:
        shared_experts: List of levels, first level first: each a list of Keras layers or models,
            or a `StackedMLP`. All experts of a level give one shape; no instance comes twice.
        task_experts: Dict of such lists of levels by the tasks' names.
        gates: List of levels, each a dict of gates by the tasks' names, and `"shared"` in all
            levels but the last; `None`: each is a `SoftmaxGate`.

    Call arguments:
        inputs: tensor that the first level's experts and gates take; or a dict of tensors, one for
            each task under its name and `"shared"`.
        mask: boolean tensor of the inputs' first axes, False for padding, or a dict of them and of
            `None`; passed on to the experts and the gates.
        training: passed on to the experts and the gates.

    Returns:
        Dict of tensors by the tasks' names, each of the shape and dtype of the last level's
        experts' outputs.

    Raises:
        ValueError: if there is no level or no task, a task is called `"shared"`, levels or gates
            are missing or too many, an expert or a level's gate comes twice or is not a Keras
            layer, a level's outputs differ in shape, or a gate weighs another number of experts.

    Reference:
        Tang, Liu, Zhao & Gong (2020), Progressive layered extraction (PLE): a novel multi-task
        learning model for personalized recommendations, equations (1) to (6).

    Example:

    >>> import numpy as np
    >>> from moe_keras.mixtures import ProgressiveExtraction
    >>> def experts(count):
    ...     return [keras.layers.Dense(16, "relu") for _ in range(count)]
    >>> extraction = ProgressiveExtraction(
    ...     shared_experts=[experts(2), experts(2)],
    ...     task_experts={"digit": [experts(1), experts(1)], "parity": [experts(1), experts(1)]},
    ... )
    >>> outputs = extraction(np.ones((5, 8), "float32"))
    >>> {task: tuple(output.shape) for task, output in sorted(outputs.items())}
    {'digit': (5, 16), 'parity': (5, 16)}
    """

    def __init__(self, shared_experts, task_experts, gates=None, **kwargs):
        super().__init__(**kwargs)
        check_tasks(task_experts, "task_experts")
        by_name = {SHARED: shared_experts, **task_experts}
        depth = _depth(by_name)
        if gates is not None and len(gates) != depth:
            raise ValueError(
                f"Expected a dict of gates for each of {depth} levels. Received: {len(gates)}"
            )
        self.levels = []
        for level in range(depth):
            sets = {name: as_expert_set(levels[level]) for name, levels in by_name.items()}
            tasks = [*task_experts] if level == depth - 1 else [*task_experts, SHARED]
            chosen = _soft_gates(sets, tasks) if gates is None else gates[level]
            _check_names(level, tasks, chosen)
            self.levels.append(ExtractionLevel(sets, {task: chosen[task] for task in tasks}))
        sets = [experts for level in self.levels for experts in level.expert_sets.values()]
        check_distinct([expert for experts in sets for expert in experts.layers_inside()])

    @property
    def shared_experts(self):
        """List of levels, each an `ExpertSet`."""
        return [level.expert_sets[SHARED] for level in self.levels]

    @property
    def task_experts(self):
        """Dict of lists of levels, each an `ExpertSet`, by the tasks' names."""
        tasks = [name for name in self.levels[0].expert_sets if name != SHARED]
        return {task: [level.expert_sets[task] for level in self.levels] for task in tasks}

    @property
    def gates(self):
        """List of levels, each a dict of gates."""
        return [dict(level.gates) for level in self.levels]

    def build(self, input_shape):
        for level in self.levels:
            input_shape = output_shape(level, input_shape)

    def call(self, inputs, mask=None, training=None):
        for level in self.levels:
            outputs = level(inputs, mask=mask, training=training)
            inputs, mask = outputs, _masks(level, inputs, outputs, mask)
        return inputs

    def route(self, inputs, mask=None, training=None):
        """Routing of the inputs: a dict for each level, for each gate's name its tensors.

        Args:
            inputs, mask, training: as in a call.
        """
        routes = []
        for level in self.levels:
            routes.append(level.route(inputs, mask=mask, training=training))
            outputs = level(inputs, mask=mask, training=training)
            inputs, mask = outputs, _masks(level, inputs, outputs, mask)
        return routes

    def get_config(self):
        config = {
            "shared_experts": [serialize(experts) for experts in self.shared_experts],
            "task_experts": {
                task: [serialize(experts) for experts in levels]
                for task, levels in self.task_experts.items()
            },
            "gates": [{task: serialize(g) for task, g in gates.items()} for gates in self.gates],
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        with sharing():
            layers = {
                "shared_experts": keras.saving.deserialize_keras_object(config["shared_experts"]),
                "task_experts": deserialized(config["task_experts"]),
                "gates": [deserialized(gates) for gates in config["gates"]],
            }
        return cls(**{**config, **layers})


def _masks(level, inputs, outputs, mask):
    """The masks of a level's outputs."""
    return None if mask is None else level.output_masks(inputs, outputs, mask)


def _depth(by_name):
    """How many levels there are, the same for all names."""
    depths = {name: len(levels) for name, levels in by_name.items()}
    if min(depths.values()) < 1 or len(set(depths.values())) > 1:
        listed = ", ".join(f"{depth} of {name!r}" for name, depth in depths.items())
        raise ValueError(
            "Expected a list of one level or more, each a list of experts, as many shared ones as "
            f"for each task. Received: levels {listed}"
        )
    return depths[SHARED]


def _soft_gates(sets, tasks):
    total = sum(map(len, sets.values()))
    counts = {task: len(sets[SHARED]) + len(sets[task]) for task in tasks if task != SHARED}
    return {task: SoftmaxGate(counts.get(task, total)) for task in tasks}


def _check_names(level, expected, gates):
    if set(gates) != set(expected):
        raise ValueError(
            f"Expected gates of {', '.join(map(repr, expected))} in level {level}. "
            f"Received: {', '.join(map(repr, gates)) or 'none'}"
        )
