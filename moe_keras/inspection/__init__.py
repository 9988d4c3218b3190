"""Look inside a mixture, and compare it honestly with another model."""

from moe_keras.inspection.paired_interval import PairedInterval, paired_interval

__all__ = ["PairedInterval", "paired_interval"]
