"""Train a mixture on a dataset and leave a run folder."""

import contextlib
import dataclasses
import datetime
import hashlib
import inspect
import math
import time

import keras
import numpy as np

from moe_common.stopping import keeping
from moe_keras import data
from moe_keras.json_files import NUMBER, misfit
from moe_keras.runs.assignment import assignment_matrix, even_assignment, parse_assignment
from moe_keras.runs.batches import LabeledImages
from moe_keras.runs.callbacks import AnnealGuidance, SaveState, StopAtNaN, StopEarly, is_over
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.networks import build_networks
from moe_keras.runs.observation import Observation
from moe_keras.runs.recorder import RunRecorder, best_epoch
from moe_keras.runs.report import write_report
from moe_keras.runs.settings import Settings, default_folder
from moe_keras.training import AugmentedImages
from moe_keras.training.checkpoint import Checkpoint

MONITOR = "val_accuracy"


def train(settings, output=None, callbacks=(), **recording):
    """Train a mixture and leave a run folder; the test set is read once, at the end.

    Args:
        settings: `Settings` of the run.
        output: Path of the folder, new or empty; `None`: one under runs/, named after the time.
        callbacks: Sequence of further Keras callbacks, such as a progress bar.
        recording: Keyword arguments `rows`, `save_every`, `batch_every`, `parquet` and
            `tensorboard` of the `RunRecorder`.

    Returns:
        `RunFolder` that names and reads the files of the run.

    Raises:
        ValueError: if settings and dataset do not fit each other.
        FileExistsError: if the folder is not empty.
        BlockingIOError: if another process writes to the folder.
        ConnectionError: if the weights of a backbone cannot be downloaded.
        FloatingPointError: if the loss is no longer finite.
    """
    folder = RunFolder(output or default_folder(settings, datetime.datetime.now()))
    folder.check_free()  # before anything takes time
    dataset, groups = _prepare(settings)
    about = {
        "settings": dataclasses.asdict(settings),
        "recording": recording,
        "data": {
            "name": dataset.name,
            "label": dataset.label,
            "source": dataset.source,
            "class_names": list(dataset.class_names),
            "digest": _digest(dataset),
        },
    }
    return _run(settings, folder, dataset, groups, about, None, callbacks, recording)


def resume(path, callbacks=()):
    """Resume a run after its last finished epoch, to the result of an undisturbed one.

    Args:
        path: Path of the run folder.
        callbacks: Sequence of callbacks, as for `train`.

    Returns:
        `RunFolder` that names and reads the files of the run.

    Raises:
        FileNotFoundError: if it is no run folder of `train`, or without the state of its epochs.
        BlockingIOError: if another process writes to the folder.
        ValueError: if the folder is of another format, damaged or from other data.
    """
    folder = RunFolder(path)
    config = folder.config()
    if "settings" not in config or "recording" not in config:
        raise ValueError(
            f"Expected a run of 'moe-keras train' to resume. Received: {folder.path}, whose "
            "config.json holds no settings"
        )
    settings, recording = _settings(folder, config)
    with folder.locked():
        folder.remove_unfinished()
        dataset, groups = _prepare(settings)
        was = config["data"]
        if dataset.label != was["label"]:
            raise ValueError(
                f"Expected the data of the run, {was['label']}. Received: {dataset.label}"
            )
        if was.get("digest", _digest(dataset)) != _digest(dataset):
            raise ValueError(
                f"Expected the data of the run, as it was when {folder.path} began. Received: "
                f"{dataset.label} with other images or labels. Bring them back, or train anew in "
                "another folder."
            )
        return _run(settings, folder, dataset, groups, None, folder, callbacks, recording)


def _settings(folder, config):
    """The settings in a config.json and what is to be recorded."""
    try:
        inspect.signature(RunRecorder).bind("", [], [], **config["recording"])
        return Settings(**config["settings"]), config["recording"]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected settings of 'moe-keras train'. Received: {folder.config_file}, which is "
            f"damaged or of another version ({error})"
        ) from error


