"""What Spark's Java raised, in one line: the rest is in the error's cause."""

import contextlib
import re

ADVICE = (
    ("No space left on device", OSError, "Make room on Spark's disks."),
    ("is not a Parquet file", ValueError, "Write the data anew with write_parquet."),
    ("ParquetDecodingException", ValueError, "Write the data anew with write_parquet."),
    ("OutOfMemoryError", RuntimeError, "Ask for more memory=."),
    ("ExecutorLostFailure", RuntimeError, "A worker ended or was killed; try again."),
    ("Permission denied", OSError, "Change the permissions."),
)
CAUSE = re.compile(r"^(?:Caused by: |: )?((?:[\w$]+\.)+[\w$]*(?:Exception|Error)): (.+)$", re.M)


@contextlib.contextmanager
def in_one_line():
    """Raise what Java raised in a `with` block, or a function, as one line of plain words.

    Raises:
        OSError: if a disk is full or something may not be read.
        ValueError: if data is damaged.
        RuntimeError: for anything else, such as a Java that was killed.
    """
    try:
        yield
    except Exception as error:
        if not is_sparks(error):
            raise
        raise explained(error) from error


def is_sparks(error):
    """Whether an error comes from Spark, or from the connection to its Java."""
    source = type(error).__module__.partition(".")[0]
    return source in ("py4j", "pyspark") or isinstance(error, ConnectionRefusedError | EOFError)


def explained(error):
    """The error to raise in place of one from Spark."""
    text = str(error)
    said = hasattr(error, "java_exception") or type(error).__module__.startswith("pyspark")
    if not said:
        return RuntimeError(
            "Expected an answer from Spark's Java. Received: none; it ended or was killed. Start "
            "the program again, or ask for more memory=."
        )
    causes = CAUSE.findall(text)
    cause = f"{causes[-1][0].rpartition('.')[2]}: {causes[-1][1]}" if causes else text
    for words, kind, advice in ADVICE:
        if words in text:
            line = next((line for line in text.splitlines() if words in line), cause)
            return kind(f"Expected Spark to end its work. Received: {_short(line)}. {advice}")
    return RuntimeError(f"Expected Spark to end its work. Received: {_short(cause)}")


def _short(text):
    line = text.strip().splitlines()[0].strip() if text.strip() else "nothing"
    return line if len(line) <= 300 else f"{line[:300]}..."
