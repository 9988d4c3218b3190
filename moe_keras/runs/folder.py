"""Run folder: names and reads the files of a run."""

import contextlib
import csv
import json
import os
import platform
from pathlib import Path

import keras
import numpy as np

from moe_common.files import replacing, write_text
from moe_common.locking import locked
from moe_keras import __version__
from moe_keras.json_files import NUMBER, misfit, read_json

FORMAT = 1  # of the folder; raised when an older package could not read it
LOCK = ".lock"
CONFIG = {
    "versions": dict,
    "data": {"label": str, "class_names": [str], "digest?": str},
    "assigned": list | None,
    "monitor": str,
    "split": str,
    "settings?": dict,
    "recording?": dict,
}
RESULTS = {
    "test_accuracy?": NUMBER,
    "test_routed?": NUMBER,
    "parameters?": int,
    "train_seconds?": NUMBER,
}


class RunFolder:
    """Run folder: names and reads the files of a run.

        config.json                      settings, versions, data, assignment
        models/best.keras, last.keras    and epoch_<n>.keras where asked for
        csv/metrics.csv                  a row for each epoch
        csv/activations_<split>_<n>.csv  sample, label, prediction, expert, weight, assigned
        csv/predictions_<split>.csv      sample, label, prediction
        plots/                           figures
        state.npz                        all that a resumed training needs
        results.json                     the test set, read once at the end
        report.html                      one page

    Every file is written under another name and renamed when it is whole.

    Args:
        path: Path of the folder.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.results_file = self.path / "results.json"
        self.state_file = self.path / "state.npz"
        self.metrics_file = self.path / "csv" / "metrics.csv"
        self.report_file = self.path / "report.html"

    def __repr__(self):
        return f"<RunFolder: {self.path}>"

    def check_free(self):
        """Raise a FileExistsError if there is something in the folder already."""
        is_dir = self.path.is_dir()
        there = [file for file in self.path.iterdir() if file.name != LOCK] if is_dir else []
        if there or (self.path.exists() and not is_dir):
            raise FileExistsError(
                "Expected a new or empty folder for the run; choose another one, or go on with "
                f"the run that is there: moe-keras resume. Received: {self.path}"
            )

    def create(self, config):
        """Make the folder with its config.json.

        Args:
            config: Dictionary to write beside the format and the versions.

        Raises:
            FileExistsError: if there is something in the folder already.
            ValueError: if JSON cannot hold the config.
            OSError: if it cannot be written.
        """
        self.check_free()
        versions = {
            "moe_keras": __version__,
            "keras": keras.__version__,
            keras.backend.backend(): _backend_version(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        }
        self.write_config({"format": FORMAT, "versions": versions, **config})

    def write_config(self, config):
        """Write config.json.

        Raises:
            ValueError: if JSON cannot hold the config, or what the folder needs is not in it.
            OSError: if it cannot be written.
        """
        fault = _config_fault(config)
        if fault:
            raise ValueError(f"Expected a config with what a run folder needs. Received: {fault}")
        try:
            self._write_json(self.config_file, config)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "Expected a config of what JSON can hold: dictionaries with strings for keys, "
                f"lists, strings, numbers. Received: {error}"
            ) from error

    def config(self):
        """Read config.json.

        Raises:
            FileNotFoundError: if this is no run folder.
            ValueError: if config.json is damaged or of a folder of another format.
        """
        if not self.config_file.exists():
            raise FileNotFoundError(
                f"Expected a run folder, with {self.config_file.name} inside. Received: {self.path}"
            )
        config = read_json(self.config_file, {"format": object})
        if config["format"] != FORMAT:
            raise ValueError(
                f"Expected a run folder of format {FORMAT}; this one comes from another version of "
                f"moe_keras. Received: format {config['format']!r} in {self.config_file}"
            )
        fault = _config_fault(config)
        if fault:
            raise ValueError(
                f"Expected {self.config_file.name} as moe_keras writes it. Received: "
                f"{self.config_file}, which is damaged: {fault}"
            )
        return config

    def results(self):
        """Read results.json; empty as long as the run has not ended.

        Raises:
            ValueError: if it is damaged.
        """
        return read_json(self.results_file, RESULTS) if self.results_file.exists() else {}

    def write_results(self, results):
        """Write results.json."""
        self._write_json(self.results_file, results)

    def metrics(self):
        """Dictionary from a column of csv/metrics.csv to its list of numbers.

        Raises:
            ValueError: if it is damaged.
        """
        rows = self.table(self.metrics_file)
        try:
            if "epoch" not in rows[0]:
                raise ValueError("no column 'epoch'")
            return {name: [float(row[name]) for row in rows] for name in rows[0]}
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(
                "Expected a table of numbers, with a row for each epoch. Received: "
                f"{self.metrics_file}, which is damaged ({error})"
            ) from None

    def activation_files(self, split="validation"):
        """Dictionary from the epoch to the path of its activation table, in order."""
        files = (self.path / "csv").glob(f"activations_{split}_*.*")
        found = {
            int(file.stem.rsplit("_", 1)[1]): file
            for file in files
            if file.stem[0] != "." and file.stem.rsplit("_", 1)[1].isdecimal()
        }
        return dict(sorted(found.items()))

    def table(self, path):
        """List of dictionaries, the rows of a CSV file.

        Raises:
            ValueError: if it cannot be read.
        """
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"Expected a CSV file. Received: {path} ({error})") from None
        # Python puts what a row has too many under None, and None where it has too few.
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise ValueError(
                    "Expected a CSV file with as many fields in each row as in the first. "
                    f"Received: {path}, where line {number} has others"
                )
        return rows

    def write_table(self, path, columns, rows):
        """Write a CSV file."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
            writer = csv.writer(f, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)

    def save_model(self, model, name):
        """Write models/<name>.keras."""
        with replacing(self.path / "models" / f"{name}.keras") as temporary:
            # Keras insists on the ending.
            staged = temporary.with_name(f"{temporary.name}.keras")
            try:
                model.save(staged)
                os.replace(staged, temporary)
            finally:
                staged.unlink(missing_ok=True)

    def load_model(self, name):
        """Read models/<name>.keras.

        Raises:
            FileNotFoundError: if it is not there.
            ValueError: if it is damaged.
        """
        path = self.path / "models" / f"{name}.keras"
        if not path.exists():
            raise FileNotFoundError(f"Expected a model. Received: {path}, which does not exist")
        try:
            return keras.saving.load_model(path)
        except Exception as error:  # whatever a broken archive leads to inside Keras
            if getattr(error, "errno", None):  # not allowed, no room, too many files: no damage
                raise
            raise ValueError(
                f"Expected a whole Keras model. Received: {path}, which is damaged "
                f"({type(error).__name__})"
            ) from error

    @contextlib.contextmanager
    def locked(self):
        """Lock the folder while a `with` block runs: one process at a time may write a run.

        Raises:
            BlockingIOError: if another process writes it.
        """
        expected = "Expected a run that no other process is writing; wait for it, or stop it."
        with locked(self.path / LOCK, expected):
            try:
                yield
            finally:
                if self.path.is_dir() and [file.name for file in self.path.iterdir()] == [LOCK]:
                    with contextlib.suppress(OSError):  # Windows removes no open file
                        (self.path / LOCK).unlink()
                        self.path.rmdir()  # what failed before it began leaves no folder

    def remove_unfinished(self):
        """Remove the temporary files of a killed process."""
        for file in self.path.rglob(".*.part*"):
            file.unlink(missing_ok=True)

    @staticmethod
    def _write_json(path, content):
        write_text(path, json.dumps(content, indent=2) + "\n")


def _config_fault(config):
    """What in a config.json is not as it should be, in words, or `None`."""
    fault = misfit(config, CONFIG)
    if fault is None and config["assigned"] is not None:
        labels = len(config["data"]["class_names"])
        fault = misfit(config["assigned"], [[NUMBER]], "'assigned'")
        sizes = {len(row) for row in config["assigned"]} if fault is None else ()
        if fault is None and (len(config["assigned"]) != labels or len(sizes) != 1):
            fault = f"'assigned' has other rows than {labels} of one length"
    return fault


def _backend_version():
    module = __import__(keras.backend.backend())
    return module.__version__
