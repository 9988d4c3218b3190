import numpy as np
import pytest

from moe_keras.arguments import pixel_images


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32"])
def test_pixel_values_pass_as_they_are(dtype):
    images = np.array([[[[0], [200]]]], dtype)
    assert pixel_images(images) is images


def test_a_dark_uint8_image_and_a_black_one_are_images_too():
    assert pixel_images(np.ones((1, 2, 2, 3), "uint8")).max() == 1
    assert pixel_images(np.zeros((1, 2, 2, 3))).max() == 0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28)), r"shape \(N, height, width, channels\).*\(28, 28\)"),
        (np.zeros((0, 28, 28, 1)), r"one or more images.*\(0, 28, 28, 1\)"),
        (np.full((1, 2, 2, 1), 0.5), "0 to 255, not scaled to 0-1.*0.5 to 0.5"),
        (np.array([[[[-1.0], [1.0]]]]), "standardized.*-1 to 1"),
        (np.array([[[[0], [256]]]]), "0 to 256"),
        (np.array([[[[np.nan], [1.0]]]]), "finite.*NaN or infinity"),
        (np.array([[[["a"]]]]), "finite numbers.*dtype <U1"),
    ],
)
def test_what_is_no_image_of_pixels_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        pixel_images(images)
