"""Dispatchers by name and as objects: which one runs where, and what is saved."""

import keras
import numpy as np
import pytest
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate, PlainTopKGate

from moe_keras.experts import StackedMLP
from moe_keras.experts.expert_list import ExpertList
from moe_keras.mixtures import CapacityDispatcher, Dispatcher, SparseMoE
from moe_keras.mixtures.dispatchers import (
    DISPATCHERS,
    Routing,
    candidates,
    first_that_works,
    registry,
)

TOKENS = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")  # (T, D)
INDICES = np.array([[0, 1]] * 6)  # (T, k)


@keras.saving.register_keras_serializable(package="moe_keras_tests")
class FirstChoice(Dispatcher):
    """Answers each token's first choice alone, `scale` times."""

    drops_tokens = True

    def __init__(self, scale=1.0):
        self.scale = scale

    def plan(self, routing):
        first = ops.one_hot(routing.indices[:, 0], routing.num_experts)  # (T, E)
        return self.scale * first * routing.weights[:, :1]

    def dispatch(self, tokens, plan):
        return [tokens] * plan.shape[-1]

    def combine(self, outputs, plan):
        return sum(plan[:, e : e + 1] * output for e, output in enumerate(outputs))

    def kept(self, routing):
        return ops.cumsum(ops.ones_like(routing.indices), axis=-1) == 1

    def get_config(self):
        return {"scale": self.scale}


def powers_of_10():
    return [keras.layers.Rescaling(10.0**e) for e in range(3)]


def routing():
    return Routing(INDICES, np.ones((6, 2), "float32"), np.ones((6, 3), "float32") / 3)


def chosen(dispatch, experts, compiled, monkeypatch):
    monkeypatch.setattr(registry, "needs_static_sizes", lambda indices: compiled)
    found = first_that_works(candidates(dispatch, experts), routing(), experts, TOKENS)
    return type(found).__name__


@pytest.mark.parametrize(
    ("dispatch", "stacked", "compiled", "expected"),
    [
        ("auto", False, False, "GroupedDispatcher"),
        ("auto", False, True, "BlockedDispatcher"),
        ("auto", True, False, "BlockedDispatcher"),
        ("auto", True, True, "BlockedDispatcher"),
        ("grouped", True, False, "GroupedDispatcher"),
        ("grouped", True, True, "BlockedDispatcher"),
        ("grouped", False, True, "BlockedDispatcher"),
        ("capacity", False, True, "CapacityDispatcher"),
        ("blocked", True, False, "BlockedDispatcher"),
        ("dense", False, False, "DenseDispatcher"),
    ],
)
def test_which_one_runs(dispatch, stacked, compiled, expected, monkeypatch):
    experts = StackedMLP(3, 4) if stacked else ExpertList(powers_of_10())
    if keras.backend.backend() == "torch" and compiled and expected == "BlockedDispatcher":
        expected = "DenseDispatcher"  # its compilers know no loop
    assert chosen(dispatch, experts, compiled, monkeypatch) == expected


class Elsewhere(Dispatcher):
    """For another backend than there is."""

    def works_on(self, backend, compiled):
        return backend == "another"


class DropsElsewhere(Elsewhere):
    drops_tokens = True


def test_another_takes_the_place_of_what_does_not_work_here_unless_it_drops():
    experts = ExpertList(powers_of_10())
    dispatcher = first_that_works(candidates(Elsewhere()), routing(), experts, TOKENS)
    assert type(dispatcher) is DISPATCHERS["grouped"]
    with pytest.raises(ValueError, match=r"works on \w+. Received: DropsElsewhere"):
        first_that_works(candidates(DropsElsewhere()), routing(), experts, TOKENS)


@pytest.mark.parametrize("wrong", ["quick", None, 3, Dispatcher])
def test_unknown_names_are_refused_and_the_known_ones_listed(wrong):
    with pytest.raises(ValueError, match=r"auto, grouped, blocked, capacity, dense, .* Received"):
        candidates(wrong)


def test_an_object_by_hand():
    gate = GivenGate([[1, 0], [2, 1]], num_experts=3, weights=[[0.75, 0.25]] * 2)
    mixture = SparseMoE(powers_of_10(), gate, dispatch=FirstChoice(scale=2.0))
    inputs = np.array([[4.0], [8.0]], "float32")
    # 2 * 3/4 * 10 * 4 = 60; 2 * 3/4 * 100 * 8 = 1200.
    np.testing.assert_allclose(to_numpy(mixture(inputs)), [[60.0], [1200.0]], rtol=1e-6)
    assert to_numpy(mixture.route(inputs)["kept"]).tolist() == [[True, False]] * 2


@pytest.mark.parametrize(
    "dispatch",
    ["auto", "dense", FirstChoice(0.5), CapacityDispatcher(0.7, batch_prioritized=True)],
    ids=["auto", "dense", "of one's own", "capacity"],
)
def test_saved_and_loaded(dispatch, tmp_path):
    experts = [keras.layers.Dense(2) for _ in range(3)]
    mixture = SparseMoE(experts, PlainTopKGate(3, k=2), dispatch)
    model = keras.Sequential([keras.Input((5,)), mixture])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(to_numpy(loaded(TOKENS)), to_numpy(model(TOKENS)))
    again = loaded.layers[0].dispatch
    assert type(again) is type(dispatch)
    assert again == dispatch or again.get_config() == dispatch.get_config()


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), "2", None])
def test_capacity_factor_is_checked(factor):
    with pytest.raises(ValueError, match=r"capacity_factor to be .* above 0. Received: cap"):
        CapacityDispatcher(factor)
