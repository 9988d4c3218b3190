"""What a router does, watched while it learns."""

from pathlib import Path

import keras
import numpy as np

from moe_keras.arguments import positive_integer
from moe_keras.files import write_text


class RouterLog(keras.callbacks.Callback):
    """Asks a router about the same inputs every few batches and notes who gets how much.

        share_e = mean over the inputs of expert e's weight, 0 where it is not chosen

    The shares of a dense gate are its mean probabilities. Those of a sparse gate count choices:
    share_e = choices of expert e / all choices. Both have sum 1.

    Args:
        router: model that gives what a `Gate` gives for the inputs: a dict with `"indices"`
            (..., k) and `"probabilities"` (..., E), or with `"probabilities"` alone.
        inputs: array of what the model takes, the same each time.
        every: after how many batches to ask; the state before the first batch is noted too.

    Attributes:
        steps: list of the batches after which it was asked.
        shares: list of arrays (E,), one for each of the steps.

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

    def on_train_batch_end(self, batch, logs=None):
        self._batch += 1
        if self._batch % self.every == 0:
            self._note()

    def _note(self):
        if self.steps[-1:] != [self._batch]:  # a second fit goes on where the first one stopped
            self.steps.append(self._batch)
            self.shares.append(shares(self.router(self.inputs, training=False)))

    def save(self, path):
        """Write a CSV with a line for each step: step, expert_0, expert_1, ..."""
        names = [f"expert_{e}" for e in range(len(self.shares[0]))]
        lines = [["step", *names]]
        lines += [
            [step, *(f"{share:.4f}" for share in noted)]
            for step, noted in zip(self.steps, self.shares, strict=True)
        ]
        write_text(Path(path), "\n".join(",".join(map(str, line)) for line in lines) + "\n")


def shares(answer):
    """Each expert's share of the choices in a gate's answer; of the weight, if it chooses none.

    Args:
        answer: a gate's dict of tensors.

    Returns:
        Array (E,), sum 1.

    Example:

    >>> from moe_keras.training import shares
    >>> probabilities = np.array([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]])
    >>> shares({"probabilities": probabilities}).tolist()
    [0.375, 0.5, 0.125]
    >>> shares({"probabilities": probabilities, "indices": np.array([[0, 1], [0, 1]])}).tolist()
    [0.5, 0.5, 0.0]
    """
    probabilities = keras.ops.convert_to_numpy(answer["probabilities"])
    num_experts = probabilities.shape[-1]
    if "indices" not in answer:
        return probabilities.reshape(-1, num_experts).mean(axis=0)
    indices = keras.ops.convert_to_numpy(answer["indices"]).ravel()
    return np.bincount(indices, minlength=num_experts) / len(indices)
