"""What a router is trained for besides the task, as pure functions of its tensors."""

from moe_keras.losses.balancing import importance_loss, load_balancing_loss, load_loss
from moe_keras.losses.router import gate_entropy, router_z_loss

__all__ = [
    "gate_entropy",
    "importance_loss",
    "load_balancing_loss",
    "load_loss",
    "router_z_loss",
]