def _digest(dataset):
    """Digest of the images and labels that a run learns from and is measured on."""
    digest = hashlib.sha256()
    for part in ("train", "validation", "test"):
        for array in (getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _prepare(settings):
    """The dataset and, for a guided run, the labels of each expert."""
    groups = None
    if settings.kind == "guided" and settings.dataset in data.SPECS:
        num_classes = data.SPECS[settings.dataset].num_classes
        groups = even_assignment(num_classes, settings.experts)
        if settings.assign is not None:
            groups = parse_assignment(settings.assign, num_classes, settings.experts)
    return data.load(settings.dataset, subset=settings.subset), groups


def _run(settings, folder, dataset, groups, about, resumed, callbacks, recording):
    keras.utils.set_random_seed(settings.seed)
    nets = build_networks(settings, dataset, groups)
    steps = settings.epochs * math.ceil(len(dataset.x_train) / settings.batch_size)
    nets.training_model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps),
            global_clipnorm=settings.clip or None,
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = None if resumed is None else _restore(folder, nets.training_model)
    matrix = None if groups is None else assignment_matrix(groups)
    # A new folder is made here and not before: what does not fit the data leaves none.
    with folder.locked() if resumed is None else contextlib.nullcontext():
        recorder = RunRecorder(
            folder.path,
            dataset.x_validation,
            dataset.y_validation,
            config=about,
            class_names=dataset.class_names,
            assigned=matrix,
            source=dataset.label,
            observe=nets.observe,
            keep=nets.inference_model,
            monitor=MONITOR,
            resumed=history,
            **recording,
        )
        if recorder.history and not folder.metrics_file.exists():
            recorder.write_metrics()
        if len(recorder.history) < settings.epochs and not is_over(
            recorder.history, MONITOR, settings.patience
        ):
            with keeping(lambda: _kept(folder, recorder)):
                _fit(settings, nets, dataset, recorder, callbacks)
        _evaluate(folder, nets, dataset, matrix, recorder)
        write_report(folder.path)
        return folder


def _kept(folder, recorder):
    """What an interruption leaves."""
    done = len(recorder.history)
    go_on = f"continue with: moe-keras resume {folder.path}"
    return f"{done} whole epochs are kept; {go_on}" if done else "No epoch had ended."


def _restore(folder, model):
    """The history of the epochs that are done; the model is put into the state after them."""
    path = folder.state_file
    if not path.exists():
        if folder.metrics_file.exists() or folder.results_file.exists():
            raise FileNotFoundError(
                f"Expected {path.name} beside the results of epochs, to go on after them. "
                f"Received: {folder.path} without it. Bring the file back, or train anew in "
                "another folder."
            )
        return []  # it ended before its first step
    checkpoint = Checkpoint.read(path, "models/ may still hold a model.")
    history = checkpoint.about.get("history")
    fault = misfit(history, [{MONITOR: NUMBER, "seconds": NUMBER}], "the history")
    if fault:
        raise ValueError(f"Expected a run's state. Received: {path}, which is damaged: {fault}")
    checkpoint.restore(model)
    return history


def _fit(settings, nets, dataset, recorder, callbacks):
    x, y = dataset.x_validation, dataset.y_validation
    guided = nets.guided_gate is not None
    done = len(recorder.history)
    batches = (LabeledImages if guided else AugmentedImages)(
        dataset.x_train,
        dataset.y_train,
        settings.batch_size,
        mirror=dataset.mirror_allowed,
        seed=settings.seed,
        epoch=done,
    )
    if guided and settings.guidance_anneal:
        callbacks = [AnnealGuidance(nets.guided_gate, settings.guidance_anneal), *callbacks]
    nets.training_model.fit(
        batches,
        shuffle=False,  # the batches shuffle by themselves
        epochs=settings.epochs,
        initial_epoch=done,
        validation_data=((x, y) if guided else x, y),
        validation_batch_size=500,
        callbacks=[
            StopAtNaN(),
            recorder,
            SaveState(recorder.folder.state_file, recorder),  # last: it says that the epoch is done
            StopEarly(recorder, settings.patience),
            *callbacks,
        ],
        verbose=0,
    )


def _evaluate(folder, nets, dataset, matrix, recorder):
    """Evaluate the best model, as it was saved, on the test set."""
    nets.inference_model.set_weights(folder.load_model("best").get_weights())
    start = time.perf_counter()
    outputs, weights = nets.observe(dataset.x_test)
    samples = np.arange(len(dataset.y_test))
    seen = Observation(samples, dataset.y_test, outputs.argmax(axis=-1), weights, matrix)
    rows = zip(samples.tolist(), seen.labels.tolist(), seen.predictions.tolist(), strict=True)
    columns = ("sample", "label", "prediction")
    folder.write_table(folder.path / "csv" / "predictions_test.csv", columns, rows)
    results = {
        "test_accuracy": seen.accuracy(),
        **({} if matrix is None else {"test_routed": seen.routed()}),
        "test_images": len(samples),
        "test_seconds": time.perf_counter() - start,
        "best_epoch": best_epoch(recorder.history, MONITOR),
        "epochs": len(recorder.history),
        "train_seconds": sum(row["seconds"] for row in recorder.history),
        "parameters": nets.inference_model.count_params(),
    }
    folder.write_results(results)
