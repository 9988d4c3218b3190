import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import TopKGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def oracle(inputs, top_k):
    """One token at a time."""

    def expected(gate):
        logits = inputs @ gate.get_weights()[0].astype("float64")
        exponentials = np.exp(logits)
        probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
        indices = np.zeros((*logits.shape[:-1], top_k), int)
        weights = np.zeros(indices.shape)
        for token in np.ndindex(logits.shape[:-1]):
            order = sorted(range(logits.shape[-1]), key=lambda e, t=token: -logits[t][e])[:top_k]
            indices[token] = order
            chosen = probabilities[token][order]
            weights[token] = chosen / chosen.sum() if top_k > 1 else chosen
        return {
            "indices": indices,
            "logits": logits,
            "probabilities": probabilities,
            "weights": weights,
        }

    return expected


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_contract(top_k):
    run_layer_contract(
        lambda: TopKGate(num_experts=3, top_k=top_k),
        ROWS,
        expected_output=oracle(ROWS, top_k),
        trainable=1,
        non_trainable=0,
    )


def test_contract_on_tokens_with_everything():
    run_layer_contract(
        lambda: TopKGate(4, 2, jitter=0.1, balance_loss=0.01, z_loss=0.001, seed=1),
        TOKENS,
        expected_output=oracle(TOKENS, 2),
        trainable=1,
        non_trainable=0,
        mask=MASK,
    )


def gate_with(probabilities, top_k, **arguments):
    """A gate that says this to the input 1."""
    gate = TopKGate(len(probabilities), top_k, **arguments)
    gate.build((None, 1))
    gate.set_weights([np.log([probabilities])])
    return gate


@pytest.mark.parametrize(
    ("top_k", "indices", "weights"),
    [
        (1, [1], [0.5]),  # the probability itself
        (2, [1, 3], [0.625, 0.375]),  # 0.5 / 0.8 and 0.3 / 0.8
        (4, [1, 3, 2, 0], [0.5, 0.3, 0.15, 0.05]),  # they sum to 1 as they are
    ],
)
def test_by_hand(top_k, indices, weights):
    tensors = gate_with([0.05, 0.5, 0.15, 0.3], top_k)(np.ones((1, 1), "float32"))
    assert to_numpy(tensors["indices"])[0].tolist() == indices
    np.testing.assert_allclose(to_numpy(tensors["weights"])[0], weights, atol=1e-6)


def test_the_task_trains_a_gate_that_chooses_one():
    # A softmax over the one chosen logit would be 1 whatever the gate says, with gradient 0.
    gate = TopKGate(3, top_k=1, dtype="float64")
    gate.build((None, 5))
    assert_gradients(gate, lambda gate: ops.sum(gate(ROWS)["weights"]))


@pytest.mark.parametrize("top_k", [2, 3])
def test_gradients(rng, top_k):
    gate = TopKGate(4, top_k, dtype="float64")
    gate.build((None, 5))
    target = rng.normal(size=(6, top_k))
    assert_gradients(gate, lambda gate: ops.sum(target * gate(ROWS)["weights"]))


def test_a_certain_gate_gives_no_nan():
    # exp(-1000) is 0 in float32: dividing the chosen probabilities by their sum is still right.
    gate = TopKGate(3, top_k=2)
    gate.build((None, 1))
    gate.set_weights([np.array([[1000.0, 0.0, -1000.0]])])
    tensors = gate(np.ones((1, 1), "float32"))
    assert to_numpy(tensors["weights"]).tolist() == [[1.0, 0.0]]
    assert np.isfinite(to_numpy(tensors["logits"])).all()


def test_jitter_in_training_only():
    gate = TopKGate(3, top_k=2, jitter=0.1, seed=1)
    calm = [to_numpy(gate(ROWS, training=value)["logits"]) for value in (None, False, False)]
    assert np.array_equal(calm[0], calm[1]) and np.array_equal(calm[0], calm[2])
    first, second = (to_numpy(gate(ROWS, training=True)["logits"]) for _ in range(2))
    assert not np.array_equal(first, second) and not np.array_equal(first, calm[0])


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_jitter_stays_within_its_bounds():
    gate = TopKGate(1, top_k=1, jitter=0.25, seed=1)
    gate.build((None, 1))
    gate.set_weights([np.ones((1, 1))])
    drawn = to_numpy(gate(np.ones((1000, 1), "float32"), training=True)["logits"])
    assert 0.75 <= drawn.min() < 0.76 and 1.24 < drawn.max() <= 1.25


def test_losses_in_training_only():
    # Every token says 0.25, 0.75 and goes to expert 1: 2 (0 * 0.25 + 1 * 0.75) = 1.5.
    # log(0.25 + 0.75) = 0: no z-loss.
    gate = gate_with([0.25, 0.75], top_k=1, balance_loss=0.1, z_loss=0.5)
    for training in (None, False):
        gate(np.ones((4, 1), "float32"), training=training)
        assert gate.losses == []
    gate(np.ones((4, 1), "float32"), training=True)
    np.testing.assert_allclose([to_numpy(x) for x in gate.losses], [0.15, 0.0], atol=1e-6)
    # Twice the input doubles the logits: 1/16 and 9/16, so 0.1 and 0.9, and log(10/16) squared.
    gate(np.full((4, 1), 2.0, "float32"), training=True)
    expected = [0.1 * 1.8, 0.5 * np.log(10 / 16) ** 2]
    np.testing.assert_allclose([to_numpy(x) for x in gate.losses], expected, atol=1e-6)


def test_evaluation_reports_the_task_alone():
    inputs = keras.Input((5,))
    weights = TopKGate(3, top_k=2, balance_loss=100.0, z_loss=100.0)(inputs)["weights"]
    model = keras.Model(inputs, weights)
    model.compile("sgd", loss="mse")
    answers = to_numpy(model(ROWS))
    assert model.evaluate(ROWS, answers, verbose=0) == pytest.approx(0, abs=1e-6)
    assert model.fit(ROWS, answers, verbose=0).history["loss"][0] > 90


def test_masked_tokens_do_not_count_in_the_losses():
    gate = gate_with([0.25, 0.75], top_k=1, balance_loss=1.0)
    tokens = np.array([[[1.0], [-1.0]]], "float32")  # the second would go to expert 0
    gate(tokens, mask=np.array([[True, False]]), training=True)
    assert to_numpy(gate.losses[0]) == pytest.approx(1.5)


@pytest.mark.parametrize("top_k", [0, 4, -1, 1.5, "1", None, True])
def test_top_k_is_checked(top_k):
    with pytest.raises(ValueError, match=r"Expected top_k to be .* from 1 to num_experts=3\. Rec"):
        TopKGate(3, top_k)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jitter", 1.0),
        ("jitter", -0.1),
        ("balance_loss", -1),
        ("z_loss", float("nan")),
        ("z_loss", "1"),
    ],
)
def test_numbers_are_checked(name, value):
    with pytest.raises(ValueError, match=rf"Expected {name} to be a finite .* Received: {name}="):
        TopKGate(3, 2, **{name: value})
