"""What a model says of some samples, and what its gate does with them."""

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from keras import ops

from moe_keras.files import replacing
from moe_keras.inspection.routes import routes

COLUMNS = ("sample", "label", "prediction", "expert", "weight", "assigned")


class Observation(NamedTuple):
    """Samples with what was made of them.

    Attributes:
        samples: array (N,), each sample's number in its split.
        labels: array (N,).
        predictions: array (N,), the most probable label.
        weights: array (N, E), what each expert's answer is multiplied by.
        assigned: array (C, E) of 0 and 1, or None where no labels are assigned to experts.
    """

    samples: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray
    assigned: np.ndarray | None = None

    @property
    def num_experts(self):
        """E."""
        return self.weights.shape[1]

    def chosen(self):
        """Array (N,): the expert with the largest weight."""
        return self.weights.argmax(axis=1)

    def accuracy(self):
        """Share of right predictions."""
        return float((self.predictions == self.labels).mean())

    def routed(self):
        """Share of samples whose heaviest expert is one that their label is assigned to."""
        return float(self.assigned[self.labels, self.chosen()].mean())

    def usage(self):
        """Array (E,): share of samples for which each expert is the heaviest."""
        return np.bincount(self.chosen(), minlength=self.num_experts) / len(self.labels)

    def entropy(self):
        """Mean over the samples of -sum_e w_e log w_e, the weights made to sum to 1, in nats."""
        weights = self.weights / np.maximum(self.weights.sum(axis=1, keepdims=True), 1e-12)
        return float(-(weights * np.log(np.maximum(weights, 1e-12))).sum(axis=1).mean())

    def rows(self):
        """A row for each sample and expert, in the order of COLUMNS: array (N E, 6)."""
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
                fmt=("%d", "%d", "%d", "%d", "%.5f", "%d"),
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
            experts = int(rows[:, 3].max()) + 1
            weights = rows[:, 4].reshape(-1, experts)
        except (ValueError, IndexError, OSError) as error:
            raise ValueError(
                f"Expected a table of activations. Received: {path}, which is damaged ({error})"
            ) from None
        samples, labels, predictions = rows[::experts, :3].astype(int).T
        return cls(samples, labels, predictions, weights, assigned)


def check_parquet():
    """Raise a ModuleNotFoundError unless .parquet files can be written."""
    missing = [name for name in ("pandas", "pyarrow") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            "Expected pandas and pyarrow for .parquet files; pip install moe-keras[parquet] brings "
            f"both, and without parquet the same rows go to .csv. Missing: {', '.join(missing)}"
        )


def spread_samples(labels, number, seed=0):
    """Some samples, drawn once and then kept, so that epochs can be compared.

    Args:
        labels: array (N,).
        number: how many, at most N.
        seed: of the draw.

    Returns:
        Sorted array of sample numbers.

    >>> spread_samples([0, 1, 0, 1], 10).tolist()
    [0, 1, 2, 3]
    """
    number = min(number, len(labels))
    return np.sort(np.random.default_rng(seed).choice(len(labels), number, replace=False))


def observe_model(model):
    """A function that takes inputs and gives a model's answer and its first mixture's weights.

    For token mixtures the weights are the means over a sample's tokens.

    Args:
        model: a Keras model with a mixture inside.

    Returns:
        Function from x (N, ...) to (answers (N, C), weights (N, E)).
    """

    def observe(x):
        answers = [
            ops.convert_to_numpy(model(x[start : start + 256], training=False))
            for start in range(0, len(x), 256)
        ]
        weights = routes(model, x)[0].weights()
        middle = tuple(range(1, weights.ndim - 1))
        return np.concatenate(answers), weights.mean(axis=middle) if middle else weights

    return observe
