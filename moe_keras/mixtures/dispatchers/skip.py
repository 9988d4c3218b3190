"""An expert that nothing chose does not run: for inference, where it has nothing to learn."""

import contextlib

from keras import ops

from moe_keras.call_expert import call_expert
from moe_keras.changed import changed
from moe_keras.ops.compilers import in_a_graph_of_tensorflow


def call_unless_empty(expert, rows, mask, empty, answer, training=None):
    """An expert's answers to its rows (n, ...), cast to a dtype; if n is 0 it does not run.

    Args:
        expert, rows, mask, training: as for `call_expert`.
        empty: Boolean, or a tensor in a graph of TensorFlow: whether n is 0.
        answer: pair of the shape of an answer to one row, and the dtype.
    """
    shape, dtype = answer

    def nothing():
        return ops.zeros((0, *shape), dtype)

    def run():
        return ops.cast(call_expert(expert, rows, mask, training=training), dtype)

    if not in_a_graph_of_tensorflow():
        return nothing() if empty else run()
    import tensorflow as tf

    # What is added to the loss inside a branch must leave it as an output.
    with _collected_losses(expert) as losses:
        outputs, loss = tf.cond(
            empty,
            lambda: (nothing(), ops.zeros(())),
            lambda: (run(), ops.cast(sum(losses, ops.zeros(())), "float32")),
        )
    if losses:
        expert.add_loss(loss)
    return outputs


@contextlib.contextmanager
def _collected_losses(expert):
    """While open, what the layers inside an expert add to the loss is collected in a list."""
    losses = []

    def add_loss(loss):
        losses.extend(ops.cast(ops.sum(part), "float32") for part in _listed(loss))

    with contextlib.ExitStack() as changes:
        for layer in getattr(expert, "_flatten_layers", list)():
            changes.enter_context(changed(layer, "add_loss", lambda _: add_loss))
        yield losses


def _listed(loss):
    return loss if isinstance(loss, list | tuple) else [loss]
