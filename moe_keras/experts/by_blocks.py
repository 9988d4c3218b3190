"""Any layers as experts under a compiler: each runs through its own rows block by block."""

import inspect

import keras
from keras import ops

from moe_keras.call_expert import of_keras
from moe_keras.layer import MoELayer
from moe_keras.masks import call_masked
from moe_keras.ops.blocks import (
    block_size,
    for_each_block,
    own_or_first,
    own_or_zero,
    padded,
    read,
    write,
)
from moe_keras.ops.compilers import needs_static_sizes
from moe_keras.ops.gradients import vjp, with_gradient
from moe_keras.ops.split_groups import split_groups
from moe_keras.precision import float32_or_better_dtype


def call_by_blocks(experts, rows, group_sizes, mask=None, training=None):
    """Answers of layers to groups of rows: expert e's to group e.

        y_i = experts[e](x_i)        for each row i of group e

    The gradient is written down, for no framework derives one through a loop whose length follows
    from the data: it goes through the blocks once more, in the same order, so that dropout drops
    the same units again.

    Args:
        experts: list of Keras layers or models without a `first_objection`.
        rows: tensor of shape (m, ...), whose first rows are group 0, and so on.
        group_sizes: integer tensor of shape (E,).
        mask: boolean tensor of the rows' first axes, two or more, or `None`.
        training: passed on.

    Returns:
        Tensor of shape (m, ...). What lies in rows beyond the last group is anyone's.
    """
    # In a graph of TensorFlow loops spare the experts that nothing chose.
    if keras.backend.backend() != "tensorflow" and not needs_static_sizes(group_sizes):
        return _by_slices(experts, rows, group_sizes, mask, training)
    block = block_size(rows.shape[0], len(experts))
    parts = [_Part(expert, training) for expert in experts]
    seeds = _distinct([seed for part in parts for seed in part.seeds])
    specs = [part.spec(rows.shape[1:], rows.dtype, block) for part in parts]
    dtype = keras.backend.result_type(*[spec.dtype for spec in specs])
    has_gradient = "float" in keras.backend.standardize_dtype(rows.dtype)

    def unpacked(tensors):
        """Rows, sizes, mask, seeds, and for each expert its weights: learned ones, and others."""
        rows, sizes, *tensors = tensors
        rest = iter(tensors)
        row_mask = next(rest) if mask is not None else None
        states = [next(rest) for _ in seeds]
        weights = [([next(rest) for _ in p.learned], [next(rest) for _ in p.others]) for p in parts]
        return rows, sizes, row_mask, states, weights

    def forward(*tensors):
        rows, sizes, row_mask, states, weights = unpacked(tensors)
        num_rows, starts = ops.shape(rows)[0], ops.cumsum(sizes) - sizes  # (E,)
        rows, row_mask = padded(rows, block), _padded_mask(row_mask, block)
        one = rows[:1], None if row_mask is None else row_mask[:1], *weights[0], seeds, states
        y = ops.zeros((num_rows + block, *_answer_shape(parts[0], specs[0], one)), dtype)
        for e, part in enumerate(parts):

            def step(at, own, carry, part=part, weights=weights[e]):
                y, *states = carry
                learned, others = weights
                x = own_or_first(read(rows, at, block), own)  # (block, ...)
                x_mask = _read_mask(row_mask, at, block, own)
                answers, states = part(x, x_mask, learned, others, seeds, states)
                return [write(y, at, answers), *states]

            y, *states = for_each_block(starts[e], sizes[e], block, step, [y, *states])
        return [y[:num_rows], *states]

    def backward(tensors, upstream):
        rows, sizes, row_mask, states, weights = unpacked(tensors)
        num_rows, starts = ops.shape(rows)[0], ops.cumsum(sizes) - sizes  # (E,)
        rows, row_mask = padded(rows, block), _padded_mask(row_mask, block)
        upstream, of_weights = padded(upstream[0], block), []
        of_rows = ops.zeros_like(rows) if has_gradient else ops.zeros((1,))
        for e, part in enumerate(parts):
            learned, others = weights[e]

            def step(at, own, carry, part=part, learned=learned, others=others):
                (of_rows, *of_learned), states = carry

                def answer(x, *learned):
                    answers, after = part(x, x_mask, learned, others, seeds, states)
                    return ops.cast(answers, dtype), after

                x = own_or_first(read(rows, at, block), own)  # (block, ...)
                x_mask = _read_mask(row_mask, at, block, own)
                up = own_or_zero(read(upstream, at, block), own)
                if has_gradient:
                    (of_x, *more), states = vjp(answer, [x, *learned], up)
                    of_rows = write(of_rows, at, own_or_zero(of_x, own))
                else:
                    more, states = vjp(lambda *learned: answer(x, *learned), learned, up)
                more = [a + ops.cast(b, a.dtype) for a, b in zip(of_learned, more, strict=True)]
                return [of_rows, *more], states

            # 16-bit gradients are added up in float32.
            zeros = [ops.zeros(w.shape, float32_or_better_dtype(w.dtype)) for w in learned]
            carry = ([of_rows, *zeros], states)
            (of_rows, *of_learned), states = for_each_block(starts[e], sizes[e], block, step, carry)
            of_weights += [ops.cast(g, w.dtype) for g, w in zip(of_learned, learned, strict=True)]
            of_weights += [None] * len(others)
        of_rows = of_rows[:num_rows] if has_gradient else None
        return [of_rows, None, *[None] * (mask is not None), *[None] * len(seeds), *of_weights]

    tensors = [rows, group_sizes, *([] if mask is None else [mask])]
    tensors += [ops.convert_to_tensor(seed.value) for seed in seeds]
    for part in parts:
        tensors += [ops.convert_to_tensor(w.value) for w in (*part.learned, *part.others)]
    y, *states = with_gradient(forward, backward)(*tensors)
    for seed, state in zip(seeds, states, strict=True):
        seed.assign(state)
    return y


