"""Blocked dispatch: each expert runs through its own tokens block by block."""

from typing import NamedTuple

import keras
from keras import ops

from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher
from moe_keras.mixtures.dispatchers.order import Order, order_by_expert
from moe_keras.mixtures.dispatchers.permute import answers_of, rows_of


class Plan(NamedTuple):
    """The choices sorted by expert, and their weights (T, k)."""

    order: Order
    weights: object


@keras.saving.register_keras_serializable(package="moe_keras")
class BlockedDispatcher(Dispatcher):
    """Dispatches by sorting, then loops over the blocks of rows that each expert has.

    1. Sort the T k choices by expert (stable) and gather their tokens, once.
    2. Each expert answers its rows, a block of one size at a time: ceil(count_e / block) times,
       none for an expert that nothing chose. The last block is filled up.
    3. Gather the answers back by the inverse permutation and sum each token's k, weighed.

    How often a loop runs follows from the data, and every size from T: for compilers. No token is
    dropped, and cost grows with T k and half a block for each expert. The gradient computes each
    block anew, so that memory grows with T k alone.

    An expert has to answer each row by itself. One that keeps state in training (a batch
    normalization), adds to the loss, or holds a gate or a mixture is refused.

    Reference:
        Gale, Narayanan, Young & Zaharia (2022), MegaBlocks, section 5.1 (blocks that pad a group).
    """

    def works_on(self, backend, compiled):
        # On PyTorch groups are of any sizes, which are not there on the "meta" device.
        return backend != "torch" or not compiled

    def accepts(self, experts):
        return experts.takes_groups

    def objection(self, experts, tokens, mask=None, training=None):
        return experts.objection_to_blocks(tokens.shape[1:], tokens.dtype, mask, training)

    def plan(self, routing):
        order = order_by_expert(routing.indices, routing.num_experts)
        there = routing.there
        return Plan(order, ops.where(there, routing.weights, ops.zeros_like(routing.weights)))

    def dispatch(self, tokens, plan):
        return rows_of(tokens, plan.order, plan.weights.shape[-1])  # (T k, ...)

    def call_experts(self, experts, inputs, plan, mask=None, training=None):
        return experts.run_groups(inputs, plan.order.counts, mask, training)  # (T k, ...)

    def combine(self, outputs, plan):
        return answers_of(outputs, plan.weights, plan.order)
