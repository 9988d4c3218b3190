"""The callback that writes a run folder while a model trains."""

import time

import keras
import numpy as np

from moe_keras.arguments import positive_integer
from moe_keras.runs.figures import curve_figures, epoch_figures, save_figure
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.observation import (
    Observation,
    check_parquet,
    observe_model,
    spread_samples,
)
from moe_keras.runs.report import write_report
from moe_keras.runs.scalars import ScalarLog


class RunRecorder(keras.callbacks.Callback):
    """Writes down what a mixture does while it trains, in any `fit`.

    After each epoch a fixed sample of a held-out split is put to the model, and the folder gets the
    table of its activations, the metrics, the best and the last model and, in the epochs 0 (before
    training), 1 to 10, every tenth after that and the last, the figures. At the end comes
    report.html. `RunFolder` lists the files; each is there whole or not at all. The router's
    entropy and load join the training's `History`.

    Args:
        folder: a new or empty folder.
        x: array (N, ...), inputs of the held-out split.
        y: array (N,), their labels, whole numbers from 0.
        config: dict to keep in config.json, such as the settings and the seed.
        split: name of the split, for the files' names.
        class_names: a name for each label; left out: the numbers.
        assigned: array (C, E) of 0 and 1, the experts that each label is assigned to, if any.
        source: what data this is; the figures say it.
        keep: the model to save and to put the sample to; left out: the one that is trained.
        observe: function from x to (answers (N, C), weights (N, E)); left out: the answers of
            `keep` and the weights of the first mixture inside it.
        monitor: the metric that says which epoch is best; small is good if "loss" is in its name.
        rows: the most rows of an activation table, one for each sample and expert; so many that
            200 epochs stay below 50 MB.
        save_every: also save the model as models/epoch_<n>.keras every so many epochs; 0: never.
        batch_every: also draw heat map and usage every so many batches; 0: never.
        parquet: write the activations as .parquet (with pandas and pyarrow) and not as .csv.
        tensorboard: also write the metrics for TensorBoard, in the folder tensorboard/.
        resumed: list of the metrics of the epochs before, a dict each, for a run that goes on in
            its own folder.

    Raises:
        FileExistsError: if the folder is not empty.
        ModuleNotFoundError: if `parquet` is asked for and pandas or pyarrow is not installed.
        ValueError: if `rows` is below 1, x and y differ in length, or `monitor` is no metric of
            the training.

    Example:

    >>> import tempfile
    >>> import moe_keras
    >>> from moe_keras.runs import RunRecorder
    >>> x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 3
    >>> experts = [keras.layers.Dense(3, activation="softmax") for _ in range(2)]
    >>> model = keras.Sequential([moe_keras.DenseMoE(experts, moe_keras.SoftmaxGate(2))])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> folder = tempfile.mkdtemp()
    >>> recorder = RunRecorder(folder, x, y, monitor="loss")
    >>> _ = model.fit(x, y, epochs=2, callbacks=[recorder], verbose=0)
    >>> sorted(recorder.folder.activation_files())
    [1, 2]
    """

    def __init__(
        self,
        folder,
        x,
        y,
        *,
        config=None,
        split="validation",
        class_names=None,
        assigned=None,
        source="not named",
        keep=None,
        observe=None,
        monitor="val_accuracy",
        rows=5000,
        save_every=0,
        batch_every=0,
        parquet=False,
        tensorboard=False,
        resumed=None,
    ):
        super().__init__()
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(
                "Expected as many labels as inputs, one or more. "
                f"Received: {len(x)} inputs and {len(y)} labels"
            )
        self.rows = positive_integer("rows", rows)
        if parquet:
            check_parquet()  # now, and not after an hour's epoch
        self.x, self.y, self.split = x, np.asarray(y).reshape(-1), split
        names = range(int(self.y.max()) + 1) if class_names is None else class_names
        self.class_names = [str(name) for name in names]
        self.assigned = assigned
        self.source = source
        self.keep = keep
        self.observe = observe
        self.monitor = monitor
        self.save_every, self.batch_every = save_every, batch_every
        self.ending = "parquet" if parquet else "csv"
        self.folder = RunFolder(folder)
        self.history = list(resumed or [])
        self.seen = None  # the last observation
        if resumed is None:
            about = {
                "data": {"label": source, "class_names": self.class_names},
                "assigned": None if assigned is None else np.asarray(assigned).tolist(),
                "monitor": monitor,
                "split": split,
            }
            self.folder.create({**about, **(config or {})})
        self.scalars = ScalarLog(self.folder.path / "tensorboard") if tensorboard else None
        self._samples = None

    def on_train_begin(self, logs=None):
        if self.keep is None:
            self.keep = self.model
        if not self.history and self.keep.built:
            self._look()
            self._draw_epoch("epoch_000", "before training")

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._start = epoch + 1, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if self.batch_every and (batch + 1) % self.batch_every == 0:
            self._look()
            name = f"epoch_{self._epoch:03d}_batch_{batch + 1:05d}"
            moment = f"epoch {self._epoch}, batch {batch + 1}"
            self._draw_epoch(name, moment, only=("heatmap", "usage"))

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._start
        logs = {} if logs is None else logs
        if self.monitor not in logs:
            raise ValueError(
                f"Expected monitor to be one of {', '.join(logs)}. "
                f"Received: monitor={self.monitor!r}"
            )
        self._look()
        # Into Keras's own logs, so that later callbacks and `History` have them too.
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        logs["router_entropy"] = self.seen.entropy()
        if self.assigned is not None:
            logs["routed"] = self.seen.routed()
        logs |= {f"load_{e}": float(share) for e, share in enumerate(self.seen.usage())}
        numbers = {name: float(value) for name, value in logs.items()}
        row = {"epoch": epoch + 1, "seconds": seconds, **numbers}
        self.history.append(row)
        self.folder.write_table(
            self.folder.metrics_file, list(row), [list(each.values()) for each in self.history]
        )
        name = f"activations_{self.split}_{epoch + 1:03d}.{self.ending}"
        self.seen.write(self.folder.path / "csv" / name)
        if best_epoch(self.history, self.monitor) == epoch + 1:
            self.folder.save_model(self.keep, "best")
        self.folder.save_model(self.keep, "last")
        if self.save_every and (epoch + 1) % self.save_every == 0:
            self.folder.save_model(self.keep, f"epoch_{epoch + 1:03d}")
        if epoch < 10 or (epoch + 1) % 10 == 0:
            self._draw()
        if self.scalars:
            self.scalars.write(epoch + 1, row)

    def on_train_end(self, logs=None):
        if self.seen is not None and self.history:
            if len(self.history) > 10 and len(self.history) % 10:
                self._draw()
            write_report(self.folder.path)

    def _look(self):
        """Put the sample to the model."""
        observe = self.observe or observe_model(self.keep)
        if self._samples is None:
            _, weights = observe(self.x[:1])
            self._samples = spread_samples(self.y, max(self.rows // weights.shape[1], 1))
            self._x = self.x[self._samples]
        answers, weights = observe(self._x)
        labels = self.y[self._samples]
        self.seen = Observation(
            self._samples, labels, answers.argmax(axis=-1), weights, self.assigned
        )

    def _draw(self):
        number = len(self.history)
        self._draw_epoch(f"epoch_{number:03d}", f"epoch {number}")
        metrics = {name: [row[name] for row in self.history] for name in self.history[0]}
        for name, picture in curve_figures(metrics, self.source).items():
            save_figure(picture, self.folder.path / "plots" / f"{name}.png")

    def _draw_epoch(self, name, moment, only=None):
        pictures = epoch_figures(self.seen, self.class_names, moment, self.source, only)
        for what, picture in pictures.items():
            save_figure(picture, self.folder.path / "plots" / f"{name}_{what}.png")


def best_epoch(history, monitor):
    """The number of the best epoch, the first one of several.

    Args:
        history: list of dicts of metrics, one for each epoch.
        monitor: the metric; small is good if "loss" is in its name.

    Returns:
        Whole number from 1; 0 if there was no epoch.

    >>> best_epoch([{"val_loss": 2}, {"val_loss": 1}, {"val_loss": 1}], "val_loss")
    2
    """
    sign = -1 if "loss" in monitor else 1
    values = [sign * row[monitor] for row in history]
    return values.index(max(values)) + 1 if values else 0
