"""Weighted sum of the experts' outputs, as a function and as a layer."""

import keras
from keras import ops

from moe_keras.layer import MoELayer
from moe_keras.masks import weigh
from moe_keras.precision import float_dtype
from moe_keras.shapes import shapes_agree


def combine(weights, outputs):
    """Weighted sum of the experts' outputs.

        y = sum_e w_e y_e

    The weights' axes before the last are the outputs' first axes; a weight holds for all axes that
    follow. So weights (B, E) weigh whole outputs (B, ...), weights (B, T, E) weigh each token of
    (B, T, D), and weights (B, C, E) weigh each class of (B, C). An output of weight 0 is not there:
    it may be infinite or NaN.

    The sum is taken in the outputs' dtype: under mixed precision the gate's float32 weights are
    rounded to the experts' 16 bits, so that the mixture is as fast and as small as its experts, and
    what follows it sees the dtype that one expert alone would give. Whole numbers, such as votes,
    are weighed as floats.

    Args:
        weights: tensor of shape (..., E).
        outputs: list of E tensors of one shape, beginning with the weights' axes before the last.

    Returns:
        Tensor of the outputs' shape and dtype.

    Raises:
        ValueError: if there are not as many outputs as weights, the outputs' shapes differ, or the
            weights' axes are not the outputs' first ones.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts.
        Shazeer et al. (2017), Outrageously large neural networks, equation (1).

    Example:

    >>> import numpy as np
    >>> from moe_keras.mixtures import combine
    >>> weights = np.array([[0.25, 0.75]], "float32")
    >>> outputs = [np.array([[4.0, 0.0]], "float32"), np.array([[0.0, 8.0]], "float32")]
    >>> ops.convert_to_numpy(combine(weights, outputs)).tolist()
    [[1.0, 6.0]]
    """
    check_shapes(tuple(weights.shape), [tuple(output.shape) for output in outputs])
    dtype = float_dtype(*[output.dtype for output in outputs])
    weights = ops.cast(weights, dtype)
    for _ in range(len(outputs[0].shape) - len(weights.shape) + 1):
        weights = ops.expand_dims(weights, axis=-2)  # (..., 1, E): the axes that a weight holds for
    return sum(weigh(weights[..., e], ops.cast(y, dtype)) for e, y in enumerate(outputs))


def check_shapes(weights_shape, output_shapes, names=None, weights_name="weights"):
    """Raise a ValueError unless weights of this shape can weigh outputs of these shapes.

    Args:
        weights_shape: shape of the weights, None where a size is not known.
        output_shapes: the outputs' shapes, in the order of the weights.
        names: what to call the outputs in a message.
        weights_name: what to call the weights in a message.
    """
    names = names or [f"output {e}" for e in range(len(output_shapes))]
    if weights_shape[-1] != len(output_shapes):
        raise ValueError(
            f"Expected a weight for each of {len(names)} experts: {', '.join(names)}. "
            f"Received: {weights_name} of shape {weights_shape}, for {weights_shape[-1]} experts"
        )
    for name, shape in zip(names, output_shapes, strict=True):
        if not shapes_agree(shape, output_shapes[0]):
            raise ValueError(
                "Expected the experts' outputs to have one shape. Received: "
                f"{names[0]} gives {output_shapes[0]}, {name} gives {shape}"
            )
    weighed = weights_shape[:-1]
    if not shapes_agree(weighed, output_shapes[0][: len(weighed)]):
        raise ValueError(
            "Expected the weights' axes before the last to be the outputs' first axes (for one "
            "weight an image and expert, flatten or pool the images before the gate). "
            f"Received: {weights_name} of shape {weights_shape}, outputs {output_shapes[0]}"
        )


@keras.saving.register_keras_serializable(package="moe_keras")
class Combine(MoELayer):
    """Weighted sum of given outputs: `combine` as a layer.

        y = sum_e w_e y_e

    For gates that are trained on the stored outputs of frozen experts, and for wiring a mixture by
    hand.

    Call arguments:
        weights: tensor of shape (..., E).
        outputs: list of E tensors of one shape, beginning with the weights' axes before the last.

    Returns:
        Tensor of the outputs' shape and dtype.

    Raises:
        ValueError: as `combine` does.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts.

    Example:

    >>> from moe_keras.gates import PerClassGate
    >>> from moe_keras.mixtures import Combine
    >>> outputs = [keras.Input((10,)), keras.Input((10,))]
    >>> gate = PerClassGate(num_classes=10, num_experts=2)
    >>> weights = gate(ops.concatenate(outputs, axis=-1))["probabilities"]
    >>> model = keras.Model(outputs, Combine()(weights, outputs))
    >>> model.output_shape
    (None, 10)
    """

    def __init__(self, **kwargs):
        # No autocast: the outputs' dtype decides, not this layer's.
        super().__init__(autocast=False, **kwargs)

    def build(self, weights_shape, outputs_shape):
        check_shapes(weights_shape, outputs_shape)

    def call(self, weights, outputs):
        return combine(weights, outputs)

    def compute_output_shape(self, weights_shape, outputs_shape):
        return outputs_shape[0]

    def compute_mask(self, weights, previous_mask):
        return previous_mask  # the weights' axes are the output's first ones
