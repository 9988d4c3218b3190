"""A progress bar with loss, accuracy and the experts' load."""

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress(keras.callbacks.Callback):
    """Shows how a training goes: a bar for each epoch, and a line when it ends.

    The load is the share of validation images for which each expert is the heaviest, as of the end
    of the last epoch; a `RunRecorder` before this one in the list of callbacks tells it.

    Args:
        console: a `rich.console.Console`.
    """

    def __init__(self, console):
        super().__init__()
        self.console = console
        self._load = "-"
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self.console,
            transient=True,
        )
        of = f"{epoch + 1}/{self.params['epochs']}"
        self._task = self._bar.add_task("", total=self.params["steps"], epoch=of, told="")
        self._bar.start()

    def on_train_batch_end(self, batch, logs=None):
        if batch % 10 == 0:  # a dozen times a second is enough for any eye
            self._bar.update(self._task, completed=batch + 1, told=self._told(logs))

    def on_epoch_end(self, epoch, logs=None):
        self._bar.stop()
        load = [share for name, share in logs.items() if name.startswith("load_")]
        self._load = " ".join(f"{share:.0%}" for share in load)
        self.console.print(
            f"epoch {epoch + 1}: {self._told(logs)}", markup=False, highlight=False, soft_wrap=True
        )

    def close(self):
        """Take the bar away, also after an error in the middle of an epoch."""
        if self._bar is not None:
            self._bar.stop()

    def _told(self, logs):
        shown = [name for name in ("loss", "accuracy", "val_accuracy") if name in logs]
        numbers = "  ".join(f"{name} {float(logs[name]):.4f}" for name in shown)
        return f"{numbers}  load {self._load}"
