"""What the experts said, in Parquet files: the gate reads them batch by batch."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds

# A row group is what the driver holds at once; of 784 pixels, some 8,000 rows in 8 MB, packed.
GROUP_BYTES = 8 * 2**20
# Rows that are shuffled together, from several row groups.
SHUFFLED = 16_384


@contextlib.contextmanager
def written(frame, workspace):
    """The frame of `TreeMixture.expert_probabilities` in a temporary folder of Parquet files."""
    if workspace is not None:
        Path(workspace).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="answers-", dir=workspace, ignore_cleanup_errors=True
    ) as folder:
        # Spark makes the folder itself. 32-bit pixels, as Keras takes them.
        path = f"{folder}/answers"
        frame.write.option("parquet.block.size", GROUP_BYTES).parquet(path)
        yield path


def batches(path, size, seed=None):
    """The rows of a folder of answers, batch by batch.

    Args:
        path: what `written` gave.
        size: rows of a batch; the last may have fewer.
        seed: for rows in another order each time; None for the order of the frame.

    Yields:
        Tuples of pixels (B, D), probabilities (B, E, C), labels (B,) and clusters (B,).
    """
    groups = [
        group
        for fragment in sorted(ds.dataset(path).get_fragments(), key=lambda each: each.path)
        for group in fragment.split_by_row_group()
    ]
    rng = None if seed is None else np.random.default_rng(seed)
    if rng is not None:
        rng.shuffle(groups)
    at_least = size if rng is None else max(size, SHUFFLED)
    waiting = None
    for group in groups:
        rows = _arrays(group.to_table())
        waiting = rows if waiting is None else _joined(waiting, rows)
        if len(waiting[2]) >= at_least:
            whole = len(waiting[2]) // size * size
            yield from _cut([part[:whole] for part in waiting], size, rng)
            waiting = [part[whole:] for part in waiting]
    if waiting is not None:
        yield from _cut(waiting, size, rng)


def _arrays(table):
    """The columns of a table as NumPy arrays."""
    columns = [table[name].combine_chunks() for name in ("pixels", "probabilities")]
    pixels, answers = columns
    rows = len(table)
    experts = len(answers.flatten()) // max(rows, 1)
    return [
        pixels.flatten().to_numpy().reshape(rows, -1),
        answers.flatten().flatten().to_numpy().reshape(rows, experts, -1),
        table["label"].to_numpy(),
        table["cluster"].to_numpy(),
    ]


def _joined(first, second):
    return [np.concatenate(pair) for pair in zip(first, second, strict=True)]


def _cut(rows, size, rng):
    count = len(rows[2])
    order = np.arange(count) if rng is None else rng.permutation(count)
    for start in range(0, count, size):
        chosen = order[start : start + size]
        yield tuple(part[chosen] for part in rows)
