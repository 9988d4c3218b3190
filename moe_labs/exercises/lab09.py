"""The exercises of lab 09, trees on Spark."""

import struct

import numpy as np
from pyspark.ml.feature import MinMaxScaler, Normalizer, StandardScaler
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from moe_keras.spark import session
from moe_labs.exercises.draws import probabilities, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import NUMBERS, Array, Number, Several
from moe_labs.exercises.wrong_answer import WrongAnswer


class Shape(Array):
    """The sizes of an array: a tuple of whole numbers, not one number."""

    def __init__(self):
        super().__init__("int")

    def read(self, value, what):
        if not hasattr(value, "__len__"):
            raise WrongAnswer(f"{what} must be a tuple; it is a {type(value).__name__}.")
        ((_, array),) = super().read(value, what)
        # As objects they are compared exactly: a tolerance would forgive a fraction of a thousand.
        return [(what, array.astype(object))]

    def give(self, value):
        return tuple(int(size) for size in value)


class Frame:
    """A Spark DataFrame, of which some columns of numbers are read, its rows sorted by them."""

    def __init__(self, *columns):
        self.columns = columns

    def read(self, value, what):
        if value is None:
            raise WrongAnswer(f"{what} is None, nothing: does your function end with `return`?")
        missing = set(self.columns) - set(getattr(value, "columns", ()))
        if missing:
            has = f"with the columns {value.columns}" if hasattr(value, "columns") else "none"
            raise WrongAnswer(
                f"{what} must be a DataFrame with the columns {', '.join(self.columns)}; it is "
                f"{'one ' if hasattr(value, 'columns') else ''}{has}."
            )
        # By all columns: rows may share a label, and Spark hands them out in any order.
        rows = sorted(
            ([_number(v) for v in row] for row in value.select(*self.columns).collect()),
            key=lambda row: [np.ravel(v).tolist() for v in row],
        )
        return [
            self._column(
                f"Column `{name}` of {what[0].lower()}{what[1:]}", [row[i] for row in rows]
            )
            for i, name in enumerate(self.columns)
        ]

    def give(self, value):
        return value

    def _column(self, what, values):
        array = np.array(values)
        if array.dtype.kind not in NUMBERS:
            raise WrongAnswer(
                f"{what} must hold numbers that the lab can go on with, of type int or double; it "
                f"holds values of type {type(values[0]).__name__}."
            )
        return what, array


def _number(value):
    """A value of a column, which may be a vector; nothing is not a number."""
    return np.nan if value is None else value.toArray() if hasattr(value, "toArray") else value


def _spark():
    return SparkSession.getActiveSession() or session()


def _headers(random):
    """Headers of one to five dimensions, with sizes of four bytes; then any bytes at all."""
    for rank in random.permutation([1, 2, 3, 4, 5]):
        shape = random.integers(2**24, 2**31, rank)
        kind = int(random.choice([8, 9, 11, 12, 13, 14]))
        header = struct.pack(f">BBBB{rank}I", 0, 0, kind, rank, *shape)
        yield (header + random.bytes(40),)


def _header(data, start=4, size=4, order="big", rank=None):
    places = range(start, start + size * (rank or data[3]), size)
    return data[2], [int.from_bytes(data[p : p + size], order) for p in places]


