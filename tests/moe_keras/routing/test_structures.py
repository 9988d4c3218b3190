"""Models with several inputs and outputs, gates of 16 bits, and a classifier of logits."""

import keras
import numpy as np
import pytest
from draws import normal

import moe_keras as moe
from moe_keras.routing import diagnose, explain, routing_table

X, Z = normal(64, 5, seed=0), normal(64, 2, seed=1)
LABELS = np.arange(64) % 3


def experts(count=2):
    return [keras.layers.Dense(3) for _ in range(count)]


def model(kind):
    a, b = keras.Input((5,), name="a"), keras.Input((2,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    mixed = moe.DenseMoE(experts(), moe.SoftmaxGate(2), name="mixture")(joined)
    if kind == "dict":
        return keras.Model({"a": a, "b": b}, {"one": mixed, "two": keras.layers.Dense(1)(mixed)})
    return keras.Model([a, b], [mixed, keras.layers.Dense(1)(mixed)])


def data(kind):
    return {"a": X, "b": Z} if kind == "dict" else [X, Z]


def first(x):
    return keras.tree.map_structure(lambda array: array[:1], x)


@pytest.mark.parametrize("kind", ["dict", "list"])
def test_several_inputs_and_outputs(kind):
    net, x = model(kind), data(kind)
    assert diagnose(net, x).worst == "ok"
    targets = [np.zeros((64, 3)), np.zeros((64, 1))]
    y = dict(zip(("one", "two"), targets, strict=True)) if kind == "dict" else targets
    assert diagnose(net, x, y).worst == "ok"
    assert routing_table(net, x, LABELS).first.shape == (3, 2)
    assert len(explain(net, first(x)).steps) == 1


def test_inputs_that_do_not_fit_are_refused():
    net = model("list")
    with pytest.raises(ValueError, match=r"Expected as many of each input"):
        diagnose(net, [X, Z[:3]])
    with pytest.raises(ValueError, match=r"Expected one input with its batch axis"):
        explain(net, [X[:1], Z])
    with pytest.raises(ValueError, match=r"Expected finite inputs"):
        diagnose(net, [X, np.full_like(Z, np.nan)])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_gate_of_16_bits_is_well(dtype):
    mixture = moe.DenseMoE(experts(7), moe.SoftmaxGate(7, dtype=dtype))
    mixture.build((None, 5))
    assert diagnose(mixture, X).worst == "ok"


def test_a_classifier_of_logits_is_found():
    mixture = moe.DenseMoE(experts(), moe.GroupGate(keras.layers.Dense(4), [(0, 1), (2, 3)]))
    mixture.build((None, 5))
    found = {f.check: f for f in diagnose(mixture, 9 * X).findings}
    assert found["weights"].severity == "error"
    assert "put a softmax behind it" in found["weights"].message
