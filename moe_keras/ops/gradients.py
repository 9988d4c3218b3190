"""Gradients that are written down, and those of a function, on each backend."""

import keras


def with_gradient(forward, backward):
    """`forward` with its gradient given by `backward`, on TensorFlow and JAX.

    Args:
        forward: function of tensors that gives a tensor or a list of tensors.
        backward: function of a list of those tensors and of the upstream gradient (or a list of
            them) that gives a list, for each of the tensors its gradient or `None` for zeros.

    >>> from keras import ops
    >>> double = with_gradient(lambda x: 2 * x, lambda tensors, upstream: [2 * upstream])
    >>> float(double(ops.convert_to_tensor(3.0)))
    6.0
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        function = jax.custom_vjp(forward)
        function.defvjp(
            lambda *tensors: (forward(*tensors), tensors),
            lambda tensors, upstream: tuple(backward(list(tensors), upstream)),
        )
        return function
    if backend != "tensorflow":
        return forward
    import tensorflow as tf

    @tf.custom_gradient
    def function(*tensors):
        outputs = forward(*tensors)

        def gradient(*upstream):
            return backward(
                list(tensors), list(upstream) if isinstance(outputs, list) else upstream[0]
            )

        return outputs, gradient

    return function


def vjp(function, tensors, upstream):
    """Gradients of sum(upstream * y) in each of the tensors, on TensorFlow and JAX.

    Args:
        function: function of the tensors that gives (y, anything else).
        tensors: list of tensors of floats.
        upstream: tensor of the shape of y.

    Returns:
        A list of gradients, and what else the function gave.
    """
    if keras.backend.backend() == "jax":
        import jax

        _, gradient, rest = jax.vjp(function, *tensors, has_aux=True)
        return list(gradient(upstream)), rest
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensors)
        outputs, rest = function(*tensors)
    gradients = tape.gradient(outputs, tensors, upstream, tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(gradient) for gradient in gradients], rest
