"""Train a mixture on a dataset and leave a run folder."""

import dataclasses
import datetime
import math
import time

import keras
import numpy as np

from moe_keras import data
from moe_keras.runs.assignment import assignment_matrix, even_assignment, parse_assignment
from moe_keras.runs.batches import LabelledImages
from moe_keras.runs.callbacks import AnnealGuidance, SaveState, StopAtNaN, StopEarly, is_over
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.networks import build_networks
from moe_keras.runs.observation import Observation
from moe_keras.runs.recorder import RunRecorder
from moe_keras.runs.report import write_report
from moe_keras.runs.settings import Settings, default_folder
from moe_keras.runs.state import restore_state
from moe_keras.training import AugmentedImages

MONITOR = "val_accuracy"


def train(settings, output=None, callbacks=(), **recording):
    """Train a mixture and leave a run folder; the test set is read once, at the end.

    Args:
        settings: a `Settings`.
        output: the folder, new or empty; left out: one under runs/, named after the time.
        callbacks: further Keras callbacks, such as a progress bar.
        recording: `rows`, `save_every`, `batch_every`, `parquet` and `tensorboard` of the
            `RunRecorder`.

    Returns:
        RunFolder.

    Raises:
        ValueError: if settings and dataset do not fit each other.
        FileExistsError: if the folder is not empty.
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
        },
    }
    return _run(settings, folder, dataset, groups, about, None, callbacks, recording)


def resume(path, callbacks=(), expected=None):
    """Go on with a run after its last finished epoch, to the result of an undisturbed one.

    Args:
        path: the run folder.
        callbacks: as for `train`.
        expected: dict of settings that the run must have been set up with.

    Returns:
        RunFolder.

    Raises:
        FileNotFoundError: if it is no run folder of `train`.
        ValueError: if the folder is of another format, damaged, from other data or from settings
            other than expected.
    """
    folder = RunFolder(path)
    config = folder.config()
    if "settings" not in config or "recording" not in config:
        raise ValueError(
            f"Expected a run of 'moe-keras train' to resume. Received: {folder.path}, whose "
            "config.json holds no settings"
        )
    for name, value in (expected or {}).items():
        if config["settings"][name] != value:
            raise ValueError(
                f"Expected to resume with the settings of the run, {name}="
                f"{config['settings'][name]!r}. Received: {name}={value!r}"
            )
    folder.remove_unfinished()
    settings = Settings(**config["settings"])
    dataset, groups = _prepare(settings)
    if dataset.label != config["data"]["label"]:
        raise ValueError(
            f"Expected the data of the run, {config['data']['label']}. Received: {dataset.label}"
        )
    recording = config["recording"]
    return _run(settings, folder, dataset, groups, None, folder, callbacks, recording)


def _prepare(settings):
    """The dataset and, for a guided run, the labels of each expert."""
    num_classes = len(data.CLASS_NAMES.get(settings.dataset, ()))
    groups = None
    if settings.kind == "guided" and num_classes:
        groups = even_assignment(num_classes, settings.experts)
        if settings.assign is not None:
            groups = parse_assignment(settings.assign, num_classes, settings.experts)
    return data.load(settings.dataset, subset=settings.subset), groups


def _run(settings, folder, dataset, groups, about, resumed, callbacks, recording):
    keras.utils.set_random_seed(settings.seed)
    nets = build_networks(settings, dataset, groups)
    steps = settings.epochs * math.ceil(len(dataset.x_train) / settings.batch_size)
    nets.taught.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps),
            global_clipnorm=settings.clip or None,
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = None
    if resumed is not None:
        done = folder.state_file.exists()
        history = restore_state(folder.state_file, nets.taught) if done else []
    matrix = None if groups is None else assignment_matrix(groups)
    recorder = RunRecorder(
        folder.path,
        dataset.x_validation,
        dataset.y_validation,
        config=about,
        class_names=dataset.class_names,
        assigned=matrix,
        source=dataset.label,
        observe=nets.observe,
        keep=nets.used,
        monitor=MONITOR,
        resumed=history,
        **recording,
    )
    if len(recorder.history) < settings.epochs and not is_over(
        recorder.history, MONITOR, settings.patience
    ):
        _fit(settings, nets, dataset, recorder, callbacks)
    _evaluate(folder, nets, dataset, matrix, recorder)
    write_report(folder.path)
    return folder


def _fit(settings, nets, dataset, recorder, callbacks):
    x, y = dataset.x_validation, dataset.y_validation
    guided = nets.guided_gate is not None
    done = len(recorder.history)
    batches = (LabelledImages if guided else AugmentedImages)(
        dataset.x_train,
        dataset.y_train,
        settings.batch_size,
        mirror=dataset.x_train.shape[-1] == 3,  # a mirrored 2 is no 2
        seed=settings.seed,
        epoch=done,
    )
    if guided and settings.guidance_anneal:
        callbacks = [AnnealGuidance(nets.guided_gate, settings.guidance_anneal), *callbacks]
    nets.taught.fit(
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
    """Read the test set, once, with the best model as it was saved."""
    nets.used.set_weights(folder.load_model("best").get_weights())
    start = time.perf_counter()
    answers, weights = nets.observe(dataset.x_test)
    samples = np.arange(len(dataset.y_test))
    seen = Observation(samples, dataset.y_test, answers.argmax(axis=-1), weights, matrix)
    rows = zip(samples.tolist(), seen.labels.tolist(), seen.predictions.tolist(), strict=True)
    columns = ("sample", "label", "prediction")
    folder.write_table(folder.path / "csv" / "predictions_test.csv", columns, rows)
    results = {
        "test_accuracy": seen.accuracy(),
        **({} if matrix is None else {"test_routed": seen.routed()}),
        "test_images": len(samples),
        "test_seconds": time.perf_counter() - start,
        "best_epoch": int(np.argmax([row[MONITOR] for row in recorder.history])) + 1,
        "epochs": len(recorder.history),
        "train_seconds": sum(row["seconds"] for row in recorder.history),
        "parameters": nets.used.count_params(),
    }
    folder.write_results(results)
