"""Image augmentation by shifts and mirroring, in NumPy so that it works on every backend."""

import math

import keras
import numpy as np

from moe_keras.arguments import pixel_images


class AugmentedImages(keras.utils.PyDataset):
    """Image augmentation: shuffled batches of randomly mirrored and shifted images.

    Each image is shifted by up to `shift` pixels up or down and left or right, the border being
    filled by reflection. Half of the images are mirrored left to right, and in the next epoch the
    other half, so that every image is seen both ways. So a network never sees quite the same
    photograph twice.

    Order, shifts and mirroring follow from the seed and the number of the epoch: training that goes
    on after an interruption sees what it would have seen. Give `fit` `shuffle=False` for that, or
    Keras shuffles the batches once more, by Python's random numbers; and no `steps_per_epoch`, as
    an epoch is one pass over the images. `fit` numbers its epochs from `epoch` + 1, and a second
    `fit` goes on after the first.

    Args:
        images: Array (N, height, width, channels) of pixel values 0 to 255; they come out as they
            are, in the same dtype.
        labels: Array (N, ...), one label an image.
        batch_size: Integer, images in a batch; the last batch of an epoch holds the rest.
        shift: Integer, largest shift in pixels; 0 for none.
        mirror: Boolean, whether to mirror; see `mirror_allowed` of a loaded dataset.
        seed: Integer, seed of the order, the shifts and the mirroring.
        epoch: Integer, number of epochs that went before, for a training that continues.

    Raises:
        ValueError: if images are not of rank 4 with pixel values 0 to 255, labels are not as many
            as the images, there are no images, batch_size is below 1, or shift is negative or not
            smaller than the image.

    Example:

    >>> import numpy as np
    >>> from moe_keras.training import AugmentedImages
    >>> batches = AugmentedImages(np.zeros((10, 8, 8, 3), "uint8"), np.arange(10), batch_size=4)
    >>> len(batches)
    3
    >>> images, labels = batches[0]
    >>> images.shape, labels.shape
    ((4, 8, 8, 3), (4,))
    """

    def __init__(self, images, labels, batch_size=128, shift=2, mirror=True, seed=0, epoch=0):
        super().__init__()
        images, labels = pixel_images(images), np.asarray(labels)
        if len(labels) != len(images):
            raise ValueError(
                "Expected one label for each image. "
                f"Received: {len(images)} images and {len(labels)} labels"
            )
        if batch_size < 1:
            raise ValueError(f"Expected batch_size >= 1. Received: batch_size={batch_size}")
        if not 0 <= shift < min(images.shape[1:3]):
            raise ValueError(
                "Expected a shift of 0 or more pixels, smaller than the image. "
                f"Received: shift={shift} for images of {images.shape[1]} x {images.shape[2]} "
                "pixels"
            )
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.shift = shift
        self.mirror = mirror
        self.seed = seed
        self.epoch = epoch
        self._begun = None  # whether an epoch has begun; None while nobody has said that one did
        border = ((0, 0), (shift, shift), (shift, shift), (0, 0))
        padded = np.pad(images, border, mode="reflect") if shift else images
        # All windows of each image: (N, down, right, channels, height, width), without a copy.
        self._windows = np.lib.stride_tricks.sliding_window_view(
            padded, images.shape[1:3], axis=(1, 2)
        )
        self._mirrored_first = np.random.default_rng(seed).random(len(images)) < 0.5
        self._draw()

    def _draw(self):
        random = np.random.default_rng([self.seed, self.epoch])
        self._order = random.permutation(len(self.images))
        self._shifts = random.integers(0, 2 * self.shift + 1, size=(len(self.images), 2))

    def __len__(self):
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index):
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        down, right = self._shifts[chosen].T
        batch = np.moveaxis(self._windows[chosen, down, right], 1, -1).copy()
        if self.mirror:
            mirrored = self._mirrored_first[chosen] ^ (self.epoch % 2 == 1)
            batch[mirrored] = batch[mirrored, :, ::-1]
        return batch, self.labels[chosen]

    def on_epoch_begin(self):
        self._begun = True

    def on_epoch_end(self):
        # Keras calls this before the first epoch of a fit too. After another fit, that would skip
        # an epoch, and mirror the same images twice running.
        if self._begun is False:
            return
        if self._begun:
            self._begun = False
        self.epoch += 1
        self._draw()
