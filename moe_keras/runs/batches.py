"""Training batches for a gate that is told the labels."""

from moe_keras.training import AugmentedImages


class LabelledImages(AugmentedImages):
    """`AugmentedImages` with the labels as inputs besides: ((images, labels), labels)."""

    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        return (images, labels), labels
