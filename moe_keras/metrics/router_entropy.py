"""How undecided a router is."""

import keras

from moe_keras.losses.router import entropy


@keras.saving.register_keras_serializable(package="moe_keras")
class RouterEntropy(keras.metrics.Mean):
    """Mean entropy of the gate's probabilities, in nats, over all tokens since the last reset.

        H = mean over tokens of -sum_e p_e log p_e

    0 when the gate is certain, ln E when all experts are equal to it.

    Call arguments:
        probabilities: tensor of shape (..., E).
        sample_weight: tensor of shape (...), what each token counts; a mask, for example.

    Returns:
        Scalar tensor.

    Reference:
        Shannon (1948), A mathematical theory of communication, section 6.

    Example:

    >>> from moe_keras.metrics import RouterEntropy
    >>> undecided = RouterEntropy()
    >>> undecided.update_state([[0.5, 0.5], [1.0, 0.0]])
    >>> round(float(undecided.result()), 4)  # (ln 2 + 0) / 2
    0.3466
    """

    def __init__(self, name="router_entropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, probabilities, sample_weight=None):
        each = entropy(keras.ops.convert_to_tensor(probabilities, dtype=self.dtype))
        return super().update_state(each, sample_weight=sample_weight)
