"""The base of every layer of moe_keras: what a layer tells Keras about itself."""

import keras
from keras.src.backend.common import global_state

from moe_keras.masks import kept_mask, put_masks
from moe_keras.serialization import output_shape


class MoELayer(keras.layers.Layer):
    """A layer whose output names, shapes, dtypes and masks follow from its `call`.

    Whoever derives from it writes `build` and `call` and nothing about shapes, so that what is
    announced and what is given cannot come to disagree.

    Attributes:
        hands_masks_on: Boolean, whether a mask of any number of the inputs' first axes that `call`
            takes reaches everything inside for which it matters: gates and mixtures.
    """

    hands_masks_on = False

    def compute_output_spec(self, *args, **kwargs):
        # Keras would ask compute_output_shape and assume the layer's own dtype for every output.
        args = keras.tree.map_structure(self._cast, args)
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def _cast(self, tensor):
        return self.dtype_policy.convert_input(tensor, self.autocast, self.input_dtype)

    def get_config(self):
        # Keras asks for it before it writes an .h5 file, which knows weights by their names.
        if global_state.get_global_attribute("use_legacy_config", False):
            _check_names([weight.path for weight in self.weights])
        return super().get_config()

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
        if previous_mask is None or keras.tree.is_nested(inputs):
            return None
        outputs = self.compute_output_spec(keras.KerasTensor(inputs.shape, inputs.dtype))
        return self.output_masks(inputs, outputs, previous_mask)

    def output_masks(self, inputs, outputs, mask):
        """The mask of each output: one that still has the masked axes, and one more, keeps it."""
        return keras.tree.map_structure(lambda y: kept_mask(y.shape, mask, inputs.shape), outputs)

    def _set_mask_metadata(self, inputs, outputs, previous_mask):
        # Keras would ask `compute_mask`, which does not see the outputs and has to make others: not
        # within a step that is being compiled.
        if keras.tree.is_nested(inputs):
            super()._set_mask_metadata(inputs, outputs, previous_mask)
        elif previous_mask is not None:
            put_masks(outputs, self.output_masks(inputs, outputs, previous_mask))


def _check_names(paths):
    """Raise a ValueError if two weights have one name."""
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(
            "Expected weights with names of their own, by which the .h5 format knows them: save "
            "the model as .keras, or give the layers inside different names. "
            f"Received: {', '.join(twice[:3])} more than once"
        )
