"""A model with every layer, trained, saved, and loaded by a Python that has never seen it."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from layer_contract import to_numpy

from moe_keras import (
    ClassSubset,
    Combine,
    DenseMoE,
    Expert,
    FrozenExpert,
    GroupGate,
    PerClassGate,
    SoftmaxGate,
)

LOAD_AND_COMPARE = """
import sys
import keras, numpy as np
import moe_keras

model = keras.saving.load_model(sys.argv[1])
stored = np.load(sys.argv[2], allow_pickle=False)
answers = keras.ops.convert_to_numpy(model(stored["inputs"]))
sys.exit(0 if np.array_equal(answers, stored["answers"]) else "the answers changed")
"""


def classifier(num_classes):
    return keras.Sequential([keras.layers.Dense(num_classes, activation="softmax")])


def test_a_fresh_process_gives_the_same_answers(tmp_path):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(8, 5)).astype("float32"), rng.integers(0, 3, 8)
    some = ClassSubset(FrozenExpert(classifier(2)), class_ids=(2, 0), num_classes=3)
    inner = DenseMoE([some, Expert(classifier(3))], PerClassGate(num_classes=3, num_experts=2))
    outer = DenseMoE([inner, classifier(3)], GroupGate(classifier(4), groups=[(0, 3), (1, 2)]))
    inputs = keras.Input((5,))
    weights = SoftmaxGate(2)(inputs)["probabilities"]
    model = keras.Model(inputs, Combine()(weights, [outer(inputs), classifier(3)(inputs)]))
    model.compile("adam", loss="sparse_categorical_crossentropy")
    model.fit(rows, labels, epochs=2, verbose=0)

    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "stored.npz", inputs=rows, answers=to_numpy(model(rows)))
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD_AND_COMPARE, tmp_path / "model.keras", tmp_path / "stored.npz"],
        capture_output=True,
        text=True,
    )
    assert loaded.returncode == 0, loaded.stderr


def test_names_that_h5_cannot_tell_apart_are_said(tmp_path):
    experts = [keras.layers.Dense(2, name="same") for _ in range(2)]
    model = keras.Sequential([keras.Input((3,)), DenseMoE(experts, SoftmaxGate(2))])
    with pytest.raises(ValueError, match=r"names of their own, .* Received: .*same/kernel"):
        model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
