"""Images and labels in Parquet files, where Spark's workers read them for themselves."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F
from pyspark.sql.utils import AnalysisException

from moe_common.files import replacing
from moe_keras.spark.paths import literal

# About 0.3 MB of digits. A task reads whole groups.
ROWS = 1024
KEY = "moe_keras.dataset"
SCHEMA = pa.schema([("label", pa.int32()), ("pixels", pa.large_list(pa.uint8()))])


def write_parquet(images, labels, path, dataset=None):
    """Write images and their labels into a Parquet file, all of it or nothing.

    Spark can cut the file between its row groups, so that no image travels inside a task.

    Args:
        images: uint8 array of shape (N, ...), with the same number of pixels an image.
        labels: array (N,) of whole numbers from 0.
        path: the file, best called *.parquet; several in a folder can be read as one.
        dataset: name of the dataset, kept in the file: a mixture warns of another one's rows.

    Returns:
        None.

    Raises:
        ValueError: for other types or shapes, no images at all, or counts that differ.
        OSError: if the file cannot be written.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim < 2 or images.size == 0:
        raise ValueError(
            "Expected uint8 images of shape (N, ...), at least one. Received: dtype "
            f"{images.dtype}, shape {images.shape}"
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"Expected a label for each of {len(images):,} images. Received: labels of shape "
            f"{labels.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            "Expected labels that are whole numbers from 0. Received: dtype "
            f"{labels.dtype}, the least {labels.min()}"
        )
    schema = SCHEMA.with_metadata({KEY: dataset} if dataset else None)
    pixels = images.reshape(len(images), -1)
    ends = np.arange(len(pixels) + 1, dtype="int64") * pixels.shape[1]
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(pixels), ROWS):
            rows = slice(start, start + ROWS)
            group = pixels[rows]
            lists = pa.LargeListArray.from_arrays(ends[: len(group) + 1], group.reshape(-1))
            columns = [pa.array(labels[rows], pa.int32()), lists]
            writer.write_table(pa.table(columns, schema))


def read_parquet(session, path):
    """A DataFrame of the images in a Parquet file, or in all files of a folder.

    Args:
        session: a `SparkSession`.
        path: a file or folder of `write_parquet`; on a cluster all machines must see it.

    Returns:
        A DataFrame with the columns `label` (int) and `features` (vector of pixel values). Nothing
        is read before it is used.

    Raises:
        FileNotFoundError: if there is nothing to read.
        ValueError: if it was not written by `write_parquet`.
    """
    try:
        frame = session.read.parquet(literal(path))
    except AnalysisException as error:
        if error.getErrorClass() != "PATH_NOT_FOUND":
            raise ValueError(f"{_EXPECTED} Received: {path} ({error})") from error
        raise FileNotFoundError(f"{_EXPECTED} Received: {path}, which is not there.") from error
    except Exception as error:
        raise ValueError(f"{_EXPECTED} Received: {path}, which is damaged or no Parquet") from error
    if not {"label", "pixels"} <= set(frame.columns):
        raise ValueError(f"{_EXPECTED} Received: {path} with the columns {frame.columns}")
    numbers = F.col("pixels").cast("array<double>")
    selected = frame.select("label", array_to_vector(numbers).alias("features"))
    dataset = _dataset_in(path)
    return selected.withMetadata("label", {KEY: dataset}) if dataset else selected


def dataset_of(frame):
    """Name of the dataset that a frame's rows are of, or `None` where that is not known."""
    return frame.schema["label"].metadata.get(KEY) if "label" in frame.columns else None


def _dataset_in(path):
    """The name that `write_parquet` left in a file, or in the first one of a folder."""
    try:
        files = ds.dataset(str(path), format="parquet").files
        kept = pq.read_schema(files[0]).metadata or {}
    except (OSError, ValueError, IndexError):
        return None  # another machine's, or damaged: Spark will say
    return kept.get(KEY.encode(), b"").decode() or None


_EXPECTED = "Expected a Parquet file or folder that write_parquet wrote."
