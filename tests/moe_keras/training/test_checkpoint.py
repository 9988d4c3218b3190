"""What both kinds of training rely on; `test_resume.py` of each tests it from their side."""

import json
import tracemalloc

import keras
import numpy as np
import pytest
from keras import ops

from moe_keras.npz import write_npz
from moe_keras.training.checkpoint import Checkpoint


def compiled(units=1):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    return model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "state.npz"


def test_variables_and_averages_come_back_in_their_order(path):
    first, second = compiled(), compiled()
    first.train_on_batch(np.ones((3, 2)), np.ones((3, 1)))
    averages = [np.full(i, i) for i in range(12)]  # more than ten: 10 is not between 1 and 2
    Checkpoint.of(first, {"epoch": 1}, averages).write(path)
    read = Checkpoint.read(path)
    assert read.about == {"epoch": 1}
    assert [average.tolist() for average in read.averages] == [[i] * i for i in range(12)]
    read.restore(second)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
    assert int(second.optimizer.iterations) == 1


def test_a_model_of_other_shapes_is_refused(path):
    Checkpoint.of(compiled(), {}).write(path)
    with pytest.raises(ValueError, match="of this model"):
        Checkpoint.read(path).restore(compiled(units=2))


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool", "U32", "complex64", "M8[s]"])
def test_numbers_of_another_dtype_are_refused(path, dtype):
    checkpoint = Checkpoint.of(compiled(), {})
    checkpoint.variables[0] = np.zeros(checkpoint.variables[0].shape, dtype)
    checkpoint.write(path)
    with pytest.raises(ValueError, match="of its shapes and dtypes"):
        Checkpoint.read(path).restore(compiled())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "mixed_bfloat16"])
def test_weights_of_every_precision_come_back(path, dtype):
    first, second = (
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, dtype=dtype)]) for _ in range(2)
    )
    for model in (first, second):
        model.compile("sgd", "mse")
    Checkpoint.of(first, {}).write(path)
    Checkpoint.read(path).restore(second)
    for a, b in zip(first.weights, second.weights, strict=True):
        a, b = (np.asarray(ops.convert_to_numpy(weight), "float64") for weight in (a, b))
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "arrays",
    [
        {"other": np.ones(2)},
        {"about": np.array("no JSON"), "variables_0": np.ones(2)},
        {"about": np.array(json.dumps({})), "weights_0": np.ones(2)},
        {"about": np.array("[" * 100_000), "variables_0": np.ones(2)},
        {"about": np.array("1" * 5_000), "variables_0": np.ones(2)},
    ],
)
def test_a_file_of_something_else_is_refused(path, arrays):
    write_npz(path, arrays, compress=False)
    with pytest.raises(ValueError, match=r"state\.npz to be a checkpoint; .*Ask\. Received"):
        Checkpoint.read(path, "Ask.")


def test_a_small_file_that_holds_very_many_numbers_is_refused_unread(path):
    arrays = {"about": np.array("{}"), "variables_0": np.zeros(10_000_000)}
    write_npz(path, arrays, compress=True)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"state\.npz to be a checkpoint; .*is compressed"):
            Checkpoint.read(path)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
