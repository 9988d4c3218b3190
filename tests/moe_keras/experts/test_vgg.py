import keras
import numpy as np
import pytest

from moe_keras.experts import vgg


def test_gives_probabilities_for_pixel_values():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    probabilities = keras.ops.convert_to_numpy(vgg(4, widths=(4, 8))(images))
    assert probabilities.shape == (3, 4)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-6)


def test_parameters_are_those_of_the_blocks():
    # First layer 2*2*3*24 + 24; block one 9*24*4 + 9*4*4 and 2 norms of 4*4; block two 9*4*8 +
    # 9*8*8 and 2 norms of 4*8; dense 8*5 + 5.
    expected = (288 + 24) + (864 + 144 + 32) + (288 + 576 + 64) + 45
    assert vgg(5, widths=(4, 8)).count_params() == expected


def test_takes_gray_images_of_digits():
    assert vgg(10, widths=(4, 8), input_shape=(28, 28, 1)).output_shape == (None, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes=1"),
        ({"num_classes": 3, "widths": ()}, r"widths=\(\)"),
        ({"num_classes": 3, "widths": (8, 0)}, r"widths=\(8, 0\)"),
        ({"num_classes": 3, "input_shape": (8, 8, 3)}, r"at least 9 pixels.*\(8, 8, 3\)"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        vgg(**arguments)


def test_computes_in_the_policy_that_is_asked_for():
    model = vgg(3, widths=(4,), dtype="mixed_bfloat16", name="quick")
    assert model.name == "quick"
    rescaling, *between, dense = model.layers[1:]
    assert {layer.compute_dtype for layer in between} == {"bfloat16"}
    # Pixel values need more than 8 bits, probabilities that sum to 1 too.
    assert (rescaling.compute_dtype, dense.compute_dtype) == ("float32", "float32")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    probabilities = keras.ops.convert_to_numpy(model(images))
    same = vgg(3, widths=(4,))
    same.set_weights(model.get_weights())
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(probabilities, keras.ops.convert_to_numpy(same(images)), atol=0.05)
