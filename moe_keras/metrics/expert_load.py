"""Who gets the work."""

import keras
from keras import ops

from moe_keras.arguments import positive_integer


@keras.saving.register_keras_serializable(package="moe_keras")
class ExpertLoad(keras.metrics.Metric):
    """Share of all choices that fell on each expert, over all batches since the last reset.

        load_e = choices of expert e / all choices

    Counts are summed, over batches and over the replicas of a distribution strategy alike, and
    divided at the end, so that a smaller last batch counts for what it is.

    Args:
        num_experts: E, how many experts there are.

    Call arguments:
        indices: integer tensor of shape (..., k), the chosen experts.
        sample_weight: tensor of shape (...), what each token counts; a mask, for example.

    Returns:
        Tensor of shape (E,) with sum 1; zeros before the first choice.

    Raises:
        ValueError: if `num_experts` is not a whole number of at least 1.

    Reference:
        Fedus, Zoph & Shazeer (2021), Switch Transformers, equation (5), there for one batch.

    Example:

    >>> from moe_keras.metrics import ExpertLoad
    >>> load = ExpertLoad(num_experts=3)
    >>> load.update_state([[0, 1], [0, 1]])
    >>> load.update_state([[0, 1], [0, 0]], sample_weight=[1, 0])  # the second token is padding
    >>> ops.convert_to_numpy(load.result()).tolist()
    [0.5, 0.5, 0.0]
    """

    def __init__(self, num_experts, name="expert_load", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.counts = self.add_variable(
            shape=(self.num_experts,), initializer="zeros", name="counts"
        )

    def update_state(self, indices, sample_weight=None):
        chosen = ops.one_hot(indices, self.num_experts, dtype=self.dtype)  # (..., k, E)
        if sample_weight is not None:
            weight = ops.cast(sample_weight, self.dtype)
            chosen = chosen * ops.expand_dims(ops.expand_dims(weight, -1), -1)
        self.counts.assign_add(ops.sum(ops.reshape(chosen, (-1, self.num_experts)), axis=0))

    def result(self):
        return ops.divide_no_nan(self.counts.value, ops.sum(self.counts))

    def get_config(self):
        return {**super().get_config(), "num_experts": self.num_experts}
