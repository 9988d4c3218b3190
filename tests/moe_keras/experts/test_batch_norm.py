import keras
import numpy as np
import pytest
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts.batch_norm import FusedBatchNormalization

IMAGES = np.random.default_rng(0).normal(3, 2, size=(6, 4, 4, 3)).astype("float32")


def one_step(layer):
    """Outputs before, and weights after, a step of gradient descent from odd first weights."""
    model = keras.Sequential([keras.Input((4, 4, 3)), layer])
    layer.set_weights(
        [np.array(w, "float32") for w in ([1, 2, 3], [0, 1, 0], [1, 1, 2], [2, 3, 4])]
    )
    outputs = to_numpy(model(IMAGES, training=True))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(IMAGES, np.ones_like(IMAGES), batch_size=6, verbose=0)
    return [outputs, *model.get_weights(), to_numpy(model(IMAGES, training=False))]


def test_contract():
    run_layer_contract(
        lambda: FusedBatchNormalization(momentum=0.6),
        IMAGES,
        trainable=2,
        non_trainable=2,
        # At first the mean is 0 and the variance 1.
        expected_output=lambda layer: IMAGES / np.sqrt(1 + layer.epsilon),
        moves_untrained=("moving",),
    )


@pytest.mark.parametrize("options", [{}, {"epsilon": 0.1, "momentum": 0.6}])
def test_outputs_gradients_and_statistics_are_those_of_keras(options):
    ours = one_step(FusedBatchNormalization(**options))
    keras_own = one_step(keras.layers.BatchNormalization(**options))
    for a, b in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_statistics_by_hand():
    layer = FusedBatchNormalization(momentum=0.6)
    outputs = to_numpy(layer(IMAGES, training=True))
    mean, variance = IMAGES.mean(axis=(0, 1, 2)), IMAGES.var(axis=(0, 1, 2))
    np.testing.assert_allclose(outputs, (IMAGES - mean) / np.sqrt(variance + 1e-3), atol=1e-4)
    np.testing.assert_allclose(to_numpy(layer.moving_mean), 0.4 * mean, rtol=1e-4)
    np.testing.assert_allclose(to_numpy(layer.moving_variance), 0.6 + 0.4 * variance, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        ({"scale": False}, IMAGES),
        ({"center": False}, IMAGES),
        ({"axis": 1}, IMAGES),
        ({"renorm": True}, IMAGES),
        ({}, IMAGES[:, 0]),  # not of rank 4
        ({"dtype": "float64"}, IMAGES.astype("float64")),
    ],
)
def test_what_the_kernel_cannot_do_keras_does(options, inputs):
    ours, keras_own = FusedBatchNormalization(**options), keras.layers.BatchNormalization(**options)
    for _ in range(2):  # the second one finds the statistics of the first
        a, b = (to_numpy(layer(inputs, training=True)) for layer in (ours, keras_own))
        assert np.array_equal(a, b)
    for a, b in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_frozen_it_keeps_its_statistics():
    layer = FusedBatchNormalization()
    layer.trainable = False
    layer(IMAGES, training=True)
    assert to_numpy(layer.moving_mean).tolist() == [0, 0, 0]


def test_mixed_precision_is_finite_and_near():
    with_16_bits = one_step(FusedBatchNormalization(dtype="mixed_bfloat16"))
    for a, b in zip(with_16_bits, one_step(FusedBatchNormalization()), strict=True):
        a = np.asarray(a, "float32")
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0.03, atol=0.03)


def test_saves_and_loads(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), FusedBatchNormalization(momentum=0.6)])
    model(IMAGES, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[0], FusedBatchNormalization)
    assert loaded.layers[0].momentum == 0.6
    assert np.array_equal(to_numpy(loaded(IMAGES)), to_numpy(model(IMAGES)))
