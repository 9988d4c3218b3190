"""Small callbacks of `train`."""

import math

import keras

from moe_keras.runs.recorder import best_epoch
from moe_keras.runs.state import save_state


class StopAtNaN(keras.callbacks.Callback):
    """Stops a training whose loss is no longer a finite number.

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
    """After each epoch, and after the recorder, writes the state to resume from.

    Args:
        path: the file.
        recorder: the `RunRecorder`, which knows the history.
    """

    def __init__(self, path, recorder):
        super().__init__()
        self.path, self.recorder = path, recorder

    def on_epoch_end(self, epoch, logs=None):
        save_state(self.path, self.model, self.recorder.history)


class StopEarly(keras.callbacks.Callback):
    """Stops when the best epoch is long past; it remembers nothing but the recorder's history.

    Args:
        recorder: the `RunRecorder`.
        patience: epochs to wait for a better one; 0: never stop.
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
    """Lets the guidance of a gate fall to 0 along a line, a step each epoch.

    Args:
        gate: `LabelGuidedGate`.
        epochs: until it is 0.
    """

    def __init__(self, gate, epochs):
        super().__init__()
        self.gate, self.epochs = gate, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.gate.strength.assign(self.gate.guidance * max(0.0, 1 - epoch / self.epochs))
