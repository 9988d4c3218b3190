"""Mixture of Experts for Keras 3: gates weigh experts, mixtures combine what they say.

This is the table of contents: `gates` decide, `experts` answer, `mixtures` combine, `losses` keep
the experts evenly busy, `metrics` count how it goes, `data` holds the images to learn on. Import
`routing`, `evaluation`, `plots` and `training` by name where they are needed.

Axes are named by one letter everywhere: B batch, T tokens, D features, E experts, k experts a
token, C classes, S slots.
"""

# First: it says what to install where Keras has nothing to run on.
from moe_keras import backend  # noqa: F401

# isort: split
from moe_keras import data as data
from moe_keras import experts as experts
from moe_keras import gates as gates
from moe_keras import losses as losses
from moe_keras import metrics as metrics
from moe_keras import mixtures as mixtures
from moe_keras.experts import ClassSubset, Expert, FrozenExpert, StackedMLP
from moe_keras.gates import (
    BiasBalancedGate,
    ExpertChoiceGate,
    Gate,
    GroupGate,
    GroupLimitedGate,
    HierarchicalGate,
    LabelGuidedGate,
    NoisyTopKGate,
    PerClassGate,
    SlotGate,
    SoftmaxGate,
    TopKGate,
)
from moe_keras.mixtures import (
    CascadeMoE,
    Combine,
    DenseMoE,
    ExpertChoiceMoE,
    GaussianMoE,
    HierarchicalMoE,
    MultiGateMoE,
    ProgressiveExtraction,
    SoftMoE,
    SparseMoE,
    combine,
)

__version__ = "0.1.0"

__all__ = [
    "BiasBalancedGate",
    "CascadeMoE",
    "ClassSubset",
    "Combine",
    "DenseMoE",
    "Expert",
    "ExpertChoiceGate",
    "ExpertChoiceMoE",
    "FrozenExpert",
    "Gate",
    "GaussianMoE",
    "GroupGate",
    "GroupLimitedGate",
    "HierarchicalGate",
    "HierarchicalMoE",
    "LabelGuidedGate",
    "MultiGateMoE",
    "NoisyTopKGate",
    "PerClassGate",
    "ProgressiveExtraction",
    "SlotGate",
    "SoftMoE",
    "SoftmaxGate",
    "SparseMoE",
    "StackedMLP",
    "TopKGate",
    "combine",
]
