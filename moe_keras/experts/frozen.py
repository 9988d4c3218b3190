"""Frozen expert: a wrapper without training."""

import keras

from moe_keras.experts.expert import Expert
from moe_keras.masks import call_masked


@keras.saving.register_keras_serializable(package="moe_keras")
class FrozenExpert(Expert):
    """Frozen expert: wraps a trained layer or model so that further training leaves it alone.

        E(x) = layer(x), in inference mode, with constant weights

    Two things have to be switched off. `trainable = False` stops the optimizer, but dropout would
    still drop and batch normalization could still update its statistics; so the layer is also
    always called with `training=False`. Setting `trainable = True` on a model around it does not
    thaw it. Gradients still pass through to its inputs.

    The layer itself is frozen, wherever else it is used. To train it again, set `trainable = True`
    on the layer, not on this wrapper; a copy and a saved model keep that.

    Keras's weights files name a layer by its class, so a model with an `Expert` in this place
    cannot read this one's. Save and load the weights of `layer`, which are the same in both.

    Args:
        layer: Keras layer or model.

    Call arguments:
        inputs: what the layer takes.
        mask: passed on to the layer, and to the layers inside.
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
        # A model sets its layers' `trainable` along with its own, also when it is loaded: the layer
        # stays as it is, be it frozen or thawed.
        pass

    def call(self, inputs, mask=None, training=None):
        outputs = call_masked(self.layer, inputs, mask, training=False)
        # Keras hands the last `training` it saw on to later layers that are not told theirs, so the
        # outer value must be put back, or dropout after this layer would be off as well.
        return self.hand_back(outputs, training=training)

    def get_config(self):
        thawed = [i for i, layer in enumerate(_parts(self.layer)) if layer.trainable]
        return {**super().get_config(), **({"thawed": thawed} if thawed else {})}

    @classmethod
    def from_config(cls, config):
        thawed = config.get("thawed", ())
        expert = super().from_config({k: v for k, v in config.items() if k != "thawed"})
        if thawed:
            for i, layer in enumerate(_parts(expert.layer)):  # outer ones first, they set all
                layer.trainable = i in thawed
        return expert


def _parts(layer):
    """The layer and those inside, outer ones first."""
    return list(layer._flatten_layers())
