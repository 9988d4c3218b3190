"""Datasets: loading, verifying, the generated stand-ins, and the groups of their classes."""

from moe_keras.data.class_groups import (
    CIFAR10_ARTIFICIAL,
    CIFAR10_NATURAL,
    CLASS_NAMES,
    GUIDED_PAIRS,
    HIGH_DIGITS,
    LOW_DIGITS,
    group_labels,
    groups,
)
from moe_keras.data.datasets import Dataset, StandInWarning, load
from moe_keras.data.files import Location, Verification, fetch, locate, verify
from moe_keras.data.idx import read_idx, read_idx_pair, write_idx
from moe_keras.data.specs import SPECS

__all__ = [
    "CIFAR10_ARTIFICIAL",
    "CIFAR10_NATURAL",
    "CLASS_NAMES",
    "GUIDED_PAIRS",
    "HIGH_DIGITS",
    "LOW_DIGITS",
    "SPECS",
    "Dataset",
    "Location",
    "StandInWarning",
    "Verification",
    "fetch",
    "group_labels",
    "groups",
    "load",
    "locate",
    "read_idx",
    "read_idx_pair",
    "verify",
    "write_idx",
]
