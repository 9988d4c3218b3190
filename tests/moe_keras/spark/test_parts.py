import numpy as np
import pyarrow.parquet as pq
from tiny_dataset import tiny_dataset

from moe_keras.spark.parts import write_parts


def test_every_image_is_in_one_part(tmp_path):
    dataset = tiny_dataset()
    paths = write_parts(dataset, tmp_path, seed=1)
    read = {part: pq.read_table(path).to_pydict() for part, path in paths.items()}
    count = len(dataset.x_train)
    assert len(read["trees"]["label"]) == int(0.75 * count)
    assert len(read["trees"]["label"]) + len(read["gate"]["label"]) == count
    together = sorted(read["trees"]["pixels"] + read["gate"]["pixels"])
    assert together == sorted(dataset.x_train.reshape(count, -1).tolist())
    assert read["test"]["label"] == dataset.y_test.tolist()
    np.testing.assert_array_equal(
        read["validation"]["pixels"], dataset.x_validation.reshape(len(dataset.x_validation), -1)
    )