def _answer_shape(part, spec, arguments):
    """Shape of the answer to one row: where that is known only when it runs, of a row's own."""
    if None not in spec.shape[1:]:
        return spec.shape[1:]
    answers, _ = part(*arguments)
    return ops.shape(answers)[1:]


def _by_slices(experts, rows, group_sizes, mask, training):
    *groups, rest = split_groups(rows, group_sizes)
    masks = [None] * len(experts) if mask is None else split_groups(mask, group_sizes)[:-1]
    outputs = [
        call_masked(expert, own, own_mask, training)
        for expert, own, own_mask in zip(experts, groups, masks, strict=True)
    ]
    nothing = ops.zeros((rest.shape[0], *outputs[0].shape[1:]), outputs[0].dtype)
    return ops.concatenate([*outputs, nothing])


class _Part:
    """An expert as a function of its weights and of its seeds' states, without side effects."""

    def __init__(self, expert, training):
        self.expert, self.training = expert, training
        self.learned = expert.trainable_variables
        self.seeds = [v for v in expert.variables if _is_seed(v)]
        known = {id(v) for v in (*self.learned, *self.seeds)}
        self.others = [v for v in expert.variables if id(v) not in known]

    def __call__(self, x, mask, learned, others, seeds, states):
        values = [*zip(self.learned, learned, strict=True), *zip(self.others, others, strict=True)]
        values += zip(seeds, states, strict=True)
        with keras.StatelessScope(values) as scope:
            y = call_masked(self.expert, x, mask, self.training)
            states = [scope.get_current_value(seed) for seed in seeds]
        return y, states

    def spec(self, row_shape, dtype, block):
        return _Trial(self.expert, self.training).compute_output_spec(
            keras.KerasTensor((block, *row_shape), dtype)
        )


class _Trial(keras.Operation):
    """A call of an expert on symbols, to see what else it does."""

    def __init__(self, expert, training):
        super().__init__()
        self.expert, self.training = expert, training
        # Read here: Keras's JAX trainer leaves none in the variables themselves while it trains.
        self.values = [(v, ops.convert_to_tensor(v.value)) for v in expert.variables]
        self.changed, self.losses = [], []

    def call(self, x, mask=None):
        with keras.StatelessScope(self.values, collect_losses=True) as scope:
            before = [(v, scope.get_current_value(v)) for v, _ in self.values]
            y = call_masked(self.expert, x, mask, self.training)
            self.changed = [v for v, value in before if scope.get_current_value(v) is not value]
            self.losses = list(scope.losses)
        return y


def first_objection(experts, row_shape, dtype, mask=None, training=None):
    """Why some expert must not be run block by block, for the error message; `None` if all may.

    Args:
        experts: list of Keras layers or models, built.
        row_shape, dtype: of their rows.
        mask: the tokens' own mask, of their first axes, or `None`.
        training: as they will be called.
    """
    for expert in experts:
        reason = _objection(expert, row_shape, dtype, mask, training)
        if reason:
            return f"'{expert.name}', in which {reason}"
    return None


def _objection(expert, row_shape, dtype, mask, training):
    for layer in expert._flatten_layers():
        if isinstance(layer, MoELayer) and layer.hands_masks_on:
            return f"'{layer.name}' is a gate or a mixture, which looks at all rows at once"
        if _wants_to_know_rows(layer):
            return f"'{layer.name}' takes a mask, by which it may look at all rows at once"
    trial = _Trial(expert, training)
    specs = [keras.KerasTensor((2, *row_shape), dtype)]
    if mask is not None:
        specs.append(keras.KerasTensor((2, *mask.shape[1:]), "bool"))
    trial.compute_output_spec(*specs)
    kept = [variable.path for variable in trial.changed if not _is_seed(variable)]
    if kept:
        return f"'{kept[0]}' changes with all rows at once"
    if trial.losses:
        return "a layer adds to the loss, of all rows at once"
    return None


def _wants_to_know_rows(layer):
    """Whether a layer of someone's own takes a mask; those of Keras are known not to need it."""
    if of_keras(layer) or isinstance(layer, MoELayer):
        return False
    return "mask" in inspect.signature(type(layer).call).parameters


def _is_seed(variable):
    return variable.name == "seed_generator_state"


def _distinct(variables):
    return list({id(variable): variable for variable in variables}.values())


def _padded_mask(mask, block):
    return None if mask is None else padded(ops.cast(mask, "bool"), block)


def _read_mask(mask, at, block, own):
    return None if mask is None else own_or_first(read(mask, at, block), own)
