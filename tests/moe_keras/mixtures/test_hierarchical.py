import keras
import numpy as np
import pytest
from draws import ROWS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import HierarchicalGate, SoftmaxGate
from moe_keras.mixtures import HierarchicalMoE


def dense(units=3, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def two_levels(mixture):
    """Jordan and Jacobs's sum over i and j for a tree of 2 and 3 branches."""
    root, nodes = (level.get_weights() for level in mixture.gate.levels)
    g_i = softmax(ROWS @ root[0] + root[1])
    scores = (ROWS @ nodes[0] + nodes[1]).reshape(6, 2, 3)
    g_ij = softmax(scores)
    if mixture.gate.hard:
        g_i, g_ij = (np.eye(g.shape[-1])[g.argmax(axis=-1)] for g in (g_i, g_ij))
    outputs = [to_numpy(expert(ROWS)) for expert in mixture.experts]
    return sum(
        g_i[:, i, None] * g_ij[:, i, j, None] * outputs[3 * i + j]
        for i in range(2)
        for j in range(3)
    )


@pytest.mark.parametrize("hard", [False, True])
def test_contract(hard):
    run_layer_contract(
        lambda: HierarchicalMoE(
            [[dense() for _ in range(3)] for _ in range(2)], HierarchicalGate((2, 3), hard=hard)
        ),
        ROWS,
        expected_output=two_levels,
        trainable=16,  # six experts and two levels of 2 weights
        # A hard tree passes none on to its gate, nor to experts that no row reaches.
        no_gradient=("hierarchical",) if hard else (),
    )


def test_three_levels_keep_their_nesting():
    mixture = HierarchicalMoE([[[dense()], [dense()]], [[dense()], [dense()]]])
    assert mixture.gate.branching == (2, 2, 1)
    mixture(ROWS)
    config = mixture.get_config()
    assert [[len(node) for node in branch] for branch in config["experts"]] == [[1, 1], [1, 1]]
    again = HierarchicalMoE.from_config(config)
    again(ROWS)
    again.set_weights(mixture.get_weights())
    np.testing.assert_array_equal(to_numpy(again(ROWS)), to_numpy(mixture(ROWS)))


def test_a_list_of_experts_is_a_tree_of_one_level():
    mixture = HierarchicalMoE([dense(), dense()])
    outputs = to_numpy(mixture(ROWS))
    weights = to_numpy(mixture.gate(ROWS)["probabilities"])
    expected = sum(weights[:, e, None] * to_numpy(mixture.experts[e](ROWS)) for e in range(2))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def pair():
    return [dense(), dense()]


@pytest.mark.parametrize(
    ("make_experts", "make_gate", "message"),
    [
        (list, lambda: None, r"1 or more. Received: nodes with \[0\] branches on level 1"),
        (
            lambda: [[dense()], [dense(), dense()]],
            lambda: None,
            r"nodes with \[1, 2\] branches on level 2",
        ),
        (lambda: [dense(), [dense()]], lambda: None, "all of them at one depth"),
        (
            lambda: [dense(), dense()],
            lambda: HierarchicalGate((3,)),
            r"branching=\(2,\), .* Received: \(3,\)",
        ),
        (
            lambda: [dense(), dense()],
            lambda: SoftmaxGate(2),
            r"HierarchicalGate .* Received: <SoftmaxGate",
        ),
    ],
    ids=["empty", "ragged", "depth", "branches", "gate"],
)
def test_trees_are_checked(make_experts, make_gate, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalMoE(make_experts(), make_gate())


def test_an_expert_twice_is_refused():
    twin = dense(name="twin")
    with pytest.raises(ValueError, match="'twin' twice"):
        HierarchicalMoE([[twin, dense()], [dense(), twin]])
