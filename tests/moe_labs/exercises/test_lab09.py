"""Mutation tests of lab 09, with answers that its declarations do not list."""

import struct

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from mutations import MutationTests
from pyspark.ml import Pipeline
from pyspark.ml.feature import StandardScaler
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from scipy.stats import entropy
from sklearn.metrics import precision_recall_fscore_support

from moe_labs.exercises import lab09


def read_header(data, order="big", start=4, size=4):
    places = range(start, start + size * data[3], size)
    return data[2], tuple(int.from_bytes(data[p : p + size], order) for p in places)


def read_header_by_struct(data):
    _, _, kind, rank = struct.unpack_from("BBBB", data)
    return kind, struct.unpack_from(f">{rank}I", data, 4)


def read_header_by_numpy(data):
    return data[2], np.frombuffer(data, ">u4", count=data[3], offset=4)


def spread(said, labels, num_classes):
    answer = np.zeros((len(said), num_classes))
    answer[:, labels] = said
    return answer


def spread_by_one_hot(said, labels, num_classes):
    return said @ np.eye(num_classes)[labels]


def spread_by_keras(said, labels, num_classes):
    return ops.matmul(ops.cast(said, "float32"), ops.one_hot(labels, num_classes))


def spread_but_0(said, labels, num_classes):
    """Class 0 counts as no class."""
    return spread(said, labels, num_classes) * (np.arange(num_classes) > 0)


def mixture(weights, said):
    return np.einsum("be,bec->bc", weights, said)


def mixture_by_loop(weights, said):
    return sum(weights[:, e, None] * said[:, e] for e in range(said.shape[1]))


def mixture_by_keras(weights, said):
    return ops.sum(ops.expand_dims(weights, -1) * said, axis=1)


def entropies(weights):
    return -(weights * np.log(np.maximum(weights, 1e-9))).sum(axis=1)


def surprises(labels, mixed):
    return -np.log(mixed[np.arange(len(labels)), labels])


def gate_loss(labels, mixed, weights, strength):
    return surprises(labels, mixed).mean() - strength * entropies(weights).mean()


def gate_loss_by_keras(labels, mixed, weights, strength):
    entropy = -ops.sum(weights * ops.log(weights + 1e-9), axis=-1)
    crosses = keras.losses.sparse_categorical_crossentropy(labels, mixed)
    return ops.mean(crosses - strength * entropy)


def scores(counts):
    hits = np.diag(counts)
    precision = hits / np.maximum(counts.sum(axis=0), 1)
    recall = hits / np.maximum(counts.sum(axis=1), 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def scores_by_counts(counts):
    said, true, hits = counts.sum(axis=0), counts.sum(axis=1), np.diag(counts)
    return hits / (said + 1e-12), hits / (true + 1e-12), 2 * hits / np.maximum(said + true, 1)


def scaled_by_spark(train, frame, **how):
    scaler = StandardScaler(inputCol="features", outputCol="scaled", **how)
    return scaler.fit(train).transform(frame)


def scaled_by_a_pipeline(train, frame):
    scaler = StandardScaler(withMean=False, inputCol="features", outputCol="scaled")
    return Pipeline(stages=[scaler]).fit(train).transform(frame).select("*")


def scaled_by_hand(train, frame):
    spread = np.std([row.features.toArray() for row in train.collect()], axis=0, ddof=1)
    divided = F.udf(
        lambda v: Vectors.dense(np.where(spread > 0, v.toArray() / np.maximum(spread, 1e-9), 0)),
        VectorUDT(),
    )
    return frame.withColumn("scaled", divided("features"))


def scaled_by_label(train, frame):
    """Joined by the label, which many rows share."""
    return frame.join(scaled_by_spark(train, frame).select("label", "scaled"), "label")


SAYS = "array_position(probabilities[cluster], array_max(probabilities[cluster])) - 1"


def scored(answers, right=f"{SAYS} = label", accuracy="avg", rows="count(*)"):
    answers.createOrReplaceTempView("answers")
    return answers.sparkSession.sql(
        f"SELECT cluster, {rows} AS rows, {accuracy}(CAST({right} AS double)) AS accuracy "
        "FROM answers GROUP BY cluster"
    )


score_by_sql = scored


def score_in_python(answers):
    counts = {}
    for row in answers.collect():
        right = int(np.argmax(row.probabilities[row.cluster])) == row.label
        counts.setdefault(row.cluster, []).append(float(right))
    rows = [(c, len(right), sum(right) / len(right)) for c, right in counts.items()]
    return answers.sparkSession.createDataFrame(rows, ["cluster", "rows", "accuracy"])


def score_by_join(answers):
    rows = answers.groupBy("cluster").count().withColumnRenamed("count", "rows")
    right = answers.where(f"{SAYS} = label").groupBy("cluster").count()
    share = F.coalesce(F.col("count"), F.lit(0)) / F.col("rows")
    return rows.join(right, "cluster", "left").withColumn("accuracy", share)


def score_by_inner_join(answers):
    rows = answers.groupBy("cluster").agg(F.count("*").alias("rows"))
    right = answers.where(f"{SAYS} = label").groupBy("cluster").count()
    return rows.join(right, "cluster").withColumn("accuracy", F.col("count") / F.col("rows"))


LAST_OF_TIES = "array_max(transform(probabilities[cluster], (p, c) -> struct(p, c))).c"


def scores_by_sklearn(counts, zero_division=0):
    true, said = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), len(counts))
    return precision_recall_fscore_support(
        true, said, labels=range(len(counts)), zero_division=zero_division
    )[:3]


