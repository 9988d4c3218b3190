"""How they combine: mixtures run a gate and experts and weigh what the experts say."""

from moe_keras.mixtures.combine import Combine, combine
from moe_keras.mixtures.dense import DenseMoE
from moe_keras.mixtures.expert_choice import ExpertChoiceMoE
from moe_keras.mixtures.hierarchical import HierarchicalMoE
from moe_keras.mixtures.soft import SoftMoE
from moe_keras.mixtures.sparse import SparseMoE

__all__ = [
    "Combine",
    "DenseMoE",
    "ExpertChoiceMoE",
    "HierarchicalMoE",
    "SoftMoE",
    "SparseMoE",
    "combine",
]
