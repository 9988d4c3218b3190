"""What a mixture says about rows, as arrays."""

from dataclasses import dataclass, fields

import numpy as np

from moe_keras.spark.answers import batches
from moe_keras.spark.gate import ROWS, mixed, weighed


@dataclass(frozen=True)
class Answers:
    """What a mixture says about N rows, in the order of the frame.

    Attributes:
        labels: (N,), the true labels; -1 where the frame has none.
        clusters: (N,), the number of the nearest centroid.
        by_expert: (N, E), the label that each expert takes for the most probable.
        by_cluster: (N,), the label that the expert of the nearest cluster gives.
        by_gate: (N,), the label that the mixture gives; None without a gate.
        probabilities: (N, C), of the mixture; without a gate, of the nearest cluster's expert.
        weights: of the gate, (N, E), or (N, C, E) where it has one for each class; None without
            a gate.
    """

    labels: np.ndarray
    clusters: np.ndarray
    by_expert: np.ndarray
    by_cluster: np.ndarray
    by_gate: np.ndarray | None
    probabilities: np.ndarray
    weights: np.ndarray | None


def gather(gate, path):
    """The `Answers` to the rows in a folder of answers, with a gate or None."""
    read = batches(path, ROWS) if gate is None else weighed(gate, path)
    parts = [_summary(*batch) for batch in read]
    joined = {}
    for field in fields(Answers):
        arrays = [getattr(part, field.name) for part in parts]
        joined[field.name] = None if arrays[0] is None else np.concatenate(arrays)
    return Answers(**joined)


def _summary(_, answers, labels, clusters, weights=None):
    by_expert = answers.argmax(axis=2)
    rows = np.arange(len(labels))
    nearest = answers[rows, clusters]
    probabilities = nearest if weights is None else mixed(weights, answers)
    by_gate = None if weights is None else probabilities.argmax(axis=1)
    return Answers(
        labels, clusters, by_expert, by_expert[rows, clusters], by_gate, probabilities, weights
    )
