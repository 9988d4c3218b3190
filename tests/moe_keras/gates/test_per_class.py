import numpy as np
import pytest
from draws import ROWS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import PerClassGate


def oracle(gate):
    """One class at a time, in a loop: class c's scores are columns c E to c E + E - 1."""
    kernel, bias = (w.astype("float64") for w in gate.get_weights())
    scores = ROWS @ kernel + bias
    logits = np.stack([scores[:, 3 * c : 3 * c + 3] for c in range(4)], axis=1)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=2, keepdims=True)
    return {"logits": logits, "probabilities": probabilities}


def test_contract():
    run_layer_contract(
        lambda: PerClassGate(num_classes=4, num_experts=3),
        ROWS,
        expected_output=oracle,
        trainable=2,
        non_trainable=0,
    )


def test_by_hand():
    # Two classes, two experts. Scores ln 3, 0 for class 0 and 0, ln 9 for class 1:
    # class 0 weighs the experts 3/4 and 1/4, class 1 1/10 and 9/10.
    gate = PerClassGate(num_classes=2, num_experts=2)
    gate.build((None, 1))
    gate.set_weights([np.zeros((1, 4)), np.log([3.0, 1.0, 1.0, 9.0])])
    weights = to_numpy(gate(np.ones((1, 1), "float32"))["probabilities"])[0]
    np.testing.assert_allclose(weights, [[0.75, 0.25], [0.1, 0.9]], atol=1e-6)


def test_each_class_has_weights_that_sum_to_1():
    weights = to_numpy(PerClassGate(4, 3)(ROWS)["probabilities"])
    np.testing.assert_allclose(weights.sum(axis=-1), np.ones((6, 4)), atol=1e-6)


@pytest.mark.parametrize("arguments", [(0, 2), (2, 0), (2.5, 2), (2, None)])
def test_counts_are_checked(arguments):
    with pytest.raises(
        ValueError, match=r"Expected num_\w+ to be a whole number .* Received: num_"
    ):
        PerClassGate(*arguments)


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 7, 5)])
def test_images_and_tokens_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"Expected inputs of shape \(B, D\).* Received: shape \(2, "
    ):
        PerClassGate(3, 2)(np.zeros(shape, "float32"))
