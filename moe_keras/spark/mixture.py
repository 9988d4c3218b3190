"""KMeans, a tree expert for each cluster, and a gate over them: the whole pipeline."""

import contextlib
import json
import warnings
from pathlib import Path

import keras
import numpy as np
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from moe_common.files import replacing, write_text
from moe_keras.arguments import non_negative_float, positive_integer, positive_number
from moe_keras.json_files import read_json
from moe_keras.spark.answers import written
from moe_keras.spark.clusters import Clusters
from moe_keras.spark.errors import in_one_line
from moe_keras.spark.experts import MODELS, Experts, learner
from moe_keras.spark.frames import check_frame, check_labels, kept
from moe_keras.spark.gate import build_gate, train_gate
from moe_keras.spark.parquet import dataset_of
from moe_keras.spark.paths import address
from moe_keras.spark.prediction import gather
from moe_keras.spark.session import is_local

# The label of rows that have none.
UNKNOWN = -1


class TreeMixture:
    """Experts that are decision trees or random forests, each of one cluster of the rows.

        p = sum_e w_e q_e

    q_e are the class probabilities of expert e, w the softmax of a network that sees the image and
    all q. An expert has one weight, or one for each class; p is then divided by its sum. Spark
    standardizes, clusters and grows the trees. The gate is trained here, on the answers of the
    experts in Parquet files, one batch in memory at a time.

    Args:
        clusters: how many clusters and experts; 1 for a single tree on all rows.
        expert: "tree" or "forest".
        depth: largest depth of a tree, 1 to 30. A tree splits a feature between two of 16 bins of
            its values.
        trees: number of trees of a forest.
        classes: number of labels; by default as many as the rows for `fit_experts` have.
        seed: seed of the clusters, of the trees and of the gate.
        workspace: folder for the experts' answers while they are read. On a cluster all machines
            must see it; by default the system's folder for temporary files.

    Raises:
        ValueError: for arguments out of their ranges.

    Example:

    >>> from moe_keras.spark import TreeMixture, read_parquet, session
    >>> spark = session()  # doctest: +SKIP
    >>> mixture = TreeMixture(clusters=6, depth=10)  # doctest: +SKIP
    >>> _ = mixture.fit_experts(read_parquet(spark, "trees.parquet"))  # doctest: +SKIP
    >>> _ = mixture.fit_gate(read_parquet(spark, "gate.parquet"))  # doctest: +SKIP
    >>> mixture.evaluate(read_parquet(spark, "test.parquet"))["gate"]  # doctest: +SKIP

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts.
    """

    def __init__(
        self, clusters=6, expert="tree", depth=10, trees=60, classes=None, seed=0, workspace=None
    ):
        self.clusters = positive_integer("clusters", clusters)
        self.depth = positive_integer("depth", depth)
        self.trees = positive_integer("trees", trees)
        self.classes = None if classes is None else positive_integer("classes", classes)
        if expert not in MODELS:
            raise ValueError(f'Expected expert to be "tree" or "forest". Received: {expert!r}')
        if self.depth > 30:
            raise ValueError(f"Expected a depth of at most 30. Received: depth={depth}")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
            raise ValueError(f"Expected seed to be a whole number from 0. Received: seed={seed!r}")
        self.expert = expert
        self.seed = seed
        self.workspace = workspace
        self.history = []
        self.dataset = None
        self._counts = self._clusters = self._experts = self._gate = None

    @property
    def cluster_sizes(self):
        """Array (E,): how many rows each expert was fitted to."""
        return self._fitted("_counts").sum(axis=1)

    @property
    def label_counts(self):
        """Array (E, C): how many rows of each label each expert was fitted to."""
        return self._fitted("_counts")

    @property
    def centroids(self):
        """Array (E, D): the mean of each cluster, in pixel values."""
        return self._fitted("_clusters").centroids

    @property
    def gate(self):
        """The gate: a Keras model that takes [pixels, answers] and gives weights; None at first."""
        return self._gate

    @in_one_line()
    def fit_experts(self, frame, progress=None):
        """Standardize, find clusters, and fit one expert to each, several at the same time.

        Args:
            frame: DataFrame with the columns label and features.
            progress: called with (what, number done, number of all), what being "clusters" or
                "experts".

        Returns:
            The mixture itself.

        Raises:
            ValueError: for a frame without rows or columns, fewer rows than clusters, or labels
                that are no whole numbers from 0 to classes - 1.
        """
        check_frame(frame, {"label", "features"}, self.clusters)
        classes = check_labels(frame, self.classes)
        clusters = Clusters.fit(frame, self.clusters, self.seed)
        if progress:
            progress("clusters", 1, 1)
        with kept(clusters.scale(frame).select("label", "scaled")) as scaled:
            assigned = clusters.assign(scaled)
            counts = _count(assigned, len(clusters.centroids), classes)
            trees = learner(self.expert, self.depth, self.trees, self.seed)
            experts = Experts.fit(assigned, trees, counts, progress)
        self._clusters, self._experts, self._counts, self._gate = clusters, experts, counts, None
        self.dataset = dataset_of(frame)
        return self

    def expert_probabilities(self, frame):
        """What all experts say about each row.

        Args:
            frame: DataFrame with the column features, and label if there are labels.

        Returns:
            DataFrame with label (-1 where there is none), cluster, pixels (array of D floats) and
            probabilities (array of E arrays of C floats). Nothing is computed before it is used.

        Raises:
            ValueError: for a frame without features.
            RuntimeError: before `fit_experts`.
        """
        experts = self._fitted("_experts")
        check_frame(frame, {"features"})
        self._check_rows(frame)
        if "label" not in frame.columns:
            frame = frame.withColumn("label", F.lit(UNKNOWN))
        answered = experts.add(self._clusters.assign(self._clusters.scale(frame)))
        pixels = vector_to_array("features", "float32").alias("pixels")
        return answered.select("label", "cluster", pixels, "probabilities")

    @in_one_line()
    def fit_gate(
        self,
        frame,
        entropy_weight=0.0,
        epochs=15,
        batch_size=128,
        validation=None,
        learning_rate=1e-3,
        dropout=0.2,
        per_class=False,
        progress=None,
    ):
        """Train the gate on rows that the trees have not seen.

            loss = cross-entropy of the mixture + entropy_weight * entropy of the gate's weights

        Args:
            frame: DataFrame with the columns label and features; other rows than `fit_experts` had.
            entropy_weight: above 0 the gate is pressed to choose one expert, below 0 to use all.
            epochs: how often to go through the rows.
            batch_size: rows of a step.
            validation: DataFrame; the epoch with the least cross-entropy on it is kept. Without
                it, the last.
            learning_rate: of Adam.
            dropout: share of the hidden units that are left out in training.
            per_class: whether an expert has a weight for each class, for those that know some
                classes well and others not at all.
            progress: called with ("gate", epochs done, of all).

        Returns:
            A list with a dict for each epoch: epoch, loss, and with `validation` validation_loss
            and validation_accuracy. It is kept as `history`.

        Raises:
            ValueError: for frames and numbers that will not do.
            RuntimeError: before `fit_experts`.
        """
        classes = self._fitted("_counts").shape[1]
        epochs = positive_integer("epochs", epochs)
        batch_size = positive_integer("batch_size", batch_size)
        learning_rate = positive_number("learning_rate", learning_rate)
        dropout = non_negative_float("dropout", dropout, below=1)
        if not np.isfinite(entropy_weight):
            raise ValueError(f"Expected a finite entropy_weight. Received: {entropy_weight}")
        for each in (frame, validation):
            if each is not None:
                check_frame(each, {"label", "features"})
                check_labels(each, classes)
        experts, features = len(self._counts), self._clusters.centroids.shape[1]
        gate = build_gate(features, experts, classes, per_class, dropout, self.seed)
        with self._answers(frame) as path, self._answers(validation) as held_out:
            self.history = train_gate(
                gate,
                path,
                float(entropy_weight),
                epochs,
                batch_size,
                learning_rate,
                self.seed,
                held_out,
                progress,
            )
        self._gate = gate
        return self.history

    @in_one_line()
    def predict(self, frame):
        """What the mixture says about each row, labeled or not.

        Args:
            frame: DataFrame with the column features, and label if there are labels.

        Returns:
            `Answers`, in the order of the frame.

        Raises:
            ValueError: for a frame without features.
            RuntimeError: before `fit_experts`.
        """
        with self._answers(frame) as path:
            return gather(self._gate, path)

    @in_one_line()
    def evaluate(self, frame):
        """Accuracies on labeled rows.

        Args:
            frame: DataFrame with the columns label and features.

        Returns:
            A dict: "rows"; "nearest cluster", the accuracy of the nearest cluster's expert; "gate",
            that of the mixture (None without a gate); "experts", the accuracy of each on all rows;
            "own cluster", of each on its own cluster (None where no row fell); "any expert", the
            share of the rows that at least one expert gets right, which no choice of an expert can
            surpass.

        Raises:
            ValueError: for a frame without rows, labels or features.
            RuntimeError: before `fit_experts`.
        """
        check_frame(frame, {"label", "features"})
        answers = self.predict(frame)
        right = answers.by_expert == answers.labels[:, None]
        own = [right[answers.clusters == e, e] for e in range(right.shape[1])]
        by_gate = answers.by_gate
        return {
            "rows": len(answers.labels),
            "nearest cluster": float((answers.by_cluster == answers.labels).mean()),
            "gate": None if by_gate is None else float((by_gate == answers.labels).mean()),
            "experts": [float(each) for each in right.mean(axis=0)],
            "own cluster": [float(rows.mean()) if len(rows) else None for rows in own],
            "any expert": float(right.any(axis=1).mean()),
        }

    @in_one_line()
    def save(self, folder):
        """Write the whole pipeline: Spark's models, a .keras file, and mixture.json last.

        Args:
            folder: made if need be; what it holds of an earlier mixture is replaced. On a cluster
                all machines must see it.

        Raises:
            RuntimeError: before `fit_experts`.
            OSError: if something cannot be written.
        """
        experts, folder = self._fitted("_experts"), Path(folder)
        # Whole again only when the last file is there.
        (folder / "mixture.json").unlink(missing_ok=True)
        where = address(folder)
        self._clusters.save(where)
        experts.save(where)
        if self._gate is not None:
            with replacing(folder / "gate.keras") as temporary:
                whole = temporary.with_name(f"{temporary.name}.keras")
                self._gate.save(whole)
                whole.replace(temporary)
        described = {
            **{name: getattr(self, name) for name in _ARGUMENTS},
            "counts": self._counts.tolist(),
            "fitted": [model is not None for model in experts.models],
            "several clusters": self._clusters.kmeans is not None,
            "gate": self._gate is not None,
            "history": self.history,
            "dataset": self.dataset,
        }
        write_text(folder / "mixture.json", json.dumps(described, indent=2) + "\n")

    @classmethod
    @in_one_line()
    def load(cls, session, folder, workspace=None):
        """Read what `save` wrote.

        Args:
            session: a `SparkSession`, which reads its own models.
            folder: the folder.
            workspace: as for `TreeMixture`.

        Returns:
            A `TreeMixture` that answers as the saved one did.

        Raises:
            FileNotFoundError: if there is no whole mixture in the folder.
            ValueError: if mixture.json is damaged.
        """
        folder = Path(folder)
        if session is None or not (folder / "mixture.json").is_file():
            raise FileNotFoundError(
                f"Expected a folder that TreeMixture.save wrote. Received: {folder}, without "
                "mixture.json, which is written last"
            )
        try:
            config = read_json(folder / "mixture.json", CONFIG)
            mixture = cls(**{name: config[name] for name in _ARGUMENTS}, workspace=workspace)
            counts = np.asarray(config["counts"])
            fitted, several, gated = config["fitted"], config["several clusters"], config["gate"]
            mixture.history, mixture.dataset = config["history"], config.get("dataset")
            if counts.ndim != 2 or len(fitted) != len(counts) or counts.sum() <= 0:
                raise ValueError(f"counts of shape {counts.shape} for {len(fitted)} experts")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"Expected mixture.json as TreeMixture.save writes it. Received: {folder} "
                f"({error}). Fit and save the mixture again."
            ) from error
        where = address(folder)
        mixture._counts = counts
        mixture._clusters = Clusters.load(where, 2 if several else 1)
        shares = counts.sum(axis=0) / counts.sum()
        mixture._experts = Experts.load(where, mixture.expert, fitted, shares)
        if gated:
            mixture._gate = keras.saving.load_model(folder / "gate.keras", compile=False)
        return mixture

    def _check_rows(self, frame):
        """Refuse rows of another size; warn of another dataset's."""
        first = frame.select("features").first()
        features = self._clusters.centroids.shape[1]
        if first is not None and first["features"].size != features:
            raise ValueError(
                f"Expected rows of {features} features, as the experts were fitted to. Received: "
                f"{first['features'].size}"
            )
        rows_of = dataset_of(frame)
        if self.dataset and rows_of and rows_of != self.dataset:
            warnings.warn(
                f"This mixture was fitted to {self.dataset}, and these rows are of {rows_of}.",
                stacklevel=2,
            )

    @contextlib.contextmanager
    def _answers(self, frame):
        """The folder of the experts' answers to a frame, for a while; None to None."""
        if frame is None:
            yield None
            return
        if self.workspace is None and not is_local(frame.sparkSession):
            raise ValueError(
                "Expected a workspace on a cluster, a folder that all its machines see. Received: "
                "workspace=None. Give one to TreeMixture, or to its load."
            )
        with written(self.expert_probabilities(frame), self.workspace) as path:
            yield path

    def _fitted(self, name):
        value = getattr(self, name)
        if value is None:
            raise RuntimeError(
                "Expected a mixture with experts. Received: one before fit_experts. Call it first."
            )
        return value


def _count(assigned, clusters, classes):
    """Array (E, C): the rows of each cluster with each label."""
    counts = np.zeros((clusters, classes), dtype=int)
    for row in assigned.groupBy("cluster", "label").count().collect():
        counts[int(row["cluster"]), int(row["label"])] = row["count"]
    return counts


CONFIG = {
    **dict.fromkeys(("clusters", "depth", "trees", "seed"), int),
    "expert": str,
    "classes": int | None,
    "counts": [[int]],
    "fitted": [bool],
    "several clusters": bool,
    "gate": bool,
    "history": [dict],
    "dataset?": str | None,
}
_ARGUMENTS = ("clusters", "expert", "depth", "trees", "classes", "seed")
