"""Look inside a mixture, and compare it honestly with another model."""

from moe_keras.inspection.calibration import (
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)
from moe_keras.inspection.diagnose import Diagnosis, Finding, UnhealthyMixture, diagnose
from moe_keras.inspection.explain import Explanation, explain
from moe_keras.inspection.mean_interval import MeanInterval, mean_interval
from moe_keras.inspection.multiply_adds import multiply_adds
from moe_keras.inspection.paired_interval import PairedInterval, paired_interval
from moe_keras.inspection.routing_table import RoutingTable, routing_table
from moe_keras.inspection.temperature import fit_temperature, with_temperature

__all__ = [
    "Diagnosis",
    "Explanation",
    "Finding",
    "MeanInterval",
    "PairedInterval",
    "RoutingTable",
    "UnhealthyMixture",
    "diagnose",
    "expected_calibration_error",
    "explain",
    "fit_temperature",
    "mean_interval",
    "multiply_adds",
    "negative_log_likelihood",
    "paired_interval",
    "reliability",
    "routing_table",
    "with_temperature",
]
