"""Grouped dispatch: each expert runs on the tokens that chose it, and no others."""

import copy
from typing import NamedTuple

import keras
from keras import ops

from moe_keras.call_expert import call_expert
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher
from moe_keras.mixtures.dispatchers.order import Order, order_by_expert
from moe_keras.mixtures.dispatchers.permute import answers_of, rows_of
from moe_keras.mixtures.dispatchers.skip import call_unless_empty
from moe_keras.ops.compilers import in_a_graph_of_tensorflow
from moe_keras.ops.split_groups import split_groups


class Plan(NamedTuple):
    """The choices sorted by expert, their weights (T, k), and whether an expert has none, (E,)."""

    order: Order
    weights: object
    empty: object


@keras.saving.register_keras_serializable(package="moe_keras")
class GroupedDispatcher(Dispatcher):
    """Dispatches by sorting: each expert gets the slice of the tokens that chose it.

    1. Sort the T k choices by expert (stable) and gather their tokens, once.
    2. Split by the experts' counts; each expert answers its own slice. One that nothing chose gets
       some token all the same, see `call_expert`. The last slice is of choices of no expert.
    3. Gather the answers back by the inverse permutation and sum each token's k, weighed.

    No token is dropped, an expert may be anything, and cost and memory grow with T k, not with E.
    Forward and backward are gathers: nothing is added up row by row. The slices' sizes follow from
    the data.

    Reference:
        Gale, Narayanan, Young & Zaharia (2022), MegaBlocks, section 5.2 (permutation and no drops).
    """

    static_sizes = False
    empty_answer = None  # the shape and dtype of an answer, where experts without tokens don't run

    def skipping_empty(self, answer):
        other = copy.copy(self)
        other.empty_answer = answer
        return other

    def plan(self, routing):
        fill = self.empty_answer is None
        order = order_by_expert(routing.indices, routing.num_experts, fill=fill)
        weights = ops.where(routing.there, routing.weights, ops.zeros_like(routing.weights))
        if fill:
            empty = ops.take(order.choices, order.starts) >= ops.size(routing.indices)  # (E,)
        else:
            empty = order.counts == 0
        return Plan(order, weights, empty)

    def dispatch(self, tokens, plan):
        order, k = plan.order, plan.weights.shape[-1]
        rows = rows_of(tokens, order, k)  # (T k and one for each empty expert, ...)
        return split_groups(rows, order.counts)[:-1]

    def call_experts(self, experts, inputs, plan, mask=None, training=None):
        num_experts = len(experts)
        masks = [None] * num_experts if mask is None else mask
        if in_a_graph_of_tensorflow():
            empties = ops.unstack(plan.empty, num_experts)
        else:
            empties = ops.convert_to_numpy(plan.empty).tolist()
        calls = zip(experts, inputs, masks, empties, strict=True)
        if self.empty_answer is not None:
            return [call_unless_empty(*call, self.empty_answer, training) for call in calls]
        return [
            call_expert(expert, tokens, mask, empty=empty, training=training)
            for expert, tokens, mask, empty in calls
        ]

    def combine(self, outputs, plan):
        nothing = (_of_no_expert(plan.order), *ops.shape(outputs[0])[1:])
        rows = ops.concatenate([*outputs, ops.zeros(nothing, outputs[0].dtype)])
        return answers_of(rows, plan.weights, plan.order)


def _of_no_expert(order):
    """How many choices are of no expert; a tensor where TensorFlow makes a graph."""
    rest = ops.shape(order.choices)[0] - ops.sum(order.counts)
    return rest if in_a_graph_of_tensorflow() else int(ops.convert_to_numpy(rest))
