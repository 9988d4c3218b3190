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


def test_takes_grey_images_of_digits():
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
