"""A small VGG-style network: the experts and the baseline of the image labs."""

import keras
from keras import layers

from moe_keras.experts.batch_norm import FusedBatchNormalization


def vgg(num_classes, widths=(32, 64, 128), input_shape=(32, 32, 3), name=None, dtype=None):
    """Build a classifier of images from blocks of convolution, normalization and pooling.

    A first layer of 2x2 convolutions with ReLU finds colors and edges. Each block after it is
    `conv 3x3, max pooling, batch norm, ReLU, conv 3x3, batch norm, ReLU`, without shortcuts;
    pooling comes after the first convolution, so that the second one costs a quarter. Then the
    largest value of each filter over the image, and one dense softmax layer:

        images (B, height, width, channels), pixel values 0 to 255
        -> first layer (B, height - 1, width - 1, 24)
        -> n blocks, each of which halves height and width (B, ..., ..., widths[-1])
        -> global max pooling (B, widths[-1])
        -> probabilities (B, C)

    Args:
        num_classes: Integer, number of classes C, 2 or more.
        widths: Tuple of integers, number of filters of each block.
        input_shape: Tuple (height, width, channels); each block halves height and width.
        name: String, name of the model.
        dtype: String or dtype policy of its layers, such as "mixed_bfloat16"; pixel values are
            scaled and probabilities taken in float32 in any case.

    Returns:
        keras.Model from images to probabilities (B, C). Pixel values are scaled inside.

    Raises:
        ValueError: if num_classes is below 2, widths is empty or holds a number below 1, or the
            image is too small for so many blocks.

    Example:

    >>> from moe_keras.experts import vgg
    >>> vgg(num_classes=4, widths=(8, 16)).output_shape
    (None, 4)

    Reference:
        Simonyan and Zisserman (2015), Very Deep Convolutional Networks for Large-Scale Image
        Recognition, section 2.1 (3x3 convolutions); batch normalization after Ioffe and Szegedy
        (2015).
    """
    if num_classes < 2:
        raise ValueError(f"Expected num_classes >= 2. Received: num_classes={num_classes}")
    if len(widths) == 0 or min(widths) < 1:
        raise ValueError(f"Expected one or more widths, each >= 1. Received: widths={widths}")
    smallest = 2 ** len(widths) + 1
    if min(input_shape[:2]) < smallest:
        raise ValueError(
            f"Expected images of at least {smallest} pixels a side for {len(widths)} blocks, each "
            f"of which halves them. Received: input_shape={input_shape}"
        )
    images = keras.Input(input_shape)
    # To [-2, 2]: about unit variance.
    x = layers.Rescaling(1 / 63.75, offset=-2.0, dtype="float32")(images)
    x = layers.Conv2D(24, 2, activation="relu", dtype=dtype)(x)
    for width in widths:
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, dtype=dtype)(x)
        x = layers.MaxPooling2D(dtype=dtype)(x)
        x = FusedBatchNormalization(momentum=0.6, dtype=dtype)(x)
        x = layers.ReLU(dtype=dtype)(x)
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, dtype=dtype)(x)
        x = FusedBatchNormalization(momentum=0.6, dtype=dtype)(x)
        x = layers.ReLU(dtype=dtype)(x)
    x = layers.GlobalMaxPooling2D(dtype=dtype)(x)
    probabilities = layers.Dense(num_classes, activation="softmax", dtype="float32")(x)
    return keras.Model(images, probabilities, name=name)
