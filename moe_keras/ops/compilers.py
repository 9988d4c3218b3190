"""Whether a compiler is at work that must know the size of every tensor."""

import keras
from keras import ops


def in_a_graph_of_tensorflow():
    """Whether TensorFlow is making a graph, in which a size may be a tensor."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def needs_static_sizes(indices):
    """Whether no size may depend on which experts were chosen, (T, k), where this is called."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

        return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    # What is computed with the choices tells, not the choices or the tokens: either may be a
    # constant within a function that is compiled for other arguments, say the weights.
    computed = ops.add(indices, 0)
    if backend == "jax":
        import jax

        return isinstance(computed, jax.core.Tracer)
    # PyTorch runs as it goes, but for the "meta" device, on which Keras works out shapes.
    return backend == "torch" and computed.device.type == "meta"
