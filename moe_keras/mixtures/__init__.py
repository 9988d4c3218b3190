"""Mixtures of experts: layers that run a gate and experts and weigh the experts' outputs."""

from moe_keras.mixtures.accelerate import accelerate
from moe_keras.mixtures.cascade import CascadeMoE
from moe_keras.mixtures.combine import Combine, combine
from moe_keras.mixtures.dense import DenseMoE
from moe_keras.mixtures.dispatchers import (
    CapacityDispatcher,
    Dispatcher,
    ExpertParallelDispatcher,
    expert_parallel_layout,
)
from moe_keras.mixtures.expert_choice import ExpertChoiceMoE
from moe_keras.mixtures.gaussian import GaussianMoE
from moe_keras.mixtures.hierarchical import HierarchicalMoE
from moe_keras.mixtures.multi_gate import MultiGateMoE
from moe_keras.mixtures.progressive import ProgressiveExtraction
from moe_keras.mixtures.soft import SoftMoE
from moe_keras.mixtures.sparse import SparseMoE
from moe_keras.mixtures.upcycle import upcycle

__all__ = [
    "CapacityDispatcher",
    "CascadeMoE",
    "Combine",
    "DenseMoE",
    "Dispatcher",
    "ExpertChoiceMoE",
    "ExpertParallelDispatcher",
    "GaussianMoE",
    "HierarchicalMoE",
    "MultiGateMoE",
    "ProgressiveExtraction",
    "SoftMoE",
    "SparseMoE",
    "accelerate",
    "combine",
    "expert_parallel_layout",
    "upcycle",
]
