"""Training that goes on where it was interrupted."""

import json
import random
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import ops

from moe_keras.files import replacing


class Resume(keras.callbacks.Callback):
    """Writes the state of a training after each epoch, and goes on from it.

    The state is all that moves: weights, optimizer, averages, random numbers, history.

    Args:
        path: the file, `.npz`; `None`: nothing is written.
        lookahead: the `Lookahead` of the training.
        plan: dict of numbers and texts that tell one training from another.
    """

    def __init__(self, path, lookahead, plan):
        super().__init__()
        self.path = None if path is None else Path(path)
        self.lookahead = lookahead
        self.plan = dict(plan)
        self.history = []
        self._random = None

    def restore(self, model):
        """Put a compiled model into the state of the file, if there is one.

        Returns:
            The number of epochs that are done.

        Raises:
            ValueError: if the file is damaged or of another training.
        """
        model.optimizer.build(model.trainable_variables)
        if self.path is None or not self.path.exists():
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                state = dict(file)
            said = json.loads(str(state["said"]))
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Expected {self.path} to be a checkpoint; it is damaged. Delete it to start anew. "
                f"Received: {error}"
            ) from error
        if said["plan"] != self.plan:
            raise ValueError(
                f"Expected {self.path} to be of this training, {self.plan}. Delete it to start "
                f"anew. Received: {said['plan']}"
            )
        self.history = said["history"]
        self._random = said["random"]
        model.set_weights([state[f"weight_{i}"] for i in range(len(model.weights))])
        for i, variable in enumerate(model.optimizer.variables):
            variable.assign(state[f"optimizer_{i}"])
        self.lookahead.slow = [state[f"slow_{i}"] for i in range(len(model.weights))]
        return len(self.history)

    def on_epoch_begin(self, epoch, logs=None):
        if self._random is not None:
            version, numbers, gauss = self._random
            random.setstate((version, tuple(numbers), gauss))
            self._random = None
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        said = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({**said, "seconds": time.perf_counter() - self._began})
        if self.path is None:
            return
        # Keras shuffles batches by Python's random numbers.
        said = {"plan": self.plan, "history": self.history, "random": random.getstate()}
        arrays = {"said": np.array(json.dumps(said))}
        for kind, values in (
            ("weight", self.model.weights),
            ("optimizer", self.model.optimizer.variables),
            ("slow", self.lookahead.slow),
        ):
            arrays |= {f"{kind}_{i}": ops.convert_to_numpy(v) for i, v in enumerate(values)}
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
