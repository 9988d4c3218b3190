"""Fraction of assignments per expert."""

import keras
from keras import ops

from moe_keras.arguments import positive_integer
from moe_keras.losses.tokens import one_hot, token_sum
from moe_keras.precision import float32_or_better_dtype
from moe_keras.shapes import expect_shape


def expert_load(assignments):
    """Fraction of assignments per expert.

        load_e = assignments to expert e / all assignments

    Args:
        assignments: Tensor of shape (..., E), how many assignments each expert has: 1 or 0, its
            weight, or a count.

    Returns:
        Tensor of shape (E,) with sum 1; zeros where there are no assignments.

    Example:

    >>> ops.convert_to_numpy(expert_load([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])).tolist()
    [0.5, 0.5, 0.0]
    """
    counts = token_sum(assignments)
    return ops.divide_no_nan(counts, ops.sum(counts))


@keras.saving.register_keras_serializable(package="moe_keras")
class ExpertLoad(keras.metrics.Metric):
    """Fraction of assignments per expert, over all batches since the last reset.

        load_e = choices of expert e / all choices

    Counts are summed, over batches and over the replicas of a distribution strategy alike, and
    divided at the end, so that a smaller last batch counts for what it is.

    Args:
        num_experts: Integer, number of experts E.

    Call arguments:
        indices: Integer tensor of shape (..., k), the chosen experts.
        sample_weight: Tensor of shape (...), weight of each token; a mask, for example.

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

    def __init__(self, num_experts, name="expert_load", dtype=None, **kwargs):
        super().__init__(name=name, dtype=float32_or_better_dtype(dtype), **kwargs)
        self.num_experts = positive_integer("num_experts", num_experts)
        self.counts = self.add_variable(
            shape=(self.num_experts,), initializer="zeros", name="counts"
        )

    def update_state(self, indices, sample_weight=None):
        chosen = one_hot(indices, self.num_experts, self.dtype)  # (..., k, E)
        if sample_weight is not None:
            weight = ops.cast(sample_weight, self.dtype)
            expect_shape("sample_weight", weight.shape, chosen.shape[:-2], "the indices")
            chosen = chosen * ops.expand_dims(ops.expand_dims(weight, -1), -1)
        self.counts.assign_add(ops.sum(ops.reshape(chosen, (-1, self.num_experts)), axis=0))

    def result(self):
        return expert_load(self.counts.value)

    def get_config(self):
        return {**super().get_config(), "num_experts": self.num_experts}
