"""One tree expert for each cluster, and what all of them say about each row."""

from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
from pyspark.ml.classification import (
    DecisionTreeClassificationModel,
    DecisionTreeClassifier,
    RandomForestClassificationModel,
    RandomForestClassifier,
)
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from moe_keras.spark.paths import literal

# A tree splits a pixel between two bins of its values. What Spark sends about grows with their
# number, and a pixel of a digit, mostly black or white, needs few.
BINS = 16


class Experts:
    """The experts of a mixture.

    Args:
        models: for each cluster a fitted tree or forest; None for a cluster without rows, whose
            expert answers with the shares of the labels in all rows.
        shares: array (C,), the shares of the labels.
    """

    def __init__(self, models, shares):
        self.models = models
        self.shares = shares

    @classmethod
    def fit(cls, assigned, learner, counts, progress=None):
        """Fit an expert to the rows of each cluster, as many at a time as Spark has cores.

        More would be little quicker, and each holds its rows in memory, in a form of its own.

        Args:
            assigned: DataFrame with the columns label, scaled and cluster.
            learner: a classifier of pyspark.ml.
            counts: array (E, C), rows of each cluster with each label.
            progress: called with ("experts", number done, number of all).
        """
        classes = {"ml_attr": {"type": "nominal", "num_vals": counts.shape[1]}}
        # Told of all labels, a tree gives each a probability, be it 0.
        known = assigned.withColumn("label", F.col("label").cast("double"))
        known = known.withMetadata("label", classes)
        busy = [e for e, rows in enumerate(counts.sum(axis=1)) if rows]
        models = [None] * len(counts)

        def fit(e):
            answer = {learner.getParam("probabilityCol"): f"answer_{e}"}
            return e, learner.fit(known.where(F.col("cluster") == e), answer)

        cores = assigned.sparkSession.sparkContext.defaultParallelism
        with ThreadPoolExecutor(cores) as pool:
            for done, future in enumerate(as_completed([pool.submit(fit, e) for e in busy])):
                e, models[e] = future.result()
                if progress:
                    progress("experts", done + 1, len(busy))
        return cls(models, counts.sum(axis=0) / counts.sum())

    def add(self, assigned):
        """The frame with the column `probabilities`: an array of E arrays of C floats."""
        frame = assigned
        for model in self.models:
            frame = frame if model is None else model.transform(frame)
        prior = F.array(*[F.lit(float(share)).cast("float") for share in self.shares])
        answers = [
            prior if model is None else vector_to_array(f"answer_{e}", "float32")
            for e, model in enumerate(self.models)
        ]
        return frame.withColumn("probabilities", F.array(*answers)).drop(
            *[f"answer_{e}" for e in range(len(self.models))]
        )

    def save(self, folder):
        """Write the models with Spark's own writers."""
        for e, model in enumerate(self.models):
            if model is not None:
                model.write().overwrite().save(f"{folder}/expert-{e}")

    @classmethod
    def load(cls, folder, kind, fitted, shares):
        """What `save` wrote: a list of true (a model) and false, and the shares of the labels."""
        model, where = MODELS[kind], literal(folder)
        models = [
            model.load(f"{where}/expert-{e}") if yes else None for e, yes in enumerate(fitted)
        ]
        return cls(models, np.asarray(shares))


def learner(kind, depth, trees, seed):
    """The classifier of pyspark.ml that makes experts of a kind."""
    settings = {"featuresCol": "scaled", "predictionCol": "", "rawPredictionCol": ""}
    settings |= {"maxDepth": depth, "maxBins": BINS, "seed": seed}
    if kind == "tree":
        return DecisionTreeClassifier(**settings)
    return RandomForestClassifier(numTrees=trees, **settings)


MODELS = {"tree": DecisionTreeClassificationModel, "forest": RandomForestClassificationModel}
