"""The dense mixture: every expert answers every input."""

import keras

from moe_keras.mixtures.combine import check_shapes, combine
from moe_keras.mixtures.mixture import Mixture
from moe_keras.nested import output_shape


@keras.saving.register_keras_serializable(package="moe_keras")
class DenseMoE(Mixture):
    """Runs every expert and sums their outputs, weighed by a gate.

        y = sum_e G(x)_e E_e(x)

    Experts and gate see the same inputs. A `DenseMoE` can be an expert of another one: a hierarchy.

    Args:
        experts: list of Keras layers or models whose outputs have one shape. The same instance
            twice is refused; two `Expert` wrappers around one layer share it on purpose. Or a
            `StackedMLP`.
        gate: a `Gate`, or any layer or model that gives a weight tensor or a dict with
            `"probabilities"`. Weights (B, E) weigh whole outputs, (B, T, E) each token of
            (B, T, D), (B, C, E) each class of (B, C).

    Call arguments:
        inputs: what the experts and the gate take.
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

    def call(self, inputs, training=None):
        weights = _weights(self.gate(inputs, training=training), self.gate)
        outputs = [expert(inputs, training=training) for expert in self.members()]
        return combine(weights, outputs)


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
