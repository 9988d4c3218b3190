"""Each expert's tokens padded to whole blocks, all blocks in one batched matrix product."""

from keras import ops

from moe_keras.mixtures.combine import combine
from moe_keras.mixtures.dispatch.order import order_by_expert

BLOCK = 64  # rows; more waste on padding, fewer gather each expert's weights more often


def blocked(tokens, indices, weights, experts, training):
    """Cuts each expert's tokens into blocks of one size, the last one padded with zeros.

    1. Sort the choices by expert. Expert e gets ceil(count_e / block) blocks of its own.
    2. Gather the blocks (N, block, D), with their experts' weights, and multiply them all at once.
    3. Gather the answers back and sum each token's k, weighed.

    There are never more than N = T k // block + min(E, T k) blocks, so every size follows from T,
    and yet no token is dropped: for compilers. Cost grows with T k + E * block.

    Args, returns: as `dense`, but for
        experts: a `StackedMLP`.

    Reference:
        Gale, Narayanan, Young & Zaharia (2022), MegaBlocks, section 5.1 (blocks that pad a group).
    """
    num_experts, k = experts.num_experts, indices.shape[-1]
    num_tokens = ops.shape(tokens)[0]
    num_choices = num_tokens * k
    order = order_by_expert(indices, num_experts)
    ends = ops.cumsum((order.counts + BLOCK - 1) // BLOCK)  # (E,): the block after an expert's last
    first = ends - (order.counts + BLOCK - 1) // BLOCK

    block = ops.arange(_most_blocks(num_choices, num_experts), dtype="int32")
    owner = ops.cast(ops.searchsorted(ends, block, side="right"), "int32")
    owner = ops.minimum(owner, num_experts - 1)  # blocks after the last are no one's, and empty
    place = ops.expand_dims((block - ops.take(first, owner)) * BLOCK, -1)
    place = place + ops.arange(BLOCK, dtype="int32")  # (N, block): which of its expert's rows
    taken = place < ops.expand_dims(ops.take(order.counts, owner), -1)
    row = ops.where(taken, ops.expand_dims(ops.take(order.starts, owner), -1) + place, 0)
    held = ops.take(tokens, ops.take(order.choices, row) % num_tokens, axis=0)  # (N, block, D)
    held = ops.where(ops.expand_dims(taken, -1), held, ops.zeros_like(held))

    answers = experts(held, owner)
    answers = ops.reshape(answers, (-1, answers.shape[-1]))  # (N block, D')
    chosen = ops.cast(ops.transpose(indices), "int32")  # (k, T)
    place = ops.reshape(order.rows, (k, -1)) - ops.take(order.starts, chosen)
    answer_of = ops.take(first, chosen) * BLOCK + place
    return combine(weights, [ops.take(answers, answer_of[j], axis=0) for j in range(k)])


def _most_blocks(num_choices, num_experts):
    if isinstance(num_choices, int):
        last = min(num_experts, num_choices)  # a whole number stays one: a compiler needs it
    elif ops.is_tensor(num_choices):
        last = ops.minimum(num_experts, num_choices)
    else:
        last = num_experts  # JAX works out shapes for a batch of any size
    return num_choices // BLOCK + last
