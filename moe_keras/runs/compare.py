"""Comparison of runs, with intervals of their differences."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from moe_keras import plots
from moe_keras.evaluation import paired_interval
from moe_keras.plots.picture import Picture
from moe_keras.runs.folder import RunFolder
from moe_keras.text_table import TextTable


class Comparison(NamedTuple):
    """Comparison of runs: a table and a figure.

    Attributes:
        table: `TextTable`, a row for each run: accuracy on the test set, the difference to the
            first run with its interval, the fraction of images sent to their label's expert,
            parameters, seconds.
        figure: `Picture` of the differences to the first run.
    """

    table: TextTable
    figure: Picture


def compare_runs(paths):
    """Compare runs on the same test images.

    Each difference to the first run, in percentage points, has a 95 % paired bootstrap interval of
    the test images; it tells nothing about other seeds.

    Args:
        paths: List of paths, two or more run folders of `train`, each with its test results.

    Returns:
        `Comparison` with `table` and `figure`.

    Raises:
        FileNotFoundError: if one is no run folder or has not read the test set yet.
        ValueError: if there are fewer than two, a file is damaged, or the runs have other data.
    """
    folders = [RunFolder(path) for path in paths]
    if len(folders) < 2:
        raise ValueError(f"Expected two runs or more. Received: {len(folders)}")
    labels, correct = zip(*map(_predictions, folders), strict=True)
    sources = [folder.config()["data"]["label"] for folder in folders]
    for folder, source, own in zip(folders, sources, labels, strict=True):
        if source != sources[0] or not np.array_equal(own, labels[0]):
            raise ValueError(
                "Expected runs with the same test images. "
                f"Received: {folders[0].path} ({sources[0]}, {len(labels[0])} images) and "
                f"{folder.path} ({source}, {len(own)} images)"
            )
    names = [f"{i + 1}. {Path(path).resolve().name}" for i, path in enumerate(paths)]
    rows, differences = [], {}
    for name, folder, right in zip(names, folders, correct, strict=True):
        results = folder.results()
        interval = [100 * value for value in paired_interval(right, correct[0])]
        text = "" if folder is folders[0] else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*interval)
        if text:
            differences[name] = interval
        routed = results.get("test_routed")
        rows.append(
            [
                name,
                f"{right.mean():.2%}",
                text,
                "" if routed is None else f"{routed:.2%}",
                f"{results['parameters']:,}" if "parameters" in results else "",
                f"{results['train_seconds']:.0f}" if "train_seconds" in results else "",
            ]
        )
    columns = ("run", "accuracy", "difference", "routed", "parameters", "seconds")
    figure = plots.intervals(
        differences,
        f"Test accuracy minus that of {names[0]}",
        source=sources[0],
        label="percentage points, with 95 % paired interval",
        reference=0,
    )
    return Comparison(TextTable(columns, rows), figure)


def _predictions(folder):
    """Labels of the test images, and which of them were predicted correctly."""
    folder.config()
    path = folder.path / "csv" / "predictions_test.csv"
    if not path.exists() or not folder.results():
        raise FileNotFoundError(
            "Expected a run that has ended and read the test set; 'moe-keras resume' ends it. "
            f" Received: {folder.path}"
        )
    try:
        rows = folder.table(path)
        if not rows:
            raise ValueError("it has no row")
        labels = np.array([int(row["label"]) for row in rows])
        return labels, labels == np.array([int(row["prediction"]) for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"Expected a table of predictions. Received: {path} ({error})") from None