@exercise(
    marks=3,
    cases=_headers,
    returns=Several(kind=Number("int"), shape=Shape()),
    mistakes=[
        (
            lambda d: _header(d, order="little"),
            "The bytes of your sizes are in the wrong order. IDX writes the largest part first: "
            'int.from_bytes(..., "big").',
        ),
        (lambda d: _header(d, size=1), "Each size takes four bytes; you read one byte for each."),
        (lambda d: _header(d, size=2), "Each size takes four bytes; you read two for each."),
        (
            lambda d: _header(d, start=0),
            "You begin at byte 0. The sizes begin at byte 4, after the magic.",
        ),
        (
            lambda d: (d[3], _header(d)[1]),
            "Your code is the number of dimensions: the kind is in byte 2.",
        ),
        (
            lambda d: _header(d, rank=3),
            "You read three sizes always: byte 3 says how many dimensions there are.",
        ),
        (lambda d: (8, _header(d)[1]), "The kind is not always 8: read it from byte 2."),
        (
            lambda d: (d[2], _header(d)[1][::-1]),
            "The sizes stand in their order: do not turn it round.",
        ),
    ],
    hints=[
        "Bytes can be indexed: data[2] is a number from 0 to 255. Which byte says what?",
        'Size d stands in data[4 + 4 * d : 8 + 4 * d]; int.from_bytes(those, "big") reads it.',
        "Return data[2] and a tuple of the sizes, for d in range(data[3]).",
    ],
)
def read_header(data):
    """The kind of values (a number) and the shape (a tuple) that an IDX header tells."""
    shape = [int.from_bytes(data[4 + 4 * d : 8 + 4 * d], "big") for d in range(data[3])]
    return data[2], tuple(shape)


def _pixels(random):
    """Rows to learn from and others, one pixel the same in all of the first.

    As among digits, a label belongs to many rows; and one row is there twice.
    """
    from pyspark.ml.linalg import Vectors

    rows, others, width = sizes(random, 3, low=3, high=8)
    train = random.integers(0, 256, (rows, width)).astype(float)
    new = random.integers(0, 256, (others, width)).astype(float)
    train[:, random.integers(width)] = 7
    frames = []
    for part in (train, new):
        rows = [(int(random.integers(3)), Vectors.dense(pixels)) for pixels in part]
        frames.append(_spark().createDataFrame([*rows, rows[0]], ["label", "features"]))
    yield tuple(frames)


def _scaler(**how):
    return StandardScaler(inputCol="features", outputCol="scaled", **how)


@exercise(
    marks=2,
    cases=_pixels,
    returns=Frame("label", "features", "scaled"),
    draws=1,  # Spark needs half a second for each
    mistakes=[
        (
            lambda train, frame: _scaler().fit(frame).transform(frame),
            "You use the spread of the rows themselves. Fit the scaler to `train`: every row must "
            "be measured with the same ruler.",
        ),
        (
            lambda train, frame: _scaler().fit(train).transform(train),
            "You return the rows of `train`. Fit to those, and transform `frame`.",
        ),
        (
            lambda train, frame: _scaler(withMean=True).fit(train).transform(frame),
            "The mean is taken away. Leave it (withMean=False): distances do not change by it, and "
            "a pixel of 0 stays 0.",
        ),
        (
            lambda train, frame: _scaler(withStd=False).fit(train).transform(frame),
            "Nothing is divided: the scaler is told to leave the spread alone.",
        ),
        (
            lambda train, frame: (
                MinMaxScaler(inputCol="features", outputCol="scaled").fit(train).transform(frame)
            ),
            "That brings each pixel to 0 to 1 by its least and largest value. Divide by the "
            "standard deviation: StandardScaler.",
        ),
        (
            lambda train, frame: Normalizer(inputCol="features", outputCol="scaled").transform(
                frame
            ),
            "That gives each row the length 1. Divide each pixel by its spread: StandardScaler.",
        ),
    ],
    hints=[
        "In Spark what learns is fitted first, and gives a model; the model transforms a frame.",
        'StandardScaler(inputCol="features", outputCol="scaled") divides by the spread alone.',
        "Return scaler.fit(train).transform(frame).",
    ],
)
def standardise(train, frame):
    """The frame with a column `scaled`: its features, divided by their spreads in `train`."""
    scaler = StandardScaler(inputCol="features", outputCol="scaled")
    return scaler.fit(train).transform(frame)


