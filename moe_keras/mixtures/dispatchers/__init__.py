"""Dispatchers: how tokens reach the experts that were chosen for them. They differ in cost alone.

One file each. To add one, write a class that derives from `Dispatcher` in a file of its own, and
give it a name in `registry.DISPATCHERS`.
"""

from moe_keras.mixtures.dispatchers.capacity import CapacityDispatcher
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher, Routing
from moe_keras.mixtures.dispatchers.expert_parallel import (
    ExpertParallelDispatcher,
    expert_parallel_layout,
)
from moe_keras.mixtures.dispatchers.registry import DISPATCHERS, candidates, first_that_works

__all__ = [
    "DISPATCHERS",
    "CapacityDispatcher",
    "Dispatcher",
    "ExpertParallelDispatcher",
    "Routing",
    "candidates",
    "expert_parallel_layout",
    "first_that_works",
]
