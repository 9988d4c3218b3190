"""Dense mixture of experts: every expert runs on every input."""

import keras
from keras import ops

from moe_keras.call_expert import call_expert
from moe_keras.masks import fill_rows
from moe_keras.mixtures.combine import check_shapes, combine
from moe_keras.mixtures.mixture import Mixture
from moe_keras.serialization import output_shape


@keras.saving.register_keras_serializable(package="moe_keras")
class DenseMoE(Mixture):
    """Dense mixture of experts: the sum of all experts' outputs, weighed by a gate.

        y = sum_e G(x)_e E_e(x)

    Experts and gate see the same inputs. A `DenseMoE` can be an expert of another one: a hierarchy.

    Args:
        experts: List of Keras layers or models whose outputs have one shape. The same instance
            twice is refused; two `Expert` wrappers around one layer share it on purpose. Or a
            `StackedMLP`.
        gate: `Gate`, or any layer or model that gives a weight tensor or a dict with
            `"probabilities"`. Weights (B, E) weigh whole outputs, (B, T, E) each token of
            (B, T, D), (B, C, E) each class of (B, C).

    Call arguments:
        inputs: what the experts and the gate take.
        mask: boolean tensor of the inputs' first axes, False for padding; passed on to the experts
            and the gate.
        training: passed on to the experts and the gate.

    Returns:
        Tensor of the shape and dtype of the experts' outputs.

    Raises:
        ValueError: if there are no experts, one of them or the gate is not a Keras layer, an expert
            comes twice, the experts' outputs differ in shape, or the gate weighs another number of
            experts or axes that the outputs do not have.

    Reference:
        Jacobs, Jordan, Nowlan & Hinton (1991), Adaptive mixtures of local experts.
        Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm.
        Shazeer et al. (2017), Outrageously large neural networks, equation (1).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import SoftmaxGate
    >>> from moe_keras.mixtures import DenseMoE
    >>> experts = [keras.layers.Dense(4, name="natural"), keras.layers.Dense(4, name="artificial")]
    >>> mixture = DenseMoE(experts, gate=SoftmaxGate(num_experts=2))
    >>> tuple(mixture(np.ones((5, 8), "float32")).shape)
    (5, 4)
    """

    def build(self, input_shape):
        names, shapes = self.expert_shapes(input_shape)
        weights_shape = _weights(output_shape(self.gate, input_shape), self.gate)
        check_shapes(weights_shape, shapes, names, f"weights of '{self.gate.name}'")

    def call(self, inputs, mask=None, training=None):
        weights = _weights(self.ask_gate(inputs, mask, training), self.gate)
        experts = list(self.experts)
        outputs = [
            call_expert(expert, shown, mask, training=training)
            for expert, shown in zip(experts, inputs_shown(inputs, weights, experts), strict=True)
        ]
        return combine(weights, outputs)


def inputs_shown(inputs, weights, experts):
    """What each expert sees: the inputs, with a stand-in for whole ones that have weight 0.

    `combine` takes no answer of weight 0, but 0 times its infinite slope would be no gradient. An
    expert that looks at the batch (batch normalization) sees all of it, as it is.
    """
    by_row = [not expert.non_trainable_weights for expert in experts]
    if keras.tree.is_nested(inputs) or len(weights.shape) != 2 or not any(by_row):
        return [inputs] * len(experts)
    filled = fill_rows(inputs, ops.not_equal(weights, 0))
    return [rows if apart else inputs for rows, apart in zip(filled, by_row, strict=True)]


def _weights(answer, gate):
    """The weights in a gate's answer, or their shape in the shapes of its answer."""
    if not isinstance(answer, dict):
        return answer
    if "probabilities" not in answer:
        raise ValueError(
            'Expected the gate to give a tensor of weights or a dict with "probabilities". '
            f"Received: '{gate.name}', which gives {sorted(answer)}"
        )
    return answer["probabilities"]