def _answers_of_trees(random):
    """What trees say: label, cluster and probabilities of all trees; some rows are there twice.

    One cluster has no rows, one tree is never right and another always. Two rows differ in their
    label alone, between two classes that are equally probable: whichever of these a tree is taken
    to name, it is right once.
    """
    experts, classes = sizes(random, 2, low=4, high=6)
    _, never, always, *others = random.permutation(experts)
    clusters = random.choice([never, always, *others], 60)
    clusters[:6] = others[0]
    said = random.dirichlet(np.ones(classes), (60, experts))
    said[:4] = random.dirichlet(np.full(classes, 50), (4, experts))  # the largest is small
    tied = random.choice(classes, 2, replace=False)
    said[4:6] = 0.1 / classes + 0.45 * np.isin(np.arange(classes), tied)
    likely = said[np.arange(60), clusters].argmax(axis=1)
    is_likely = (random.random(60) < 0.5) | (np.arange(60) < 4) | (clusters == always)
    unlikely = (likely + random.integers(1, classes, size=60)) % classes
    labels = np.where(is_likely & (clusters != never), likely, unlikely)
    labels[4:6] = tied
    rows = [
        (int(label), int(cluster), [0.0], each.tolist())
        for label, cluster, each in zip(labels, clusters, said, strict=True)
    ]
    schema = "label int, cluster int, pixels array<float>, probabilities array<array<double>>"
    yield (_spark().createDataFrame([*rows, *rows[:3]], schema),)


def _scored(answers, right, by="cluster", accuracy=F.mean):
    """The table of an exercise's right or wrong answer; `right` is an expression in SQL."""
    right = F.expr(right).cast("double")
    return answers.groupBy(by).agg(F.count("*").alias("rows"), accuracy(right).alias("accuracy"))


_SAYS = "array_position(probabilities[cluster], array_max(probabilities[cluster]))"


@exercise(
    marks=3,
    cases=_answers_of_trees,
    returns=Frame("cluster", "rows", "accuracy"),
    draws=1,
    mistakes=[
        (
            lambda answers: _scored(answers, f"{_SAYS} = label"),
            "array_position counts from 1, labels count from 0: take 1 away.",
        ),
        (
            lambda answers: _scored(
                answers, "array_position(probabilities[0], array_max(probabilities[0])) - 1 = label"
            ),
            "You ask tree 0 about all rows. Ask the tree of each row's own cluster: "
            "probabilities[cluster].",
        ),
        (
            lambda answers: _scored(answers, f"{_SAYS} - 1 = label", accuracy=F.sum),
            "You count the right ones: their share is the mean.",
        ),
        (
            lambda answers: _scored(answers, f"{_SAYS} - 1 != label"),
            "That is the share of errors.",
        ),
        (
            lambda answers: _scored(answers, f"{_SAYS} - 1 = label", by="label").withColumnRenamed(
                "label", "cluster"
            ),
            "You group by label. Group the rows by their cluster.",
        ),
        (
            lambda answers: _scored(answers, "probabilities[cluster][label] > 0.5"),
            "A tree can be right with less than a half: its answer is the most probable class.",
        ),
        (
            lambda answers: _scored(answers, f"{_SAYS} - 1 = cluster"),
            "You compare with the number of the cluster: compare with the label.",
        ),
        (
            lambda answers: _scored(answers, f"{_SAYS} - 1 = label").where("accuracy > 0"),
            "A cluster whose tree is never right is missing: its accuracy is 0. Such rows get lost "
            "if you keep the right ones and join their counts: a left join would keep them.",
        ),
        (
            lambda answers: _scored(answers, f"{_SAYS} - 1 = label").where("accuracy < 1"),
            "A cluster whose tree is always right is missing: its accuracy is 1. Such rows get lost "
            "if you keep the errors and join their counts: a left join would keep them.",
        ),
        (
            lambda answers: _scored(
                answers, "probabilities[cluster][label] = array_max(probabilities[cluster])"
            ),
            "Of two classes that are equally probable you count both as right. A tree names one of "
            "them, as argmax does: the first.",
        ),
        (
            lambda answers: _scored(answers.distinct(), f"{_SAYS} - 1 = label"),
            "You drop rows that are equal: each of them is an image, and counts.",
        ),
    ],
    hints=[
        'answers.withColumn("own", F.expr("probabilities[cluster]")) adds what the own tree says.',
        'F.expr("array_position(own, array_max(own)) - 1") is the most probable class, as argmax.',
        'groupBy("cluster").agg(F.count("*").alias("rows"), F.mean(right).alias("accuracy")), with '
        'right = F.expr("... = label").cast("double").',
    ],
)
def score_at_home(answers):
    """A DataFrame with cluster, rows, and accuracy: the share that the cluster's own tree gets."""
    own = answers.withColumn("own", F.expr("probabilities[cluster]"))
    right = F.expr("array_position(own, array_max(own)) - 1 = label").cast("double")
    return own.groupBy("cluster").agg(F.count("*").alias("rows"), F.mean(right).alias("accuracy"))


