"""Experts: any layer or model can be one. Wrappers, sets of experts, and builders."""

from moe_keras.experts.class_subset import ClassSubset
from moe_keras.experts.expert import Expert
from moe_keras.experts.frozen import FrozenExpert
from moe_keras.experts.pretrained import pretrained_card, pretrained_vgg
from moe_keras.experts.stacked import StackedMLP
from moe_keras.experts.vgg import vgg

__all__ = [
    "ClassSubset",
    "Expert",
    "FrozenExpert",
    "StackedMLP",
    "pretrained_card",
    "pretrained_vgg",
    "vgg",
]
