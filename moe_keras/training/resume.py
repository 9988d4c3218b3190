"""Callback that saves a checkpoint after each epoch and restores it."""

import random
import time
from pathlib import Path

import keras

from moe_keras.json_files import NUMBER, misfit
from moe_keras.training.checkpoint import Checkpoint

STATE = {"history": [{"seconds": NUMBER}], "random": list}


class Resume(keras.callbacks.Callback):
    """Callback: saves a checkpoint after each epoch, and restores it.

    The state is all that moves: weights, optimizer, averages, random numbers, history.

    Args:
        path: Path of the `.npz` file, or `None` to write nothing.
        lookahead: The `Lookahead` of the training.
        plan: Dictionary of numbers and strings that tell one training from another.
    """

    def __init__(self, path, lookahead, plan):
        super().__init__()
        self.path = None if path is None else Path(path)
        self.lookahead = lookahead
        self.plan = dict(plan)
        self.history = []
        self._random = None

    def restore(self, model):
        """Restore a compiled model from the file, if there is one.

        Returns:
            Integer, number of epochs that are done.

        Raises:
            ValueError: if the file is damaged or of another training.
        """
        model.optimizer.build(model.trainable_variables)
        if self.path is None or not self.path.exists():
            return 0
        checkpoint = Checkpoint.read(self.path)
        about = checkpoint.about
        if about.get("plan") != self.plan:
            raise ValueError(
                f"Expected {self.path} to be of this training, {self.plan}. Delete it to start "
                f"anew. Received: {about.get('plan')}"
            )
        fault = misfit(about, STATE) or _fault(about["random"])
        if fault:
            raise ValueError(
                f"Expected {self.path} to be a checkpoint; it is damaged. Delete it to start anew. "
                f"Received: {fault}"
            )
        checkpoint.restore(model)
        self.history = about["history"]
        self._random = about["random"]
        self.lookahead.slow = checkpoint.averages
        return len(self.history)

    def on_epoch_begin(self, epoch, logs=None):
        if self._random is not None:
            random.setstate(_state(self._random))
            self._random = None
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({**metrics, "seconds": time.perf_counter() - self._began})
        if self.path is None:
            return
        # Keras shuffles batches by Python's random numbers.
        about = {"plan": self.plan, "history": self.history, "random": random.getstate()}
        Checkpoint.of(self.model, about, self.lookahead.slow).write(self.path)


def _state(numbers):
    """What `random.getstate` gave, which JSON has made lists of."""
    version, state, gauss = numbers
    return version, tuple(state), gauss


def _fault(numbers):
    """Why this is no state of random numbers, in words; `None` if it is one."""
    try:
        random.Random().setstate(_state(numbers))
    except (TypeError, ValueError, OverflowError) as error:
        return f"'random' is no state of random numbers ({error})"
    return None
