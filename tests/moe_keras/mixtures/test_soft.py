import keras
import numpy as np
import pytest
from draws import TOKENS
from layer_contract import run_layer_contract, to_numpy
from sparse_gate import Answers

from moe_keras.experts import StackedMLP
from moe_keras.gates import SlotGate, SoftmaxGate
from moe_keras.mixtures import SoftMoE, combine

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def dense(units=3, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def mixed_experts():
    network = keras.Sequential([dense(4, activation="tanh"), keras.layers.Dropout(0.5), dense()])
    return [dense(), network]


def one_by_one(mixture):
    """One slot of one sequence at a time, in NumPy."""
    weights = mixture.gate(TOKENS)
    dispatch, mixed = (to_numpy(weights[name]) for name in ("dispatch", "combine"))
    output = np.zeros((3, 4, 3))
    for b, e, s in np.ndindex(3, *dispatch.shape[2:]):
        slot = sum(dispatch[b, t, e, s] * TOKENS[b, t] for t in range(4))
        answer = to_numpy(mixture.experts[e](slot[None]))[0]
        for t in range(4):
            output[b, t] += mixed[b, t, e, s] * answer
    return output


@pytest.mark.parametrize("mask", [None, MASK], ids=["no mask", "mask"])
def test_contract(mask):
    def expected(mixture):
        return one_by_one(mixture)

    run_layer_contract(
        lambda: SoftMoE(mixed_experts(), SlotGate(2, slots=3)),
        TOKENS,
        expected_output=expected,
        trainable=8,  # one and two dense layers of 2 weights; the gate's 2
        mask=mask,
    )


def test_contract_of_a_stack():
    run_layer_contract(
        lambda: SoftMoE(StackedMLP(3, intermediate_dim=4, units=3), SlotGate(3, slots=2)),
        TOKENS,
        expected_output=one_by_one,
        trainable=6,
    )


def test_by_hand():
    # One sequence of tokens 1 and 3. Each slot is even, (1 + 3) / 2 = 2; experts make 2 and 20 of
    # it, of which each token gets half.
    gate = SlotGate(2, normalize=False)
    mixture = SoftMoE([keras.layers.Rescaling(1.0), keras.layers.Rescaling(10.0)], gate)
    mixture.build((1, 2, 1))
    gate.set_weights([np.zeros((1, 2))])
    outputs = to_numpy(mixture(np.array([[[1.0], [3.0]]], "float32")))
    np.testing.assert_allclose(outputs, [[[11.0], [11.0]]], rtol=1e-6)


def test_one_token_a_sequence_is_the_dense_mixture():
    experts, gate = [dense(), dense()], SlotGate(2, slots=3)
    tokens = TOKENS[:, :1]
    outputs = SoftMoE(experts, gate)(tokens)
    weighed = combine(gate(tokens)["probabilities"], [expert(tokens) for expert in experts])
    np.testing.assert_allclose(to_numpy(outputs), to_numpy(weighed), rtol=1e-5, atol=1e-6)


def test_the_order_of_tokens_does_not_matter():
    mixture = SoftMoE(mixed_experts(), SlotGate(2, slots=3))
    turned = to_numpy(mixture(TOKENS[:, ::-1]))[:, ::-1]
    np.testing.assert_allclose(turned, to_numpy(mixture(TOKENS)), rtol=1e-5, atol=1e-6)


def test_masked_tokens_change_nothing():
    mixture = SoftMoE(mixed_experts(), SlotGate(2, slots=3))
    model = keras.Sequential([keras.Input((4, 5)), keras.layers.Masking(0.0), mixture])
    padded = np.where(MASK[..., None], TOKENS, 0)
    # The first sequence has 3 tokens, the second 1.
    found = to_numpy(model(padded))
    expected = [to_numpy(mixture(TOKENS[:1, :3]))[0], to_numpy(mixture(TOKENS[1:2, :1]))[0]]
    np.testing.assert_allclose(found[0, :3], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1, :1], expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_experts", [2, 8])
def test_an_expert_sees_its_slots(num_experts):
    seen = []

    class Seen(keras.layers.Layer):
        def call(self, inputs):
            seen.append(tuple(inputs.shape))
            return inputs

    mixture = SoftMoE([Seen() for _ in range(num_experts)], SlotGate(num_experts, slots=3))
    mixture.build(TOKENS.shape)
    seen.clear()
    mixture.call(TOKENS)
    assert set(seen) == {(9, 5)}  # B = 3 sequences, S = 3 slots
    assert len(seen) == num_experts


def test_every_token_and_every_weight_has_a_gradient():
    mixture = SoftMoE(mixed_experts(), SlotGate(2, slots=3))
    model = keras.Sequential([keras.Input((4, 5)), mixture])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = model.get_weights()
    model.train_on_batch(TOKENS, np.ones((3, 4, 3)))
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_an_answer_may_have_any_shape():
    experts = [keras.Sequential([dense(6), keras.layers.Reshape((2, 3))]) for _ in range(2)]
    mixture = SoftMoE(experts, SlotGate(2))
    assert mixture(TOKENS).shape == (3, 4, 2, 3)
    assert mixture(keras.Input((None, 5))).shape == (None, None, 2, 3)


@pytest.mark.parametrize(
    ("make_gate", "message"),
    [
        (
            lambda: SoftmaxGate(2, name="plain"),
            r"dispatch, combine, .* 'plain', which gives \['logits'",
        ),
        (lambda: dense(2, name="tensor"), "'tensor', which gives no dict"),
        (
            lambda: SlotGate(3, name="slots"),
            r"each of 2 experts.* Received: weights of 'slots' .* 3 exper",
        ),
        (
            lambda: Answers(dispatch=(3, 4, 2, 1), combine=(3, 4, 2, 2)),
            r"\(B, T, E, S\). Received: inputs of shape \(3, 4, 5\), from 'odd' \{'dispatch'",
        ),
    ],
    ids=["no slots", "no dict", "experts", "shapes"],
)
def test_gates_are_checked(make_gate, message):
    with pytest.raises(ValueError, match=message):
        SoftMoE([dense(name="first"), dense(name="second")], make_gate())(TOKENS)