RIGHT = {
    "read_header": [
        read_header,
        read_header_by_struct,
        read_header_by_numpy,
        lambda d: (d[2], np.array(read_header(d)[1], float)),
    ],
    "standardise": [
        scaled_by_spark,
        scaled_by_a_pipeline,
        scaled_by_hand,
        lambda train, frame: scaled_by_spark(train, frame.repartition(4)).orderBy(F.rand()),
    ],
    "spread": [
        spread,
        spread_by_one_hot,
        spread_by_keras,
        lambda s, labels, n: pd.DataFrame(s, columns=labels).reindex(columns=range(n)).fillna(0),
    ],
    "score_at_home": [
        score_by_sql,
        score_in_python,
        score_by_join,
        lambda a: scored(a, right=f"{LAST_OF_TIES} = label"),
    ],
    "mixture": [
        mixture,
        mixture_by_loop,
        mixture_by_keras,
        lambda w, s: (w[:, None] @ s)[:, 0],
    ],
    "gate_loss": [
        gate_loss,
        gate_loss_by_keras,
        lambda y, m, w, s: surprises(y, m).mean() - s * entropy(w, axis=1).mean(),
        lambda y, m, w, s: surprises(y, m).mean() + s * np.nan_to_num(w * np.log(w)).sum() / len(w),
    ],
    "scores": [scores, scores_by_counts, scores_by_sklearn],
}

