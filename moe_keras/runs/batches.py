"""Training batches that depend on the seed and the epoch alone, so that a run can be resumed."""

import math

import keras
import numpy as np


class SeededBatches(keras.utils.PyDataset):
    """Shuffled, shifted and, where asked, mirrored images, with the labels as inputs besides.

    The order of an epoch and the shifts of a batch are drawn anew from (seed, epoch, batch):
    whoever begins with the seventh epoch gets the batches that a training from the first one gets.
    Each image has a shift of its own, the border being filled with zeros.

    Args:
        images: array (N, height, width, channels).
        labels: array (N,).
        batch_size: images in a batch.
        shift: largest shift in pixels, 0 for none.
        mirror: whether to mirror every other image, drawn at random.
        with_labels: whether the inputs are (images, labels) and not the images alone.
        seed: whole number.
    """

    def __init__(self, images, labels, batch_size, shift, mirror, with_labels, seed):
        super().__init__()
        self.images, self.labels = images, np.asarray(labels, "int32")
        self.batch_size, self.shift, self.mirror = batch_size, shift, mirror
        self.with_labels, self.seed = with_labels, seed
        edge = (shift, shift)
        self._padded = np.pad(images, ((0, 0), edge, edge, (0, 0)))
        self.start(0)

    def start(self, epoch):
        """Make the batches those of this epoch, counted from 0."""
        self.epoch = epoch
        self._order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))

    def __len__(self):
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index):
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        random = np.random.default_rng([self.seed, self.epoch, index])
        height, width = self.images.shape[1:3]
        down, right = random.integers(0, 2 * self.shift + 1, size=(2, len(chosen), 1, 1))
        rows = down + np.arange(height)[None, :, None]  # (B, height, 1)
        columns = right + np.arange(width)[None, None, :]  # (B, 1, width)
        images = self._padded[chosen[:, None, None], rows, columns]
        if self.mirror:
            mirrored = random.random(len(chosen)) < 0.5
            images[mirrored] = images[mirrored, :, ::-1]
        labels = self.labels[chosen]
        return ((images, labels) if self.with_labels else images), labels
