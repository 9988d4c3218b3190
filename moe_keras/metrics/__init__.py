"""Router metrics, accumulated over batches."""

from moe_keras.metrics.dropped_share import DroppedShare
from moe_keras.metrics.expert_load import ExpertLoad
from moe_keras.metrics.load_variation import LoadVariation
from moe_keras.metrics.router_entropy import RouterEntropy

__all__ = ["DroppedShare", "ExpertLoad", "LoadVariation", "RouterEntropy"]
