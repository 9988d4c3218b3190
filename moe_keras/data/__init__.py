"""Datasets: loading, verifying, the generated stand-ins, and the groups of their classes."""

from moe_keras.data.class_groups import group_labels, groups
from moe_keras.data.datasets import StandInWarning, load
from moe_keras.data.files import fetch, locate, verify
from moe_keras.data.idx import read_idx_pair, write_idx
from moe_keras.data.specs import SPECS, DatasetSpec

__all__ = [
    "SPECS",
    "DatasetSpec",
    "StandInWarning",
    "fetch",
    "group_labels",
    "groups",
    "load",
    "locate",
    "read_idx_pair",
    "verify",
    "write_idx",
]
