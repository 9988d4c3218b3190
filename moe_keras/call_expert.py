"""The one place where experts and gates are called: with their mask, and for rows of their own."""

import contextlib
import functools
import inspect

import keras
from keras import ops

from moe_keras.changed import changed
from moe_keras.layer import MoELayer
from moe_keras.masks import call_masked, over_axes


def call_expert(expert, inputs, mask=None, own=None, empty=None, training=None):
    """An expert's (or a gate's) answer; what it keeps and what it adds to the loss is of its rows.

    A dispatcher may have to show an expert rows that are not its own: those of fixed sizes for a
    compiler, or one for an expert that nothing chose, for no expert is run on an empty batch (it
    would take up the mean of no tokens, NaN for good). Nobody takes the answers to such rows. So
    that training is the same however tokens are dispatched,

    - a layer inside that keeps state and takes a mask (a batch normalization), one of someone's own
      that takes a mask, and a gate or a mixture inside, get a mask of the expert's own rows;
    - an activity regularizer inside is that of the expert's own rows;
    - an expert without a row of its own adds no loss and keeps its state.

    Args:
        expert: a Keras layer or model.
        inputs: tensor of shape (n, ...), n at least 1, or a structure of such.
        mask: boolean tensor or structure, of the inputs' first axes. One of shape (n,) alone is
            of rows, which no layer inside may take for a mask of steps: it is taken as `own`.
        own: boolean tensor of shape (n,), which rows are the expert's own; `None`: all.
        empty: whether none is, a boolean or a tensor; `None`: to be worked out.
        training: passed on.

    Returns:
        What the expert returns.
    """
    if mask is not None and not keras.tree.is_nested(mask) and len(mask.shape) == 1:
        mask = ops.cast(mask, "bool")
        own, mask = mask if own is None else ops.logical_and(own, mask), None
    if not isinstance(expert, keras.layers.Layer):  # one of a set in a tensor: rows are apart
        return expert(inputs, training=training)
    if own is None and (empty is None or empty is False):
        return call_masked(expert, inputs, mask, training)
    if empty is None:
        empty = ops.logical_not(ops.any(own))
    # What never trains keeps no state either; copies of a large frozen network would be costly.
    keeps_state = training and expert.trainable and expert.non_trainable_weights
    state = expert.non_trainable_variables if keeps_state else []
    before = [ops.copy(variable.value) for variable in state]
    with _of_rows(expert, own, empty):
        outputs = call_masked(expert, inputs, mask, training)
    for variable, value in zip(state, before, strict=True):
        variable.assign(ops.where(empty, value, variable.value))
    return outputs


@contextlib.contextmanager
def _of_rows(expert, own, empty):
    """While open, losses and state of the layers inside an expert are those of its own rows."""
    with contextlib.ExitStack() as changes:
        for layer in expert._flatten_layers():
            changes.enter_context(changed(layer, "add_loss", _unless(empty)))
        for layer in _parts(expert) if own is not None else ():
            if layer.activity_regularizer is not None:
                changes.enter_context(changed(layer, "activity_regularizer", _regularizes(own)))
            if "mask" in inspect.signature(type(layer).call).parameters:
                changes.enter_context(changed(layer, "call", _with_rows(layer, own)))
        yield


def _parts(layer):
    """The layers inside that see the rows themselves.

    Not a container's own, whose parts do; nor those inside a gate or a mixture, which gets the mask
    and whose experts see other rows.
    """
    inside = [] if _hands_on(layer) else layer._flatten_layers(include_self=False, recursive=False)
    inside = list(inside)
    if not inside or layer.activity_regularizer is not None:
        yield layer
    for part in inside:
        yield from _parts(part)


def of_keras(layer):
    """Whether a layer is Keras's, for which a mask is of steps or classes unless it keeps state."""
    return type(layer).call.__module__.partition(".")[0] == "keras"


def _hands_on(layer):
    return isinstance(layer, MoELayer) and layer.hands_masks_on


def _unless(empty):
    """An `add_loss` that adds 0 for an expert without rows, whatever the loss is."""

    def add(add_loss, loss):
        add_loss([ops.where(empty, ops.zeros_like(x), x) for x in keras.tree.flatten(loss)])

    return _before(add)


def _before(function):
    """For `changed`: what the attribute is becomes the function's first argument."""
    return lambda original: functools.partial(function, original)


def _regularizes(own):
    """An activity regularizer of the own rows alone."""

    def regularize(regularizer, outputs):
        if not _are_rows(outputs, own):
            return regularizer(outputs)
        rows = ops.where(over_axes(own, outputs), outputs, ops.zeros_like(outputs))
        loss = regularizer(rows)
        # Keras divides by the number of all rows.
        shown, counted = ops.shape(own)[0], ops.sum(ops.cast(own, loss.dtype))
        return loss * ops.cast(shown, loss.dtype) / ops.maximum(counted, 1)

    return _before(regularize)


def _with_rows(layer, own):
    """A layer's `call` with a mask of the own rows, if it is one for which that matters."""
    keeps_state = bool(layer.non_trainable_weights)

    def call_with_rows(call, inputs, *args, mask=None, **kwargs):
        if keras.tree.is_nested(inputs) or not _are_rows(inputs, own):
            return call(inputs, *args, mask=mask, **kwargs)
        if _hands_on(layer):
            mask = own if mask is None else ops.logical_and(mask, over_axes(own, mask))
        elif keeps_state or (len(inputs.shape) == 2 and not of_keras(layer)):
            rows = ops.broadcast_to(over_axes(own, inputs[..., 0]), ops.shape(inputs)[:-1])
            mask = rows if mask is None else ops.logical_and(mask, rows)
        return call(inputs, *args, mask=mask, **kwargs)

    return _before(call_with_rows)


def _are_rows(tensor, own):
    """Whether a tensor's first axis can be that of the rows."""
    sizes = (tensor.shape[0], own.shape[0]) if len(tensor.shape) else (0, 1)
    return sizes[0] == sizes[1] or None in sizes
