"""Tree experts on Apache Spark, weighed by a gate in Keras: from a laptop to a cluster.

The rows live in Parquet files and in Spark's workers; the driver sees them batch by batch. Needs
`pip install "moe-keras[spark]"`: pyspark, and an OpenJDK for machines that have no Java.
"""

from importlib.util import find_spec

_missing = [name for name in ("pyspark", "pyarrow") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"Expected the packages pyspark and pyarrow. Received: no {' and no '.join(_missing)} in "
        "this Python. `pip install 'moe-keras[spark]'` installs what moe_keras.spark needs."
    )

from moe_keras.spark.clusters import elbow  # noqa: E402
from moe_keras.spark.mixture import TreeMixture  # noqa: E402
from moe_keras.spark.parquet import read_parquet, write_parquet  # noqa: E402
from moe_keras.spark.parts import write_parts  # noqa: E402
from moe_keras.spark.prediction import Answers  # noqa: E402
from moe_keras.spark.session import session  # noqa: E402

__all__ = [
    "Answers",
    "TreeMixture",
    "elbow",
    "read_parquet",
    "session",
    "write_parquet",
    "write_parts",
]
