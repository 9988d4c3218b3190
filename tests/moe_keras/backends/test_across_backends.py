"""What TensorFlow saved gives the same answers here, whichever backend this is.

`make test-backends` has TensorFlow save the models and runs this on JAX and PyTorch.
"""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from public_layers import MODELS, answers_of

import moe_keras

FOLDER = os.environ.get("MOE_KERAS_SAVED")


def test_every_public_layer_has_a_model():
    public = {name for name in moe_keras.__all__ if isinstance(getattr(moe_keras, name), type)}
    assert {name.split()[0] for name in MODELS} == public - {"Gate"}


@pytest.mark.skipif(not FOLDER, reason="models are saved by `make test-backends` alone")
@pytest.mark.parametrize("name", MODELS)
def test_the_same_answers(name):
    model = keras.saving.load_model(Path(FOLDER, f"{name}.keras"))
    with np.load(Path(FOLDER, f"{name}.npz")) as stored:
        expected = list(stored.values())
    found = answers_of(model)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
