"""Recipes that train the networks of the labs."""

from moe_keras.training.augmentation import AugmentedImages
from moe_keras.training.one_cycle import one_cycle
from moe_keras.training.router_log import RouterLog, shares

__all__ = ["AugmentedImages", "RouterLog", "one_cycle", "shares"]
