"""Training recipe of a `vgg` for few epochs."""

import math
import zlib

import keras
import numpy as np

from moe_keras.experts.batch_norm import FusedBatchNormalization
from moe_keras.training._lookahead import Lookahead
from moe_keras.training._scaled_sgd import ScaledSGD
from moe_keras.training._whitening import whitening_filters
from moe_keras.training.augmentation import AugmentedImages
from moe_keras.training.resume import Resume
from moe_keras.training.triangular_schedule import TriangularSchedule

BATCH_SIZE = 256
MOMENTUM = 0.85
WEIGHT_DECAY = 0.00887
LABEL_SMOOTHING = 0.2
# The shifts of a normalization may move faster than filters, the last layer slower.
SCALES = {"beta": 8.0, "dense": 0.03}


def start_vgg(model, images, seed=0):
    """Initialize a `vgg`: a whitening first layer, and convolutions that begin as the identity.

    The first layer's filters whiten 2x2 patches. Filter i of each 3x3 convolution begins by passing
    on channel i, the others at random.

    Args:
        model: A `vgg`, which is changed.
        images: Array (N, height, width, channels) of pixel values 0 to 255.
        seed: Integer, seed of the filters that pass on nothing.

    Returns:
        `None`; the model is changed.

    Reference:
        Jordan (2024), 94% on CIFAR-10 in 3.29 seconds on a single GPU, sections 3.2 and 3.3.

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts import vgg
    >>> from moe_keras.training.recipe import start_vgg
    >>> model = vgg(4, widths=(24,))
    >>> start_vgg(model, np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3)))
    >>> float(model.layers[3].get_weights()[0][1, 1, 5, 5])
    1.0
    """
    rescaling, first = model.layers[1:3]
    scaled = keras.ops.convert_to_numpy(rescaling(np.asarray(images[:5000], "float32")))
    size, _, channels, filters = first.kernel.shape
    count = min(filters, 2 * size * size * channels)
    kernel, bias = first.get_weights()
    kernel[..., :count] = whitening_filters(scaled, size, count)
    first.set_weights([kernel, bias])
    random = np.random.default_rng(seed)
    for layer in model.layers[3:]:
        if isinstance(layer, keras.layers.Conv2D):
            height, width, channels, filters = layer.kernel.shape
            limit = 1 / np.sqrt(height * width * channels)
            kernel = random.uniform(-limit, limit, size=layer.kernel.shape)
            same = range(min(channels, filters))
            kernel[:, :, :, same] = 0
            kernel[height // 2, width // 2, same, same] = 1
            layer.set_weights([kernel])


def train_vgg(
    model,
    images,
    labels,
    validation,
    epochs,
    learning_rate=0.375,
    seed=0,
    mirror=True,
    checkpoint=None,
    verbose=2,
):
    """Train a `vgg`: augmentation, label smoothing, one-cycle schedule, averaged weights.

    Gradient descent with Nesterov's momentum and weight decay, in batches of 256 images, shifted by
    up to 2 pixels; see `TriangularSchedule` and `AugmentedImages`. The filters of the first layer
    and the normalizations' scales stay as they are.

    Args:
        model: A `vgg`, new (see `start_vgg`) or trained. It is compiled and changed.
        images: Array (N, height, width, channels) of pixel values 0 to 255.
        labels: Integer array (N,) of class ids.
        validation: Pair of such arrays, to watch the training.
        epochs: Integer, number of epochs.
        learning_rate: Float, largest learning rate.
        seed: Integer, seed of order, shifts and mirroring.
        mirror: Boolean, whether half of the images are mirrored.
        checkpoint: Path of a file to which the state is written after every epoch. If it is there,
            training continues from it, to the same result. `None`: no file.
        verbose: Integer, as for `fit`.

    Returns:
        List of dictionaries, one an epoch: loss, accuracy, val_loss, val_accuracy, seconds.

    Raises:
        ValueError: if the checkpoint is damaged or of another training.

    Reference:
        Jordan (2024), 94% on CIFAR-10 in 3.29 seconds on a single GPU, section 3.
        Szegedy et al. (2016), Rethinking the Inception architecture, section 7 (label smoothing).
    """
    num_classes = model.output_shape[-1]
    steps = math.ceil(len(images) / BATCH_SIZE) * epochs
    lookahead = Lookahead(steps)
    plan = {
        "images": zlib.crc32(np.ascontiguousarray(images)),
        "labels": zlib.crc32(np.ascontiguousarray(labels)),
        "precision": sorted({layer.dtype_policy.name for layer in model.layers}),
        "weights": [list(weight.shape) for weight in model.weights],
        "epochs": epochs,
        "learning_rate": learning_rate,
        "seed": seed,
        "mirror": mirror,
    }
    resume = Resume(checkpoint, lookahead, plan)
    model.layers[2].kernel.trainable = False
    for layer in model.layers:
        if isinstance(layer, FusedBatchNormalization):
            layer.gamma.trainable = False
    optimizer = ScaledSGD(
        TriangularSchedule(learning_rate, steps),
        SCALES,
        momentum=MOMENTUM,
        nesterov=True,
        weight_decay=WEIGHT_DECAY,
    )
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING)
    model.compile(optimizer, loss, metrics=["accuracy"])
    first = resume.restore(model)

    def one_hot(labels):
        return np.eye(num_classes, dtype="float32")[labels]

    batches = AugmentedImages(
        images, one_hot(labels), BATCH_SIZE, mirror=mirror, seed=seed, epoch=first
    )
    if first < epochs:
        model.fit(
            batches,
            epochs=epochs,
            initial_epoch=first,
            validation_data=(validation[0], one_hot(validation[1])),
            validation_batch_size=500,
            callbacks=[lookahead, resume],
            verbose=verbose,
        )
    return resume.history
