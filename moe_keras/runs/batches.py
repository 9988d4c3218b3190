"""Training batches with the labels as inputs."""

from moe_keras.training import AugmentedImages


class LabeledImages(AugmentedImages):
    """`AugmentedImages` whose labels are inputs too: ((images, labels), labels)."""

    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        return (images, labels), labels
