"""Recipes that train the networks of the labs."""

from moe_keras.training.augmentation import AugmentedImages
from moe_keras.training.frozen_outputs import FrozenOutputs, assemble
from moe_keras.training.lookahead import Lookahead
from moe_keras.training.pretrain import pretrain
from moe_keras.training.recipe import start_vgg, train_vgg
from moe_keras.training.router_log import RouterLog, shares
from moe_keras.training.scaled_sgd import ScaledSGD
from moe_keras.training.triangle import Triangle
from moe_keras.training.whitening import whitening_filters

__all__ = [
    "AugmentedImages",
    "FrozenOutputs",
    "Lookahead",
    "RouterLog",
    "ScaledSGD",
    "Triangle",
    "assemble",
    "pretrain",
    "shares",
    "start_vgg",
    "train_vgg",
    "whitening_filters",
]
