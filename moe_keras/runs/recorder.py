"""Callback that records a run folder."""

import math
import re
import time

import keras
import numpy as np

from moe_keras.arguments import non_negative_integer, positive_integer
from moe_keras.routing.routes import mixtures_in
from moe_keras.runs.figures import curve_figures, epoch_figures, save_figure
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.held_out import held_out, is_binary, num_classes, predicted_classes
from moe_keras.runs.observation import (
    Observation,
    check_parquet,
    observe_model,
    spread_samples,
)
from moe_keras.runs.report import write_report
from moe_keras.runs.scalars import ScalarLog


class RunRecorder(keras.callbacks.Callback):
    """Callback: records metrics, activations, models and figures of a mixture in a run folder.

    After each epoch a fixed sample of a held-out split is put to the model, and the folder gets the
    table of its activations, the metrics, the best and the last model and, in the epochs 0 (before
    training), 1 to 10, every tenth after that and the last, the figures. At the end comes
    report.html. `RunFolder` lists the files; each is there whole or not at all. The router's
    entropy and load join the training's `History`.

    Epochs are counted from 1 over all fits with one recorder: a second `fit` goes on after the
    first, whatever its `initial_epoch`.

    The model is a classifier with one output: (N, C), the largest is the prediction; or (N, 1), the
    probability of class 1 of two (its logit, where the loss says `from_logits`).

    Args:
        folder: Path of a new or empty folder.
        x: Array or tensor (N, ...), inputs of the held-out split; without y, a `tf.data.Dataset` or
            another iterable of batches (x, y) that ends.
        y: Array or tensor (N,) or (N, 1), their labels, whole numbers from 0; or one-hot rows
            (N, C).
        config: Dictionary to keep in config.json, such as the settings and the seed.
        split: String of letters, digits, spaces, dots and hyphens, name of the split, for the
            files' names.
        class_names: Sequence of strings, a name for each label; `None`: the numbers.
        assigned: Array (C, E) of 0 and 1, the experts that each label is assigned to, if any.
        source: String, name of the data, shown in the figures.
        keep: Model to save and to observe; `None`: the one that is trained.
        observe: Function from x to (outputs (N, C), weights (N, E)); `None`: the outputs of `keep`
            and the weights of the first mixture inside it.
        monitor: String, metric that says which epoch is best; small is good if "loss" or "error" is
            in its name. NaN is never best.
        rows: Integer, largest number of rows of an activation table, one for each sample and
            expert; with the default 200 epochs stay below 50 MB.
        save_every: Integer, epochs between two copies of the model, models/epoch_<n>.keras; 0:
            none.
        batch_every: Integer, batches between two drawings of heat map and usage; 0: none.
        parquet: Boolean, whether to write the activations as .parquet (with pandas and pyarrow) and
            not as .csv.
        tensorboard: Boolean, whether to write the metrics for TensorBoard too, in the folder
            tensorboard/.
        resumed: List of dictionaries, metrics of the epochs before, for a run that continues in its
            own folder.

    Raises:
        FileExistsError: if the folder is not empty.
        ModuleNotFoundError: if `parquet` is asked for and pandas or pyarrow is not installed.
        ValueError: before training, if x and y are no labeled examples, `rows` is below 1,
            `class_names` are too few, `assigned` does not fit, `split` names no file, `config` is
            no JSON, or the model has no mixture, several outputs or fewer classes than labels;
            after an epoch, if `monitor` is no metric of the training.

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
        y=None,
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
        self.x, self.y = held_out(x, y)
        if not re.fullmatch(r"\w[\w .-]*", str(split)):
            raise ValueError(
                "Expected split to be a name that a file can have: letters, digits, spaces, dots "
                f"and hyphens. Received: split={split!r}"
            )
        self.rows = positive_integer("rows", rows)
        if parquet:
            check_parquet()  # now, and not after an hour's epoch
        self.split = str(split)
        labels = int(self.y.max()) + 1
        self._numbered = class_names is None
        if self._numbered:
            class_names = range(max(labels, len(() if assigned is None else assigned)))
        self.class_names = _names(class_names, labels)
        self.assigned = _assignment(assigned, len(self.class_names))
        self.source = _writable("source", source)
        self.keep = keep
        self.observe = observe
        self.monitor = monitor
        self.save_every = non_negative_integer("save_every", save_every)
        self.batch_every = non_negative_integer("batch_every", batch_every)
        self.ending = "parquet" if parquet else "csv"
        self.folder = RunFolder(folder)
        self.history = list(resumed or [])
        self.seen = None  # the last observation
        if resumed is None:
            about = {
                "data": {"label": source, "class_names": self.class_names},
                "assigned": None if assigned is None else self.assigned.tolist(),
                "monitor": monitor,
                "split": self.split,
            }
            self.folder.create({**about, **(config or {})})
        self.scalars = ScalarLog(self.folder.path / "tensorboard") if tensorboard else None
        self._samples = None

    def on_train_begin(self, logs=None):
        if self.keep is None:
            self.keep = self.model
        if self.observe is None:
            mixtures_in(self.keep)  # raises where there is none
        if self.keep.built:
            self._check(*(self.observe or observe_model(self.keep))(self.x[:1]))
        if not self.history and self.keep.built:
            self._look()
            self._draw_epoch("epoch_000", "before training")

    def on_epoch_begin(self, epoch, logs=None):
        # Keras begins anew in each fit, or at `initial_epoch`; here the history counts.
        self._epoch, self._batch, self._start = len(self.history) + 1, 0, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        last, self._batch = self._batch, batch + 1  # several at once with steps_per_execution
        if self.batch_every and self._batch // self.batch_every > last // self.batch_every:
            self._look()
            name = f"epoch_{self._epoch:03d}_batch_{batch + 1:05d}"
            moment = f"epoch {self._epoch}, batch {batch + 1}"
            self._draw_epoch(name, moment, only=("heatmap", "usage"))

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._start
        logs = {} if logs is None else logs
        self._look()
        # Into Keras's own logs, so that later callbacks and `History` have them too.
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        logs["router_entropy"] = self.seen.entropy()
        if self.assigned is not None:
            logs["routed"] = self.seen.routed()
        logs |= {f"load_{e}": float(share) for e, share in enumerate(self.seen.usage())}
        if self.monitor not in logs and not self.history:  # later ones may go without validation
            raise ValueError(
                f"Expected monitor to be one of {', '.join(logs)}. "
                f"Received: monitor={self.monitor!r}"
            )
        number = self._epoch
        row = {"epoch": number, "seconds": seconds, **_numbers(logs)}
        self.history.append(row)
        self.write_metrics()
        name = f"activations_{self.split}_{number:03d}.{self.ending}"
        self.seen.write(self.folder.path / "csv" / name)
        if best_epoch(self.history, self.monitor) == number:
            self.folder.save_model(self.keep, "best")
        self.folder.save_model(self.keep, "last")
        if self.save_every and number % self.save_every == 0:
            self.folder.save_model(self.keep, f"epoch_{number:03d}")
        if number <= 10 or number % 10 == 0:
            self._draw()
        if self.scalars:
            self.scalars.write(number, row)

    def on_train_end(self, logs=None):
        if self.seen is not None and self.history:
            if len(self.history) > 10 and len(self.history) % 10:
                self._draw()
            write_report(self.folder.path)

    def write_metrics(self):
        """Write csv/metrics.csv, a row for each epoch and a column for each metric of any."""
        columns = list(dict.fromkeys(name for row in self.history for name in row))
        rows = [[row.get(name, math.nan) for name in columns] for row in self.history]
        self.folder.write_table(self.folder.metrics_file, columns, rows)

    def _look(self):
        """Observe the model on the sample."""
        # First of all: in the middle of an epoch on JAX the layers have no values until a callback
        # asks for its model.
        model = self.model
        observe = self.observe or observe_model(self.keep)
        if self._samples is None:
            outputs, weights = observe(self.x[:1])
            self._check(outputs, weights)
            self._samples = spread_samples(self.y, max(self.rows // weights.shape[1], 1))
            self._x = self.x[self._samples]
        outputs, weights = observe(self._x)
        predictions = predicted_classes(outputs, _from_logits(model.loss))
        labels = self.y[self._samples]
        self.seen = Observation(self._samples, labels, predictions, weights, self.assigned)

    def _check(self, outputs, weights):
        """Refuse a model that does not fit labels, names and assignment."""
        classes, most = num_classes(outputs), int(self.y.max())
        if most >= classes:
            raise ValueError(
                f"Expected labels from 0 to {classes - 1}, as the model tells {classes} classes "
                f"apart{' by one output' if is_binary(outputs) else ''}. Received: y with label "
                f"{most}"
            )
        if len(self.class_names) < classes and self._numbered and self.assigned is None:
            self.class_names = [str(label) for label in range(classes)]
            config = self.folder.config()
            config["data"]["class_names"] = self.class_names
            self.folder.write_config(config)
        if len(self.class_names) < classes:
            raise ValueError(
                f"Expected a name for each of the model's {classes} classes. Received: "
                f"{len(self.class_names)} class_names"
            )
        if self.assigned is not None and self.assigned.shape[1] != weights.shape[1]:
            raise ValueError(
                "Expected assigned of shape (C, E), with a column for each of "
                f"{weights.shape[1]} experts. Received: shape {self.assigned.shape}"
            )

    def _draw(self):
        number = len(self.history)
        self._draw_epoch(f"epoch_{number:03d}", f"epoch {number}")
        names = self.history[0]
        metrics = {name: [row.get(name, math.nan) for row in self.history] for name in names}
        for name, picture in curve_figures(metrics, self.source).items():
            save_figure(picture, self.folder.path / "plots" / f"{name}.png")

    def _draw_epoch(self, name, moment, only=None):
        pictures = epoch_figures(self.seen, self.class_names, moment, self.source, only)
        for what, picture in pictures.items():
            save_figure(picture, self.folder.path / "plots" / f"{name}_{what}.png")


def best_epoch(history, monitor):
    """Number of the best epoch, the first one of several.

    Args:
        history: List of dicts of metrics, one for each epoch.
        monitor: String, the metric; small is good if "loss" or "error" is in its name. NaN, and
            an epoch without it, is never best.

    Returns:
        Integer from 1; 0 if there was no epoch.

    >>> best_epoch([{"val_loss": 2}, {"val_loss": 1}, {"val_loss": 1}], "val_loss")
    2
    """
    sign = -1 if "loss" in monitor or "error" in monitor else 1
    values = [sign * row.get(monitor, math.nan) for row in history]
    values = [-math.inf if math.isnan(value) else value for value in values]
    return values.index(max(values)) + 1 if values else 0


def _names(names, labels):
    """A name for each label."""
    names = [_writable("class_names", name) for name in names]
    if len(names) < labels:
        raise ValueError(
            f"Expected a name for each label from 0 to {labels - 1}. Received: {len(names)} "
            f"class_names, {', '.join(names)}"
        )
    return names


def _writable(name, text):
    """The text, if a file can hold it: half a character, as in a damaged file's name, it cannot."""
    try:
        str(text).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"Expected {name} of whole characters. Received: {text!a} ({error.reason})"
        ) from error
    return str(text)


def _assignment(assigned, labels):
    """The assignment as an array (C, E) of 0 and 1."""
    if assigned is None:
        return None
    matrix = np.asarray(assigned)
    if matrix.ndim != 2 or len(matrix) != labels or not np.isin(matrix, (0, 1)).all():
        raise ValueError(
            f"Expected assigned of shape (C, E) = ({labels}, E), of 0 and 1. Received: shape "
            f"{matrix.shape}, dtype {matrix.dtype}"
        )
    return matrix


def _numbers(logs):
    """Metrics as numbers by name; one with several values has a name for each."""
    numbers = {}
    for name, value in logs.items():
        values = np.ravel(keras.ops.convert_to_numpy(value))
        if len(values) == 1:
            numbers[name] = float(values[0])
        else:
            numbers |= {f"{name}_{i}": float(each) for i, each in enumerate(values)}
    return numbers


def _from_logits(loss):
    """Whether a compiled loss, or the one loss in a list or dictionary, takes logits."""
    losses = keras.tree.flatten(loss)
    return any(getattr(each, "from_logits", False) for each in losses)
