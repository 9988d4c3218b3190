"""Predictions and routing of a sample."""

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from keras import ops

from moe_common.files import replacing
from moe_common.install import install_advice
from moe_keras.masks import NO_EXPERT
from moe_keras.metrics.expert_load import expert_load
from moe_keras.routing.routes import routes

COLUMNS = ("sample", "label", "prediction", "expert", "weight", "assigned")


class Observation(NamedTuple):
    """Predictions and expert weights of some samples.

    Attributes:
        samples: Array (N,), each sample's number in its split.
        labels: Array (N,).
        predictions: Array (N,), the most probable label.
        weights: Array (N, E), what each expert's output is multiplied by.
        assigned: Array (C, E) of 0 and 1, or None where no labels are assigned to experts.
    """

    samples: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray
    assigned: np.ndarray | None = None

    @property
    def num_experts(self):
        """Integer, number of experts E."""
        return self.weights.shape[1]

    def chosen(self):
        """Integer array (N,), the expert with the largest weight; -1 where none has any.

        Nobody is asked about what the base of a cascade answers, or what found no slot.
        """
        asked = (self.weights != 0).any(axis=1)
        return np.where(asked, self.weights.argmax(axis=1), NO_EXPERT)

    def accuracy(self):
        """Accuracy."""
        return float((self.predictions == self.labels).mean())

    def routed(self):
        """Fraction of samples whose heaviest expert is one that their label is assigned to."""
        chosen = self.chosen()
        return float((self.assigned[self.labels, chosen] * (chosen != NO_EXPERT)).mean())

    def usage(self):
        """Array (E,): of the samples that an expert answers, the share of each heaviest expert."""
        heaviest = np.equal.outer(self.chosen(), np.arange(self.num_experts))  # (N, E)
        return ops.convert_to_numpy(expert_load(heaviest.astype("float32")))

    def entropy(self):
        """Mean entropy of the expert weights, made to sum to 1, in nats."""
        weights = self.weights / np.maximum(self.weights.sum(axis=1, keepdims=True), 1e-12)
        return float(-(weights * np.log(np.maximum(weights, 1e-12))).sum(axis=1).mean())

    def rows(self):
        """Array (N E, 6), a row for each sample and expert, in the order of COLUMNS."""
        number, experts = self.weights.shape
        expert = np.tile(np.arange(experts), number)
        labels = np.repeat(self.labels, experts)
        assigned = np.zeros(len(labels)) if self.assigned is None else self.assigned[labels, expert]
        columns = (
            np.repeat(self.samples, experts),
            labels,
            np.repeat(self.predictions, experts),
            expert,
            self.weights.reshape(-1),
            assigned,
        )
        return np.stack([np.asarray(column, "float64") for column in columns], axis=1)

    def write(self, path):
        """Write the rows to a .csv or a .parquet file."""
        if path.suffix == ".parquet":
            import pandas as pd

            table = pd.DataFrame(self.rows(), columns=COLUMNS)
            whole = {name: "int32" for name in COLUMNS if name != "weight"}
            with replacing(path) as temporary:
                table.astype(whole).to_parquet(temporary)
            return
        with replacing(path) as temporary:
            np.savetxt(
                temporary,
                self.rows(),
                # Nine digits tell any two float32 apart, so that the heaviest stays the heaviest.
                fmt=("%d", "%d", "%d", "%d", "%.9g", "%d"),
                delimiter=",",
                header=",".join(COLUMNS),
                comments="",
            )

    @classmethod
    def read(cls, path, assigned=None):
        """Read what `write` wrote.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            if path.suffix == ".parquet":
                import pandas as pd

                rows = pd.read_parquet(path).to_numpy("float64")
            else:
                rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
            experts = _whole_tables(rows)
            weights = rows[:, 4].reshape(-1, experts)
        except (ValueError, IndexError, OSError) as error:
            if getattr(error, "errno", None):  # not allowed, or not there: no damage
                raise
            raise ValueError(
                f"Expected a table of activations. Received: {path}, which is damaged ({error})"
            ) from None
        samples, labels, predictions = rows[::experts, :3].astype(int).T
        return cls(samples, labels, predictions, weights, assigned)


def _whole_tables(rows):
    """How many experts each sample has a row for.

    Raises:
        ValueError: if the rows are not those of every expert for each sample.
    """
    if rows.ndim != 2 or rows.shape[1] != len(COLUMNS) or len(rows) == 0:
        raise ValueError(f"{len(COLUMNS)} columns and one row or more were expected")
    whole = rows[:, [0, 1, 2, 3, 5]]
    if not np.isfinite(rows).all() or (whole < 0).any() or (whole % 1 != 0).any():
        raise ValueError("numbers from 0 were expected, all but the weights whole")
    if whole.max() > np.iinfo("int32").max:
        raise ValueError(f"no sample, label or expert has a number like {whole.max():.4g}")
    experts = int(rows[:, 3].max()) + 1
    if (
        len(rows) % experts
        or (rows[:, 3] != np.tile(np.arange(experts), len(rows) // experts)).any()
    ):
        raise ValueError(f"a row for each of {experts} experts was expected, in their order")
    samples = rows[:, :3].reshape(-1, experts, 3)
    if (samples != samples[:, :1]).any():
        raise ValueError("one sample, label and prediction were expected for all experts")
    return experts


def check_parquet():
    """Raise a ModuleNotFoundError unless .parquet files can be written."""
    missing = [name for name in ("pandas", "pyarrow") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            "Expected pandas and pyarrow for .parquet files. Received: no "
            f"{' and no '.join(missing)} in this Python. {install_advice('parquet')} brings both; "
            "without parquet the same rows go to .csv."
        )


def spread_samples(labels, number, seed=0):
    """Random sample of a split, the same for all epochs.

    Args:
        labels: Array (N,).
        number: Integer, number of samples, at most N.
        seed: Integer, seed of the draw.

    Returns:
        Sorted integer array of sample numbers.

    >>> spread_samples([0, 1, 0, 1], 10).tolist()
    [0, 1, 2, 3]
    """
    number = min(number, len(labels))
    return np.sort(np.random.default_rng(seed).choice(len(labels), number, replace=False))


def observe_model(model):
    """Function from inputs to a model's outputs and the weights of its first mixture.

    For token mixtures the weights are the means over a sample's tokens.

    Args:
        model: Keras model with a mixture inside.

    Returns:
        Function from x (N, ...) to (outputs (N, C), weights (N, E)).
    """

    def observe(x):
        outputs = [_output(model, x[start : start + 256]) for start in range(0, len(x), 256)]
        weights = routes(model, x)[0].weights()
        middle = tuple(range(1, weights.ndim - 1))
        return np.concatenate(outputs), weights.mean(axis=middle) if middle else weights

    return observe


def _output(model, x):
    output = model(x, training=False)
    if not ops.is_tensor(output):
        names = ", ".join(map(str, output)) if isinstance(output, dict) else len(output)
        raise ValueError(
            "Expected a model with one output; give RunRecorder one with keep, or a function with "
            f"observe. Received: '{model.name}' with several outputs ({names})"
        )
    return ops.convert_to_numpy(output)
