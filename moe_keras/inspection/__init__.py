"""Look inside a mixture, and compare it honestly with another model."""

from moe_keras.inspection.mean_interval import MeanInterval, mean_interval
from moe_keras.inspection.paired_interval import PairedInterval, paired_interval

__all__ = ["MeanInterval", "PairedInterval", "mean_interval", "paired_interval"]
