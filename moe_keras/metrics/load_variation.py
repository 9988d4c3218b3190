"""Coefficient of variation of the expert load."""

import keras
from keras import ops

from moe_keras.losses.balancing import variation_squared
from moe_keras.metrics.expert_load import ExpertLoad


@keras.saving.register_keras_serializable(package="moe_keras")
class LoadVariation(ExpertLoad):
    """Coefficient of variation of the expert load, over all batches since the last reset.

        CV = standard deviation of load / mean of load

    0 when all experts are equally busy, sqrt(E - 1) when one does all the work. It is the load of
    all batches together that varies: experts that are busy in turn are evenly busy.

    Args:
        num_experts: Integer, number of experts E.

    Call arguments:
        indices: Integer tensor of shape (..., k), the chosen experts.
        sample_weight: Tensor of shape (...), weight of each token; a mask, for example.

    Returns:
        Scalar tensor; 0 before the first choice.

    Raises:
        ValueError: if `num_experts` is not a whole number of at least 1.

    Reference:
        Shazeer et al. (2017), Outrageously large neural networks, section 4.

    Example:

    >>> from moe_keras.metrics import LoadVariation
    >>> variation = LoadVariation(num_experts=2)
    >>> variation.update_state([[0], [0], [0], [1]])  # load 3/4, 1/4: 1/4 off a mean of 1/2
    >>> round(float(variation.result()), 3)
    0.5
    """

    def __init__(self, num_experts, name="load_variation", **kwargs):
        super().__init__(num_experts, name=name, **kwargs)

    def result(self):
        return ops.sqrt(variation_squared(super().result()))
