import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import HierarchicalGate, SoftmaxGate
from moe_keras.mixtures import DenseMoE

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def softmax(logits):
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum()


def oracle(inputs, branching, hard=False):
    """Walk down the tree, one token and one path at a time."""

    def expected(gate):
        weights = [w.astype("float64") for w in gate.get_weights()]
        levels = list(zip(weights[::2], weights[1::2], strict=True))
        shape = (*inputs.shape[:-1], int(np.prod(branching)))
        paths, hard_paths = np.zeros(shape), np.zeros(shape)
        for token in np.ndindex(inputs.shape[:-1]):

            def walk(level, node, probability, taken, token=token):
                if level == len(branching):
                    paths[token][node], hard_paths[token][node] = probability, taken
                    return
                kernel, bias = levels[level]
                branches = branching[level]
                scores = (inputs[token] @ kernel + bias)[node * branches : (node + 1) * branches]
                for branch, decision in enumerate(softmax(scores)):
                    followed = taken and branch == scores.argmax()
                    walk(level + 1, node * branches + branch, probability * decision, followed)

            walk(0, 0, 1.0, True)
        return {"logits": np.log(paths), "probabilities": hard_paths if hard else paths}

    return expected


@pytest.mark.parametrize("branching", [(3,), (2, 3), (2, 2, 2)])
def test_contract(branching):
    run_layer_contract(
        lambda: HierarchicalGate(branching),
        ROWS,
        expected_output=oracle(ROWS, branching),
        trainable=2 * len(branching),
        non_trainable=0,
    )


def test_contract_on_tokens():
    run_layer_contract(
        lambda: HierarchicalGate([2, 3]),
        TOKENS,
        expected_output=oracle(TOKENS, (2, 3)),
        mask=MASK,
    )


def test_contract_of_a_hard_tree():
    run_layer_contract(
        lambda: HierarchicalGate((2, 3), hard=True),
        ROWS,
        expected_output=oracle(ROWS, (2, 3), hard=True),
        trainable=4,
    )


def tree(decisions, **arguments):
    """A tree whose nodes say this whatever the input: a list of a level's nodes for each level."""
    gate = HierarchicalGate([len(level[0]) for level in decisions], **arguments)
    gate.build((None, 1))
    for layer, level in zip(gate.levels, decisions, strict=True):
        layer.set_weights([np.zeros((1, layer.units)), np.log(np.concatenate(level))])
    return to_numpy(gate(np.zeros((1, 1), "float32"))["probabilities"])[0]


DECISIONS = [[[0.4, 0.6]], [[0.9, 0.1], [0.5, 0.5]]]


def test_by_hand():
    # 0.4 * 0.9, 0.4 * 0.1, 0.6 * 0.5, 0.6 * 0.5
    np.testing.assert_allclose(tree(DECISIONS), [0.36, 0.04, 0.3, 0.3], atol=1e-6)


def test_a_hard_tree_follows_each_node():
    # Right (0.6), then the first of equals: expert 2, though expert 0 is the most probable (0.36).
    assert tree(DECISIONS, hard=True).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_tree_of_one_level_is_a_softmax_gate():
    flat, deep = SoftmaxGate(4), HierarchicalGate((4,))
    flat.build((None, 5))
    deep.build((None, 5))
    deep.set_weights(flat.get_weights())
    np.testing.assert_allclose(
        to_numpy(deep(ROWS)["probabilities"]), to_numpy(flat(ROWS)["probabilities"]), atol=1e-6
    )


def test_a_tree_of_mixtures_says_the_same():
    experts = [keras.layers.Dense(3) for _ in range(4)]
    gate = HierarchicalGate((2, 2))
    flat = DenseMoE(experts, gate)(ROWS)
    root, left, right = SoftmaxGate(2), SoftmaxGate(2), SoftmaxGate(2)
    nested = DenseMoE([DenseMoE(experts[:2], left), DenseMoE(experts[2:], right)], root)
    nested(ROWS)
    top, below = (level.get_weights() for level in gate.levels)
    root.set_weights(top)
    left.set_weights([w[..., :2] for w in below])
    right.set_weights([w[..., 2:] for w in below])
    np.testing.assert_allclose(to_numpy(flat), to_numpy(nested(ROWS)), atol=1e-5)


def test_certainty_stays_finite():
    gate = HierarchicalGate((2, 2))
    gate.build((None, 1))
    gate.set_weights([100 * np.ones(w.shape) * np.arange(w.shape[-1]) for w in gate.get_weights()])
    tensors = gate(np.ones((1, 1), "float32"))
    assert to_numpy(tensors["probabilities"]).tolist() == [[0.0, 0.0, 0.0, 1.0]]
    assert np.isfinite(to_numpy(tensors["logits"])).all()


def test_gradients(rng):
    gate = HierarchicalGate((2, 3), dtype="float64")
    gate.build((None, 5))
    target = rng.normal(size=(6, 6))
    assert_gradients(gate, lambda gate: ops.sum(target * gate(ROWS)["probabilities"]))


@pytest.mark.parametrize("branching", [(), [], 4, None, "22"])
def test_levels_are_needed(branching):
    with pytest.raises(ValueError, match=r"Expected branching to be one or more .* Received: bran"):
        HierarchicalGate(branching)


@pytest.mark.parametrize("branching", [(2, 0), (2.0, 2), ("2",)])
def test_branches_are_counted(branching):
    with pytest.raises(ValueError, match=r"Expected each of branching to be a whole .* Received"):
        HierarchicalGate(branching)
