"""Progress bar with loss, accuracy and expert load."""

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from moe_common.terminal import Words, show


class TrainingProgress(keras.callbacks.Callback):
    """Callback: a progress bar for each epoch, and a line when it ends.

    The load is the share of validation images for which each expert is the heaviest, as of the end
    of the last epoch; a `RunRecorder` before this one in the list of callbacks tells it.

    Args:
        console: `rich.console.Console` to print on.
    """

    def __init__(self, console):
        super().__init__()
        self.console = console
        self._load = "-"
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self._bar = Progress(
            Words("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            Words("{task.fields[metrics]}"),
            console=self.console,
            transient=True,
        )
        of = f"{epoch + 1}/{self.params['epochs']}"
        self._task = self._bar.add_task("", total=self.params["steps"], epoch=of, metrics="")
        self._bar.start()

    def on_train_batch_end(self, batch, logs=None):
        if batch % 10 == 0:  # a dozen times a second is enough for any eye
            self._bar.update(self._task, completed=batch + 1, metrics=self._metrics(logs))

    def on_epoch_end(self, epoch, logs=None):
        self._bar.stop()
        load = [share for name, share in logs.items() if name.startswith("load_")]
        self._load = " ".join(f"{share:.0%}" for share in load)
        show(self.console, f"epoch {epoch + 1}: {self._metrics(logs)}")

    def close(self):
        """Take the bar away, also after an error in the middle of an epoch."""
        if self._bar is not None:
            self._bar.stop()

    def _metrics(self, logs):
        shown = [name for name in ("loss", "accuracy", "val_accuracy") if name in logs]
        numbers = "  ".join(f"{name} {float(logs[name]):.4f}" for name in shown)
        return f"{numbers}  load {self._load}"
