import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import BiasBalancedGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


@pytest.mark.parametrize("top_k", [1, 2])
def test_contract(top_k):
    run_layer_contract(
        lambda: BiasBalancedGate(3, top_k),
        ROWS,
        trainable=1,
        non_trainable=1,
        moves_untrained=("bias",),
    )


def test_contract_on_tokens():
    run_layer_contract(lambda: BiasBalancedGate(4, 2), TOKENS, moves_untrained=("bias",), mask=MASK)


def gate_with(probabilities, bias, top_k, **arguments):
    """A gate that says this to the input 1."""
    gate = BiasBalancedGate(len(probabilities), top_k, **arguments)
    gate.build((None, 1))
    gate.bias.assign(bias)
    gate.dense.set_weights([np.log([probabilities])])
    return gate


@pytest.mark.parametrize(
    ("top_k", "indices", "weights"),
    [
        (1, [2], [0.3]),  # scores 0.1, 0.4, 0.5; the weight is the probability, not 0.5 or 1
        (2, [2, 1], [1 / 3, 2 / 3]),  # 0.3 / 0.9 and 0.6 / 0.9
    ],
)
def test_the_bias_chooses_and_does_not_weigh(top_k, indices, weights):
    gate = gate_with([0.1, 0.6, 0.3], [0.0, -0.2, 0.2], top_k)
    tensors = gate(np.ones((1, 1), "float32"))
    assert to_numpy(tensors["indices"])[0].tolist() == indices
    np.testing.assert_allclose(to_numpy(tensors["weights"])[0], weights, atol=1e-6)
    np.testing.assert_allclose(to_numpy(tensors["probabilities"])[0], [0.1, 0.6, 0.3], atol=1e-6)


def test_update_by_hand():
    # Inputs 1, 1, 1, -1: three choose expert 0 (probability 0.7), one chooses expert 1, expert 2
    # nobody. Load 3/4, 1/4, 0, mean 1/3: down, up, up.
    gate = gate_with([0.7, 0.1, 0.2], [0.0, 0.0, 0.0], 1, update_rate=0.01)
    inputs = np.array([[1.0], [1.0], [1.0], [-1.0]], "float32")
    gate(inputs, training=True)
    np.testing.assert_allclose(to_numpy(gate.bias), [-0.01, 0.01, 0.01], atol=1e-7)
    # Without the masked third and fourth: the load is 1, 0, 0.
    gate(inputs[None], mask=np.array([[True, True, False, False]]), training=True)
    np.testing.assert_allclose(to_numpy(gate.bias), [-0.02, 0.02, 0.02], atol=1e-7)


def test_even_load_moves_nothing():
    gate = gate_with([0.7, 0.3], [0.0, 0.0], 1)
    gate(np.array([[1.0], [-1.0]], "float32"), training=True)
    assert to_numpy(gate.bias).tolist() == [0.0, 0.0]
    every = BiasBalancedGate(3, top_k=3)
    every(ROWS, training=True)
    assert to_numpy(every.bias).tolist() == [0.0, 0.0, 0.0]


def test_the_bias_moves_in_training_only():
    gate = BiasBalancedGate(3, 1)
    same = np.ones((4, 5), "float32")
    for training in (None, False):
        gate(same, training=training)
        assert to_numpy(gate.bias).tolist() == [0.0, 0.0, 0.0]
    gate.trainable = False
    gate(same, training=True)
    assert to_numpy(gate.bias).tolist() == [0.0, 0.0, 0.0]


def test_training_evens_the_load():
    # p, the probability of expert 0, is spread evenly from 0.4 to 0.9, so 4 of 5 rows choose it.
    # It is chosen where p + bias_0 > 1 - p + bias_1: where p > (1 + bias_1 - bias_0) / 2. A step
    # moves that threshold by the rate, 0.01, from 0.5 to the median, 0.65, in 15 steps; from then
    # on it steps to and fro over the median. Within one step of it lie 0.01 / 0.5 of the rows. (How
    # many that is depends on the inputs: where all probabilities are alike, one step moves most.)
    probabilities = np.linspace(0.4, 0.9, 1001)
    logits = np.log(probabilities / (1 - probabilities)).reshape(-1, 1)
    gate = BiasBalancedGate(2, 1, update_rate=0.01)
    gate.build((None, 1))
    kernel = np.array([[1.0, 0.0]], "float32")
    gate.dense.set_weights([kernel])

    def share_of_expert_0():
        return (to_numpy(gate(logits)["indices"]) == 0).mean()

    assert share_of_expert_0() == pytest.approx(0.8, abs=0.002)
    for _ in range(10):
        gate(logits, training=True)
    assert share_of_expert_0() == pytest.approx(0.6, abs=0.002)  # 0.6 to 0.9
    for _ in range(20):
        gate(logits, training=True)
    assert share_of_expert_0() == pytest.approx(0.5, abs=0.022)
    assert np.array_equal(to_numpy(gate.dense.kernel), kernel)


@pytest.mark.parametrize("top_k", [1, 2])
def test_gradients(top_k):
    gate = BiasBalancedGate(3, top_k, dtype="float64")
    gate.build((None, 5))
    gate.bias.assign([0.1, 0.0, -0.1])
    assert_gradients(gate, lambda gate: ops.sum(gate(ROWS)["weights"][:, 0]))


def test_improbable_experts_have_finite_weights():
    # exp(-1000) = 0 in float32: the chosen probabilities are 0 and 0.
    gate = BiasBalancedGate(3, 2)
    gate.build((None, 1))
    gate.bias.assign([-2.0, 0.0, 0.0])
    gate.dense.set_weights([np.array([[1000.0, 0.0, 0.0]])])
    assert to_numpy(gate(np.ones((1, 1), "float32"))["weights"]).tolist() == [[0.5, 0.5]]


def test_evaluation_in_a_model_leaves_the_bias():
    inputs = keras.Input((5,))
    gate = BiasBalancedGate(3, 1)
    model = keras.Model(inputs, gate(inputs)["weights"])
    model.compile("sgd", loss="mse")
    model.evaluate(ROWS, np.zeros((6, 1)), verbose=0)
    assert not to_numpy(gate.bias).any()
    model.fit(np.ones((6, 5)), np.zeros((6, 1)), verbose=0)
    assert to_numpy(gate.bias).any()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((3, 0), "top_k"), ((3, 4), "top_k"), ((0, 1), "num_experts"), ((3, 1, -1), "update_rate")],
)
def test_arguments_are_checked(arguments, name):
    with pytest.raises(ValueError, match=rf"Expected {name} to be a .* Received: {name}="):
        BiasBalancedGate(*arguments)
