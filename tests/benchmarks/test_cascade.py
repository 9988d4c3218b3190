import keras
import numpy as np
import pytest
from layer_contract import to_numpy

from benchmarks.cascade import Answers, cascade_of


@pytest.mark.parametrize("hard", [False, True])
def test_its_arithmetic_is_that_of_the_layer(rng, hard):
    said = rng.dirichlet(np.ones(10), size=(3, 50)).astype("float32")  # base and two experts
    labels = rng.integers(10, size=50)
    base, *experts = [
        keras.layers.Lambda(lambda x, i=i: x[:, 10 * i : 10 * (i + 1)]) for i in range(3)
    ]
    layer = cascade_of(base, experts, 0.1, hard)
    rows = np.concatenate(said, axis=1)
    two, one, deferred = Answers([said, said], labels).right(0.1, hard)
    np.testing.assert_array_equal(one, to_numpy(layer(rows)).argmax(axis=1) == labels)
    np.testing.assert_array_equal(two, one)
    asked = to_numpy(layer.route(rows)["indices"]).max(axis=1) >= 0
    assert deferred == asked.mean()
    assert 0 < deferred < 1
