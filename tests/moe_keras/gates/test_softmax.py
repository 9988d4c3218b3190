import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import SoftmaxGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def oracle(inputs, temperature):
    def expected(gate):
        kernel, bias = (w.astype("float64") for w in gate.get_weights())
        logits = (inputs @ kernel + bias) / temperature
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return {"logits": logits, "probabilities": probabilities}

    return expected


@pytest.mark.parametrize(("inputs", "mask"), [(ROWS, None), (TOKENS, MASK)])
def test_contract(inputs, mask):
    run_layer_contract(
        lambda: SoftmaxGate(3, temperature=2.0),
        inputs,
        expected_output=oracle(inputs, temperature=2.0),
        trainable=2,
        non_trainable=0,
        mask=mask,
    )


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        # W = (ln 3, 0), b = 0, x = 1: scores (ln 3, 0), e^scores = (3, 1), so 3/4 and 1/4.
        (1.0, [0.75, 0.25]),
        # Halved scores (ln sqrt 3, 0): sqrt 3 / (sqrt 3 + 1) = 1.73205 / 2.73205 = 0.63397.
        (2.0, [0.63397, 0.36603]),
        # Doubled scores (ln 9, 0): 9/10 and 1/10.
        (0.5, [0.9, 0.1]),
    ],
)
def test_by_hand(temperature, expected):
    gate = SoftmaxGate(2, temperature=temperature)
    gate.build((None, 1))
    gate.set_weights([np.array([[np.log(3.0), 0.0]]), np.zeros(2)])
    tensors = gate(np.ones((1, 1), "float32"))
    np.testing.assert_allclose(to_numpy(tensors["probabilities"])[0], expected, atol=1e-5)
    np.testing.assert_allclose(
        to_numpy(tensors["logits"])[0], [np.log(3.0) / temperature, 0.0], atol=1e-6
    )


def test_large_scores_do_not_overflow():
    gate = SoftmaxGate(2, temperature=1e-3)
    gate.build((None, 1))
    gate.set_weights([np.array([[100.0, 0.0]]), np.zeros(2)])
    assert to_numpy(gate(np.ones((1, 1), "float32"))["probabilities"]).tolist() == [[1.0, 0.0]]


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_one_expert_gets_all_the_weight():
    assert to_numpy(SoftmaxGate(1)(ROWS)["probabilities"]).tolist() == [[1.0]] * 6


def test_names_in_a_functional_model():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, SoftmaxGate(3)(inputs))
    assert set(model.predict(ROWS, verbose=0)) == {"logits", "probabilities"}


@pytest.mark.parametrize("num_experts", [0, -1, 2.0, "2", None, True, [2]])
def test_num_experts_is_checked(num_experts):
    with pytest.raises(ValueError, match=r"Expected num_experts to be a whole .* Received: num_ex"):
        SoftmaxGate(num_experts)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf"), "1", None])
def test_temperature_is_checked(temperature):
    with pytest.raises(ValueError, match=r"Expected temperature to be a finite .* Received: temp"):
        SoftmaxGate(2, temperature=temperature)


def test_numpy_numbers_are_numbers():
    gate = SoftmaxGate(np.int64(2), temperature=np.float32(0.5))
    assert (gate.num_experts, gate.temperature) == (2, 0.5)