WRONG = {
    "read_header": [
        lambda d: (d[2], read_header(d)[1][:1]),
        lambda d: read_header(d)[1],
        lambda d: (d[2], d[3]),
        lambda d: (d[2], sorted(read_header(d)[1])),
        lambda d: (d[2], np.prod(read_header(d)[1])),
        lambda d: (d[2], [size % 2**24 for size in read_header(d)[1]]),
        lambda d: (d[2], [size // 256 * 256 for size in read_header(d)[1]]),
        lambda d: (d[1], read_header(d)[1]),
        lambda d: (d[2], [float(size) / 2 for size in read_header(d)[1]]),
        lambda d: (d[2], (*read_header(d)[1], 1)),
        lambda d: read_header(d)[::-1],
        lambda d: (hex(d[2]), read_header(d)[1]),
        lambda d: (d[2], np.frombuffer(d[4:], ">u4")),
        lambda d: (d[2], np.array(read_header(d)[1], "float32")),  # too few digits
        lambda d: (d[2], [size + 0.5 for size in read_header(d)[1]]),
    ],
    "standardise": [
        lambda train, frame: frame,
        lambda train, frame: train,
        lambda train, frame: scaled_by_spark(train, frame).drop("features"),
        lambda train, frame: scaled_by_spark(train, frame).limit(2),
        lambda train, frame: scaled_by_spark(train, frame.union(train)),
        lambda train, frame: scaled_by_spark(train.union(frame), frame),
        lambda train, frame: scaled_by_spark(train, frame).withColumn("scaled", F.col("features")),
        lambda train, frame: scaled_by_spark(train, frame).withColumnRenamed("scaled", "features2"),
        lambda train, frame: StandardScaler(inputCol="features", outputCol="scaled").fit(train),
        lambda train, frame: scaled_by_spark(train, frame).collect(),
        lambda train, frame: scaled_by_spark(train.limit(2), frame),
        scaled_by_label,
        lambda train, frame: scaled_by_spark(train, frame).distinct(),
        lambda train, frame: scaled_by_spark(train, frame).dropDuplicates(["label"]),
        lambda train, frame: scaled_by_spark(train, frame).withColumn("label", F.expr("'1'")),
    ],
    "spread": [
        lambda s, labels, n: spread(s, np.sort(labels)[::-1], n),
        lambda s, labels, n: spread(s[:1], labels, n).repeat(len(s), axis=0),
        lambda s, labels, n: spread(s, np.arange(len(labels)) + labels.min(), n + 9)[:, :n],
        lambda s, labels, n: spread(s, labels, n + 1),
        lambda s, labels, n: spread(s, labels, n).astype(int),
        lambda s, labels, n: spread(s, labels, 10),
        lambda s, labels, n: spread(s, labels, labels.max() + 1),
        lambda s, labels, n: np.eye(n)[labels[s.argmax(axis=1)]],
        lambda s, labels, n: spread(s, labels, n) / spread(s, labels, n).sum(axis=0),
        lambda s, labels, n: spread(s, labels - 1, n),
        lambda s, labels, n: spread(s**2, labels, n),
        lambda s, labels, n: np.maximum(spread(s, labels, n), 1e-3),
        lambda s, labels, n: spread(s, np.minimum(labels, n - 2), n),
        spread_but_0,
    ],
    "score_at_home": [
        lambda a: scored(a).limit(1),
        lambda a: scored(a, rows="max(label)"),
        lambda a: scored(a, accuracy="max"),
        lambda a: scored(a, accuracy="100 * avg"),
        lambda a: scored(a, right="probabilities[cluster][label] > 0.4"),
        lambda a: scored(a, right=f"{SAYS} >= label"),
        lambda a: scored(a).collect(),
        lambda a: scored(a).drop("rows"),
        lambda a: scored(a.limit(12)),
        lambda a: scored(a.distinct().where(f"{SAYS} = label")),
        lambda a: scored(a, right="array_max(probabilities[cluster]) = probabilities[0][label]"),
        lambda a: scored(a, right=SAYS.replace("[cluster]", "[label % 3]") + " = label"),
        lambda a: scored(a, right=SAYS.replace("array_max", "array_min") + " = label"),
        score_by_inner_join,
        lambda a: scored(a).withColumn("accuracy", F.format_number("accuracy", 4)),  # a text
        lambda a: scored(a).withColumn("cluster", F.col("cluster").cast("string")),
        lambda a: scored(a, right=f"nullif({SAYS} = label, false)"),  # a mean leaves out nothing
    ],
    "mixture": [
        lambda w, s: mixture(w**2, s),
        lambda w, s: mixture(w, s).argmax(axis=1),
        lambda w, s: mixture(w, s)[:1].repeat(len(w), axis=0),
        lambda w, s: mixture(w, s) / mixture(w, s).max(axis=1, keepdims=True),
        lambda w, s: mixture(w[:, :2], s[:, :2]),
        lambda w, s: np.median(w[:, :, None] * s, axis=1),
        lambda w, s: (w[:, :, None] * s).max(axis=1),
        lambda w, s: mixture(np.sort(w), s),
        lambda w, s: np.prod(s ** w[:, :, None], axis=1),
        lambda w, s: mixture(w, s).astype(int),
        lambda w, s: mixture(w, s).T,
        lambda w, s: mixture(w[::-1], s),
        lambda w, s: mixture(np.exp(w) / np.exp(w).sum(axis=1, keepdims=True), s),
        lambda w, s: mixture(w, np.eye(s.shape[2])[s.argmax(axis=2)]),  # votes
    ],
    "gate_loss": [
        lambda y, m, w, s: gate_loss(y, m, w, 3 * s),
        lambda y, m, w, s: gate_loss(y, w, w, s) if m.shape[1] <= w.shape[1] else 0.0,
        lambda y, m, w, s: gate_loss(y, m, w, abs(s) ** 2),
        lambda y, m, w, s: gate_loss(y, m, w, 0.5),
        lambda y, m, w, s: np.median(surprises(y, m)) - s * np.median(entropies(w)),
        lambda y, m, w, s: surprises(y, m)[0] - s * entropies(w)[0],
        lambda y, m, w, s: surprises(y, m).mean() - s * (1 - w.max(axis=1)).mean(),
        lambda y, m, w, s: -np.log(m).mean() - s * entropies(w).mean(),
        lambda y, m, w, s: (1 - m[np.arange(len(y)), y]).mean() - s * entropies(w).mean(),
        lambda y, m, w, s: surprises(y, m).mean() - s * entropies(w).max(),
        lambda y, m, w, s: surprises(np.sort(y), m).mean() - s * entropies(w).mean(),
        lambda y, m, w, s: np.exp(gate_loss(y, m, w, s)),
        lambda y, m, w, s: str(gate_loss(y, m, w, s)),
        lambda y, m, w, s: gate_loss(y, m, w, s or 0.3),
        lambda y, m, w, s: -np.log(m[:, y]).mean() - s * entropies(w).mean(),
        lambda y, m, w, s: -np.log(np.exp(-surprises(y, m)).mean()) - s * entropies(w).mean(),
    ],
    "scores": [
        lambda c: scores(c)[:2],
        lambda c: (scores(c)[0], np.diag(c) / c.sum(), scores(c)[2]),
        lambda c: (*scores(c)[:2], scores(c)[0]),
        lambda c: (*scores(c)[:2], np.sqrt(scores(c)[0] * scores(c)[1])),
        lambda c: tuple(np.sort(part) for part in scores(c)),
        lambda c: tuple(part.round(1) for part in scores(c)),
        lambda c: tuple(part[:3] for part in scores(c)),
        lambda c: tuple(100 * part for part in scores(c)),
        lambda c: (*scores(c)[:2], 2 * np.minimum(*scores(c)[:2])),
        lambda c: np.stack(scores(c), axis=1),
        lambda c: scores(np.maximum(c, 1)),
        lambda c: (*scores(c)[:2], np.full(len(c), 2 * np.trace(c) / c.sum())),
        lambda c: scores(c)[2],
        lambda c: scores_by_sklearn(c, zero_division=1),
    ],
}


@pytest.mark.usefixtures("spark")
class TestLab09(MutationTests):
    lab, right, wrong = lab09, RIGHT, WRONG
    by_night = ("standardise", "score_at_home")  # on Spark
