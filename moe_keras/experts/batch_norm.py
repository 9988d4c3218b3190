"""Batch normalization in one kernel."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="moe_keras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of images, with TensorFlow's fused kernel in training.

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    mean and variance are those of the batch in training and the moving ones in inference. Keras
    takes a dozen operations for that, in float32 whatever the policy; one kernel that reads and
    writes 16 bits makes a step of a convolutional network in bfloat16 about twice as quick. On
    other backends, with a mask or renorm, and without scale or center, it is Keras's own.

    Args:
        **kwargs: those of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: tensor of shape (B, height, width, channels).
        training: Boolean, whether to normalize by the batch.

    Returns:
        Tensor of the inputs' shape.

    Reference:
        Ioffe & Szegedy (2015), Batch normalization, algorithms 1 and 2.

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts.batch_norm import FusedBatchNormalization
    >>> images = np.random.default_rng(0).normal(3, 2, size=(8, 4, 4, 2)).astype("float32")
    >>> normalized = ops.convert_to_numpy(FusedBatchNormalization()(images, training=True))
    >>> float(abs(normalized.mean()).round(3)), float(normalized.std().round(2))
    (0.0, 1.0)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs, training=None, mask=None):
        fused = (
            keras.backend.backend() == "tensorflow"
            and training
            and self.trainable
            and mask is None
            and not self.synchronized
            and not getattr(self, "renorm", False)
            and self.compute_dtype != "float64"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
        )
        if not fused:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.cast(self.gamma, "float32"),
            offset=ops.cast(self.beta, "float32"),
            mean=tf.constant([]),
            variance=tf.constant([]),
            is_training=True,
            epsilon=self.epsilon,
        )
        # The kernel gives the unbiased variance; Keras keeps the biased one.
        count = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance * (count - 1) / count),
        ):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs
