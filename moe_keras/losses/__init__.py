"""What mixtures and their routers are trained for, as pure functions of their tensors."""

from moe_keras.losses.balancing import importance_loss, load_balancing_loss, load_loss
from moe_keras.losses.labels import guidance_loss, mutual_information
from moe_keras.losses.mixture import cooperative_loss, mixture_nll
from moe_keras.losses.router import gate_entropy, router_z_loss

__all__ = [
    "cooperative_loss",
    "gate_entropy",
    "guidance_loss",
    "importance_loss",
    "load_balancing_loss",
    "load_loss",
    "mixture_nll",
    "mutual_information",
    "router_z_loss",
]