def _tree_columns(random):
    """What a tree says of its own classes, which are some of all: at first without the last one,
    then with the first and the last."""
    for case, spare in enumerate((1, 0, 0)):
        rows, known, more = sizes(random, 3, high=6)
        labels = np.sort(random.choice(known + more - spare, known, replace=False))
        if case == 1:
            labels[[0, -1]] = 0, known + more - 1
        yield probabilities(random, rows, known).astype(float), labels, known + more
    yield np.ones((rows, 1)), labels[-1:], known + more  # a cluster of one class


def _padded(said, before, num_classes):
    return np.pad(said, ((0, 0), (before, num_classes - said.shape[1] - before)))


@exercise(
    marks=2,
    cases=_tree_columns,
    mistakes=[
        (
            lambda s, labels, n: _padded(s, 0, n),
            "The probabilities stand side by side in front. Column j of said belongs to the class "
            "labels[j].",
        ),
        (
            lambda s, labels, n: _padded(s, n - s.shape[1], n),
            "The probabilities stand side by side at the end. Column j of said belongs to the "
            "class labels[j].",
        ),
        (
            lambda s, labels, n: _padded(s, labels[0], max(n, labels[0] + s.shape[1])),
            "Your columns follow each other without a gap. Column j of said belongs to the class "
            "labels[j], wherever that is.",
        ),
        (lambda s, labels, n: spread(s, labels, n).T, "Rows are images, columns classes."),
        (lambda s, labels, n: s, "All classes need a column: (N, num_classes)."),
        (
            lambda s, labels, n: np.where(spread(s, labels, n) > 0, spread(s, labels, n), 1 / n),
            "Classes that the tree never saw get 0, so that each row still sums to 1.",
        ),
        (
            lambda s, labels, n: spread(s[:, ::-1], labels, n),
            "Your columns are reversed: column 0 of said is for class labels[0].",
        ),
    ],
    hints=[
        "Begin with zeros for all classes, and put the tree's columns where they belong.",
        "np.zeros((len(said), num_classes)) has a column for each class.",
        "answer[:, labels] = said writes all columns at once.",
    ],
)
def spread(said, labels, num_classes):
    """Probabilities (N, num_classes) from said (N, L); column j of said is for class labels[j]."""
    answer = np.zeros((len(said), num_classes))
    answer[:, labels] = said
    return answer


def _trees(random):
    """Weights (B, E), one of them exactly 1, and what the trees say, (B, E, C)."""
    for low, high in ((2, 4), (3, 7)):
        images, experts, classes = sizes(random, 3, low, high)
        weights = probabilities(random, images, experts).astype(float)
        weights[-1] = np.eye(experts)[random.integers(experts)]
        yield weights, probabilities(random, images, experts, classes).astype(float)


