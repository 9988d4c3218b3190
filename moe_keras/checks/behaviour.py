"""Questions to any gate, expert or mixture, asked by calling it.

Each function returns nothing if all is well and raises `WrongAnswer` with the likely mistake if
not.
"""

import keras
import numpy as np

from moe_keras.checks.exercise import WrongAnswer

TOLERANCE = 1e-4


def to_numpy(values, what="the answer"):
    """An answer as a NumPy array of floats; a clear message if it is not a tensor at all."""
    try:
        return np.asarray(keras.ops.convert_to_numpy(values), dtype="float64")
    except (TypeError, ValueError):
        kind = type(values).__name__
        raise WrongAnswer(f"Expected {what} to be an array or a tensor; it is a {kind}.") from None


def require_shape(values, shape, what):
    """Raise unless an array has this shape."""
    if tuple(values.shape) != tuple(shape):
        raise WrongAnswer(
            f"Expected {what} of shape {tuple(shape)}; yours is {tuple(values.shape)}"
            f"{_likely_mistake(values.shape, shape)}"
        )


def _likely_mistake(received, expected):
    if len(received) > len(expected):
        return ": an axis too many, is a sum over it missing?"
    if len(received) < len(expected):
        return ": an axis is missing, did a sum, a mean or an index take it away?"
    if sorted(received) == sorted(expected):
        return ": the same axes in another order."
    return "."


def require_probabilities(values, what):
    """Raise unless each row (last axis) is non-negative and sums to 1."""
    if not np.isfinite(values).all():
        raise WrongAnswer(f"Some values of {what} are not finite: is there a division by 0?")
    if (values < 0).any():
        raise WrongAnswer(f"Some values of {what} are negative: is a softmax missing?")
    sums = values.sum(axis=-1)
    if np.abs(sums - 1).max() > TOLERANCE:
        odd = sums.flat[np.abs(sums - 1).argmax()]
        raise WrongAnswer(
            f"Each row of {what} must sum to 1; one sums to {odd:.3g}: is a softmax missing?"
        )


def require_weights_over_experts(weights):
    """Raise unless weights of shape (..., C, E) sum to 1 over the experts, for each class."""
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise WrongAnswer("Weights must be finite and not negative: is a softmax missing?")
    over_experts = weights.sum(axis=-1)
    if np.abs(over_experts - 1).max() <= TOLERANCE:
        return
    if np.abs(weights.sum(axis=(-2, -1)) - 1).max() <= TOLERANCE:
        raise WrongAnswer(
            f"Each class's weights sum to {over_experts.flat[0]:.2g} over the experts, and all "
            "of them together to 1: did you take one softmax over classes and experts together?"
        )
    if np.abs(weights.sum(axis=-2) - 1).max() <= TOLERANCE:
        raise WrongAnswer(
            "An expert's weights sum to 1 over the classes, but a class's weights must sum to 1 "
            "over the experts: is the softmax on the wrong axis?"
        )
    raise WrongAnswer(
        "A class's weights must sum to 1 over the experts; here they sum to "
        f"{over_experts.flat[0]:.2g}."
    )


def train_one_step(model, inputs, targets):
    """Train a model for one step with a large learning rate; return which variables moved.

    Returns:
        dict of a variable's path to whether it moved; trainable and other variables alike, so that
        batch normalisation's running statistics count too.
    """
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse", run_eagerly=True)
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.variables]
    try:
        model.train_on_batch(inputs, targets)
    except ValueError as error:
        # TensorFlow's way to say that nothing is connected to the loss: nothing moves, then.
        if "No gradients provided" not in str(error):
            raise
    after = [keras.ops.convert_to_numpy(v) for v in model.variables]
    own = {id(v) for v in model.optimizer.variables}
    return {
        v.path: not np.array_equal(b, a)
        for v, b, a in zip(model.variables, before, after, strict=True)
        if id(v) not in own and "seed_generator" not in v.path
    }


def require_frozen(expert, inputs):
    """Raise if training a network on top of an expert changes the expert or its answers.

    Args:
        expert: a layer or model from `inputs` to a tensor of rank 2.
        inputs: a batch, as an array.
    """
    before = to_numpy(expert(inputs, training=False), "the expert's output")
    images = keras.Input(inputs.shape[1:])
    on_top = keras.Model(images, keras.layers.Dense(1)(expert(images)))
    inside = {v.path for v in expert.variables}
    moved = train_one_step(on_top, inputs, np.ones((len(inputs), 1)))
    shaken = sorted(path for path in inside if moved.get(path))
    if any(path in {v.path for v in expert.trainable_variables} for path in shaken):
        raise WrongAnswer(
            "The expert moved while the network on top of it was trained. Set trainable = False "
            "on all of it."
        )
    if shaken:
        raise WrongAnswer(
            "The expert's batch statistics moved in training. Call it with training=False as well."
        )
    if not np.allclose(before, to_numpy(expert(inputs, training=False)), atol=1e-6):
        raise WrongAnswer(
            "The expert answers differently after the network on top of it was trained."
        )
    # Twice, because dropout could by chance agree with itself once.
    for _ in range(2):
        if not np.allclose(before, to_numpy(expert(inputs, training=True)), atol=1e-6):
            raise WrongAnswer(
                "The expert answers differently in training: its dropout is still at work, "
                "which trainable = False does not switch off. A layer's call must call it with "
                "training=False, as FrozenExpert does (in a functional model, Keras's fit "
                "overrules a training=False given when the model was put together)."
            )
