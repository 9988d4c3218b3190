"""Each expert answers the tokens that chose it, and no others."""

import keras
from keras import ops

from moe_keras.mixtures.dispatch.ask import ask
from moe_keras.mixtures.dispatch.dense import dense
from moe_keras.mixtures.dispatch.order import order_by_expert
from moe_keras.mixtures.dispatch.permute import answers_of, rows_of


def grouped(tokens, indices, weights, experts, training):
    """Sorts the choices by expert, hands each expert its slice, and takes the answers back.

    1. Sort the T k choices by expert (stable) and gather their tokens, once.
    2. Split by the experts' counts; each expert answers its own slice. One that nothing chose gets
       some token all the same, see `ask`.
    3. Gather the answers back by the inverse permutation and sum each token's k, weighed.

    No token is dropped, an expert may be anything, and cost and memory grow with T k, not with E.
    Forward and backward are gathers: nothing is added up row by row.

    The slices' sizes follow from the data. Where a compiler must know each size beforehand (XLA,
    JAX under `jit`) the result is the same, but it is computed by `dense`, at its cost.

    Args, returns: as `dense`.

    Reference:
        Gale, Narayanan, Young & Zaharia (2022), MegaBlocks, section 5.2 (permutation and no drops).
    """
    if not sizes_may_vary(tokens):
        return dense(tokens, indices, weights, experts, training)
    k = indices.shape[-1]
    order = order_by_expert(indices, len(experts), fill=True)
    groups = _split(rows_of(tokens, order, k), order, num_choices=k * ops.shape(tokens)[0])
    answers = [ask(expert, *group, training) for expert, group in zip(experts, groups, strict=True)]
    return answers_of(ops.concatenate(answers), weights, order)


def sizes_may_vary(tokens):
    """Whether the sizes of tensors may depend on values where `tokens` are computed with."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

        return not GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    if backend == "jax":
        import jax

        return not isinstance(tokens, jax.core.Tracer)
    # PyTorch runs as it goes, but for the "meta" device, on which Keras works out shapes.
    return backend != "torch" or tokens.device.type != "meta"


def _split(rows, order, num_choices):
    """For each expert its slice of `rows`, and whether no token chose it."""
    empty = ops.take(order.choices, order.starts) >= num_choices
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            # `ops.split` would want the sizes now.
            slices = tf.split(rows, order.counts, num=order.counts.shape[0])
            return zip(slices, tf.unstack(empty), strict=True)
    ends = ops.convert_to_numpy(order.counts).cumsum().tolist()
    slices = [rows[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return zip(slices, ops.convert_to_numpy(empty).tolist(), strict=True)
