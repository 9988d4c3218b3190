"""Capacity outside training, so that an answer need not depend on the rest of the batch."""

import math

import keras
import numpy as np
import pytest
from draws import normal
from layer_contract import to_numpy

from moe_keras.gates import TopKGate
from moe_keras.mixtures import CapacityDispatcher, SparseMoE

ROWS = normal(64, 5, seed=0)


def mixture(**kwargs):
    keras.utils.set_random_seed(0)
    dispatch = CapacityDispatcher(0.5, **kwargs)
    return SparseMoE([keras.layers.Dense(3) for _ in range(4)], TopKGate(4), dispatch=dispatch)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_with_room_for_all_a_prediction_does_not_depend_on_its_batch(jit_compile):
    model = keras.Sequential([keras.Input((5,)), mixture(eval_capacity_factor=math.inf)])
    model.compile(jit_compile=jit_compile and keras.backend.backend() != "torch")
    whole = model.predict(ROWS, batch_size=64, verbose=0)
    np.testing.assert_allclose(whole, model.predict(ROWS, batch_size=1, verbose=0), atol=1e-5)


def test_training_drops_as_before():
    layer, plain = mixture(eval_capacity_factor=math.inf), mixture()
    trained = to_numpy(layer(ROWS, training=True))
    np.testing.assert_array_equal(trained, to_numpy(plain(ROWS, training=True)))
    assert to_numpy(layer.route(ROWS)["kept"]).all()
    assert not to_numpy(layer.route(ROWS, training=True)["kept"]).all()
    assert not to_numpy(plain.route(ROWS)["kept"]).all()


def test_a_number_is_a_factor():
    wide = to_numpy(mixture(eval_capacity_factor=1.0).route(ROWS)["kept"])
    keras.utils.set_random_seed(0)
    experts = [keras.layers.Dense(3) for _ in range(4)]
    other = SparseMoE(experts, TopKGate(4), dispatch=CapacityDispatcher(1.0))
    np.testing.assert_array_equal(wide, to_numpy(other.route(ROWS)["kept"]))


@pytest.mark.parametrize("factor", [None, 2.0, math.inf])
def test_it_is_saved(factor, tmp_path):
    model = keras.Sequential([keras.Input((5,)), mixture(eval_capacity_factor=factor)])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.layers[0].dispatch.eval_capacity_factor == factor
    np.testing.assert_array_equal(to_numpy(again(ROWS)), to_numpy(model(ROWS)))


@pytest.mark.parametrize("factor", [0, -1, "2", math.nan])
def test_other_factors_are_refused(factor):
    with pytest.raises(ValueError, match=r"Expected eval_capacity_factor to be .* Received"):
        CapacityDispatcher(eval_capacity_factor=factor)
