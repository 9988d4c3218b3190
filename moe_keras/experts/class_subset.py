"""Expert for a subset of the classes."""

import keras
from keras import ops

from moe_keras.arguments import distinct_ids, positive_integer
from moe_keras.experts.expert import Expert
from moe_keras.serialization import output_shape


@keras.saving.register_keras_serializable(package="moe_keras")
class ClassSubset(Expert):
    """Expert for a subset of the classes: probability 0 for those that it does not know.

        y[class_ids[j]] = layer(x)[j],    y[c] = 0 for every other c

    Args:
        layer: Keras layer or model with outputs of shape (B, ..., C_sub).
        class_ids: Tuple of integers: for each of its C_sub outputs the class it stands for, from 0
            to `num_classes - 1`.
        num_classes: Integer, number of all classes C.

    Call arguments:
        inputs: what the layer takes.
        mask: passed on to the layer, and to the layers inside.
        training: passed on to the layer.

    Returns:
        Tensor of shape (B, ..., C), in the dtype of the layer's outputs.

    Raises:
        ValueError: if `class_ids` is empty, holds a class twice or one out of range, or their
            number is not the number of the layer's outputs.

    Example:

    >>> import numpy as np
    >>> from moe_keras.experts import ClassSubset
    >>> two_of_five = ClassSubset(keras.layers.Identity(), class_ids=(4, 1), num_classes=5)
    >>> ops.convert_to_numpy(two_of_five(np.array([[0.25, 0.75]], "float32"))).tolist()
    [[0.0, 0.75, 0.0, 0.0, 0.25]]
    """

    def __init__(self, layer, class_ids, num_classes, **kwargs):
        super().__init__(layer, **kwargs)
        self.num_classes = positive_integer("num_classes", num_classes)
        self.class_ids = distinct_ids("class_ids", class_ids, limit=self.num_classes)

    def build(self, input_shape):
        shape = output_shape(self.layer, input_shape)
        if shape[-1] != len(self.class_ids):
            raise ValueError(
                f"Expected one class id for each output of '{self.layer.name}'. "
                f"Received: {len(self.class_ids)} class ids for outputs of shape {shape}"
            )

    def call(self, inputs, mask=None, training=None):
        known = super().call(inputs, mask=mask, training=training)  # (B, ..., C_sub)
        zero = ops.zeros_like(known[..., :1])
        # A gather from (known, 0), not a product with a 0/1 matrix: it is exact on every device.
        column = {class_id: j for j, class_id in enumerate(self.class_ids)}
        columns = [column.get(c, len(column)) for c in range(self.num_classes)]
        return ops.take(ops.concatenate([known, zero], axis=-1), columns, axis=-1)  # (B, ..., C)

    def get_config(self):
        config = {"class_ids": self.class_ids, "num_classes": self.num_classes}
        return {**super().get_config(), **config}
