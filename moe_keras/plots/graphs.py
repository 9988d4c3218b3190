"""A model drawn as boxes and arrows, without Graphviz."""

import re
from typing import NamedTuple

import keras
from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextPath

from moe_keras.mixtures.mixture import Mixture
from moe_keras.nested import output_shape
from moe_keras.plots.picture import Picture, new_figure

FONT_SIZE = 8  # points; all other sizes are in inches
LINE, PADDING, GAP, COLUMN_GAP = 0.15, 0.08, 0.14, 0.36
LONG_CHAIN = 4  # so many plain layers in a row are set one below the other
PLAIN, FROZEN, TRAINED, FRAME = "#f2f2f2", "#cfe4f5", "#fbe3b5", "#ffffff"
LINE_COLOUR = "#333333"


def model_graph(model, title, *, source, depth=3):
    """Draw a model's layers as boxes and what flows between them as arrows, from left to right.

    A box names the layer, its output's shape without the batch axis, and its number of parameters.
    Models and mixtures inside are opened, each in a frame: a mixture shows its gate, its experts
    and their weighted sum. A layer that is used twice has two boxes. A long chain of plain layers
    stands in one column, from top to bottom.

    Args:
        model: a Keras model, or a mixture.
        title: title of the figure.
        source: what data its weights rest on: `dataset.label`.
        depth: how many levels to open: 1 shows the model's own layers, 2 also what is inside
            these, and so on. What is deeper stays a closed box.

    Returns:
        Picture.

    Raises:
        ValueError: if `model` is neither a functional or sequential model that is built, nor a
            mixture, or `depth` is below 1.

    Example:

    >>> from moe_keras.gates import SoftmaxGate
    >>> from moe_keras.mixtures import DenseMoE
    >>> from moe_keras.plots import model_graph
    >>> experts = [keras.layers.Dense(4, name="one"), keras.layers.Dense(4, name="two")]
    >>> inputs = keras.Input((8,), name="numbers")
    >>> model = keras.Model(inputs, DenseMoE(experts, SoftmaxGate(2), name="mixture")(inputs))
    >>> model_graph(model, "A mixture", source="no data")
    <Picture: A mixture>
    """
    if depth < 1:
        raise ValueError(f"Expected depth >= 1. Received: depth={depth}")
    opened = _open(model, None, depth)
    if opened is None:
        raise ValueError(
            "Expected a functional or sequential model that is built, or a mixture. "
            f"Received: {model!r}"
        )
    graph = _Frame("", *opened)
    margin = 0.1
    width, height = max(graph.width, 4.0) + 2 * margin, graph.height + 2 * margin
    figure, axes = new_figure(title, source, (width, height + 0.7))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    arrows = []
    graph.draw(axes, (width - graph.width) / 2, height / 2, arrows)
    told = "; ".join(f"{start} to {end}" for start, end in arrows)
    return Picture(figure, title, f"Boxes and arrows, {title}. {told}. Weights from: {source}.")


class _Use(NamedTuple):
    """One use of a layer: what it takes and gives, and which uses it takes it from."""

    layer: object
    inputs: object
    outputs: object
    sources: tuple


def _open(layer, input_shape, depth):
    """The boxes inside a layer and the pairs of them that are joined; `None` if it stays closed."""
    layer = _unwrapped(layer)
    if depth < 1:
        return None
    if isinstance(layer, Mixture):
        return _open_mixture(layer, input_shape, depth)
    if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        return _open_model(layer, depth)
    return None


def _open_mixture(mixture, input_shape, depth):
    boxes = [_part(mixture.gate, input_shape, depth)]
    if mixture.stacked:  # it takes tokens sorted by expert, of another shape than the mixture's
        boxes.append(_part(mixture.experts, None, depth))
    else:
        boxes += [_part(expert, input_shape, depth) for expert in mixture.experts]
    shared = getattr(mixture, "shared_experts", None) or []
    boxes += [_part(expert, input_shape, depth) for expert in shared]
    boxes.append(_Leaf(["weighted sum"], PLAIN))
    return boxes, [(i, len(boxes) - 1) for i in range(len(boxes) - 1)]


def _part(layer, input_shape, depth):
    shape = None if input_shape is None else output_shape(layer, input_shape)
    return _box(layer, input_shape, shape, depth - 1)


def _open_model(model, depth):
    uses = _uses(model)
    chained = _chains(uses)
    boxes, box_of = [], {}
    for key, use in uses.items():
        if key in box_of:
            continue
        chain = chained.get(key, [key])
        for member in chain:
            box_of[member] = len(boxes)
        if len(chain) > 1:
            boxes.append(_Chain([_one_line(uses[member]) for member in chain]))
        else:
            boxes.append(_box(use.layer, _shape(use.inputs), _shape(use.outputs), depth - 1))
    joined = [
        (box_of[source], box_of[key])
        for key, use in uses.items()
        for source in use.sources
        if box_of[source] != box_of[key]
    ]
    return boxes, list(dict.fromkeys(joined))


