"""Compare models honestly: intervals of accuracy, calibration, and the cost of an answer."""

from moe_keras.evaluation.calibration import (
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)
from moe_keras.evaluation.gaussian_mixture import (
    gaussian_mixture_interval,
    gaussian_mixture_moments,
)
from moe_keras.evaluation.mean_interval import mean_interval
from moe_keras.evaluation.multiply_adds import multiply_adds
from moe_keras.evaluation.paired_interval import paired_interval
from moe_keras.evaluation.temperature import fit_temperature, with_temperature
from moe_keras.evaluation.threshold import fit_threshold

__all__ = [
    "expected_calibration_error",
    "fit_temperature",
    "fit_threshold",
    "gaussian_mixture_interval",
    "gaussian_mixture_moments",
    "mean_interval",
    "multiply_adds",
    "negative_log_likelihood",
    "paired_interval",
    "reliability",
    "with_temperature",
]
