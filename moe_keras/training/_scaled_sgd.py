"""SGD with a learning rate for each kind of weight."""

import keras


@keras.saving.register_keras_serializable(package="moe_keras")
class ScaledSGD(keras.optimizers.SGD):
    """SGD with a learning rate of its own for weights of some names.

        velocity <- momentum velocity - rate scale gradient

    Args:
        learning_rate: Float or learning rate schedule.
        scales: Dictionary from a part of a weight's path, such as "beta", to its scale; the first
            that fits counts, and other weights have scale 1.
        **kwargs: Arguments of `keras.optimizers.SGD`.

    Example:

    >>> import numpy as np
    >>> from moe_keras.training._scaled_sgd import ScaledSGD
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(ScaledSGD(0.1, scales={"bias": 0.0}), "mse")
    >>> _ = model.fit(np.ones((4, 1)), np.full(4, 9.0), verbose=0)
    >>> model.get_weights()[1].tolist()  # the bias stays
    [0.0]
    """

    def __init__(self, learning_rate=0.01, scales=None, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.scales = dict(scales or {})

    def update_step(self, gradient, variable, learning_rate):
        # On TensorFlow this is the backend's own variable, whose path is its name.
        path = getattr(variable, "path", variable.name)
        scale = next((scale for part, scale in self.scales.items() if part in path), 1.0)
        super().update_step(gradient, variable, learning_rate * scale)

    def get_config(self):
        return {**super().get_config(), "scales": self.scales}
