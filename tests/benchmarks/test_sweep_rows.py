import numpy as np
import pytest

from benchmarks.sweep_rows import learn, means, scores, ways

CLASSES = {"base": 10, "second": 10, "natural": 6, "artificial": 4, "group-gate": 2}
NAMES = (*CLASSES, "parameters", "compute", "longer")
COST = dict.fromkeys(NAMES, 100)
CARDS = {n: {"parameters": 7, "minutes": 2, "epochs": 3, "split": {"train": 10}} for n in NAMES}
LABELS = np.tile(np.arange(10), 20)


@pytest.fixture(scope="module")
def outputs():
    """Networks that guess, but for a group gate that is always right and an expert that is too."""
    rng = np.random.default_rng(0)
    outputs = {
        n: rng.dirichlet(np.ones(c), len(LABELS)).astype("float32") for n, c in CLASSES.items()
    }
    natural = np.isin(LABELS, range(2, 8))
    outputs["group-gate"] = np.float32(np.stack([natural, ~natural], axis=1))
    outputs["natural"] = np.float32(np.eye(6)[np.clip(LABELS - 2, 0, 5)])
    return outputs


@pytest.fixture(scope="module")
def all_ways(outputs):
    return ways(learn([outputs, outputs], LABELS, seed=0), seed=0)


def test_each_way_gives_probabilities(outputs, all_ways):
    for name, way in all_ways.items():
        if name in ("base, trained longer", *(n for n in all_ways if n.startswith("CNN"))):
            continue
        answer = way.answer(outputs, LABELS)
        assert answer.shape == (200, 10), name
        assert answer.sum(axis=1) == pytest.approx(1, abs=1e-4), name


def test_a_right_gate_and_a_right_expert_are_right(outputs, all_ways):
    natural = np.isin(LABELS, range(2, 8))
    for name in ("group gate, hard", "group gate, soft", "oracle of the group"):
        right = all_ways[name].answer(outputs, LABELS).argmax(axis=1) == LABELS
        assert right[natural].all(), name
    parts = {"validation": [outputs, outputs], "test": [outputs, outputs]}
    labels = {"validation": LABELS, "test": LABELS}
    accuracy = {
        name: scores(all_ways[name], parts, labels)["accuracy"]
        for name in ("base", "learned gate, soft", "oracle of the expert")
    }
    assert accuracy["base"] < 0.3
    assert accuracy["learned gate, soft"] > 0.6
    assert accuracy["oracle of the expert"] > accuracy["learned gate, soft"]


@pytest.mark.parametrize(
    ("name", "networks", "runs"),
    [
        ("base", 1, 1),
        ("two bases, averaged", 2, 2),
        ("average of the experts", 3, 3),
        ("random gate", 3, 1),
        ("base as gate, hard", 3, 2),
        ("group gate, hard", 3, 2),
        ("learned gate, soft", 4, 4),
        ("oracle of the group", 2, 1),
        ("oracle of the expert", 3, 1),
    ],
)
def test_what_a_way_needs_and_what_it_runs(outputs, all_ways, name, networks, runs):
    row = means(all_ways[name], outputs, LABELS, COST, CARDS)
    assert row["parameters"] == 7 * networks
    assert row["images shown"] == 30 * networks
    assert row["minutes"] == 2 * networks
    assert row["multiply-adds"] == 100 * runs
