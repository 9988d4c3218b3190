"""Callback that logs the expert load during training."""

from pathlib import Path

import keras
import numpy as np

from moe_common.files import write_text
from moe_keras.arguments import positive_integer
from moe_keras.metrics.expert_load import expert_load


class RouterLog(keras.callbacks.Callback):
    """Callback: logs the fraction of assignments per expert every few batches.

        share_e = mean over the inputs of expert e's weight, 0 where it is not chosen

    The shares of a dense gate are its mean probabilities. Those of a sparse gate count choices:
    share_e = choices of expert e / all choices. Both have sum 1.

    Args:
        router: Model from the inputs to what a `Gate` returns: a dictionary with `"indices"` (...,
            k) and `"probabilities"` (..., E), or with `"probabilities"` alone.
        inputs: Array of what the model takes, the same each time.
        every: Integer, batches between two records; the state before the first batch is recorded
            too.

    Attributes:
        steps: List of integers, the batches after which the load was recorded.
        shares: List of arrays (E,), one for each of the steps.

    Example:

    >>> from moe_keras.gates import SoftmaxGate
    >>> from moe_keras.training import RouterLog
    >>> images = keras.Input((4,))
    >>> gate = SoftmaxGate(num_experts=2)
    >>> model = keras.Model(images, gate(images)["probabilities"])
    >>> model.compile(loss="mse")
    >>> x = np.ones((8, 4), "float32")
    >>> log = RouterLog(keras.Model(images, gate(images)), x, every=2)
    >>> _ = model.fit(x, np.ones((8, 2)), batch_size=2, callbacks=[log], verbose=0)
    >>> log.steps, len(log.shares)
    ([0, 2, 4], 3)
    """

    def __init__(self, router, inputs, every=10):
        super().__init__()
        self.router = router
        self.inputs = inputs
        self.every = positive_integer("every", every)
        self.steps = []
        self.shares = []
        self._batch = 0

    def on_train_begin(self, logs=None):
        self._note()

    def on_epoch_begin(self, epoch, logs=None):
        self._before = self._batch

    def on_train_batch_end(self, batch, logs=None):
        last = self._batch
        # With steps_per_execution Keras calls once for several batches and names the last one.
        self._batch = self._before + batch + 1
        if self._batch // self.every > last // self.every:
            self._note()

    def _note(self):
        if self.steps[-1:] != [self._batch]:  # a second fit goes on where the first one stopped
            # In the middle of an epoch on JAX the layers have no values until a callback asks for
            # its model, whose layers are the router's.
            _ = self.model
            self.steps.append(self._batch)
            self.shares.append(_load(self.router(self.inputs, training=False)))

    def save(self, path):
        """Write a CSV with a line for each step: step, expert_0, expert_1, ..."""
        names = [f"expert_{e}" for e in range(len(self.shares[0]))]
        lines = [["step", *names]]
        lines += [
            [step, *(f"{share:.4f}" for share in noted)]
            for step, noted in zip(self.steps, self.shares, strict=True)
        ]
        write_text(Path(path), "\n".join(",".join(map(str, line)) for line in lines) + "\n")


def _load(answer):
    """Fraction of assignments per expert (E,); of weight, if the gate chooses none."""
    assignments = keras.ops.convert_to_numpy(answer["probabilities"])
    if "indices" in answer:
        indices = keras.ops.convert_to_numpy(answer["indices"])
        # (..., k, E); -1 is no expert
        assignments = np.expand_dims(indices, -1) == np.arange(assignments.shape[-1])
        assignments = assignments.astype("float32")
    return keras.ops.convert_to_numpy(expert_load(assignments))
