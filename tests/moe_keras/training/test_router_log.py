import csv

import keras
import numpy as np
import pytest

from moe_keras.gates import TopKGate
from moe_keras.training import RouterLog
from moe_keras.training.router_log import _load


@pytest.fixture
def watched():
    inputs = keras.Input((4,))
    answer = TopKGate(num_experts=3, top_k=1)(inputs)
    model = keras.Model(inputs, answer["probabilities"])
    model.compile(optimizer=keras.optimizers.SGD(10.0), loss="mse")
    x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    log = RouterLog(keras.Model(inputs, answer), x, every=2)
    targets = np.tile([0.0, 0.0, 1.0], (12, 1))
    for _ in range(2):
        model.fit(x, targets, batch_size=3, callbacks=[log], verbose=0)
    return log, x


def test_it_notes_the_beginning_and_every_second_batch_of_all_fits(watched):
    log, _ = watched
    assert log.steps == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(np.sum(log.shares, axis=1), 1)


def test_several_batches_in_one_call_count_as_several(watched):
    log, x = watched
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", steps_per_execution=2)
    log = RouterLog(log.router, x, every=3)
    for _ in range(2):
        model.fit(x, np.zeros((12, 3)), batch_size=2, callbacks=[log], verbose=0)
    assert log.steps == [0, 4, 6, 10, 12]  # the first multiple of two at or after 3, 6, 9, 12


def test_the_last_note_is_what_the_router_does_now(watched):
    log, x = watched
    chosen = keras.ops.convert_to_numpy(log.router(x)["indices"])[:, 0]
    np.testing.assert_allclose(log.shares[-1], [(chosen == e).mean() for e in range(3)])


def test_it_writes_a_csv(watched, tmp_path):
    log, _ = watched
    log.save(tmp_path / "new" / "load.csv")
    with open(tmp_path / "new" / "load.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == log.steps
    np.testing.assert_allclose(
        [float(row["expert_2"]) for row in rows], np.array(log.shares)[:, 2], atol=1e-4
    )


def test_shares_of_a_gate_over_tokens():
    probabilities = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])
    np.testing.assert_allclose(_load({"probabilities": probabilities}), [0.5, 0.5])


def test_load_of_a_sparse_gate_counts_choices():
    answer = {"probabilities": np.full((2, 3), 1 / 3), "indices": np.array([[0, 1], [0, 2]])}
    np.testing.assert_allclose(_load(answer), [0.5, 0.25, 0.25])
