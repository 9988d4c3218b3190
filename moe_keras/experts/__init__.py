"""Who answers: any layer or model can be an expert. Here are wrappers for them, and a builder."""

from moe_keras.experts.batch_norm import FusedBatchNormalization
from moe_keras.experts.class_subset import ClassSubset
from moe_keras.experts.expert import Expert
from moe_keras.experts.frozen import FrozenExpert
from moe_keras.experts.plain_vgg import plain_vgg
from moe_keras.experts.pretrained import pretrained_card, pretrained_vgg
from moe_keras.experts.stacked import StackedMLP
from moe_keras.experts.vgg import vgg

__all__ = [
    "ClassSubset",
    "Expert",
    "FrozenExpert",
    "FusedBatchNormalization",
    "StackedMLP",
    "plain_vgg",
    "pretrained_card",
    "pretrained_vgg",
    "vgg",
]
