import math

import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras import SoftmaxGate, StackedMLP
from moe_keras.evaluation import gaussian_mixture_interval, gaussian_mixture_moments
from moe_keras.losses import gaussian_mixture_nll
from moe_keras.mixtures import GaussianMoE

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def experts(count, units=2, **arguments):
    return [keras.layers.Dense(units, "tanh", **arguments) for _ in range(count)]


def by_hand(layer, x):
    """Expert by expert, in float64."""
    x = x.astype("float64")
    kernel, bias = (w.astype("float64") for w in layer.gate.get_weights())
    exponentials = np.exp(x @ kernel + bias)
    weights = exponentials / exponentials.sum(-1, keepdims=True)
    rows = []
    for e, expert in enumerate(layer.experts):
        kernel, bias = (w.astype("float64") for w in expert.get_weights())
        answer = np.tanh(x @ kernel + bias)
        if layer.scales == "input":
            means, raw = np.split(answer, 2, axis=-1)
        else:
            raw = np.broadcast_to(to_numpy(layer.raw_scales)[e].astype("float64"), answer.shape)
            means = answer
        scales = np.log1p(np.exp(raw)) + layer.min_scale
        rows.append(np.concatenate([np.log(weights[..., e : e + 1]), means, scales], axis=-1))
    return np.stack(rows, axis=-2)


@pytest.mark.parametrize("scales", ["expert", "input"])
def test_contract(scales):
    run_layer_contract(
        lambda: GaussianMoE(experts(3, 4), SoftmaxGate(3), scales=scales),
        ROWS,
        expected_output=lambda layer: by_hand(layer, ROWS),
        trainable=8 + (scales == "expert"),
        non_trainable=0,
    )


def test_contract_of_a_stack_on_tokens():
    run_layer_contract(
        lambda: GaussianMoE(StackedMLP(3, intermediate_dim=4, units=1), SoftmaxGate(3)),
        TOKENS,
        mask=MASK,
    )


def test_the_output_is_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = GaussianMoE(experts(2), SoftmaxGate(2))
        assert keras.backend.standardize_dtype(layer(ROWS).dtype) == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


def test_an_improbable_expert_has_a_finite_weight():
    layer = GaussianMoE(experts(2), SoftmaxGate(2))
    layer.build((None, 5))
    layer.gate.dense.set_weights([np.zeros((5, 2)), np.array([1000.0, 0.0])])
    mixture = to_numpy(layer(ROWS))
    assert np.isfinite(mixture).all()
    np.testing.assert_allclose(np.exp(mixture[..., 0]), [[1, 0]] * 6, atol=1e-12)


def test_weights_that_do_not_sum_to_one_are_divided_by_their_sum():
    gate = keras.layers.Dense(2, kernel_initializer="zeros", bias_initializer="ones")
    mixture = to_numpy(GaussianMoE(experts(2), gate)(ROWS))
    np.testing.assert_allclose(np.exp(mixture[..., 0]), 0.5, rtol=1e-6)


@pytest.mark.parametrize("scales", ["expert", "input"])
def test_gradients(scales):
    layer = GaussianMoE(
        experts(2, 2, dtype="float64"), SoftmaxGate(2, dtype="float64"), scales, dtype="float64"
    )
    rows = ROWS[:, :3].astype("float64")
    layer(rows)
    y = np.random.default_rng(0).normal(size=(6, 1 if scales == "input" else 2))
    assert_gradients(layer, lambda layer: ops.sum(gaussian_mixture_nll(y, layer(rows))))


def test_fit_finds_two_branches_and_their_scales(tmp_path):
    # y is 2 or -2 at random, with noise of 0.1 and 0.5; the mean, 0, is never seen.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1)).astype("float32")
    upper = rng.random((2000, 1)) < 0.3
    y = np.where(upper, rng.normal(2, 0.1, (2000, 1)), rng.normal(-2, 0.5, (2000, 1)))
    keras.utils.set_random_seed(0)
    means = [
        keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(c)) for c in (-1, 1)
    ]
    inputs = keras.Input((1,))
    model = keras.Model(inputs, GaussianMoE(means, SoftmaxGate(2))(inputs))
    model.compile(keras.optimizers.Adam(0.05), loss=gaussian_mixture_nll)
    loss = model.fit(x, y, batch_size=250, epochs=25, verbose=0).history["loss"][-1]
    # The entropy of that distribution: -0.3 log 0.3 - 0.7 log 0.7 + log(scale sqrt(2 pi e)).
    entropy = -0.3 * math.log(0.3) - 0.7 * math.log(0.7) + 0.5 * math.log(2 * math.pi * math.e)
    entropy += 0.3 * math.log(0.1) + 0.7 * math.log(0.5)
    assert loss == pytest.approx(entropy, abs=0.08)
    mixture = model.predict(x, verbose=0)
    np.testing.assert_allclose(mixture[..., 2].mean(axis=0), [0.5, 0.1], rtol=0.15)
    np.testing.assert_allclose(np.exp(mixture[..., 0]).mean(axis=0), [0.7, 0.3], atol=0.05)
    mean, deviation = gaussian_mixture_moments(mixture)
    assert mean.mean() == pytest.approx(-0.8, abs=0.1)
    assert deviation.mean() == pytest.approx(y.std(), rel=0.05)
    low, high = gaussian_mixture_interval(mixture, coverage=0.8)
    assert ((low <= y) & (y <= high)).mean() == pytest.approx(0.8, abs=0.03)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded.predict(x, verbose=0), mixture)
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianMoE(experts(2), SoftmaxGate(2), scales="both"), "scales to be one of"),
        (lambda: GaussianMoE(experts(2), SoftmaxGate(2), min_scale=0), "min_scale to be a finite"),
        (
            lambda: GaussianMoE(experts(2, 3), SoftmaxGate(2), scales="input")(ROWS),
            "2 D numbers.*expert 0",
        ),
        (lambda: GaussianMoE(experts(2), SoftmaxGate(3))(ROWS), "a weight for each of 2 experts"),
        (
            lambda: GaussianMoE(
                [keras.layers.Reshape((5, 1)), keras.layers.Reshape((5, 1))], SoftmaxGate(2)
            )(ROWS),
            r"numbers \(\.\.\., D\) where the gate weighs.*gives \(6, 5, 1\)",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
