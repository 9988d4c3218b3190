"""A model drawn as boxes and arrows, without Graphviz."""

import re
from typing import NamedTuple

import keras

from moe_keras.mixtures.mixture import Mixture
from moe_keras.plots.boxes import Chain, Frame, Leaf
from moe_keras.plots.picture import Picture, new_figure
from moe_keras.serialization import output_shape

LONG_CHAIN = 4  # so many plain layers in a row are set one below the other
PLAIN, FROZEN, TRAINED = "#f2f2f2", "#cfe4f5", "#fbe3b5"


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
    graph = Frame("", *opened)
    margin = 0.1
    width, height = max(graph.width, 4.0) + 2 * margin, graph.height + 2 * margin
    figure, axes = new_figure(title, source, (width, height + 0.7))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    arrows = []
    graph.draw(axes, (width - graph.width) / 2, height / 2, arrows)
    joined = "; ".join(f"{start} to {end}" for start, end in arrows)
    return Picture(figure, title, f"Boxes and arrows, {title}. {joined}. Weights from: {source}.")


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
    deciders = [getattr(mixture, "base", None), mixture.gate]  # a cascade's base, and its gate
    boxes = [_part(layer, input_shape, depth) for layer in deciders if layer is not None]
    # A stack takes groups of tokens, of another shape than the mixture's inputs.
    shape = None if mixture.experts.is_stacked else input_shape
    boxes += [_part(layer, shape, depth) for layer in mixture.experts.layers_inside()]
    shared = getattr(mixture, "shared_experts", None) or []
    boxes += [_part(expert, input_shape, depth) for expert in shared]
    boxes.append(Leaf(["weighted sum"], PLAIN))
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
            boxes.append(Chain([_one_line(uses[member]) for member in chain]))
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
        return Frame(_name(layer), *opened)
    lines = [_name(layer)]
    if _name(layer) != _kind(layer):
        lines.append(_kind(layer))
    lines += [part for part in (_written(shape), _weights(layer)) if part]
    return Leaf(lines, _color(layer))


def _one_line(use):
    parts = [_name(use.layer), _written(_shape(use.outputs)), _weights(use.layer)]
    return Leaf(["  ".join(part for part in parts if part)], _color(use.layer))


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


def _color(layer):
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