def _uses(model):
    """Every use of a layer on the way to the model's outputs, in an order that can be computed."""
    found = {}

    def visit(tensor):
        operation, index, _ = tensor._keras_history
        key = (id(operation), index)
        if key not in found:
            node = operation._inbound_nodes[index]
            sources = tuple(dict.fromkeys(visit(source) for source in node.input_tensors))
            found[key] = _Use(operation, node.input_tensors, node.output_tensors, sources)
        return key

    for tensor in keras.tree.flatten(model.outputs):
        visit(tensor)
    return found


def _chains(uses):
    """For each use that begins a long chain of plain layers, the chain."""
    followers = {key: [k for k, use in uses.items() if key in use.sources] for key in uses}

    def plain(key):
        return _open(uses[key].layer, None, 1) is None

    def leads_to_one(key):
        return len(followers[key]) == 1

    def continues(key):
        """Whether this use follows a plain one that leads nowhere else."""
        sources = uses[key].sources
        return plain(key) and len(sources) == 1 and plain(sources[0]) and leads_to_one(sources[0])

    chains = {}
    for key in uses:
        if continues(key):
            continue
        chain = [key]
        while leads_to_one(chain[-1]) and continues(followers[chain[-1]][0]):
            chain.append(followers[chain[-1]][0])
        if len(chain) >= LONG_CHAIN:
            chains[key] = chain
    return chains


def _box(layer, input_shape, shape, depth):
    opened = _open(layer, input_shape, depth)
    if opened is not None:
        return _Frame(_name(layer), *opened)
    lines = [_name(layer)]
    if _name(layer) != _kind(layer):
        lines.append(_kind(layer))
    lines += [part for part in (_written(shape), _weights(layer)) if part]
    return _Leaf(lines, _colour(layer))


def _one_line(use):
    parts = [_name(use.layer), _written(_shape(use.outputs)), _weights(use.layer)]
    return _Leaf(["  ".join(part for part in parts if part)], _colour(use.layer))


def _unwrapped(layer):
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    return layer


def _name(layer):
    """The name that somebody gave it, or else its kind."""
    kind = type(layer).__name__.lower()
    made = re.fullmatch(rf"{kind}\d*", layer.name.replace("_", ""))
    return _kind(layer) if made else layer.name


def _kind(layer):
    return "Input" if isinstance(layer, keras.layers.InputLayer) else type(layer).__name__


def _weights(layer):
    if not isinstance(layer, keras.layers.Layer) or not layer.built or not layer.weights:
        return ""
    return f"{layer.count_params():,} parameters{', frozen' if _is_frozen(layer) else ''}"


def _is_frozen(layer):
    return not layer.trainable_weights


def _colour(layer):
    if not isinstance(layer, keras.layers.Layer) or not layer.weights:
        return PLAIN
    return FROZEN if _is_frozen(layer) else TRAINED


def _shape(tensors):
    shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten(tensors)]
    return shapes[0] if len(shapes) == 1 else shapes


def _written(shape):
    """A shape without the batch axis; of a dict, as gates give, that of the probabilities."""
    if isinstance(shape, dict):
        shape = shape.get("probabilities")
    if isinstance(shape, list):
        shape = shape[0] if shape and all(s == shape[0] for s in shape) else None
    if not isinstance(shape, tuple) or len(shape) < 2:
        return ""
    return " x ".join("?" if size is None else str(size) for size in shape[1:])


class _Leaf:
    """A box with a few lines of text."""

    port = 0

    def __init__(self, lines, colour):
        self.lines, self.colour, self.name = lines, colour, lines[0]
        self.width = max(_text_width(line) for line in lines) + 2 * PADDING
        self.height = len(lines) * LINE + 2 * PADDING

    def draw(self, axes, x, y, arrows):
        """Draw it with its left edge at x and its middle at height y."""
        _rectangle(axes, x, y, self, self.colour, edge="#555555")
        axes.text(
            x + self.width / 2, y, "\n".join(self.lines), ha="center", va="center",
            fontsize=FONT_SIZE, linespacing=1.25,
        )  # fmt: skip


class _Chain:
    """Boxes of one line each, from top to bottom, an arrow between any two."""

    port = 0

    def __init__(self, leaves):
        self.leaves, self.name = leaves, f"{leaves[0].name} ... {leaves[-1].name}"
        self.width = max(leaf.width for leaf in leaves)
        for leaf in leaves:
            leaf.width, leaf.height = self.width, LINE + PADDING
        self.height = sum(leaf.height for leaf in leaves) + GAP * (len(leaves) - 1)

    def draw(self, axes, x, y, arrows):
        top = y + self.height / 2
        middle = x + self.width / 2
        for i, leaf in enumerate(self.leaves):
            leaf.draw(axes, x, top - leaf.height / 2, arrows)
            bottom = top - leaf.height
            if i + 1 < len(self.leaves):
                _line(axes, [(middle, bottom), (middle, bottom - GAP)])
                arrows.append((leaf.lines[0], self.leaves[i + 1].lines[0]))
            top = bottom - GAP


