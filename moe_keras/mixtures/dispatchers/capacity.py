"""Dispatch by capacity: each expert has a fixed number of slots, the rest is dropped."""

import copy
import math
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from moe_keras.arguments import positive_number
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher
from moe_keras.mixtures.dispatchers.order import order_by_expert
from moe_keras.mixtures.dispatchers.places import fill_places, take_back
from moe_keras.ops.largest import largest
from moe_keras.ops.take_rows import take_rows


class Plan(NamedTuple):
    """S slots for each of E experts.

    Attributes:
        tokens: the token in each slot, (E, S).
        taken: boolean, whether there is one, (E, S).
        places: for each token's choice its slot among all E S, (k, T); any for a dropped one.
        weights: (T, k), 0 for a dropped choice.
    """

    tokens: object
    taken: object
    places: object
    weights: object


@keras.saving.register_keras_serializable(package="moe_keras")
class CapacityDispatcher(Dispatcher):
    """Dispatches to a fixed number of slots for each expert, and drops what finds none left.

        S = min(ceil(capacity_factor * T * k / E), T)        T: the tokens that chose an expert
        y_t = sum of w_tj E_{i_tj}(x_t) over the choices j of token t that got a slot

    All tokens' first choices come before all second ones, and within those tokens come in order, or
    those first that the gate is surest of. A token with every choice dropped gives zeros: wrap the
    mixture in a residual connection.

    Sizes follow from the number of all tokens, so that any compiler can take it. Padding and other
    tokens of no expert take no slot, and there are none for them.

    Args:
        capacity_factor: Float, slots for each choice, were the load even. E / k or more drops
            nothing, whatever the load.
        batch_prioritized: Boolean, whether the tokens with the largest probability come first when
            slots are given out, and not the earlier ones.
        eval_capacity_factor: Float, the factor outside training; `None`: the same. Which tokens
            are dropped depends on the rest of the batch, and so does what a model predicts, unless
            nothing is: `float("inf")` gives every expert a slot for each token.

    Raises:
        ValueError: if `capacity_factor` is not a finite number above 0, or `eval_capacity_factor`
            no number above 0.

    Reference:
        Lepikhin et al. (2020), GShard, section 2.2 (expert capacity, overflowed tokens).
        Fedus, Zoph & Shazeer (2021), Switch Transformers, equation (3).
        Riquelme et al. (2021), Scaling vision with sparse mixture of experts, section 4.1 and
        algorithm 2 (batch prioritized routing).

    Example:

    >>> import numpy as np
    >>> from moe_keras.gates import TopKGate
    >>> from moe_keras.mixtures import CapacityDispatcher, SparseMoE
    >>> experts = [keras.layers.Dense(4) for _ in range(2)]
    >>> mixture = SparseMoE(experts, TopKGate(2, top_k=1), dispatch=CapacityDispatcher(1.0))
    >>> same = np.ones((6, 8), "float32")  # all choose the same expert, which has 3 slots
    >>> ops.convert_to_numpy(mixture.route(same)["kept"])[:, 0].tolist()
    [True, True, True, False, False, False]
    """

    drops_tokens = True

    def __init__(self, capacity_factor=1.25, batch_prioritized=False, eval_capacity_factor=None):
        self.capacity_factor = positive_number("capacity_factor", capacity_factor)
        self.batch_prioritized = bool(batch_prioritized)
        if eval_capacity_factor is not None and eval_capacity_factor != math.inf:
            eval_capacity_factor = positive_number("eval_capacity_factor", eval_capacity_factor)
        self.eval_capacity_factor = eval_capacity_factor

    def for_phase(self, training):
        if training or self.eval_capacity_factor is None:
            return self
        other = copy.copy(self)
        other.capacity_factor, other.eval_capacity_factor = self.eval_capacity_factor, None
        return other

    def plan(self, routing):
        num_tokens = ops.shape(routing.indices)[0]
        queue, order, chosen, nth = self._queued(routing)
        slots = self._num_slots(routing)
        # The slots of expert e hold its first rows, starts[e] onwards. Slot 0 is the first.
        slot = ops.arange(slots, dtype="int32")  # (S,)
        filled = ops.minimum(order.counts, self._num_filled(routing))  # (E,)
        taken = slot < ops.expand_dims(filled, -1)  # (E, S)
        row = ops.where(taken, ops.expand_dims(order.starts, -1) + slot, 0)  # (E, S)
        tokens = take_rows(queue, take_rows(order.choices, row) % num_tokens)  # (E, S)

        kept = self._kept(routing, nth)  # (T, k)
        # A dropped choice reads any slot, with weight 0.
        places = ops.where(ops.transpose(kept), chosen * slots + nth, 0)  # (k, T)
        weights = ops.where(kept, routing.weights, ops.zeros_like(routing.weights))  # (T, k)
        return Plan(tokens, taken, places, weights)

    def dispatch(self, tokens, plan):
        return fill_places(tokens, plan.tokens, plan.taken)  # (E, S, ...)

    def call_experts(self, experts, inputs, plan, mask=None, training=None):
        return experts.run(inputs, mask, plan.taken, training=training)  # (E, S, ...)

    def combine(self, outputs, plan):
        return take_back(outputs, plan.places, plan.weights)

    def kept(self, routing):
        """Which choices get a slot: boolean tensor of shape (T, k).

        >>> import numpy as np
        >>> from moe_keras.mixtures.dispatchers import Routing
        >>> weights = np.array([[0.5], [0.7], [0.9], [0.6]])
        >>> routing = Routing(np.array([[0], [0], [0], [1]]), weights, np.eye(2)[:1] * weights)
        >>> dispatcher = CapacityDispatcher(1.0)  # ceil(4 / 2) = 2 slots each
        >>> ops.convert_to_numpy(dispatcher.kept(routing))[:, 0].tolist()
        [True, True, False, True]
        >>> dispatcher = CapacityDispatcher(1.0, batch_prioritized=True)
        >>> ops.convert_to_numpy(dispatcher.kept(routing))[:, 0].tolist()
        [False, True, True, True]
        """
        *_, nth = self._queued(routing)
        return self._kept(routing, nth)

    def _kept(self, routing, nth):
        in_time = ops.transpose(nth < self._num_filled(routing))  # (T, k)
        return ops.logical_and(routing.there, in_time)

    def _queued(self, routing):
        """The queue of tokens, its choices by expert, the choices (k, T), and how many came before
        each to its expert (k, T)."""
        queue = self._queue(routing)  # (T,)
        order = order_by_expert(take_rows(routing.indices, queue), routing.num_experts)
        chosen = ops.transpose(ops.where(routing.there, routing.indices, 0))  # (k, T)
        chosen = ops.cast(chosen, "int32")
        rank = ops.argsort(queue)  # (T,): each token's place in the queue
        rows = ops.transpose(ops.reshape(order.rows, ops.shape(chosen)))  # (T, k)
        rows = ops.transpose(take_rows(rows, rank))  # (k, T)
        return queue, order, chosen, rows - ops.take(order.starts, chosen)

    def _queue(self, routing):
        """The tokens in the order in which they ask for slots."""
        if not self.batch_prioritized:
            return ops.arange(ops.shape(routing.indices)[0], dtype="int32")
        surest = largest(routing.probabilities, 1)[0][..., 0]  # (T,); `ops.max` fails if T = 0
        return ops.cast(ops.argsort(-surest), "int32")  # stable: earlier tokens first among equals

    def _num_filled(self, routing):
        """How many slots of an expert may be filled: S of the tokens that chose an expert."""
        num_tokens, k = ops.shape(routing.indices)[0], routing.indices.shape[-1]
        arguments = k, routing.num_experts, self.capacity_factor
        if not isinstance(num_tokens, int) and not ops.is_tensor(num_tokens):
            return num_slots(num_tokens, *arguments)
        there = ops.sum(ops.cast(ops.any(routing.there, axis=-1), "int32"))
        if ops.is_tensor(num_tokens):
            return num_slots(there, *arguments)
        # Not every backend computes as precisely as Python does.
        return ops.take(num_slots(np.arange(num_tokens + 1, dtype="int32"), *arguments), there)

    def _num_slots(self, routing):
        num_tokens, k = ops.shape(routing.indices)[0], routing.indices.shape[-1]
        return num_slots(num_tokens, k, routing.num_experts, self.capacity_factor)

    def get_config(self):
        return {
            "capacity_factor": self.capacity_factor,
            "batch_prioritized": self.batch_prioritized,
            # As a word: JSON has no infinity.
            "eval_capacity_factor": (
                "inf" if self.eval_capacity_factor == math.inf else self.eval_capacity_factor
            ),
        }

    @classmethod
    def from_config(cls, config):
        factor = config.get("eval_capacity_factor")
        return cls(**{**config, "eval_capacity_factor": math.inf if factor == "inf" else factor})


def num_slots(num_tokens, k, num_experts, factor):
    """Slots of an expert: min(ceil(factor * T * k / E), T), a whole number, an array or a tensor.

    >>> num_slots(num_tokens=10, k=2, num_experts=4, factor=1.25)
    7
    >>> num_slots(num_tokens=10, k=1, num_experts=2, factor=100.0)
    10
    """
    if factor == math.inf:
        return num_tokens
    share = factor * k / num_experts
    if isinstance(num_tokens, int):
        return min(math.ceil(share * num_tokens), num_tokens)
    if isinstance(num_tokens, np.ndarray):
        return np.minimum(np.ceil(share * num_tokens), num_tokens).astype("int32")
    if not ops.is_tensor(num_tokens):
        return num_tokens  # JAX works out shapes for a batch of any size: the most there can be
    # As precise as Python, so that a batch of unknown size gets the same slots as a known one.
    wanted = ops.ceil(share * ops.cast(num_tokens, "float64"))
    return ops.cast(ops.minimum(wanted, ops.cast(num_tokens, "float64")), "int32")
