"""The base of every layer of moe_keras: what a layer tells Keras about itself."""

import keras

from moe_keras.nested import output_shape


class MoELayer(keras.layers.Layer):
    """A layer whose output names, shapes, dtypes and masks follow from its `call`.

    Whoever derives from it writes `build` and `call` and nothing about shapes, so that what is
    announced and what is given cannot come to disagree.
    """

    def compute_output_spec(self, *args, **kwargs):
        # Keras would ask compute_output_shape and assume the layer's own dtype for every output.
        args = keras.tree.map_structure(self._cast, args)
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def _cast(self, tensor):
        return self.dtype_policy.convert_input(tensor, self.autocast, self.input_dtype)

    def compute_output_shape(self, input_shape):
        return output_shape(self, input_shape)

    @property
    def metrics(self):
        """Metrics of this layer and those inside, but for compiled models' own.

        Keras leaves those out where a model holds another model, but not where a layer comes
        between: an expert's idle "loss" and "accuracy" would be reported instead of the mixture's.
        """
        models = [layer for layer in self._flatten_layers() if isinstance(layer, keras.Model)]
        idle = {id(metric) for model in models if model.compiled for metric in model.metrics}
        return [metric for metric in super().metrics if id(metric) not in idle]

    def compute_mask(self, inputs, previous_mask):
        """An output that still has the masked axes, and one more, keeps the mask."""
        if previous_mask is None or keras.tree.is_nested(inputs):
            return None
        masked = tuple(inputs.shape)[: len(previous_mask.shape)]

        def mask_of(output):
            kept = len(output.shape) > len(masked) and tuple(output.shape)[: len(masked)] == masked
            return previous_mask if kept else None

        outputs = self.compute_output_spec(keras.KerasTensor(inputs.shape, inputs.dtype))
        return keras.tree.map_structure(mask_of, outputs)
