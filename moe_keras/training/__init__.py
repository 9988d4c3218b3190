"""Training of the networks of the labs."""

from moe_keras.training.augmentation import AugmentedImages
from moe_keras.training.frozen_outputs import FrozenOutputs, assemble
from moe_keras.training.router_log import RouterLog
from moe_keras.training.triangular_schedule import TriangularSchedule

__all__ = [
    "AugmentedImages",
    "FrozenOutputs",
    "RouterLog",
    "TriangularSchedule",
    "assemble",
]
