"""Standardize, and find clusters: which rows are alike."""

import numpy as np
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.feature import StandardScaler, StandardScalerModel, VectorAssembler
from pyspark.sql import functions as F

from moe_keras.spark.frames import kept
from moe_keras.spark.paths import literal


class Clusters:
    """A standardizer, and the nearest of some centroids.

    Every feature is divided by its standard deviation. The mean is not taken away: neither the
    distances between rows nor a tree's questions change by it, and a pixel that is 0 stays 0, so
    that rows can be kept as sparse vectors of a fifth of the size.

    Args:
        scaler: a fitted `StandardScalerModel`.
        kmeans: a fitted `KMeansModel`; None for a single cluster, which KMeans does not make.
    """

    def __init__(self, scaler, kmeans=None):
        self.scaler = scaler
        self.kmeans = kmeans

    @classmethod
    def fit(cls, frame, clusters, seed):
        """Standardizer and KMeans; fewer centroids where there are fewer distinct rows."""
        scaler = StandardScaler(inputCol="sparse", outputCol="scaled").fit(_sparse(frame))
        found = cls(scaler)
        if clusters > 1:
            with kept(found.scale(frame).select("scaled")) as scaled:
                found.kmeans = _kmeans(clusters, seed).fit(scaled)
        return found

    def scale(self, frame):
        """The frame with the column `scaled`."""
        return self.scaler.transform(_sparse(frame)).drop("sparse")

    def assign(self, scaled):
        """The frame with the column `cluster`, the number of the nearest centroid."""
        if self.kmeans is None:
            return scaled.withColumn("cluster", F.lit(0))
        return self.kmeans.transform(scaled)

    @property
    def centroids(self):
        """Array (k, D) of pixel values."""
        deviation, mean = self.scaler.std.toArray(), self.scaler.mean.toArray()
        if self.kmeans is None:
            return mean[None]
        # A pixel that never changes was scaled to 0; its value is its mean.
        return np.where(deviation > 0, np.stack(self.kmeans.clusterCenters()) * deviation, mean)

    def save(self, folder):
        """Write both models with Spark's own writers."""
        self.scaler.write().overwrite().save(f"{folder}/scaler")
        if self.kmeans is not None:
            self.kmeans.write().overwrite().save(f"{folder}/kmeans")

    @classmethod
    def load(cls, folder, clusters):
        """What `save` wrote."""
        where = literal(folder)
        scaler = StandardScalerModel.load(f"{where}/scaler")
        return cls(scaler, KMeansModel.load(f"{where}/kmeans") if clusters > 1 else None)


def _kmeans(clusters, seed):
    return KMeans(featuresCol="scaled", predictionCol="cluster", k=clusters, seed=seed)


def _sparse(frame):
    # An assembler of one column does nothing but choose the shorter form of each vector.
    return VectorAssembler(inputCols=["features"], outputCol="sparse").transform(frame)
