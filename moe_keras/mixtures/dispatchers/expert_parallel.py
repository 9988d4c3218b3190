"""Expert parallelism: groups of tokens fill slots by themselves, and meet at their experts."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from moe_keras.arguments import positive_integer, positive_number
from moe_keras.masks import fill_groups
from moe_keras.mixtures.combine import combine
from moe_keras.mixtures.dispatchers.capacity import num_slots
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher


class Plan(NamedTuple):
    """S slots for each of E experts in each of G groups of t tokens.

    Attributes:
        tokens: the token in each slot, by its place in its group, (G, E S).
        taken: boolean, whether there is one, (E, G S).
        places: for each token's choice its slot among its group's E S, (G, k t).
        weights: (T, k), 0 for a dropped choice.
    """

    tokens: object
    taken: object
    places: object
    weights: object


class Queue(NamedTuple):
    """The k t choices of each group, all first choices before all second ones.

    Attributes:
        experts: of each choice its expert, E for none, (G, k t).
        choices: of each row, sorted by expert, its choice, (G, k t).
        nth: of each choice how many came before it to its expert, (G, k t).
        starts, counts: of each expert its first row and how many it has, (G, E).
    """

    experts: object
    choices: object
    nth: object
    starts: object
    counts: object


@keras.saving.register_keras_serializable(package="moe_keras")
class ExpertParallelDispatcher(Dispatcher):
    """Dispatches to experts that lie on several devices: expert parallelism, by all-to-all.

    The tokens are cut into G groups, one for each device. In each group every expert has

        S = min(ceil(capacity_factor * t * k / E), t) slots,    t: its tokens that chose an expert

    given out within the group as `CapacityDispatcher` does, so that no device needs to know of
    another's tokens. Sizes follow from all T / G tokens of a group; padding has no slot and gives
    none. The slots go to the device of their expert, and the answers back: two exchanges of E S
    rows of each device, whatever the experts weigh. Their weights stay where they are.

    Under `keras.distribution.ModelParallel` (JAX) with `expert_parallel_layout` for a `StackedMLP`
    each device runs E / G experts. Elsewhere it computes the same on one device.

    Args:
        num_groups: Integer, G: the devices. The number of tokens must be a multiple of it.
        capacity_factor: Float, slots for each choice, were the load even in each group. E / k or
            more drops nothing, whatever the load.

    Raises:
        ValueError: if an argument is out of its range; when called, if the tokens cannot be cut
            into groups of one size.

    Reference:
        Lepikhin et al. (2020), GShard, sections 2.2 (groups), 3.2 and 3.3 (sharded experts).

    Example:

    >>> import numpy as np
    >>> from moe_keras import SparseMoE, StackedMLP, TopKGate
    >>> from moe_keras.mixtures import ExpertParallelDispatcher
    >>> experts, gate = StackedMLP(8, intermediate_dim=16), TopKGate(8, top_k=2)
    >>> mixture = SparseMoE(experts, gate, dispatch=ExpertParallelDispatcher(num_groups=4))
    >>> tuple(mixture(np.ones((2, 16, 6), "float32")).shape)
    (2, 16, 6)
    """

    drops_tokens = True

    def __init__(self, num_groups, capacity_factor=1.25):
        self.num_groups = positive_integer("num_groups", num_groups)
        self.capacity_factor = positive_number("capacity_factor", capacity_factor)

    def plan(self, routing):
        num_experts, k = routing.num_experts, routing.indices.shape[-1]
        queue = self._queue(routing)
        size = ops.shape(queue.experts)[1] // k  # t
        slot = ops.arange(self._num_slots(routing), dtype="int32")  # (S,)
        filled = ops.minimum(queue.counts, self._num_filled(routing, queue))  # (G, E)
        taken = slot < ops.expand_dims(filled, -1)  # (G, E, S)
        row = ops.where(taken, ops.expand_dims(queue.starts, -1) + slot, 0)
        row = ops.reshape(row, (self.num_groups, -1))  # (G, E S)
        kept = self._kept(routing, queue)  # (T, k)
        places = queue.experts * ops.shape(slot)[0] + queue.nth  # (G, k t)
        there = queue.nth < self._num_filled(routing, queue)
        there = ops.logical_and(there, queue.experts < num_experts)
        return Plan(
            _sharded(ops.take_along_axis(queue.choices, row, axis=1) % size),
            self._to_experts(_sharded(taken)),
            _sharded(ops.where(there, places, 0)),  # a dropped choice reads any slot
            ops.where(kept, routing.weights, ops.zeros_like(routing.weights)),
        )

    def dispatch(self, tokens, plan):
        num_experts = plan.taken.shape[0]
        groups = ops.reshape(tokens, (self.num_groups, -1, *ops.shape(tokens)[1:]))  # (G, t, ...)
        filled = _take_in_each(_sharded(groups), plan.tokens)  # (G, E S, ...)
        shape = (self.num_groups, num_experts, -1, *ops.shape(filled)[2:])
        sent = self._to_experts(_sharded(ops.reshape(filled, shape)))  # (E, G S, ...)
        return fill_groups(sent, plan.taken)

    def call_experts(self, experts, inputs, plan, mask=None, training=None):
        return experts.run(inputs, mask, plan.taken, training=training)  # (E, G S, ...)

    def combine(self, outputs, plan):
        num_experts, answer = plan.taken.shape[0], ops.shape(outputs)[2:]
        outputs = _sharded(ops.reshape(outputs, (num_experts, self.num_groups, -1, *answer)))
        back = _sharded(ops.swapaxes(outputs, 0, 1))  # (G, E, S, ...)
        back = ops.reshape(back, (self.num_groups, -1, *answer))  # (G, E S, ...)
        rows = _sharded(_take_in_each(back, plan.places))  # (G, k t, ...)
        k = plan.weights.shape[-1]
        rows = ops.reshape(rows, (self.num_groups, k, -1, *answer))
        return combine(
            plan.weights, [ops.reshape(rows[:, j], (-1, *answer)) for j in range(k)]
        )  # (T, ...)

    def kept(self, routing):
        return self._kept(routing, self._queue(routing))

    def _kept(self, routing, queue):
        in_time = queue.nth < self._num_filled(routing, queue)  # (G, k t)
        in_time = ops.reshape(in_time, (self.num_groups, routing.indices.shape[-1], -1))
        in_time = ops.reshape(ops.swapaxes(in_time, 1, 2), ops.shape(routing.indices))
        return ops.logical_and(routing.there, in_time)  # (T, k)

    def _num_slots(self, routing):
        known, k = routing.indices.shape[0], routing.indices.shape[-1]
        if isinstance(known, int) and known % self.num_groups:
            raise ValueError(
                f"Expected a number of tokens that is a multiple of num_groups={self.num_groups}. "
                f"Received: {known} tokens"
            )
        size = ops.shape(routing.indices)[0] // self.num_groups
        return num_slots(size, k, routing.num_experts, self.capacity_factor)

    def _num_filled(self, routing, queue):
        """How many slots of an expert a group may fill: S of its tokens that chose one, (G, 1)."""
        num_experts, k = routing.num_experts, routing.indices.shape[-1]
        size = ops.shape(routing.indices)[0] // self.num_groups
        if not isinstance(size, int) and not ops.is_tensor(size):
            return self._num_slots(routing)  # JAX works out shapes for a batch of any size
        chose = ops.reshape(queue.experts < num_experts, (self.num_groups, k, -1))
        there = ops.any(chose, axis=1)  # (G, t)
        there = ops.sum(ops.cast(there, "int32"), axis=-1, keepdims=True)  # (G, 1)
        if ops.is_tensor(size):
            return num_slots(there, k, num_experts, self.capacity_factor)
        # As in `CapacityDispatcher`: not every backend computes as precisely as Python does.
        slots = num_slots(np.arange(size + 1, dtype="int32"), k, num_experts, self.capacity_factor)
        return ops.take(slots, there)

    def _queue(self, routing):
        """The choices of each group by expert; nothing in it depends on another group."""
        self._num_slots(routing)  # refuses what cannot be cut
        num_experts, k = routing.num_experts, routing.indices.shape[-1]
        experts = ops.where(routing.there, routing.indices, num_experts)
        experts = ops.reshape(ops.cast(experts, "int32"), (self.num_groups, -1, k))
        experts = ops.reshape(ops.swapaxes(experts, 1, 2), (self.num_groups, -1))  # (G, k t)
        experts = _sharded(experts)
        choices = ops.cast(ops.argsort(experts, axis=1), "int32")  # stable: earlier choices first
        rows = ops.cast(ops.argsort(choices, axis=1), "int32")
        # Compared, not scattered: devices add up by themselves, and no backend has to loop.
        same = ops.equal(ops.expand_dims(experts, -1), ops.arange(num_experts, dtype="int32"))
        counts = _sharded(ops.sum(ops.cast(same, "int32"), axis=1))  # (G, E)
        starts = ops.cumsum(counts, axis=1) - counts
        first = ops.take_along_axis(starts, ops.minimum(experts, num_experts - 1), axis=1)
        return Queue(*map(_sharded, (experts, choices, rows - first, starts, counts)))

    def _to_experts(self, groups):
        """Slots (G, E, S, ...) of the groups, as those of the experts, (E, G S, ...)."""
        num_experts = groups.shape[1]
        sent = _sharded(ops.swapaxes(groups, 0, 1))  # (E, G, S, ...)
        return ops.reshape(sent, (num_experts, -1, *ops.shape(sent)[3:]))

    def get_config(self):
        return {"num_groups": self.num_groups, "capacity_factor": self.capacity_factor}


def expert_parallel_layout(device_mesh, axis=None, path=".*stacked_mlp.*"):
    """Layout map that shards the experts of each `StackedMLP` over devices.

    Each device holds E divided by the size of that axis of the mesh; other weights lie on all.

    Args:
        device_mesh: `keras.distribution.DeviceMesh`.
        axis: String, its axis to shard over. `None`: the first, over which batches are shared out.
        path: String, regular expression of the paths of the stacks' layers.

    Returns:
        `keras.distribution.LayoutMap`, for `keras.distribution.ModelParallel`.

    Raises:
        ValueError: if the mesh has no such axis.

    Reference:
        Lepikhin et al. (2020), GShard, section 3.2 (weights of experts sharded, others replicated).

    Example:

    >>> from moe_keras.mixtures import expert_parallel_layout
    >>> mesh = keras.distribution.DeviceMesh((2,), ["batch"], devices=["cpu:0", "cpu:1"])
    >>> layout = expert_parallel_layout(mesh)
    >>> layout["mixture/stacked_mlp/kernel_1"].axes
    ('batch', None, None)
    """
    axis = device_mesh.axis_names[0] if axis is None else axis
    if axis not in device_mesh.axis_names:
        raise ValueError(
            f"Expected axis to be one of {', '.join(device_mesh.axis_names)}. Received: {axis!r}"
        )
    layout = keras.distribution.LayoutMap(device_mesh)
    layout[f"{path}/kernel_(gate|1|2)"] = (axis, None, None)
    layout[f"{path}/bias_(gate|1|2)"] = (axis, None)
    return layout


def _take_in_each(groups, indices):
    """Rows of each group by its own indices: (G, t, ...), (G, n) to (G, n, ...)."""
    if keras.backend.backend() == "jax":  # shared out, each device takes from its own group
        return ops.vectorized_map(lambda pair: ops.take(*pair, axis=0), (groups, indices))
    num_groups, size = ops.shape(groups)[:2]
    first = ops.expand_dims(ops.arange(num_groups, dtype="int32") * size, -1)  # (G, 1)
    rows = ops.reshape(groups, (-1, *ops.shape(groups)[2:]))
    return ops.take(rows, indices + first, axis=0)


def _sharded(tensor):
    """The tensor with its first axis shared out over devices, if there are several."""
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, keras.distribution.ModelParallel):
        return tensor
    axes = [distribution.batch_dim_name, *[None] * (len(tensor.shape) - 1)]
    layout = keras.distribution.TensorLayout(axes, distribution.device_mesh)
    return keras.distribution.distribute_tensor(tensor, layout)
