import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import NoisyTopKGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def softplus(x):
    return np.log1p(np.exp(x))


def softmax(logits):
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def taught(num_experts, top_k, features=5, **arguments):
    """A gate whose kernels are no longer zero."""
    gate = NoisyTopKGate(num_experts, top_k, **arguments)
    gate.build((None, features))
    random = np.random.default_rng(1)
    gate.set_weights([random.normal(size=w.shape) for w in gate.get_weights()])
    return gate


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_contract(top_k):
    run_layer_contract(lambda: NoisyTopKGate(3, top_k, seed=1), ROWS, trainable=2, non_trainable=0)


def test_contract_on_tokens_with_losses():
    run_layer_contract(
        lambda: NoisyTopKGate(4, 2, importance_loss=0.1, load_loss=0.1, seed=1),
        TOKENS,
        trainable=2,
        non_trainable=0,
        mask=MASK,
    )


@pytest.mark.parametrize("top_k", [1, 2])
def test_without_noise(top_k):
    gate = taught(3, top_k)
    logits = ROWS @ gate.get_weights()[0]
    probabilities = softmax(logits)
    indices = np.argsort(-logits, axis=-1)[:, :top_k]
    weights = np.take_along_axis(probabilities, indices, axis=-1)
    if top_k > 1:
        weights /= weights.sum(axis=-1, keepdims=True)
    tensors = gate(ROWS)
    np.testing.assert_allclose(to_numpy(tensors["logits"]), logits, atol=1e-5)
    np.testing.assert_allclose(to_numpy(tensors["probabilities"]), probabilities, atol=1e-5)
    assert np.array_equal(to_numpy(tensors["indices"]), indices)
    np.testing.assert_allclose(to_numpy(tensors["weights"]), weights, atol=1e-5)


def test_noise_in_training_only():
    gate = taught(3, 2, seed=1)
    calm = to_numpy(gate(ROWS)["logits"])
    for _ in range(2):
        assert np.array_equal(to_numpy(gate(ROWS, training=False)["logits"]), calm)
    first, second = (to_numpy(gate(ROWS, training=True)["logits"]) for _ in range(2))
    assert not np.array_equal(first, second)


def test_the_noise_has_the_size_that_the_gate_learned():
    gate = NoisyTopKGate(2, 1, seed=1)
    gate.build((None, 1))
    gate.set_weights([np.array([[3.0, -1.0]]), np.array([[0.0, 2.0]])])
    drawn = to_numpy(gate(np.ones((20_000, 1), "float32"), training=True)["logits"])
    np.testing.assert_allclose(drawn.mean(axis=0), [3.0, -1.0], atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), softplus(np.array([0.0, 2.0])), rtol=0.03)


def test_an_untaught_gate_keeps_all_experts_busy():
    gate = NoisyTopKGate(4, 1, seed=1)
    chosen = to_numpy(gate(np.ones((4000, 3), "float32"), training=True)["indices"])
    np.testing.assert_allclose(np.bincount(chosen.ravel()) / 4000, np.full(4, 0.25), atol=0.03)


def test_what_the_gate_ranks_is_what_it_returns():
    tensors = {k: to_numpy(v) for k, v in taught(5, 2)(ROWS, training=True).items()}
    np.testing.assert_allclose(tensors["probabilities"], softmax(tensors["logits"]), atol=1e-5)
    assert np.array_equal(tensors["indices"], np.argsort(-tensors["logits"], axis=-1)[:, :2])


def test_losses_in_training_only():
    gate = taught(3, 2, importance_loss=0.5, load_loss=2.0)
    gate(ROWS, training=False)
    assert gate.losses == []
    tensors = {k: to_numpy(v) for k, v in gate(ROWS, training=True).items()}
    importance, load = np.zeros(3), np.zeros(3)
    clean, noise = (ROWS @ w for w in gate.get_weights())
    for b in range(6):
        importance[tensors["indices"][b]] += tensors["weights"][b]
        for e in range(3):
            others = np.delete(tensors["logits"][b], e)
            z = (clean[b, e] - np.sort(others)[-2]) / softplus(noise[b, e])
            load[e] += to_numpy(0.5 * (1 + ops.erf(z / np.sqrt(2))))
    expected = [0.5 * importance.var() / importance.mean() ** 2]
    expected += [2.0 * load.var() / load.mean() ** 2]
    np.testing.assert_allclose([to_numpy(x) for x in gate.losses], expected, rtol=1e-4)


def test_masked_tokens_do_not_count_in_the_losses():
    # One token: two experts share its weight, one has none: importance (a, 1 - a, 0) in all.
    gate = taught(3, 2, importance_loss=1.0)
    mask = np.array([[True, False, False, False]])
    tensors = gate(TOKENS[:1], mask=mask, training=True)
    weights = np.append(to_numpy(tensors["weights"])[0, 0], 0.0)
    expected = weights.var() / weights.mean() ** 2
    np.testing.assert_allclose(to_numpy(gate.losses[0]), expected, rtol=1e-4)


def test_gradients_without_noise():
    gate = taught(3, 2, dtype="float64")
    gate.noise.trainable = False
    assert_gradients(gate, lambda gate: ops.sum(gate(ROWS)["weights"][:, 0]))


def test_one_choice_still_has_a_gradient():
    gate = taught(3, 1, dtype="float64")
    gate.noise.trainable = False
    assert_gradients(gate, lambda gate: ops.sum(gate(ROWS)["weights"]))


def test_evaluation_reports_the_task_alone():
    inputs = keras.Input((5,))
    gate = NoisyTopKGate(3, 1, importance_loss=100.0, load_loss=100.0)
    model = keras.Model(inputs, gate(inputs)["weights"])
    model.compile("sgd", loss="mse")
    assert model.evaluate(ROWS, to_numpy(model(ROWS)), verbose=0) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("top_k", [0, 4])
def test_top_k_is_checked(top_k):
    with pytest.raises(ValueError, match=r"Expected top_k to be .* from 1 to num_experts=3\. Rec"):
        NoisyTopKGate(3, top_k)


@pytest.mark.parametrize("name", ["importance_loss", "load_loss"])
def test_coefficients_are_checked(name):
    with pytest.raises(ValueError, match=rf"Expected {name} to be a finite .* Received: {name}=-1"):
        NoisyTopKGate(3, 2, **{name: -1})
