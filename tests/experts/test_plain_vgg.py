import numpy as np
import pytest
from keras import layers

from moe_keras.experts import plain_vgg


def test_parameters_by_hand():
    convolutions = (27 + 1) * 32 + (288 + 1) * 32 + (288 + 1) * 64 + (576 + 1) * 64
    head = (8 * 8 * 64 + 1) * 512 + (512 + 1) * 10
    assert plain_vgg(10).count_params() == convolutions + head


def test_the_larger_one_has_seven_convolutions():
    model = plain_vgg(4, widths=(32, 64, 128), convolutions=(2, 2, 3))
    filters = [layer.filters for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert filters == [32, 32, 64, 64, 128, 128, 128]
    assert model.output_shape == (None, 4)


def test_probabilities():
    said = plain_vgg(3, widths=(4,), convolutions=(1,), input_shape=(8, 8, 1))(
        np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1))
    )
    assert np.allclose(np.sum(said, axis=-1), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes >= 2. Received: num_classes=1"),
        ({"widths": (32,)}, "a width and a number of convolutions"),
        ({"widths": (), "convolutions": ()}, "one or more blocks"),
        ({"widths": (32, 0)}, "each >= 1"),
        ({"input_shape": (3, 32, 3)}, "at least 4 pixels a side"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        plain_vgg(**{"num_classes": 10} | arguments)
