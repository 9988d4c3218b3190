"""Losses of mixtures and their routers, as pure functions of tensors."""

from moe_keras.losses.balancing import importance_loss, load_balancing_loss, load_loss
from moe_keras.losses.gaussian import gaussian_mixture_nll
from moe_keras.losses.labels import guidance_loss, mutual_information
from moe_keras.losses.mixture import cooperative_loss, mixture_nll
from moe_keras.losses.router import gate_entropy, router_z_loss
from moe_keras.losses.sequence import sequence_balance_loss

__all__ = [
    "cooperative_loss",
    "gate_entropy",
    "gaussian_mixture_nll",
    "guidance_loss",
    "importance_loss",
    "load_balancing_loss",
    "load_loss",
    "mixture_nll",
    "mutual_information",
    "router_z_loss",
    "sequence_balance_loss",
]
