"""Paths as Spark takes them: of its own accord it sees patterns in them."""

import re
from pathlib import Path


def address(folder):
    """Address of a folder of this machine, to write to.

    Not `Path.as_uri`: Hadoop reads no percent signs, and a blank would become %20 on the disk.
    """
    return f"file:///{Path(folder).resolve().as_posix().lstrip('/')}"


def literal(path):
    r"""A path to read from, in which no character stands for others.

    >>> literal("runs[1]/*.parquet")
    'runs\\[1\\]/\\*.parquet'
    """
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", str(path))
