"""Hierarchical gate: a tree of softmax decisions."""

import math

import keras
from keras import ops

from moe_keras.arguments import positive_integer
from moe_keras.gates.gate import Gate


@keras.saving.register_keras_serializable(package="moe_keras")
class HierarchicalGate(Gate):
    """Hierarchical gate: an expert's weight is the product of the decisions on the way to it.

        scores at node n = x W_n + b_n
        decisions at node n = softmax(scores at node n), over the branches of n
        probabilities_e = product of the decisions on the path from the root to expert e
        logits = log(probabilities)

    The experts are the leaves, counted from left to right: with `branching=(2, 3)` expert 4 is the
    middle leaf of the right branch. Every node looks at the input itself. Such a gate on E experts
    is one mixture's; for a tree of mixtures (experts inside experts), or one whose branches differ
    in depth, put a `DenseMoE` among the experts of another.

    With `hard=True` each node sends everything down its most probable branch (the first of equals):
    `"probabilities"` is 1 for the expert where that ends, which need not be the most probable of
    all, and 0 elsewhere. A hard tree passes no gradient on. (`"logits"` stay soft.)

    Args:
        branching: Tuple of integers, the number of branches of each node, a number for each level
            from the root down. E is their product.
        hard: Boolean, whether one expert gets all the weight.

    Call arguments:
        inputs: tensor of shape (B, ..., D).

    Returns:
        A dict: `"logits"` and `"probabilities"`, both of shape (B, ..., E), float32.

    Raises:
        ValueError: if `branching` is empty or holds anything but whole numbers of at least 1.

    Reference:
        Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm, equations (1)
        to (4).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import HierarchicalGate
    >>> gate = HierarchicalGate(branching=(2, 3))
    >>> gate.num_experts, tuple(gate(np.ones((5, 8), "float32"))["probabilities"].shape)
    (6, (5, 6))
    """

    def __init__(self, branching, hard=False, **kwargs):
        super().__init__(**kwargs)
        if isinstance(branching, str) or not hasattr(branching, "__iter__") or not [*branching]:
            raise ValueError(
                "Expected branching to be one or more whole numbers, one for each level of the "
                f"tree. Received: branching={branching!r}"
            )
        self.branching = tuple(positive_integer("each of branching", b) for b in branching)
        self.hard = hard
        # One dense layer a level: all nodes of the level, all their branches.
        self.levels = [
            keras.layers.Dense(math.prod(self.branching[: level + 1]), dtype=self.dtype_policy)
            for level in range(len(self.branching))
        ]

    @property
    def num_experts(self):
        """E, the number of leaves."""
        return math.prod(self.branching)

    def build(self, input_shape):
        for level in self.levels:
            level.build(input_shape)

    def call(self, inputs):
        axes = ops.shape(inputs)[:-1]  # (B, ...)
        logits = ops.zeros((*axes, 1), dtype=self.compute_dtype)  # log(1): all reach the root
        reached = ops.ones((*axes, 1), dtype=self.compute_dtype)
        for level, branches in zip(self.levels, self.branching, strict=True):
            nodes = level.units // branches
            scores = ops.reshape(level(inputs), (*axes, nodes, branches))
            logits = ops.expand_dims(logits, -1) + ops.log_softmax(scores)
            logits = ops.reshape(logits, (*axes, level.units))  # (B, ..., nodes of the next level)
            if self.hard:
                taken = ops.one_hot(ops.argmax(scores, axis=-1), branches, dtype=scores.dtype)
                reached = ops.expand_dims(reached, -1) * taken
                reached = ops.reshape(reached, (*axes, level.units))
        return {"logits": logits, "probabilities": reached if self.hard else ops.exp(logits)}

    def get_config(self):
        return {**super().get_config(), "branching": self.branching, "hard": self.hard}
