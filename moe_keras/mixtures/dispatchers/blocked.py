"""Blocked dispatch: tokens padded to blocks, all blocks in one batched matrix product."""

from typing import NamedTuple

import keras
from keras import ops

from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher
from moe_keras.mixtures.dispatchers.order import order_by_expert
from moe_keras.mixtures.dispatchers.places import fill_places, take_back

BLOCK = 64  # rows; more waste on padding, fewer gather each expert's weights more often


class Plan(NamedTuple):
    """N blocks of rows.

    Attributes:
        tokens: the token in each row of each block, (N, BLOCK).
        taken: boolean, whether there is one, (N, BLOCK).
        expert_ids: the expert of each block, (N,).
        places: for each token's choice its row among all N BLOCK rows, (k, T).
        weights: (T, k).
    """

    tokens: object
    taken: object
    expert_ids: object
    places: object
    weights: object


@keras.saving.register_keras_serializable(package="moe_keras")
class BlockedDispatcher(Dispatcher):
    """Dispatches in blocks of one size: each expert's tokens are cut up, the last block padded.

    1. Sort the choices by expert. Expert e gets ceil(count_e / block) blocks of its own.
    2. Gather the blocks (N, block, D), with their experts' weights, and multiply them all at once.
    3. Gather the answers back and sum each token's k, weighed.

    There are never more than N = T k // block + min(E, T k) blocks, so every size follows from T,
    and yet no token is dropped: for compilers. Cost grows with T k + E block.

    Reference:
        Gale, Narayanan, Young & Zaharia (2022), MegaBlocks, section 5.1 (blocks that pad a group).
    """

    needs_expert_ids = True

    def plan(self, routing):
        indices, num_experts = routing.indices, routing.num_experts  # (T, k)
        num_tokens, k = ops.shape(indices)[0], indices.shape[-1]
        order = order_by_expert(indices, num_experts)
        blocks = (order.counts + BLOCK - 1) // BLOCK  # (E,): how many each expert has
        ends = ops.cumsum(blocks)  # (E,): the block after an expert's last
        first = ends - blocks  # (E,): an expert's first block

        block = ops.arange(_most_blocks(num_tokens * k, num_experts), dtype="int32")  # (N,)
        expert = ops.cast(ops.searchsorted(ends, block, side="right"), "int32")  # (N,)
        expert = ops.minimum(expert, num_experts - 1)  # blocks after the last are no one's, empty
        nth = ops.expand_dims((block - ops.take(first, expert)) * BLOCK, -1)  # (N, 1)
        nth = nth + ops.arange(BLOCK, dtype="int32")  # (N, BLOCK): which of its expert's rows
        taken = nth < ops.expand_dims(ops.take(order.counts, expert), -1)  # (N, BLOCK)
        row = ops.expand_dims(ops.take(order.starts, expert), -1) + nth  # (N, BLOCK)
        row = ops.where(taken, row, 0)  # (N, BLOCK): row of the order
        tokens = ops.take(order.choices, row) % num_tokens  # (N, BLOCK)

        there = routing.there  # (T, k)
        chosen = ops.cast(ops.transpose(ops.where(there, indices, 0)), "int32")  # (k, T)
        nth = ops.reshape(order.rows, (k, -1)) - ops.take(order.starts, chosen)  # (k, T)
        # A choice of no expert reads any row, with weight 0.
        places = ops.where(ops.transpose(there), ops.take(first, chosen) * BLOCK + nth, 0)  # (k, T)
        weights = ops.where(there, routing.weights, ops.zeros_like(routing.weights))
        return Plan(tokens, taken, expert, places, weights)

    def dispatch(self, tokens, plan):
        return fill_places(tokens, plan.tokens, plan.taken)  # (N, BLOCK, D)

    def call_experts(self, experts, inputs, plan, mask=None, training=None):
        # No masks: a set that takes `expert_ids` keeps rows apart.
        return experts(inputs, plan.expert_ids, training=training)  # (N, BLOCK, D')

    def combine(self, outputs, plan):
        return take_back(outputs, plan.places, plan.weights)


def _most_blocks(num_choices, num_experts):
    if isinstance(num_choices, int):
        last = min(num_experts, num_choices)  # a whole number stays one: a compiler needs it
    elif ops.is_tensor(num_choices):
        last = ops.minimum(num_experts, num_choices)
    else:
        last = num_experts  # JAX works out shapes for a batch of any size
    return num_choices // BLOCK + last
