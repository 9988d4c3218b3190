"""Base class of gates."""

import keras

from moe_keras.layer import MoELayer
from moe_keras.precision import float32_or_better_dtype
from moe_keras.quantization import never_quantize


class Gate(MoELayer):
    """Base class of gates: layers that turn an input into weights over experts.

    A gate of one's own derives from `Gate` and writes `build` and `call`. `call` returns a dict of
    tensors with distinct names, among them:

    - `"logits"`, shape (..., E): scores before the softmax;
    - `"probabilities"`, shape (..., E): the weights, not negative, summing to 1 over the experts.

    A gate computes in float32 even where the global dtype policy has 16 bits: two experts' scores
    may differ by less than a 16-bit float can tell, and an exponential makes large errors of small
    ones. The gate is a tiny part of a mixture, so this costs next to nothing (Fedus et al. 2021,
    "selective precision"). For the same reason `model.quantize` passes over it.

    Args:
        dtype: String or dtype policy of the gate; `None`: "float32", or "float64" where the global
            dtype policy computes in it.
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

    hands_masks_on = True

    def __init__(self, *, dtype=None, **kwargs):
        if dtype is None:
            dtype = float32_or_better_dtype(keras.config.dtype_policy().compute_dtype)
        super().__init__(dtype=dtype, **kwargs)

    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        never_quantize(self)  # after the first call, which may have made layers
        return outputs

    def save_own_variables(self, store):
        super().save_own_variables(store)
        # Keras leaves the state of random numbers out, so a resumed training would draw others.
        generator = getattr(self, "seed_generator", None)
        if generator is not None:
            store["seed_generator"] = generator.state

    def load_own_variables(self, store):
        names = list(store.keys())  # a file's group knows no more of a dictionary than this
        values = {name: store[name] for name in names}
        state = values.pop("seed_generator", None)  # older files have none
        super().load_own_variables(values)
        generator = getattr(self, "seed_generator", None)
        if generator is not None and state is not None:
            generator.state.assign(state)
