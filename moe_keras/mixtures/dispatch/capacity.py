"""Each expert has a fixed number of slots; who comes too late is dropped."""

import math

from keras import ops

from moe_keras.mixtures.combine import combine
from moe_keras.mixtures.dispatch.order import order_by_expert


def capacity(tokens, indices, weights, experts, training, factor, priority=None):
    """Gives each expert S slots, fills them in order, and drops the choices that find none left.

        S = min(ceil(factor * T * k / E), T)
        y_t = sum of w_tj E_{i_tj}(x_t) over the choices j of token t that got a slot

    All tokens' first choices come before all second ones, and within those tokens come in order, or
    those of the highest priority first. A token with every choice dropped gives zeros: wrap the
    mixture in a residual connection.

    Sizes follow from T alone, so that any compiler can take it. Empty slots hold zeros, which an
    expert that looks across its batch (batch normalisation) does see.

    Args, returns: as `dense`, and:
        factor: how many slots there are for each choice if the load is even. E / k or more drops
            nothing, whatever the load.
        priority: tensor of shape (T,); `None`: earlier tokens come first.

    Reference:
        Lepikhin et al. (2020), GShard, section 2.2 (expert capacity, overflowed tokens).
        Fedus, Zoph & Shazeer (2021), Switch Transformers, equation (3).
        Riquelme et al. (2021), Scaling vision with sparse mixture of experts, section 4.1
        (priority).
    """
    num_experts, k = len(experts), indices.shape[-1]
    num_tokens = ops.shape(tokens)[0]
    slots = num_slots(num_tokens, k, num_experts, factor)
    line = _line(num_tokens, priority)
    order = order_by_expert(ops.take(indices, line, axis=0), num_experts)

    # The slots of expert e hold its first rows, starts[e] onwards. Slot 0 is the first.
    slot = ops.arange(slots, dtype="int32")  # (S,)
    taken = slot < ops.expand_dims(order.counts, -1)  # (E, S)
    row = ops.where(taken, ops.expand_dims(order.starts, -1) + slot, 0)
    token_in_slot = ops.take(line, ops.take(order.choices, row) % num_tokens)  # (E, S)
    answers = []
    for e, expert in enumerate(experts):
        held = ops.take(tokens, token_in_slot[e], axis=0)  # (S, ...)
        mask = ops.reshape(taken[e], (-1, *[1] * (len(tokens.shape) - 1)))
        answers.append(expert(ops.where(mask, held, ops.zeros_like(held)), training=training))
    answers = ops.concatenate(answers)  # (E S, ...)

    chosen = ops.cast(ops.transpose(indices), "int32")  # (k, T)
    place = _places(order, line, chosen)
    kept = place < slots
    # A dropped choice reads any slot, with weight 0.
    answer_of = ops.where(kept, chosen * slots + place, 0)
    weights = weights * ops.cast(ops.transpose(kept), weights.dtype)
    return combine(weights, [ops.take(answers, answer_of[j], axis=0) for j in range(k)])


def kept(indices, num_experts, factor, priority=None):
    """Which choices get a slot: booleans of shape (T, k).

    >>> import numpy as np
    >>> chosen = np.array([[0], [0], [0], [1]])  # ceil(4 / 2) = 2 slots each
    >>> ops.convert_to_numpy(kept(chosen, num_experts=2, factor=1.0))[:, 0].tolist()
    [True, True, False, True]
    >>> likes = np.array([0.5, 0.7, 0.9, 0.6])
    >>> ops.convert_to_numpy(kept(chosen, 2, 1.0, priority=likes))[:, 0].tolist()
    [False, True, True, True]
    """
    num_tokens = ops.shape(indices)[0]
    line = _line(num_tokens, priority)
    order = order_by_expert(ops.take(indices, line, axis=0), num_experts)
    place = _places(order, line, ops.cast(ops.transpose(indices), "int32"))
    return ops.transpose(place < num_slots(num_tokens, indices.shape[-1], num_experts, factor))


def _line(num_tokens, priority):
    """The tokens in the order in which they ask for slots."""
    if priority is None:
        return ops.arange(num_tokens, dtype="int32")
    return ops.cast(ops.argsort(-priority), "int32")  # stable: earlier tokens first among equals


def _places(order, line, chosen):
    """For each choice (k, T) how many came before it to its expert."""
    rank = ops.argsort(line)  # of each token in the line
    rows = ops.take(ops.reshape(order.rows, ops.shape(chosen)), rank, axis=1)
    return rows - ops.take(order.starts, chosen)


def num_slots(num_tokens, k, num_experts, factor):
    """How many slots an expert has: min(ceil(factor * T * k / E), T), a whole number or a tensor.

    >>> num_slots(num_tokens=10, k=2, num_experts=4, factor=1.25)
    7
    >>> num_slots(num_tokens=10, k=1, num_experts=2, factor=100.0)
    10
    """
    share = factor * k / num_experts
    if isinstance(num_tokens, int):
        return min(math.ceil(share * num_tokens), num_tokens)
    if not ops.is_tensor(num_tokens):
        return num_tokens  # JAX works out shapes for a batch of any size: the most there can be
    # As precise as Python, so that a batch of unknown size gets the same slots as a known one.
    wanted = ops.ceil(share * ops.cast(num_tokens, "float64"))
    return ops.cast(ops.minimum(wanted, ops.cast(num_tokens, "float64")), "int32")
