"""An expert that no longer learns."""

import keras

from moe_keras.experts.expert import Expert


@keras.saving.register_keras_serializable(package="moe_keras")
class FrozenExpert(Expert):
    """Wraps a trained layer or model so that training on top of it does not change it.

        E(x) = layer(x), in inference mode, with constant weights

    Two things have to be switched off. `trainable = False` stops the optimizer, but dropout would
    still drop and batch normalisation could still update its statistics; so the layer is also
    always called with `training=False`. Setting `trainable = True` on a model around it does not
    thaw it. Gradients still pass through to its inputs.

    The layer itself is frozen, wherever else it is used. To train it again, set `trainable = True`
    on the layer, not on this wrapper.

    Args:
        layer: a Keras layer or model.

    Call arguments:
        inputs: what the layer takes.
        training: has no effect on the layer.

    Returns:
        What the layer returns in inference.

    Raises:
        ValueError: if `layer` is not a Keras layer or model.

    Example:

    >>> from moe_keras.experts import FrozenExpert
    >>> trained = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> model = keras.Sequential([keras.Input((8,)), FrozenExpert(trained), keras.layers.Dense(2)])
    >>> model.trainable = True
    >>> [tuple(weight.shape) for weight in model.trainable_weights]
    [(3, 2), (2,)]
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.layer.trainable = False
        self.hand_back = keras.layers.Identity()

    @property
    def trainable(self):
        return False

    @trainable.setter
    def trainable(self, value):
        # A model sets its layers' `trainable` along with its own; here that only freezes again.
        self.layer.trainable = False

    def call(self, inputs, training=None):
        outputs = self.layer(inputs, training=False)
        # Keras hands the last `training` it saw on to later layers that are not told theirs, so the
        # outer value must be put back, or dropout after this layer would be off as well.
        return self.hand_back(outputs, training=training)