@exercise(
    marks=2,
    cases=_trees,
    mistakes=[
        (
            lambda w, s: w[:, :, None] * s,
            "The products are right: now sum them over the experts, axis 1.",
        ),
        (
            lambda w, s: (w[:, :, None] * s).sum(axis=2),
            "You sum over the classes. Sum over the experts: axis 1 of (B, E, C).",
        ),
        (lambda w, s: s.mean(axis=1), "That is the plain mean of the trees: use the weights."),
        (lambda w, s: s.sum(axis=1), "That is the plain sum of the trees: use the weights."),
        (
            lambda w, s: s[np.arange(len(s)), w.argmax(axis=1)],
            "You take the heaviest tree alone. Every tree counts, by its weight.",
        ),
        (
            lambda w, s: mixture(w[:, ::-1], s),
            "The weights are exchanged: weights[:, e] belongs to said[:, e].",
        ),
        (
            lambda w, s: (w[:, :, None] * s).mean(axis=1),
            "The weights sum to 1 already: take their sum, not their mean.",
        ),
    ],
    hints=[
        "Every tree's probabilities times its weight, then the sum over the trees.",
        "weights[:, :, None] has the shape (B, E, 1) and fits said, (B, E, C).",
        "(weights[:, :, None] * said).sum(axis=1), or np.einsum with 'be,bec->bc'.",
    ],
)
def mixture(weights, said):
    """Probabilities (B, C): the sum of what the trees say (B, E, C), times weights (B, E)."""
    return (weights[:, :, None] * said).sum(axis=1)


def _weighed(random):
    """Labels, which are not always the likeliest class, mixtures, weights and strengths."""
    for strength in (0.0, 0.5, 0.3):
        images, classes, experts = sizes(random, 3, high=6)
        weights = probabilities(random, images, experts)
        yield (
            random.integers(classes, size=images),
            0.05 / classes + 0.95 * probabilities(random, images, classes),
            weights,
            strength,
        )
    weights[0] = np.eye(experts)[0]  # a gate that has decided
    even = np.full((images, classes), 1 / classes, "float32")
    yield random.integers(classes, size=images), even, weights, 1


def _surprise(labels, mixed):
    return -np.log(mixed[np.arange(len(labels)), labels])


def _entropy(weights, axis=1):
    return -(weights * np.log(np.maximum(weights, 1e-9))).sum(axis=axis)


@exercise(
    marks=3,
    cases=_weighed,
    returns=Number(),
    mistakes=[
        (
            lambda y, m, w, s: _surprise(y, m).mean() + s * _entropy(w).mean(),
            "That is the sign of the code: the loss *grows* with the entropy, so training makes the "
            "weights peaked. The text promised the opposite. Compare even weights with peaked "
            "ones: which should cost less?",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).mean(),
            "The strength changes nothing: is the entropy term there?",
        ),
        (
            lambda y, m, w, s: -_surprise(y, m).mean() - s * _entropy(w).mean(),
            "The cross-entropy has a minus: - ln of the true class's probability.",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).sum() - s * _entropy(w).mean(),
            "The cross-entropy is summed over the images: take the mean.",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).mean() - s * _entropy(w).sum(),
            "The entropy is summed over the images: take the mean.",
        ),
        (
            lambda y, m, w, s: (_surprise(y, m) - s * _entropy(w)).sum(),
            "Your result is a sum over the images: take the mean.",
        ),
        (
            lambda y, m, w, s: _surprise(y, m) - s * _entropy(w),
            "You have a number for each image: return their mean.",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).mean() - s * _entropy(w.mean(axis=0), axis=0),
            "That is the entropy of the mean weights. Take the mean of each image's own entropy.",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).mean() - s * (_entropy(w) / w.shape[1]).mean(),
            "Over the experts the entropy is a sum, not a mean.",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).mean() - s * _entropy(m).mean(),
            "That is the entropy of the mixture's answer. Take that of the weights.",
        ),
        (
            lambda y, m, w, s: -np.log(m.max(axis=1)).mean() - s * _entropy(w).mean(),
            "You take the likeliest class. The cross-entropy is that of the true one, labels[b].",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).mean() + s * (w * np.log(w)).sum(axis=1).mean(),
            "With a weight of exactly 0 your loss is not finite: 0 ln 0 counts as 0, but the "
            "computer's ln(0) does not. Keep the weights in ln at 1e-9 or more.",
        ),
        (
            lambda y, m, w, s: _surprise(y, m).mean() - s * _entropy(w).mean() / np.log(2),
            "Your entropy is in bits: take the natural logarithm, np.log.",
        ),
    ],
    hints=[
        "Training makes the loss small. Even weights have the largest entropy. So which sign makes "
        "weights even?",
        "The entropy of each image is -sum_e w_e ln w_e; keep the weights in the logarithm at "
        "1e-9 or more. mixed[np.arange(len(labels)), labels] are the true classes' probabilities.",
        "np.mean(-np.log(true)) - strength * np.mean(entropy), both means over the images.",
    ],
)
def gate_loss(labels, mixed, weights, strength):
    """One number: cross-entropy of the mixture, and the entropy term as the text promised it."""
    cross_entropy = -np.log(mixed[np.arange(len(labels)), labels])
    entropy = -(weights * np.log(np.maximum(weights, 1e-9))).sum(axis=1)
    return cross_entropy.mean() - strength * entropy.mean()


