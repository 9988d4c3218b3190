"""Mixture of Experts for Keras 3: gates weigh experts, mixtures combine what they say.

This is the table of contents: `gates` decide, `experts` answer, `mixtures` combine, `losses` keep
the experts evenly busy, `metrics` count how it goes, `data` holds the images to learn on. Import
`plots`, `inspection`, `training` and `checks` by name where they are needed.

Axes are named by one letter everywhere: B batch, T tokens, D features, E experts, k experts a
token, C classes, S slots.
"""

from moe_keras import data, experts, gates, losses, metrics, mixtures
from moe_keras.experts import ClassSubset, Expert, FrozenExpert, StackedMLP
from moe_keras.gates import (
    BiasBalancedGate,
    ExpertChoiceGate,
    Gate,
    GroupGate,
    HierarchicalGate,
    LabelGuidedGate,
    NoisyTopKGate,
    PerClassGate,
    SlotGate,
    SoftmaxGate,
    TopKGate,
)
from moe_keras.mixtures import (
    Combine,
    DenseMoE,
    ExpertChoiceMoE,
    HierarchicalMoE,
    SoftMoE,
    SparseMoE,
    combine,
)

__version__ = "0.1.0"

__all__ = [
    "BiasBalancedGate",
    "ClassSubset",
    "Combine",
    "DenseMoE",
    "Expert",
    "ExpertChoiceGate",
    "ExpertChoiceMoE",
    "FrozenExpert",
    "Gate",
    "GroupGate",
    "HierarchicalGate",
    "HierarchicalMoE",
    "LabelGuidedGate",
    "NoisyTopKGate",
    "PerClassGate",
    "SlotGate",
    "SoftMoE",
    "SoftmaxGate",
    "SparseMoE",
    "StackedMLP",
    "TopKGate",
    "combine",
    "data",
    "experts",
    "gates",
    "losses",
    "metrics",
    "mixtures",
]
