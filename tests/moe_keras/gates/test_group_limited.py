import numpy as np
import pytest
from draws import ROWS, TOKENS
from gradients import assert_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import GroupLimitedGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def oracle(logits, bias, gate):
    """The gate's choice for one token, expert by expert, in float64: indices, weights."""
    exponentials = [np.exp(logit) for logit in logits]
    if gate.score == "sigmoid":
        scores = [e / (1 + e) for e in exponentials]
    else:
        scores = [e / sum(exponentials) for e in exponentials]
    biased = [s + b for s, b in zip(scores, bias, strict=True)]
    size = len(logits) // gate.num_groups
    groups = [list(range(g * size, (g + 1) * size)) for g in range(gate.num_groups)]

    def group_score(group):
        return sum(sorted((biased[e] for e in group), reverse=True)[: gate.group_top_k])

    best = sorted(groups, key=group_score, reverse=True)[: gate.top_groups]
    eligible = [e for group in best for e in group]
    indices = sorted(eligible, key=lambda e: biased[e], reverse=True)[: gate.top_k]
    weights = [scores[e] for e in indices]
    if gate.normalize and gate.top_k > 1:
        weights = [w / sum(weights) for w in weights]
    return indices, [gate.route_scale * w for w in weights], [s / sum(scores) for s in scores]


@st.composite
def settings_of_gates(draw):
    num_groups = draw(st.integers(1, 4))
    size = draw(st.integers(1, 4))
    top_groups = draw(st.integers(1, num_groups))
    return {
        "num_experts": num_groups * size,
        "num_groups": num_groups,
        "top_groups": top_groups,
        "top_k": draw(st.integers(1, top_groups * size)),
        "score": draw(st.sampled_from(["sigmoid", "softmax"])),
        "group_top_k": draw(st.integers(1, 3)),
        "normalize": draw(st.booleans()),
        "route_scale": draw(st.sampled_from([1.0, 2.5])),
    }


