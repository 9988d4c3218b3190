"""Pretrained backbones of a mixture."""

import sys

import keras
from keras import layers

from moe_common.keras_home import keras_home
from moe_keras.data.download import whole_downloads
from moe_keras.data.keras_cache import is_failed_download
from moe_keras.experts import FrozenExpert, pretrained_vgg, vgg

# How each family wants its pixels; the families that are not here scale them inside.
SCALING = {
    **dict.fromkeys(("vgg16", "vgg19", "resnet"), "caffe"),
    "densenet": "torch",
    **dict.fromkeys(
        ("resnet_v2", "inception_v3", "inception_resnet_v2", "mobilenet", "mobilenet_v2"), "tf"
    ),
    **dict.fromkeys(("nasnet", "xception"), "tf"),
}
SMALLEST = {"inception_v3": 75, "inception_resnet_v2": 75, "xception": 71}


@keras.saving.register_keras_serializable(package="moe_keras")
class ImageNetPixels(layers.Layer):
    """Preprocessing of pixel values 0 to 255 for a network of keras.applications.

    Args:
        mode: String, "caffe", "torch" or "tf"; `None` for networks that scale by themselves.
    """

    def __init__(self, mode=None, **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, inputs):
        if self.mode is None:
            return inputs
        return keras.applications.imagenet_utils.preprocess_input(
            inputs, data_format="channels_last", mode=self.mode
        )

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


def backbone(images, name, weights, key):
    """Feature map of a backbone, before its pooling.

    Args:
        images: Symbolic tensor (B, height, width, 1 or 3), pixel values 0 to 255.
        name: String, name of the network: "vgg", or one of keras.applications, such as
            "MobileNetV2".
        weights: String, "pretrained" (and frozen) or "random".
        key: String, key of the dataset, as `pretrained_vgg` takes it.

    Returns:
        Symbolic tensor (B, h, w, D).

    Raises:
        ValueError: if there is no such network, or no weights of "vgg" for this dataset.
        ConnectionError: if weights cannot be downloaded.
        OSError: if they cannot be kept, or what is kept of them is damaged.
    """
    known = ["vgg", *sorted(n for n in dir(keras.applications) if n[0].isupper())]
    if name not in known:
        raise ValueError(f"Expected backbone to be one of {', '.join(known)}. Received: {name!r}")
    if name == "vgg":
        return _vgg(images, weights, key)
    build = getattr(keras.applications, name)
    family = sys.modules[build.__module__].__name__.rpartition(".")[2]
    size = max(SMALLEST.get(family, 32), *images.shape[1:3])
    x = images if images.shape[-1] == 3 else layers.Concatenate()([images] * 3)
    if (size, size) != tuple(images.shape[1:3]):
        x = layers.Resizing(size, size)(x)
    x = ImageNetPixels(SCALING.get(family))(x)
    shape = (size, size, 3)
    if weights == "random":
        return build(include_top=False, weights=None, input_shape=shape)(x)
    try:
        with whole_downloads():
            network = build(include_top=False, weights="imagenet", input_shape=shape)
    except Exception as error:  # a failed download is a bare Exception of Keras
        if is_failed_download(error):
            raise ConnectionError(
                f"Expected to download the ImageNet weights of {name}; without them, "
                f"--backbone-weights random trains it from scratch. Received: {error}"
            ) from error
        if isinstance(error, OSError):
            raise OSError(
                f"Expected to keep the ImageNet weights of {name} in {keras_home() / 'models'} and "
                f"to read them there. Received: {error}. Make room there, or delete the file if it "
                "is damaged: it will be downloaded anew."
            ) from error
        raise
    return FrozenExpert(network)(x)


def _vgg(images, weights, key):
    if weights == "random":
        return _before_pooling(vgg(num_classes=2, input_shape=images.shape[1:]))(images)
    try:
        trained = pretrained_vgg("base", key)
    except ValueError as error:
        raise ValueError(
            f"{error}. Without them, --backbone-weights random trains a VGG from scratch"
        ) from None
    return FrozenExpert(_before_pooling(trained.layer))(images)


def _before_pooling(network):
    *_, features, _pooling, _answer = network.layers
    return keras.Model(network.input, features.output, name="vgg")
