"""Tree experts on Apache Spark, weighed by a gate in Keras: from a laptop to a cluster.

The rows live in Parquet files and in Spark's workers; the driver sees them batch by batch. Needs
the extra `spark`: pyspark, and an OpenJDK for machines that have no Java.
"""

from importlib.util import find_spec

from moe_common.install import install_advice

_missing = [name for name in ("pyspark", "pyarrow") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"Expected the packages pyspark and pyarrow. Received: no {' and no '.join(_missing)} in "
        f"this Python. {install_advice('spark')} installs what moe_keras.spark needs."
    )

from moe_keras.spark.mixture import TreeMixture  # noqa: E402
from moe_keras.spark.parquet import read_parquet, write_parquet  # noqa: E402
from moe_keras.spark.session import session  # noqa: E402

__all__ = [
    "TreeMixture",
    "read_parquet",
    "session",
    "write_parquet",
]