class _Wire:
    """What passes a column on its way to a later one."""

    width, height, port = 0, LINE, 0

    def draw(self, axes, x, y, arrows):
        """Nothing: the lines to it and from it meet."""


class _Frame:
    """Boxes in columns: each one right of all that it takes something from."""

    def __init__(self, name, boxes, joined):
        self.name, self.joined = name, joined
        self.boxes, self.pieces, self.columns = _columns(boxes, joined)
        self.widths = [max(self.boxes[i].width for i in column) for column in self.columns]
        self.border = COLUMN_GAP / 2 if name else 0
        self.headline = LINE + PADDING if name else 0
        self.port = -self.headline / 2  # at what height, from its middle, lines reach it
        inner = sum(self.widths) + COLUMN_GAP * (len(self.columns) - 1)
        self.width = max(inner + 2 * self.border, _text_width(name) + 2 * PADDING)
        tallest = max(self._height(column) for column in self.columns)
        self.height = tallest + self.headline + (2 * GAP if name else 0)

    def draw(self, axes, x, y, arrows):
        if self.name:
            _rectangle(axes, x, y, self, FRAME, edge="#0072B2")
            top = y + self.height / 2 - PADDING
            axes.text(x + PADDING, top, self.name, va="top", fontsize=FONT_SIZE, weight="bold")
        middle = y + self.port
        lefts, rights = (
            {},
            {},
        )  # where lines reach a box, and where they leave it, in straight steps
        left = x + self.border
        for column, width in zip(self.columns, self.widths, strict=True):
            top = middle + self._height(column) / 2
            for i in column:
                box = self.boxes[i]
                height, edge = top - box.height / 2, left + (width - box.width) / 2
                box.draw(axes, edge, height, arrows)
                height += box.port
                lefts[i] = [(left, height), (edge, height)]
                rights[i] = [(edge + box.width, height), (left + width, height)]
                top -= box.height + GAP
            left += width + COLUMN_GAP
        self._join(axes, lefts, rights, [(x, middle)], [(x + self.width, middle)])
        arrows += [(self.boxes[start].name, self.boxes[end].name) for start, end in self.joined]

    def _join(self, axes, lefts, rights, entry, leaving):
        for start, end in self.pieces:
            head = isinstance(self.boxes[end], _Leaf | _Chain)
            _line(axes, rights[start] + lefts[end], head)
        if self.name:
            starts, ends = ({pair[side] for pair in self.pieces} for side in (0, 1))
            for i, box in enumerate(self.boxes):
                if i not in ends:
                    _line(axes, entry + lefts[i], isinstance(box, _Leaf | _Chain))
                if i not in starts:
                    _line(axes, rights[i] + leaving, head=False)

    def _height(self, column):
        return sum(self.boxes[i].height for i in column) + GAP * (len(column) - 1)


def _columns(boxes, joined):
    """Boxes and wires, the short pieces that join them, and the columns they stand in."""
    depth = [0] * len(boxes)
    for start, end in sorted(joined, key=lambda pair: pair[1]):
        depth[end] = max(depth[end], depth[start] + 1)
    boxes, pieces = list(boxes), []
    for start, end in joined:
        for between in range(depth[start] + 1, depth[end]):
            pieces.append((start, len(boxes)))
            start = len(boxes)
            boxes.append(_Wire())
            depth.append(between)
        pieces.append((start, end))
    columns = [[i for i, d in enumerate(depth) if d == c] for c in range(max(depth) + 1)]
    return boxes, pieces, _untangled(columns, pieces)


def _untangled(columns, pieces):
    """Each column in the order of its neighbours' mean place, so that fewer lines cross."""
    place = {i: row for column in columns for row, i in enumerate(column)}
    for sweep in range(4):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            mean = {}
            for i in column:
                near = [a if forward else b for a, b in pieces if i == (b if forward else a)]
                mean[i] = sum(place[n] for n in near) / len(near) if near else place[i]
            column.sort(key=mean.get)
            place |= {i: row for row, i in enumerate(column)}
    return columns


def _text_width(text):
    if not text.strip():
        return 0
    # Letters on the screen are a little wider than their outlines.
    return 1.1 * TextPath((0, 0), text, size=FONT_SIZE).get_extents().width / 72


def _rectangle(axes, x, y, box, colour, edge):
    corner = (x, y - box.height / 2)
    shape = "round,pad=0,rounding_size=0.05"
    axes.add_patch(
        FancyBboxPatch(
            corner, box.width, box.height, boxstyle=shape, facecolor=colour, edgecolor=edge
        )
    )


def _line(axes, points, head=True):
    """A line through points, with an arrow's head at its end."""
    *points, end = dict.fromkeys(points)  # no step without a length
    axes.plot(*zip(*points, strict=True), color=LINE_COLOUR, linewidth=0.9, solid_capstyle="round")
    style = {"arrowstyle": "-|>" if head else "-", "color": LINE_COLOUR, "linewidth": 0.9}
    axes.annotate("", end, points[-1], arrowprops={**style, "shrinkA": 0, "shrinkB": 0})
