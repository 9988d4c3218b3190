"""The plain VGG of the first public hierarchical mixture on CIFAR-10, for reference."""

import keras
from keras import layers


def plain_vgg(
    num_classes, widths=(32, 64), convolutions=(2, 2), input_shape=(32, 32, 3), name=None
):
    """Build a VGG without normalisation: what `vgg` is compared with.

    Each block is some 3x3 convolutions with ReLU, pooling and dropout. Then a hidden layer of 512
    units, and most of the weights are there:

        images (B, height, width, channels), pixel values 0 to 255
        -> n blocks, each of which halves height and width (B, ..., ..., widths[-1])
        -> 512 units with dropout (B, 512)
        -> probabilities (B, C)

    With `widths=(32, 64, 128)` and `convolutions=(2, 2, 3)` it is that mixture's larger net, of its
    two specialists.

    Args:
        num_classes: number of classes C, 2 or more.
        widths: number of filters of each block.
        convolutions: number of convolutions of each block.
        input_shape: (height, width, channels); each block halves height and width.
        name: name of the model.

    Returns:
        keras.Model from images to probabilities (B, C). Pixel values are scaled inside.

    Raises:
        ValueError: if num_classes is below 2, there are no blocks, `widths` and `convolutions`
            differ in length or hold a number below 1, or the image is too small for the blocks.

    Reference:
        Simonyan and Zisserman (2015), Very Deep Convolutional Networks for Large-Scale Image
        Recognition, section 2.1.

    Example:

    >>> from moe_keras.experts import plain_vgg
    >>> plain_vgg(num_classes=10).count_params()
    2168362
    """
    if num_classes < 2:
        raise ValueError(f"Expected num_classes >= 2. Received: num_classes={num_classes}")
    if not 0 < len(widths) == len(convolutions) or min(*widths, *convolutions) < 1:
        raise ValueError(
            "Expected a width and a number of convolutions, each >= 1, for one or more blocks. "
            f"Received: widths={widths}, convolutions={convolutions}"
        )
    if min(input_shape[:2]) < 2 ** len(widths):
        raise ValueError(
            f"Expected images of at least {2 ** len(widths)} pixels a side for {len(widths)} "
            f"blocks, each of which halves them. Received: input_shape={input_shape}"
        )
    images = keras.Input(input_shape)
    x = layers.Rescaling(1 / 255)(images)
    for width, count in zip(widths, convolutions, strict=True):
        for _ in range(count):
            x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.Dropout(0.25)(layers.MaxPooling2D()(x))
    x = layers.Dense(512, activation="relu")(layers.Flatten()(x))
    x = layers.Dropout(0.5)(x)
    return keras.Model(images, layers.Dense(num_classes, activation="softmax")(x), name=name)