def _confusions(random):
    """Counts (true, predicted); one class is never predicted, and another one never right."""
    for _ in range(2):
        (classes,) = sizes(random, 1, low=3, high=6)
        counts = random.integers(1, 30, (classes, classes))
        never, missed = random.choice(classes, 2, replace=False)
        counts[:, never] = 0
        counts[missed, missed] = 0
        yield (counts,)
    counts = counts.copy()
    counts[never] = 0  # a class without images either
    yield (counts,)


def _parts(counts):
    hits = np.diag(counts)
    return hits / np.maximum(counts.sum(axis=0), 1), hits / np.maximum(counts.sum(axis=1), 1)


@exercise(
    marks=2,
    cases=_confusions,
    returns=Several(precision=Array(), recall=Array(), f1=Array()),
    mistakes=[
        (
            lambda c: scores(c.T),
            "Precision and recall are exchanged. Rows are true classes, columns predicted ones: "
            "precision divides by a column's sum, recall by a row's.",
        ),
        (
            lambda c: (*_parts(c), 2 * _parts(c)[0] * _parts(c)[1] / sum(_parts(c))),
            "A class that is never right has precision and recall of 0, so your F1 divides 0 by 0. "
            "Let it be 0: a tiny number below the line will do.",
        ),
        (
            lambda c: (np.diag(c) / c.sum(axis=0), *scores(c)[1:]),
            "A class that is never predicted makes you divide 0 by 0. Let its precision be 0: "
            "np.maximum(..., 1) below counts will do.",
        ),
        (
            lambda c: (*_parts(c), sum(_parts(c)) / 2),
            "F1 is not the plain mean of precision and recall but the harmonic one, "
            "2 P R / (P + R): it is small if either is.",
        ),
        (
            lambda c: (*_parts(c), scores(c)[2] / 2),
            "The factor 2 is missing from 2 P R / (P + R).",
        ),
        (
            lambda c: (*_parts(c), _parts(c)[0] * _parts(c)[1]),
            "F1 is 2 P R / (P + R); you multiply and do not divide.",
        ),
        (
            lambda c: tuple(part.mean() for part in scores(c)),
            "Those are means over the classes: return one number for each class.",
        ),
        (
            lambda c: (np.diag(c) / c.sum(), *scores(c)[1:]),
            "You divide by all images. Precision divides by those called this class, its column.",
        ),
    ],
    hints=[
        "The diagonal holds the hits. What does a row's sum count, and what a column's?",
        "hits = np.diag(counts); precision divides by counts.sum(axis=0), recall by axis=1.",
        "F1 is 2 P R / (P + R). np.maximum(..., 1e-12) below the line keeps it finite.",
    ],
)
def scores(counts):
    """Precision, recall and F1: three arrays (C,), from counts (true, predicted)."""
    hits = np.diag(counts)
    precision = hits / np.maximum(counts.sum(axis=0), 1)
    recall = hits / np.maximum(counts.sum(axis=1), 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)
