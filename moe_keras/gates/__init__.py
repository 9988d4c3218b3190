"""Gates (routers): turn an input into weights over experts."""

from moe_keras.gates.bias_balanced import BiasBalancedGate
from moe_keras.gates.expert_choice import ExpertChoiceGate
from moe_keras.gates.gate import Gate
from moe_keras.gates.group import GroupGate
from moe_keras.gates.group_limited import GroupLimitedGate
from moe_keras.gates.hierarchical import HierarchicalGate
from moe_keras.gates.label_guided import LabelGuidedGate
from moe_keras.gates.noisy_top_k import NoisyTopKGate
from moe_keras.gates.per_class import PerClassGate
from moe_keras.gates.slot import SlotGate
from moe_keras.gates.softmax import SoftmaxGate
from moe_keras.gates.top_k import TopKGate

__all__ = [
    "BiasBalancedGate",
    "ExpertChoiceGate",
    "Gate",
    "GroupGate",
    "GroupLimitedGate",
    "HierarchicalGate",
    "LabelGuidedGate",
    "NoisyTopKGate",
    "PerClassGate",
    "SlotGate",
    "SoftmaxGate",
    "TopKGate",
]
