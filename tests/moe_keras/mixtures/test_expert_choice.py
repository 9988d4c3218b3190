import keras
import numpy as np
import pytest
from draws import TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts import StackedMLP
from moe_keras.gates import ExpertChoiceGate, SoftmaxGate
from moe_keras.mixtures import ExpertChoiceMoE

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def dense(units=3, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def one_by_one(mixture):
    """One choice of one expert at a time."""
    choice = mixture.gate(TOKENS)
    indices, weights = (to_numpy(choice[name]) for name in ("token_indices", "token_weights"))
    output = np.zeros((3, 4, 3))
    for b, e, j in np.ndindex(*indices.shape):
        token = TOKENS[b, indices[b, e, j]]
        answer = to_numpy(mixture.experts[e](token[None]))[0]
        output[b, indices[b, e, j]] += weights[b, e, j] * answer
    return output


@pytest.mark.parametrize("mask", [None, MASK], ids=["no mask", "mask"])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_contract(factor, mask):
    run_layer_contract(
        lambda: ExpertChoiceMoE(
            [dense(), dense(activation="tanh"), dense()], ExpertChoiceGate(3, factor)
        ),
        TOKENS,
        expected_output=one_by_one,
        trainable=7,
        mask=mask,
    )


def test_contract_of_a_stack():
    run_layer_contract(
        lambda: ExpertChoiceMoE(StackedMLP(3, intermediate_dim=4, units=3), ExpertChoiceGate(3)),
        TOKENS,
        expected_output=one_by_one,
        trainable=5,
    )


def test_by_hand():
    # Tokens -1, 0, 2 say (ln 3, 0) times their value: probabilities of expert 0 are 1/4, 1/2, 9/10.
    # With 2 tokens each, expert 0 takes the third and second, expert 1 the first and second.
    gate = ExpertChoiceGate(2, capacity_factor=1)
    mixture = ExpertChoiceMoE([keras.layers.Rescaling(10.0), keras.layers.Rescaling(100.0)], gate)
    mixture.build((1, 3, 1))
    gate.set_weights([np.log([[3.0, 1.0]])])
    outputs = to_numpy(mixture(np.array([[[-1.0], [0.0], [2.0]]], "float32")))
    # 3/4 * 100 * -1; nothing times 0; 9/10 * 10 * 2.
    np.testing.assert_allclose(outputs[0, :, 0], [-75.0, 0.0, 18.0], rtol=1e-5)


def test_a_token_that_none_chose_gives_zeros():
    mixture = ExpertChoiceMoE([dense(bias_initializer="ones")], ExpertChoiceGate(1, 0.25))
    outputs = to_numpy(mixture(TOKENS))  # one of four tokens is chosen
    assert ((outputs == 0).all(axis=-1).sum(axis=1) == 3).all()


def test_more_capacity_than_tokens():
    mixture = ExpertChoiceMoE([dense(), dense()], ExpertChoiceGate(2, capacity_factor=50))
    probabilities = to_numpy(mixture.gate(TOKENS)["probabilities"])
    expected = sum(
        probabilities[..., e, None] * to_numpy(expert(TOKENS))
        for e, expert in enumerate(mixture.experts)
    )
    np.testing.assert_allclose(to_numpy(mixture(TOKENS)), expected, rtol=1e-5, atol=1e-6)


def test_gate_and_experts_learn():
    mixture = ExpertChoiceMoE([dense(), dense()], ExpertChoiceGate(2))
    model = keras.Sequential([keras.Input((4, 5)), mixture])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = model.get_weights()
    model.train_on_batch(TOKENS, np.ones((3, 4, 3)))
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("make_gate", "message"),
    [
        (
            lambda: SoftmaxGate(2, name="plain"),
            r"token_indices, .* 'plain', which gives \['logits'",
        ),
        (
            lambda: ExpertChoiceGate(3, name="three"),
            r"each of 2 experts.* Received: choices of 'three'",
        ),
    ],
)
def test_gates_are_checked(make_gate, message):
    with pytest.raises(ValueError, match=message):
        ExpertChoiceMoE([dense(), dense()], make_gate())(TOKENS)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="finite differences need float64 throughout"
)
@pytest.mark.parametrize("stacked", [False, True])
def test_gradients_are_those_of_a_dense_sum(rng, stacked):
    """Every expert on every token, weighed by 0 where it did not choose, has the same gradients."""
    tokens = rng.normal(size=(2, 6, 5))
    experts = (
        StackedMLP(3, intermediate_dim=4, units=2, dtype="float64")
        if stacked
        else [dense(2, dtype="float64") for _ in range(3)]
    )
    mixture = ExpertChoiceMoE(experts, ExpertChoiceGate(3, 1.5, dtype="float64"), dtype="float64")
    mixture.build(tokens.shape)

    def dense_sum(mixture):
        choice = mixture.gate(tokens)
        chosen = ops.one_hot(choice["token_indices"], 6, dtype="float64")  # (B, E, capacity, T)
        weights = ops.einsum("bec,bect->bte", choice["token_weights"], chosen)
        outputs = [expert(tokens) for expert in mixture.experts]
        return sum(weights[..., e : e + 1] * answer for e, answer in enumerate(outputs))

    np.testing.assert_allclose(
        to_numpy(mixture(tokens)), to_numpy(dense_sum(mixture)), rtol=1e-10, atol=1e-12
    )
    slopes = rng.normal(size=(2, 6, 2))
    assert_gradients(mixture, lambda mixture: ops.sum(slopes * mixture(tokens)))


class NobodyElse(keras.layers.Layer):
    """Chooses token 1, and then with weight 0 nobody."""

    def call(self, inputs):
        batch = ops.shape(inputs)[0]
        return {
            "token_indices": ops.ones((batch, 1, 2), "int32"),
            "token_weights": ops.ones((batch, 1, 2)) * np.array([1.0, 0.0], "float32"),
            "probabilities": ops.ones_like(inputs[..., :1]),
        }


def test_an_expert_is_shown_no_token_that_it_did_not_choose():
    expert = keras.layers.BatchNormalization()
    mixture = ExpertChoiceMoE([expert], NobodyElse())
    mixture(np.array([[[9.0], [1.0]]], "float32"), training=True)
    np.testing.assert_allclose(to_numpy(expert.moving_mean), [0.01], rtol=1e-4)  # of token 1
