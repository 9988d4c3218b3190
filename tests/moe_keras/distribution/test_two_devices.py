"""A mixture learns on two devices what it learns on one, and its routing is counted on both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

TESTS = Path(__file__).parents[2]


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras distributes on TensorFlow and JAX alone"
)
@pytest.mark.parametrize("mixture", ["DenseMoE", "grouped", "capacity"])
def test_two_devices_learn_as_one(mixture):
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    program = subprocess.run(
        [sys.executable, Path(__file__).with_name("two_devices.py"), mixture],
        env={**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert program.returncode == 0, program.stderr[-3000:]
    found = json.loads(program.stdout.splitlines()[-1])
    assert (found["one"]["devices"], found["two"]["devices"]) == (1, 2)
    one, two = found["one"]["history"], found["two"]["history"]
    assert one[0]["loss"] > one[-1]["loss"]  # it learns
    for before, after in zip(one, two, strict=True):
        assert before.keys() == after.keys()
        for name in before:
            np.testing.assert_allclose(after[name], before[name], atol=1e-5, err_msg=name)
