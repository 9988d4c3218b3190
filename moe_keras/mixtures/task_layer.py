"""Base of mixtures for several tasks, which give a tensor for each task."""

import keras

from moe_keras.layer import MoELayer
from moe_keras.masks import kept_mask, put_masks

SHARED = "shared"  # of all tasks: their experts, and what the shared experts of a next level see


class TaskLayer(MoELayer):
    """A layer whose output is a dict of a tensor for each task, and whose input may be one.

    Call arguments:
        inputs: tensor, the same for all tasks, or a dict of tensors by the tasks' names.
    """

    def __init__(self, **kwargs):
        # No autocast: each expert and gate casts the inputs to its own dtype.
        super().__init__(autocast=False, **kwargs)

    def compute_mask(self, inputs, previous_mask):
        """An output that still has the masked axes of its task's input keeps their mask."""
        if not isinstance(inputs, dict):
            return super().compute_mask(inputs, previous_mask)
        if not any(mask is not None for mask in previous_mask.values()):
            return None
        symbols = {name: keras.KerasTensor(x.shape, x.dtype) for name, x in inputs.items()}
        return self.output_masks(inputs, self.compute_output_spec(symbols), previous_mask)

    def output_masks(self, inputs, outputs, mask):
        if not isinstance(inputs, dict):
            return super().output_masks(inputs, outputs, mask)
        return {
            task: None if mask[task] is None else kept_mask(y.shape, mask[task], inputs[task].shape)
            for task, y in outputs.items()
        }

    def _set_mask_metadata(self, inputs, outputs, previous_mask):
        # As in `MoELayer`: the outputs are there, and need not be made again.
        if not isinstance(inputs, dict):
            super()._set_mask_metadata(inputs, outputs, previous_mask)
        elif any(mask is not None for mask in previous_mask.values()):
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
