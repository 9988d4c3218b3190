"""All that a training needs to go on as if it had never stopped, in one file."""

import json
import zipfile

import numpy as np
from keras import ops

from moe_keras.files import replacing


def save_state(path, model, history):
    """Write the state of a training after an epoch.

    Args:
        path: the .npz file.
        model: the compiled model that is trained: its weights, random states and router biases,
            and the optimizer's moments, steps and learning rate go into the file.
        history: list of dicts of metrics, one for each epoch that has ended.
    """
    variables = {f"v{i}": ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, history=np.array(json.dumps(history)), **variables)


def restore_state(path, model):
    """Put a model and its optimizer into the state that `save_state` wrote.

    Args:
        path: the .npz file.
        model: a model built and compiled as the one that was saved.

    Returns:
        The history: list of dicts.

    Raises:
        ValueError: if the file is damaged, or from another model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        history = json.loads(str(arrays.pop("history")))
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError) as error:
        raise ValueError(
            f"Expected a whole checkpoint. Received: {path}, which is damaged "
            f"({type(error).__name__}); models/ may still hold a model"
        ) from None
    variables = _variables(model)
    shapes = [tuple(v.shape) for v in variables]
    if shapes != [arrays[f"v{i}"].shape for i in range(len(arrays))]:
        raise ValueError(
            f"Expected a checkpoint of this model, with {len(shapes)} variables of its shapes. "
            f"Received: {path}, with {len(arrays)} of others"
        )
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"v{i}"])
    return history


def _variables(model):
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    metrics = {id(v) for v in model.metrics_variables}
    return [v for v in model.variables if id(v) not in metrics] + model.optimizer.variables
