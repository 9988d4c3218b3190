"""Look inside a mixture: which experts an input is sent to, and whether the mixture is healthy."""

from moe_keras.routing.diagnose import diagnose
from moe_keras.routing.explain import explain
from moe_keras.routing.routing_table import routing_table

__all__ = ["diagnose", "explain", "routing_table"]
