"""The folder that a training leaves: where what is, and whether it can be read."""

import csv
import json
import os
import platform
from pathlib import Path

import keras
import numpy as np

from moe_keras import __version__
from moe_keras.files import replacing, write_text

FORMAT = 1  # of the folder; raised when an older package could not read it


class RunFolder:
    """Names and reads the files of a run.

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
        path: the folder.
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
        if self.path.is_file() or (self.path.is_dir() and any(self.path.iterdir())):
            raise FileExistsError(
                "Expected a new or empty folder for the run; choose another one, or go on with "
                f"the run that is there with --resume. Received: {self.path}"
            )

    def create(self, config):
        """Make the folder with its config.json.

        Args:
            config: what to write beside the format and the versions.

        Raises:
            FileExistsError: if there is something in the folder already.
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
        self._write_json(self.config_file, {"format": FORMAT, "versions": versions, **config})

    def config(self):
        """What config.json holds.

        Raises:
            FileNotFoundError: if this is no run folder.
            ValueError: if config.json is damaged or of a folder of another format.
        """
        config = self._read_json(self.config_file)
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            found = config.get("format") if isinstance(config, dict) else config
            raise ValueError(
                f"Expected a run folder of format {FORMAT}; this one comes from another version of "
                f"moe_keras. Received: format {found!r} in {self.config_file}"
            )
        return config

    def results(self):
        """What results.json holds; empty as long as the run has not ended."""
        return self._read_json(self.results_file) if self.results_file.exists() else {}

    def write_results(self, results):
        """Write results.json."""
        self._write_json(self.results_file, results)

    def metrics(self):
        """The rows of csv/metrics.csv as a mapping of a column's name to its list of numbers."""
        rows = self.table(self.metrics_file)
        return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}

    def activation_files(self, split="validation"):
        """The activation tables of a split as a mapping of the epoch to the path, in order."""
        files = (self.path / "csv").glob(f"activations_{split}_*.*")
        found = {int(file.stem.rsplit("_", 1)[1]): file for file in files if file.stem[0] != "."}
        return dict(sorted(found.items()))

    def table(self, path):
        """The rows of a CSV file as dicts of texts.

        Raises:
            ValueError: if it cannot be read.
        """
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            raise
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"Expected a CSV file. Received: {path} ({error})") from None

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
            raise ValueError(
                f"Expected a whole Keras model. Received: {path}, which is damaged "
                f"({type(error).__name__})"
            ) from error

    def remove_unfinished(self):
        """Remove what a killed process had begun to write."""
        for file in self.path.rglob(".*.part*"):
            file.unlink(missing_ok=True)

    @staticmethod
    def _write_json(path, content):
        write_text(path, json.dumps(content, indent=2) + "\n")

    def _read_json(self, path):
        if not path.exists():
            raise FileNotFoundError(
                f"Expected a run folder, with {path.name} inside. Received: {self.path}"
            )
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise ValueError(f"Expected a JSON file. Received: {path}, which is damaged") from None


def _backend_version():
    module = __import__(keras.backend.backend())
    return module.__version__
