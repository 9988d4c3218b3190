"""The ways in which a lab calls an answer; a check tries each that its exercise names.

A way takes a function, the arguments of one case (NumPy arrays), their names and the form of the
result. It gives back the result as a list of pairs: what each part is called, and an array.
"""

import numpy as np

from moe_labs.exercises.forms import Several
from moe_labs.exercises.wrong_answer import WrongAnswer


def arrays(function, args, names, form):
    """With NumPy arrays."""
    return form.read(function(*args), "Your result")


def tensors(function, args, names, form):
    """With tensors, as one network hands them to the next."""
    return form.read(function(*_tensors(args)), "Given tensors, your result")


def variable(name):
    """The way with a variable for one of the arguments, as a loss's gradient needs it, and arrays.

    A variable has fewer methods than an array or a tensor.
    """

    def variable_way(function, args, names, form):
        import tensorflow as tf

        args = list(args)
        place = names.index(name)
        args[place] = tf.Variable(args[place])
        return form.read(function(*args), f"Given a variable `{name}`, your result")

    return variable_way


def training_step(function, args, names, form):
    """Inside a compiled training step, where the number of images is not known beforehand."""
    import tensorflow as tf

    args = _tensors(args)
    given = [value for value in args if isinstance(value, tf.Tensor)]
    images = given[0].shape[0]
    signature = [
        tf.TensorSpec(
            [None if n == images and i == 0 else n for i, n in enumerate(t.shape)], t.dtype
        )
        for t in given
    ]

    # Without autograph, for Keras's own training step has none.
    @tf.function(input_signature=signature, autograph=False)
    def step(*given):
        given = iter(given)
        return function(*(next(given) if isinstance(v, tf.Tensor) else v for v in args))

    try:
        result = step(*given)
    except WrongAnswer:
        raise
    except Exception as error:
        raise WrongAnswer(
            "It is right on arrays, but fails inside a network's training step, where the number "
            "of images is not known beforehand. Use keras.ops throughout: no NumPy, no loop over "
            f"images, and ops.mean where you would divide by their number. ({type(error).__name__})"
        ) from error
    return form.read(result, "Inside a training step, your result")


def gradient(*wanted):
    """The way that looks at the gradient of the result with respect to the arguments named.

    The result is weighed by fixed numbers before it is summed, so that each of its entries counts.
    """

    def gradient_way(function, args, names, form):
        import tensorflow as tf

        args = _tensors(args)
        inputs = [args[names.index(name)] for name in wanted]
        with tf.GradientTape() as tape:
            for tensor in inputs:
                tape.watch(tensor)
            result = function(*args)
            form.read(result, "Given tensors, your result")  # that there is one
            given = form.give(result)
            parts = given if isinstance(form, Several) else [given]
            total = sum(
                tf.reduce_sum(tf.cast(part, "float32") * _fixed_numbers(part))
                for part in map(tf.convert_to_tensor, parts)
            )
        found = tape.gradient(total, inputs)
        for name, slope in zip(wanted, found, strict=True):
            if slope is None:
                raise WrongAnswer(
                    f"The values are right, but no gradient reaches `{name}`, so nothing before it "
                    "can learn. Use keras.ops throughout: NumPy and stop_gradient cut the path."
                )
        return [
            (f"The values are right; but the gradient with respect to `{name}`", slope.numpy())
            for name, slope in zip(wanted, found, strict=True)
        ]

    return gradient_way


def _tensors(args):
    """The arguments, with a tensor for each array, also for those in lists and the like."""
    import keras  # only here: a lab on NumPy alone need not wait for it

    def tensor(value):
        is_numbers = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        return keras.ops.convert_to_tensor(value) if is_numbers else value

    return list(keras.tree.map_structure(tensor, args))


def _fixed_numbers(part):
    return np.random.default_rng(0).normal(size=np.shape(part)).astype("float32")
