import keras
import numpy as np

from moe_keras.training._scaled_sgd import ScaledSGD

X, Y = np.random.default_rng(0).normal(size=(4, 3)), np.random.default_rng(1).normal(size=(4, 2))
SETTINGS = {"momentum": 0.85, "nesterov": True, "weight_decay": 0.01}


def test_a_loop_in_numpy():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    w, b = (np.float64(weight) for weight in model.get_weights())
    model.compile(ScaledSGD(0.1, scales={"bias": 8.0, "dense": 0.5}, **SETTINGS), "mse")
    model.fit(X, Y, batch_size=4, epochs=5, verbose=0)

    speed_w, speed_b = np.zeros_like(w), np.zeros_like(b)
    for _ in range(5):
        gradient = 2 * (X @ w + b - Y) / Y.size
        gradient_w, gradient_b = X.T @ gradient, gradient.sum(axis=0)
        # The decay comes first and has no scale; "bias" comes before "dense" in the scales.
        w, b = w - 0.1 * 0.01 * w, b - 0.1 * 0.01 * b
        for weight, speed, gradient, rate in (
            (w, speed_w, gradient_w, 0.1 * 0.5),
            (b, speed_b, gradient_b, 0.1 * 8),
        ):
            speed *= 0.85
            speed -= rate * gradient
            weight += 0.85 * speed - rate * gradient
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], b, rtol=1e-4, atol=1e-6)


def test_without_scales_it_is_keras_own():
    weights = []
    for optimizer in (ScaledSGD(0.1, **SETTINGS), keras.optimizers.SGD(0.1, **SETTINGS)):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")]
        )
        model.compile(optimizer, "mse")
        model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_configuration():
    optimizer = ScaledSGD(0.1, scales={"beta": 8.0}, **SETTINGS)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, ScaledSGD)
    assert again.scales == {"beta": 8.0}
    assert again.get_config() == optimizer.get_config()
