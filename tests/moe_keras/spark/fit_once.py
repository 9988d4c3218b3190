"""Fit a mixture and print what came out as JSON: one run of Spark in a process of its own.

    python fit_once.py MASTER FOLDER [WORKER TO KILL]

The folder holds trees.parquet and test.parquet. The process with the given number is killed when
the first expert is there, while the others are being fitted.
"""

import json
import os
import signal
import sys

from moe_keras.spark import TreeMixture, read_parquet, session


def main(master, folder, victim=None):
    spark = session(master, memory="600m")
    if master.startswith("spark:"):
        spark.sparkContext.setLogLevel("WARN")  # what the session keeps from a student
    alive = spark.sparkContext._jsc.sc().getExecutorMemoryStatus
    before, told = alive().size(), []

    def progress(*done):
        told.append(done)
        if victim and done[:2] == ("experts", 1):
            os.kill(int(victim), signal.SIGKILL)

    mixture = TreeMixture(clusters=3, expert="forest", depth=5, trees=10, workspace=folder)
    mixture.fit_experts(read_parquet(spark, f"{folder}/trees.parquet"), progress)
    answers = mixture.predict(read_parquet(spark, f"{folder}/test.parquet"))
    result = {
        "executors": [before, alive().size()],
        "progress": told,
        "sizes": mixture.cluster_sizes.tolist(),
        "centroids": mixture.centroids.tolist(),
        "probabilities": answers.probabilities.tolist(),
    }
    print(json.dumps(result))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
