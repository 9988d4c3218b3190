"""Generated images that take the place of a dataset that cannot be had."""

from moe_keras.data.standin.cache import load_standin

__all__ = ["load_standin"]
