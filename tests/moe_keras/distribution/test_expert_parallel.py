"""Expert-parallel on eight devices a mixture learns as on one, and sends nothing but tokens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

TESTS = Path(__file__).parents[2]
DEVICES, EXPERTS, TOP_K, TOKENS, FEATURES = 8, 16, 2, 64, 6
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Keras shards weights on JAX alone"
)


@pytest.fixture(scope="module")
def found():
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    program = subprocess.run(
        [sys.executable, Path(__file__).with_name("expert_parallel.py")],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert program.returncode == 0, program.stderr[-3000:]
    return json.loads(program.stdout.splitlines()[-1])


def test_it_learns_what_one_device_learns_densely(found):
    for one, eight in zip(found["one"], found["eight"], strict=True):
        np.testing.assert_allclose(eight, one, rtol=1e-4, atol=1e-5)


def test_each_device_holds_its_share_of_the_experts_and_of_their_optimizer(found):
    expert_weights = [
        (path, shape, shard) for path, shape, shard in found["shards"] if shape[:1] == [EXPERTS]
    ]
    assert len(expert_weights) == 3 * 6  # the weights, and two moments of Adam
    for path, shape, shard in expert_weights:
        assert shard == [EXPERTS // DEVICES, *shape[1:]], path


def test_rows_go_to_the_experts_and_no_weights_to_the_rows(found):
    sent = found["bytes"]
    # There and back, forward and backward: E S rows of 4-byte numbers; and which slots are taken.
    slots = TOKENS // DEVICES  # nothing dropped
    rows = EXPERTS * slots
    assert sent.pop("all-to-all") == 4 * rows * FEATURES * 4 + rows
    # What is left is of the gate: its gradient, its balance loss.
    gate = FEATURES * EXPERTS
    assert sum(sent.values()) <= 4 * (gate + 4 * EXPERTS)
