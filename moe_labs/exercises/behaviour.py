"""Questions to any gate, expert or mixture, asked by calling it.

Each function returns nothing if all is well and raises `WrongAnswer` with the likely mistake if
not.
"""

import keras
import numpy as np

from moe_labs.exercises.agreement import TOLERANCE, about_axes
from moe_labs.exercises.wrong_answer import WrongAnswer

STEPS = 60


class Witness:
    """An expert that notes the rows it is shown and answers as the function it stands for.

    Args:
        expert: function from rows (n, D) to answers (n, F).
    """

    def __init__(self, expert):
        self.expert = expert
        self.calls = []

    def __call__(self, rows):
        self.calls.append(np.array(rows))
        return self.expert(rows)

    @property
    def rows(self):
        """How many it has seen, in all calls together."""
        return sum(len(np.atleast_2d(rows)) for rows in self.calls)

    def saw_exactly(self, rows):
        """Whether it has seen each of these rows once and no others, in any order."""
        seen = [tuple(row) for call in self.calls for row in np.atleast_2d(call).tolist()]
        return sorted(seen) == sorted(map(tuple, rows.tolist()))


def to_numpy(values, what="the answer"):
    """An answer as a NumPy array of floats; a clear message if it is not a tensor at all."""
    try:
        return np.asarray(keras.ops.convert_to_numpy(values), dtype="float64")
    except (TypeError, ValueError):
        kind = type(values).__name__
        raise WrongAnswer(f"Expected {what} to be an array or a tensor; it is a {kind}.") from None


def require_made(value, kind, what):
    """Raise unless an answer made a thing of this class."""
    if value is None:
        raise WrongAnswer(f"{what} is None, nothing: does your function end with `return`?")
    if not isinstance(value, kind):
        raise WrongAnswer(
            f"{what} must give a Keras {kind.__name__}; it gives a {type(value).__name__}."
        )


def require_shape(values, shape, what):
    """Raise unless an array has this shape."""
    if tuple(values.shape) != tuple(shape):
        raise WrongAnswer(
            f"Expected {what} of shape {tuple(shape)}; yours is {tuple(values.shape)}"
            f"{about_axes(values.shape, shape)}"
        )


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


def require_images_apart(network, inputs):
    """Raise if what a layer or model says of an image depends on the images beside it."""
    together = to_numpy(network(inputs, training=False))
    alone = [to_numpy(network(inputs[i : i + 1], training=False)) for i in range(len(inputs))]
    if not np.allclose(together, np.concatenate(alone), atol=TOLERANCE):
        raise WrongAnswer(
            "What it says of an image depends on the other images of the batch. Let each image "
            "speak for itself: no sum, mean or softmax over axis 0."
        )


def in_network(function, *shapes):
    """A model of a function of tensors or a layer, for inputs of these shapes.

    Raises:
        WrongAnswer: if it cannot be part of a network.
    """
    inputs = [keras.Input(shape) for shape in shapes]
    try:
        return keras.Model(inputs, function(*inputs))
    except Exception as error:
        raise WrongAnswer(
            "It works on arrays, but not inside a network, where there are no numbers yet. Use "
            "Keras layers and keras.ops throughout: no NumPy, no .numpy(). "
            f"({type(error).__name__})"
        ) from error


def require_learning(layer, inputs, targets, what):
    """Raise unless a layer learns to give most of its weight to these targets, one-hot."""
    model = in_network(layer, inputs.shape[1:])
    moved = train_one_step(model, inputs, targets)
    if not any(moved.values()):
        raise WrongAnswer(
            f"Training does not move the {what}: create its layers in __init__ or build, and let "
            "nothing cut the gradient."
        )
    model.compile(keras.optimizers.Adam(0.1), "categorical_crossentropy")
    again = [np.concatenate([array] * STEPS) for array in (inputs, targets)]
    model.fit(*again, batch_size=len(inputs), shuffle=False, verbose=0)
    reached = (to_numpy(model(inputs)) * targets).sum(axis=-1).mean()
    if not reached > 0.7:
        raise WrongAnswer(
            f"The {what} does not learn: after {STEPS} steps on {len(inputs)} images it gives "
            f"{reached:.2f} where 1 was asked for. Does each of its numbers come from the whole "
            "input, by weights that can be trained?"
        )


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