@given(arguments=settings_of_gates(), seed=st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_it_chooses_and_weighs_as_the_oracle_does(arguments, seed):
    random = np.random.default_rng(seed)
    gate = GroupLimitedGate(**arguments)
    gate.build((None, 5))
    kernel = random.normal(size=(5, gate.num_experts))
    # Negative as well: score + bias below 0 must not let an expert of another group in.
    bias = random.normal(scale=0.7, size=gate.num_experts)
    gate.dense.set_weights([kernel])
    gate.bias.assign(bias)
    tensors = {name: to_numpy(tensor) for name, tensor in gate(TOKENS).items()}
    for place in np.ndindex(TOKENS.shape[:-1]):
        logits = TOKENS[place].astype("float64") @ kernel
        indices, weights, probabilities = oracle(logits, bias, gate)
        assert tensors["indices"][place].tolist() == indices
        np.testing.assert_allclose(tensors["weights"][place], weights, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(tensors["probabilities"][place], probabilities, atol=1e-6)
        np.testing.assert_allclose(tensors["logits"][place], logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("top_k", [1, 2])
def test_contract(top_k):
    run_layer_contract(
        lambda: GroupLimitedGate(4, top_k, num_groups=2, top_groups=1, route_scale=2.5),
        ROWS,
        trainable=1,
        non_trainable=1,
        moves_untrained=("bias",),
    )


def test_contract_on_tokens():
    run_layer_contract(
        lambda: GroupLimitedGate(
            6, 3, num_groups=3, top_groups=2, score="softmax", normalize=False, sequence_loss=0.1
        ),
        TOKENS,
        moves_untrained=("bias",),
        mask=MASK,
    )


def gate_with(logits, bias, **arguments):
    """A gate that gives these logits to the input 1."""
    gate = GroupLimitedGate(len(logits), **arguments)
    gate.build((None, None, 1))
    gate.bias.assign(bias)
    gate.dense.set_weights([np.array([logits])])
    return gate


def test_by_hand():
    # Scores 0.5, 0.8 | 0.75, 0.6; sums 1.3 and 1.35: the second group, though the first has the
    # best expert. Weights 0.75 / 1.35 and 0.6 / 1.35, times 2.
    logits = np.log([1.0, 4.0, 3.0, 1.5])
    arguments = {"top_k": 2, "num_groups": 2, "top_groups": 1, "route_scale": 2.0}
    tensors = gate_with(logits, [0, 0, 0, 0], **arguments)(np.ones((1, 1), "float32"))
    assert to_numpy(tensors["indices"])[0].tolist() == [2, 3]
    np.testing.assert_allclose(to_numpy(tensors["weights"])[0], [1.5 / 1.35, 1.2 / 1.35], rtol=1e-5)
    # A bias of -0.1 makes the sum of the second 1.25; it is not in the weights 0.8, 0.5.
    tensors = gate_with(logits, [0, 0, -0.1, 0], **arguments, normalize=False)(np.ones((1, 1)))
    assert to_numpy(tensors["indices"])[0].tolist() == [1, 0]
    np.testing.assert_allclose(to_numpy(tensors["weights"])[0], [1.6, 1.0], rtol=1e-5)


def test_the_bias_moves_against_busy_experts():
    # One group, k = 1: all four tokens choose expert 1. Load 0, 1, 0, 0; mean 1/4.
    gate = gate_with([0.0, 2.0, 0.0, 0.0], [0, 0, 0, 0], top_k=1, update_rate=0.01)
    same = np.ones((4, 1), "float32")
    gate(same)
    assert not to_numpy(gate.bias).any()
    gate(same, training=True)
    np.testing.assert_allclose(to_numpy(gate.bias), [0.01, -0.01, 0.01, 0.01], atol=1e-7)


def test_the_sequence_loss_is_added_in_training_and_ignores_the_bias():
    # Two experts with scores 0.75 and 0.25 for every token, so probabilities 0.75 and 0.25. The
    # bias sends all to the second; the paper counts the largest score: f = (1, 0), loss 2 * 0.75.
    gate = gate_with(np.log([3.0, 1 / 3]), [0.0, 9.0], top_k=1, sequence_loss=0.1)
    tokens = np.ones((2, 3, 1), "float32")
    assert to_numpy(gate(tokens)["indices"]).ravel().tolist() == [1] * 6
    assert gate.losses == []
    gate(tokens, training=True)
    np.testing.assert_allclose([float(loss) for loss in gate.losses], [0.15], rtol=1e-5)


@pytest.mark.parametrize("score", ["sigmoid", "softmax"])
@pytest.mark.parametrize("normalize", [True, False])
def test_gradients(score, normalize):
    gate = GroupLimitedGate(
        6, 2, num_groups=3, top_groups=2, score=score, normalize=normalize, dtype="float64"
    )
    gate.build((None, 5))
    assert_gradients(gate, lambda gate: ops.sum(gate(ROWS)["weights"][:, 0]))


@pytest.mark.parametrize("score", ["sigmoid", "softmax"])
def test_extreme_logits_have_finite_weights(score):
    # The scores of experts 1 and 2 are exp(-1000) = 0 in float32.
    gate = gate_with([1000.0, -1000.0, -1000.0], [-9.0, 0.0, 0.0], top_k=2, score=score)
    tensors = gate(np.ones((1, 1), "float32"))
    assert to_numpy(tensors["weights"]).tolist() == [[0.5, 0.5]]
    assert np.isfinite(to_numpy(tensors["probabilities"])).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_experts": 0}, "num_experts to be a whole number"),
        ({"num_experts": 6, "num_groups": 4}, "num_groups to divide num_experts=6.*num_groups=4"),
        ({"num_experts": 6, "num_groups": 0}, "num_groups to be a whole number"),
        ({"num_experts": 6, "top_groups": 2}, "top_groups to be .* 1 to num_groups=1.*=2"),
        (
            {"num_experts": 6, "num_groups": 3, "top_groups": 1, "top_k": 3},
            "top_k to be at most 2.*top_k=3",
        ),
        ({"num_experts": 6, "top_k": 7}, "top_k to be a whole number from 1 to"),
        ({"num_experts": 6, "score": "tanh"}, "score to be one of 'sigmoid', 'softmax'.*'tanh'"),
        ({"num_experts": 6, "route_scale": 0}, "route_scale to be a finite number above 0"),
        ({"num_experts": 6, "group_top_k": 0}, "group_top_k to be a whole number"),
        ({"num_experts": 6, "sequence_loss": -1}, "sequence_loss to be a finite number of at"),
        ({"num_experts": 6, "update_rate": -1}, "update_rate to be a finite number of at"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f"Expected {message}"):
        GroupLimitedGate(**arguments)


def test_rows_have_no_sequences():
    with pytest.raises(ValueError, match=r"Expected inputs of shape \(B, T, D\).*\(6, 5\)"):
        GroupLimitedGate(3, sequence_loss=0.1)(ROWS)
