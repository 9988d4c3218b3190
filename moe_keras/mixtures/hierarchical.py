"""Hierarchical mixture of experts: a tree of experts behind a tree of decisions."""

import keras

from moe_keras.gates import HierarchicalGate
from moe_keras.mixtures.dense import DenseMoE
from moe_keras.serialization import serialize


@keras.saving.register_keras_serializable(package="moe_keras")
class HierarchicalMoE(DenseMoE):
    """Hierarchical mixture: sums the experts at the leaves of a tree of gating decisions.

        y = sum_i g_i sum_j g_ij E_ij(x)                          (two levels; any depth likewise)

    All nodes of a level have as many branches. For a tree whose branches differ in depth, put a
    mixture among the experts of another one.

    Args:
        experts: Nested list of Keras layers or models, [[E_11, E_12], [E_21, E_22]], say, whose
            outputs have one shape. The same instance twice is refused.
        gate: `HierarchicalGate` with the tree's `branching`; `None`: a soft one is made.

    Call arguments:
        inputs: what the experts and the gate take.
        mask: boolean tensor of the inputs' first axes, False for padding; passed on to the experts
            and the gate.
        training: passed on to the experts and the gate.

    Returns:
        Tensor of the shape and dtype of the experts' outputs.

    Raises:
        ValueError: if the tree is empty or its nodes of one level differ in their branches, the
            gate is of another tree, and as a `DenseMoE` does.

    Reference:
        Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm, equations (1)
        to (4).

    Example:

    >>> import numpy as np
    >>> from moe_keras.mixtures import HierarchicalMoE
    >>> tree = [[keras.layers.Dense(4) for _ in range(3)] for _ in range(2)]
    >>> mixture = HierarchicalMoE(tree)
    >>> mixture.gate.branching, tuple(mixture(np.ones((5, 8), "float32")).shape)
    ((2, 3), (5, 4))
    """

    def __init__(self, experts, gate=None, **kwargs):
        branching, leaves = _tree(experts)
        if gate is None:
            gate = HierarchicalGate(branching)
        if not isinstance(gate, HierarchicalGate) or gate.branching != branching:
            raise ValueError(
                f"Expected a HierarchicalGate with branching={branching}, as the experts are "
                f"nested. Received: {getattr(gate, 'branching', gate)}"
            )
        super().__init__(leaves, gate, **kwargs)

    def get_config(self):
        experts = [serialize(expert) for expert in self.experts]
        for branches in reversed(self.gate.branching[1:]):
            experts = [experts[i : i + branches] for i in range(0, len(experts), branches)]
        return {**super().get_config(), "experts": experts}


def _tree(experts):
    """The branches of each level of a nested list, and its leaves from left to right."""
    level, branching = [experts], []
    while all(isinstance(node, list | tuple) for node in level):
        sizes = {len(node) for node in level}
        if len(sizes) > 1 or 0 in sizes:
            raise ValueError(
                "Expected a nested list in which all nodes of a level have as many branches, 1 or "
                f"more. Received: nodes with {sorted(sizes)} branches on level {len(branching) + 1}"
            )
        branching.append(sizes.pop())
        level = [branch for node in level for branch in node]
    if not branching or any(isinstance(node, list | tuple) for node in level):
        raise ValueError(
            "Expected a nested list of experts with all of them at one depth. "
            f"Received: experts={experts!r}"
        )
    return tuple(branching), level
