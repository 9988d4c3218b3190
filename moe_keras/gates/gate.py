"""The base of every gate."""

from moe_keras.layer import MoELayer


class Gate(MoELayer):
    """Base of every gate: a layer that turns an input into weights over experts.

    A gate of one's own derives from `Gate` and writes `build` and `call`. `call` returns a dict of
    tensors with distinct names, among them:

    - `"logits"`, shape (..., E): scores before the softmax;
    - `"probabilities"`, shape (..., E): the weights, not negative, summing to 1 over the experts.

    A gate computes in float32 whatever the global dtype policy is: two experts' scores may differ
    by less than a 16-bit float can tell, and an exponential makes large errors of small ones. The
    gate is a tiny part of a mixture, so this costs next to nothing (Fedus et al. 2021, "selective
    precision").

    Args:
        dtype: the gate's dtype or dtype policy.
        **kwargs: `name` and the other arguments of a Keras layer.

    Reference:
        Fedus, Zoph & Shazeer (2021), Switch Transformers, section 2.4 (selective precision).

    Example:

    A gate that trusts every expert equally:

    >>> from keras import ops
    >>> from moe_keras.gates import Gate
    >>> class EvenGate(Gate):
    ...     def call(self, inputs):
    ...         logits = ops.zeros((ops.shape(inputs)[0], 4))  # (B, E)
    ...         return {"logits": logits, "probabilities": ops.softmax(logits)}
    >>> ops.convert_to_numpy(EvenGate()(ops.ones((1, 3)))["probabilities"]).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, *, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
