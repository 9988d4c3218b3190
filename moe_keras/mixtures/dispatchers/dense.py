"""Dense dispatch: every expert runs on every token; the oracle for all others."""

from typing import NamedTuple

import keras
from keras import ops

from moe_keras.masks import NO_EXPERT, fill_rows
from moe_keras.mixtures.combine import combine
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher


class Plan(NamedTuple):
    """The weight of each expert for each token, (T, E), and whether the token chose it, (T, E)."""

    weights: object
    own: object


@keras.saving.register_keras_serializable(package="moe_keras")
class DenseDispatcher(Dispatcher):
    """Dispatches as many rows as there are tokens to every expert, and weighs the outputs.

        w_te = sum of w_tj over the choices j of token t that are expert e

    In place of a token that did not choose it an expert sees the first one that did. Cost and
    memory grow with T E, however few experts each token chose. Every size is known beforehand, so
    that any compiler can take it, and it is too plain to be wrong.
    """

    def plan(self, routing):
        indices = ops.where(routing.there, routing.indices, NO_EXPERT)
        # One-hot vectors, not the weights scattered: the sum passes its gradient on to each.
        chosen = ops.one_hot(indices, routing.num_experts, dtype="bool")  # (T, k, E)
        weights = ops.expand_dims(routing.weights, -1)
        weights = ops.where(chosen, weights, ops.zeros_like(weights))
        return Plan(ops.sum(weights, axis=1), ops.any(chosen, axis=1))

    def dispatch(self, tokens, plan):
        return fill_rows(tokens, plan.own)

    def own_rows(self, plan):
        return [plan.own[:, e] for e in range(plan.own.shape[1])]

    def combine(self, outputs, plan):
        return combine(plan.weights, outputs)
