"""How many clusters, and how deep the trees of lab 09: chosen on held-out images, not on the test.

    python -m benchmarks.spark_settings

Trees and forests with several numbers of clusters and several depths grow on 40,000 of MNIST's
training images; a gate with a weight for each expert and class is trained for ten epochs on 15,000
others, and the remaining 5,000 say how good the mixture is. One cluster is one tree or forest for
all images, without a gate. The test images are not looked at.
The results go to results/spark_settings.json.
"""

import itertools
import json
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from moe_common.files import write_text
from moe_keras import data

RESULTS = Path(__file__).parent / "results" / "spark_settings.json"
CLUSTERS = (1, 6, 16)
DEPTHS = {"tree": (8, 10, 12), "forest": (10, 15)}
TREES = 20
EPOCHS = 10
GATE_ROWS = 15_000


def main():
    """Measure all settings, print a line for each, and write them."""
    from moe_keras.spark import TreeMixture, read_parquet, session, write_parquet

    dataset = data.load("mnist", validation=20_000, fallback=False)
    held_out = dataset.x_validation, dataset.y_validation
    parts = {
        "trees": (dataset.x_train, dataset.y_train),
        "gate": [part[:GATE_ROWS] for part in held_out],
        "choice": [part[GATE_ROWS:] for part in held_out],
    }
    spark, rows = session(), []
    settings = [
        (kind, clusters, depth)
        for kind, depths in DEPTHS.items()
        for clusters, depth in itertools.product(CLUSTERS, depths)
    ]
    with tempfile.TemporaryDirectory() as folder:
        frames = {}
        for name, (images, labels) in parts.items():
            path = Path(folder) / f"{name}.parquet"
            write_parquet(images, labels, path)
            frames[name] = read_parquet(spark, path)
        for kind, clusters, depth in settings:
            mixture = TreeMixture(clusters, expert=kind, depth=depth, trees=TREES, seed=0)
            mixture.fit_experts(frames["trees"])
            if clusters > 1:
                mixture.fit_gate(frames["gate"], epochs=EPOCHS, per_class=True)
            about = mixture.evaluate(frames["choice"])
            rows.append(
                {
                    "expert": kind,
                    "clusters": clusters,
                    "depth": depth,
                    "nearest cluster": about["nearest cluster"],
                    "gate": about["gate"],
                }
            )
            print(rows[-1], flush=True)
    results = {"machine": describe(), "data": str(dataset), "trees of a forest": TREES}
    write_text(RESULTS, json.dumps({**results, "settings": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
