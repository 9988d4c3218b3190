"""Operations that Keras lacks, on TensorFlow, JAX and PyTorch."""

from moe_keras.ops.ragged_dot import ragged_dot

__all__ = ["ragged_dot"]
