"""What a router is trained for besides the task, as pure functions of its tensors."""

from moe_keras.losses.balancing import importance_loss, load_balancing_loss, load_loss
from moe_keras.losses.labels import guidance_loss, mutual_information
from moe_keras.losses.router import gate_entropy, router_z_loss

__all__ = [
    "gate_entropy",
    "guidance_loss",
    "importance_loss",
    "load_balancing_loss",
    "load_loss",
    "mutual_information",
    "router_z_loss",
]
