"""Base of mixtures for several tasks, which give a tensor for each task."""

import keras

from moe_keras.layer import MoELayer
from moe_keras.masks import kept_mask, put_masks

SHARED = "shared"  # of all tasks: their experts, and what the shared experts of a next level see


class TaskLayer(MoELayer):
    """A layer whose output is a dict of a tensor for each task, and whose input may be one.

    Call arguments:
        inputs: tensor, the same for all tasks, or a dict of tensors by the tasks' names.
        mask: boolean tensor of the first axes of all inputs, or a dict of such and of `None`.
    """

    def __init__(self, **kwargs):
        # No autocast: each expert and gate casts the inputs to its own dtype.
        super().__init__(autocast=False, **kwargs)

    def compute_mask(self, inputs, previous_mask):
        if all(mask is None for mask in keras.tree.flatten(previous_mask)):
            return None
        symbols = keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype), inputs)
        return self.output_masks(inputs, self.compute_output_spec(symbols), previous_mask)

    def output_masks(self, inputs, outputs, mask):
        """An output that still has the masked axes of its task's input keeps their mask."""

        def mask_of(task):
            own, tensor = (x.get(task) if isinstance(x, dict) else x for x in (mask, inputs))
            return None if own is None else kept_mask(outputs[task].shape, own, tensor.shape)

        return {task: mask_of(task) for task in outputs}

    def _set_mask_metadata(self, inputs, outputs, previous_mask):
        # Keras would ask `compute_mask`, which has to make other outputs: see `MoELayer`.
        put_masks(outputs, self.output_masks(inputs, outputs, previous_mask))


def check_tasks(tasks, source):
    """Raise a ValueError unless these are the names of tasks."""
    tasks = list(tasks)
    if not tasks or not all(isinstance(task, str) and task for task in tasks) or SHARED in tasks:
        raise ValueError(
            f"Expected {source} to name one task or more by strings other than {SHARED!r}, which "
            f"stands for what all tasks share. Received: {tasks}"
        )


def deserialized(configs):
    """The layers of a dict of configurations."""
    return {name: keras.saving.deserialize_keras_object(c) for name, c in configs.items()}
