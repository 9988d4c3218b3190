"""Mixture of Gaussians: regression with a likelihood."""

import keras
from keras import ops

from moe_keras.arguments import positive_number
from moe_keras.call_expert import call_expert
from moe_keras.losses.router import SMALLEST
from moe_keras.mixtures.combine import check_shapes
from moe_keras.mixtures.dense import _weights, inputs_shown
from moe_keras.mixtures.mixture import Mixture
from moe_keras.serialization import output_shape

SCALES = ("expert", "input")


@keras.saving.register_keras_serializable(package="moe_keras")
class GaussianMoE(Mixture):
    """Mixture of Gaussians for regression, with learned scales: a mixture density network.

        p(y | x) = sum_e G(x)_e prod_d N(y_d; mean_e(x)_d, scale_ed^2)
        scale = softplus(raw scale) + min_scale

    Instead of one number it answers with a distribution: train it with the loss
    `gaussian_mixture_nll`, and ask `evaluation.gaussian_mixture_interval` for prediction intervals
    and `evaluation.gaussian_mixture_moments` for mean and standard deviation.

    Experts of one linear layer each make Bishop's mixture density network (there with one scale for
    all D), experts of one's own the mixture of Jacobs et al. (there with scale 1). Scales start
    near 0.7: bring targets to a standard deviation of about 1. A likelihood grows without bound
    where a Gaussian settles on one example; `min_scale` is what keeps it from that.

    Args:
        experts: List of Keras layers or models whose outputs have one shape, no instance twice; or
            a `StackedMLP`. With `scales="expert"` an expert gives D means, with `scales="input"`
            2 D numbers: the means, then the raw scales.
        gate: `Gate`, or any layer or model that gives a weight tensor or a dict with
            `"probabilities"`; the weights are divided by their sum.
        scales: String, `"expert"`: each expert has learned scales, the same for all inputs; or
            `"input"`: each expert says how sure it is of an input.
        min_scale: Float above 0, the least scale.

    Call arguments:
        inputs: what the experts and the gate take.
        mask: boolean tensor of the inputs' first axes, False for padding; passed on to the experts
            and the gate.
        training: passed on to the experts and the gate.

    Returns:
        Tensor of shape (..., E, 1 + 2 D), float32 under mixed precision too: for each expert the
        logarithm of its weight, D means and D scales. (...) are the axes that the gate weighs,
        such as (B) or (B, T).

    Raises:
        ValueError: if `scales` is another name, `min_scale` is not above 0, the experts' outputs
            differ in shape, are not of shape (..., D) or have no even size for `scales="input"`, or
            the gate weighs another number of experts.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts, equation (1.3).
        Bishop (1994), Mixture density networks, equations (22) and (23).

    Example:

    >>> import numpy as np
    >>> from moe_keras.evaluation import gaussian_mixture_interval
    >>> from moe_keras.gates import SoftmaxGate
    >>> from moe_keras.losses import gaussian_mixture_nll
    >>> from moe_keras.mixtures import GaussianMoE
    >>> experts = [keras.layers.Dense(2) for _ in range(3)]  # a mean and a raw scale
    >>> model = keras.Sequential(
    ...     [keras.layers.Dense(16, "relu"), GaussianMoE(experts, SoftmaxGate(3), scales="input")]
    ... )
    >>> model.compile("adam", loss=gaussian_mixture_nll)
    >>> x, y = np.ones((8, 4), "float32"), np.zeros((8, 1), "float32")
    >>> history = model.fit(x, y, verbose=0)
    >>> low, high = gaussian_mixture_interval(model.predict(x, verbose=0), coverage=0.9)
    >>> low.shape, bool((low < high).all())
    ((8, 1), True)
    """

    def __init__(self, experts, gate, scales="expert", min_scale=1e-3, **kwargs):
        super().__init__(experts, gate, **kwargs)
        if scales not in SCALES:
            raise ValueError(
                f"Expected scales to be one of {', '.join(map(repr, SCALES))}. "
                f"Received: scales={scales!r}"
            )
        self.scales = scales
        self.min_scale = positive_number("min_scale", min_scale)

    def build(self, input_shape):
        names, shapes = self.expert_shapes(input_shape)
        weights = _weights(output_shape(self.gate, input_shape), self.gate)
        check_shapes(weights, shapes, names, f"weights of '{self.gate.name}'")
        *axes, size = shapes[0]
        if len(axes) != len(weights) - 1 or not size:
            raise ValueError(
                f"Expected experts that give numbers (..., D) where the gate weighs (...). "
                f"Received: {names[0]} gives {shapes[0]}, weights of '{self.gate.name}' of shape "
                f"{weights}"
            )
        if self.scales == "input":
            if size % 2:
                raise ValueError(
                    "Expected experts that give 2 D numbers for scales='input': means, then raw "
                    f"scales. Received: {names[0]} gives {shapes[0]}"
                )
        else:
            self.raw_scales = self.add_weight(
                shape=(len(shapes), size),
                initializer="zeros",
                autocast=False,
                name="raw_scales",
            )

    def call(self, inputs, mask=None, training=None):
        weights = _weights(self.ask_gate(inputs, mask, training), self.gate)  # (..., E)
        experts = list(self.experts)
        outputs = [
            call_expert(expert, shown, mask, training=training)
            for expert, shown in zip(experts, inputs_shown(inputs, weights, experts), strict=True)
        ]
        dtype = keras.backend.result_type(outputs[0].dtype, "float32")
        outputs = ops.stack([ops.cast(y, dtype) for y in outputs], axis=-2)  # (..., E, D or 2 D)
        # An expert of weight 0 is not there, whatever it says.
        outputs = ops.where(ops.expand_dims(weights, -1) == 0, ops.zeros_like(outputs), outputs)
        log_weights = ops.log_softmax(ops.log(ops.maximum(ops.cast(weights, dtype), SMALLEST)))
        if self.scales == "input":
            means, raw_scales = ops.split(outputs, 2, axis=-1)
        else:
            means = outputs
            raw_scales = ops.broadcast_to(ops.cast(self.raw_scales, dtype), ops.shape(means))
        scales = ops.softplus(raw_scales) + self.min_scale
        return ops.concatenate([ops.expand_dims(log_weights, -1), means, scales], axis=-1)

    def get_config(self):
        return {**super().get_config(), "scales": self.scales, "min_scale": self.min_scale}
