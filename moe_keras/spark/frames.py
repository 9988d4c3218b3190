"""What the stages ask of a DataFrame, and keeping one while it is used."""

import contextlib

from pyspark import StorageLevel
from pyspark.sql import functions as F


def check_frame(frame, columns, rows=1):
    """Raise a ValueError unless the frame has these columns and so many rows."""
    if type(frame).__module__.startswith("pyspark.sql.connect"):
        raise ValueError(
            "Expected a DataFrame of a classic Spark session: over Spark Connect, Spark 3.5 has no "
            "KMeans and no trees. Received: one of Spark Connect. Take moe_keras.spark.session()."
        )
    missing = columns - set(getattr(frame, "columns", ()))
    if missing:
        raise ValueError(
            "Expected a Spark DataFrame with the columns label and features, such as read_parquet "
            f"gives. Received: {type(frame).__name__} without {', '.join(sorted(missing))}"
        )
    there = frame.limit(rows).count()
    if there < rows:
        raise ValueError(
            f"Expected at least {rows} row{'s' if rows > 1 else ''}, one for each cluster. "
            f"Received: {there}. Take fewer clusters, or more data."
        )


@contextlib.contextmanager
def kept(frame):
    """The frame, persisted in Spark's memory, or on its disks where that is full, for a while."""
    persisted = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield persisted
    finally:
        persisted.unpersist()


def check_labels(frame, classes=None):
    """How many labels there are: `classes`, else the largest in the frame and 1.

    Raises:
        ValueError: unless all labels are whole numbers from 0, and less than `classes`.
    """
    label = F.col("label").cast("double")
    whole = F.coalesce(label == F.floor(label), F.lit(False))
    least, most, all_whole = frame.select(F.min(label), F.max(label), F.min(whole)).first()
    if not all_whole or least < 0 or (classes is not None and most >= classes):
        bound = "" if classes is None else f" to {classes - 1}"
        raise ValueError(
            f"Expected labels that are whole numbers from 0{bound}. Received: {least} to {most}"
            f"{'' if all_whole else ', not all of them whole, or some missing'}"
        )
    return int(most) + 1 if classes is None else classes
