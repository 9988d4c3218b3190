"""Recipes that train the networks of the labs."""

from moe_keras.training.augmentation import AugmentedImages

__all__ = ["AugmentedImages"]
