import keras
import numpy as np
import pytest
from draws import ROWS, normal
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures import Combine, DenseMoE, combine


@pytest.mark.parametrize(
    ("weights", "outputs", "einsum"),
    [
        ((6, 2), (2, 6, 3), "be,ebc->bc"),
        ((6, 3), (3, 6, 3, 2, 4), "be,ebijk->bijk"),
        ((6, 4, 2), (2, 6, 4, 5), "bte,ebtd->btd"),
        ((6, 4, 2), (2, 6, 4), "bce,ebc->bc"),
        ((6, 1), (1, 6), "be,eb->b"),
    ],
    ids=["whole outputs", "whole images", "tokens", "classes", "numbers"],
)
def test_contract(weights, outputs, einsum):
    weights, outputs = normal(*weights, seed=0), normal(*outputs, seed=1)
    expected = np.einsum(einsum, weights.astype("float64"), outputs)
    run_layer_contract(
        Combine,
        (weights, list(outputs)),
        expected_output=lambda _: expected,
        trainable=0,
        non_trainable=0,
    )


def test_by_hand():
    weights = np.array([[0.25, 0.75], [1.0, 0.0]], "float32")
    outputs = [np.array([[8, 0], [1, 2]], "float32"), np.array([[0, 4], [5, 5]], "float32")]
    # Row 0: 0.25 * 8 + 0.75 * 0 = 2 and 0.25 * 0 + 0.75 * 4 = 3; row 1: the first expert alone.
    assert to_numpy(combine(weights, outputs)).tolist() == [[2, 3], [1, 2]]


def test_one_weight_a_class():
    weights = np.array([[[0.5, 0.5], [0.25, 0.75]]], "float32")  # (B, C, E)
    outputs = [np.array([[2, 4]], "float32"), np.array([[4, 8]], "float32")]
    # Class 0: 0.5 * 2 + 0.5 * 4 = 3; class 1: 0.25 * 4 + 0.75 * 8 = 7.
    assert to_numpy(combine(weights, outputs)).tolist() == [[3, 7]]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float16", "float16"), "float16"),
        (("bfloat16", "bfloat16"), "bfloat16"),
        (("float32", "float32"), "float32"),
        (("bfloat16", "float32"), "float32"),
    ],
)
def test_the_outputs_dtype_decides(dtypes, expected):
    outputs = [keras.ops.ones((2, 3), dtype) for dtype in dtypes]
    weights = keras.ops.full((2, 2), 0.5, "float32")
    for summed in (combine(weights, outputs), Combine()(weights, outputs)):
        assert keras.backend.standardize_dtype(summed.dtype) == expected
    symbols = [keras.Input((3,), dtype=dtype) for dtype in dtypes]
    assert Combine()(keras.Input((2,)), symbols).dtype == expected


def test_on_stored_outputs_it_is_the_mixture():
    experts = [keras.layers.Dense(3), keras.layers.Dense(3)]
    mixture = DenseMoE(experts, SoftmaxGate(2))
    stored = [to_numpy(expert(ROWS)) for expert in experts]
    weights = mixture.gate(ROWS)["probabilities"]
    assert np.array_equal(to_numpy(Combine()(weights, stored)), to_numpy(mixture(ROWS)))


def test_a_mask_on_the_weights_is_kept():
    masked = keras.layers.Masking()(np.array([[[1.0, 1.0], [0.0, 0.0]]], "float32"))  # (B, T, E)
    summed = Combine()(masked, [np.ones((1, 2, 3), "float32")] * 2)
    assert to_numpy(keras.ops.cast(summed._keras_mask, "int32")).tolist() == [[1, 0]]


def test_gradient_against_finite_differences():
    """Gate and sum, float64 NumPy and central differences against the step that SGD takes."""
    inputs, targets, outputs = ROWS, normal(6, 4, seed=1), list(normal(3, 6, 4, seed=2))
    gate = SoftmaxGate(3)
    x = keras.Input((5,))
    symbols = [keras.Input((4,)) for _ in outputs]
    model = keras.Model([x, *symbols], Combine()(gate(x)["probabilities"], symbols))

    def loss(kernel, bias):
        scores = np.exp(inputs.astype("float64") @ kernel + bias)
        weights = scores / scores.sum(axis=1, keepdims=True)
        summed = np.einsum("be,ebc->bc", weights, np.stack(outputs))
        return np.square(summed - targets).mean()

    parameters = [w.astype("float64") for w in gate.get_weights()]
    expected = []
    for parameter in parameters:
        gradient = np.zeros_like(parameter)
        for index in np.ndindex(parameter.shape):
            value = parameter[index]
            parameter[index] = value + 1e-5
            above = loss(*parameters)
            parameter[index] = value - 1e-5
            below = loss(*parameters)
            parameter[index] = value
            gradient[index] = (above - below) / 2e-5
        expected.append(gradient)

    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    model.train_on_batch([inputs, *outputs], targets)
    for before, after, gradient in zip(parameters, gate.get_weights(), expected, strict=True):
        np.testing.assert_allclose(before - after, gradient, atol=1e-6)
        assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize(
    ("weights", "outputs", "message"),
    [
        (
            (6, 3),
            [(6, 4), (6, 4)],
            r"each of 2 experts: output 0, output 1. Received: weights of shape \(6, 3\), for 3",
        ),
        ((6, 2), [(6, 4), (6, 5)], r"output 0 gives \(6, 4\), output 1 gives \(6, 5\)"),
        ((6, 2), [(6, 4), (6, 4, 1)], "one shape"),
        ((6, 7, 2), [(6, 4), (6, 4)], "the outputs' first axes"),
        ((5, 2), [(6, 4), (6, 4)], "the outputs' first axes"),
        ((6, 8, 8, 2), [(6, 4), (6, 4)], "flatten or pool"),
        ((6, 2), [], "each of 0 experts"),
    ],
)
def test_shapes_are_checked(weights, outputs, message):
    weights, outputs = np.ones(weights), [np.ones(shape) for shape in outputs]
    with pytest.raises(ValueError, match=message):
        combine(weights, outputs)
    if outputs:
        with pytest.raises(ValueError, match=message):
            Combine()(weights, outputs)
