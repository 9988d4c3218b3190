"""Callbacks of `train`."""

import math

import keras

from moe_keras.runs.recorder import best_epoch
from moe_keras.training.checkpoint import Checkpoint


class StopAtNaN(keras.callbacks.Callback):
    """Callback: stops training when the loss is not finite.

    Raises:
        FloatingPointError: with the epoch and the batch, both counted from 1.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(
                "Expected a finite loss; a smaller learning rate or --clip 1 may help. What "
                "earlier epochs saved is kept. "
                f"Received: loss {loss} in epoch {self.epoch}, batch {batch + 1}"
            )


class SaveState(keras.callbacks.Callback):
    """Callback: writes a checkpoint before the first epoch and after each, after the recorder.

    Args:
        path: Path of the file.
        recorder: `RunRecorder` that holds the history.
    """

    def __init__(self, path, recorder):
        super().__init__()
        self.path, self.recorder = path, recorder

    def on_train_begin(self, logs=None):
        # From here on a missing file means that it was lost, and not that nothing was done.
        if not self.path.exists():
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        self._write()

    def _write(self):
        Checkpoint.of(self.model, {"history": self.recorder.history}).write(self.path)


class StopEarly(keras.callbacks.Callback):
    """Callback: early stopping by the recorder's history, so that it can be resumed.

    Args:
        recorder: `RunRecorder` that holds the history.
        patience: Integer, epochs to wait for a better one; 0: never stop.
    """

    def __init__(self, recorder, patience):
        super().__init__()
        self.recorder, self.patience = recorder, patience

    def on_epoch_end(self, epoch, logs=None):
        if is_over(self.recorder.history, self.recorder.monitor, self.patience):
            self.model.stop_training = True


def is_over(history, monitor, patience):
    """Whether early stopping has ended the training that has this history.

    >>> is_over([{"val_loss": 1}, {"val_loss": 2}], "val_loss", patience=1)
    True
    """
    return bool(patience) and len(history) - best_epoch(history, monitor) >= patience


class AnnealGuidance(keras.callbacks.Callback):
    """Callback: anneals the guidance of a gate to 0 linearly, a step each epoch.

    Args:
        gate: `LabelGuidedGate` whose guidance is annealed.
        epochs: Integer, epochs until it is 0.
    """

    def __init__(self, gate, epochs):
        super().__init__()
        self.gate, self.epochs = gate, epochs

    def on_epoch_begin(self, epoch, logs=None):
        weight = self.gate.initial_guidance_weight * max(0.0, 1 - epoch / self.epochs)
        self.gate.guidance_weight.assign(weight)
