"""Sparse upcycling: chosen layers of a trained model become mixtures of copies of themselves."""

import warnings

import keras
import numpy as np

from moe_keras.arguments import non_negative_float, positive_integer, valid_top_k
from moe_keras.gates import TopKGate
from moe_keras.mixtures.sparse import SparseMoE
from moe_keras.serialization import sharing

# What treats each position of its input alike and alone: its tokens can go to different experts.
ON_FEATURES = (keras.layers.Dense, keras.layers.Activation, keras.layers.Dropout)
POOLING = {
    3: keras.layers.GlobalAveragePooling1D,
    4: keras.layers.GlobalAveragePooling2D,
    5: keras.layers.GlobalAveragePooling3D,
}


def upcycle(model, layers, num_experts, top_k=2, gate=None, noise=0.0, seed=None, **options):
    """Upcycle a dense model: chosen layers become sparse mixtures that start as copies of them.

        y = sum_{j=1..k} w_j E_{i_j}(x)        E_e = a copy of the layer

    While the gate's weights sum to 1, as those of a `TopKGate` with k > 1 do, the new model gives
    what the old one gives, until training moves the copies apart. The old one is left as it is.

    A `Dense` layer, or a `Sequential` of `Dense`, `Activation` and `Dropout`, is routed token by
    token: each (D,) of an input (B, ..., D). Anything else, such as a block of convolutions, is
    routed whole: the default gate then sees the mean over all axes but the first and the last.

    Args:
        model: Functional or Sequential Keras model, built. Models inside it are searched as well;
            parts of layers, such as the feed-forward layer in a block of a class of its own, cannot
            be reached.
        layers: List of names of layers, at any depth, or function of a layer that says whether it
            is to become a mixture. Each is called on one tensor. A model inside the model can be
            chosen as a whole.
        num_experts: Integer, number of experts E of each mixture.
        top_k: Integer, number of experts for each token k, from 1 to E. With k = 1 the weight is
            the gate's probability, so the outputs change; a warning says so.
        gate: Function of no argument that gives a new gate for each mixture. `None`: a `TopKGate`.
        noise: Float, standard deviation of what is added to the weights of all copies but the
            first, in standard deviations of each tensor. Without it the copies part only by the
            tokens that they get.
        seed: Integer that fixes the noise, or `None`.
        options: further arguments of `SparseMoE`, such as `dispatch`. With a capacity, tokens may
            be dropped, so the outputs change.

    Returns:
        A new model, in which a mixture has the name of the layer that it replaces. It is compiled
        as the old one was, with a fresh optimizer: what that had gathered is of other weights.

    Raises:
        ValueError: if the model is neither Functional nor Sequential, or not built; a name is that
            of no layer, or nothing is chosen; a chosen layer is called on several tensors, or on
            one of more axes than the default gate can take the mean of; or a number is out of its
            range.

    Reference:
        Komatsuzaki et al. (2022), Sparse upcycling: training mixture-of-experts from dense
        checkpoints, section 3.

    Example:

    >>> import numpy as np
    >>> from moe_keras.mixtures import upcycle
    >>> block = [keras.layers.Dense(16, "relu", name="wide"), keras.layers.Dense(2)]
    >>> dense = keras.Sequential([keras.Input((4,)), *block])
    >>> sparse = upcycle(dense, ["wide"], num_experts=4)
    >>> x = np.random.default_rng(0).normal(size=(3, 4))
    >>> np.allclose(dense.predict(x, verbose=0), sparse.predict(x, verbose=0), atol=1e-6)
    True
    """
    num_experts = positive_integer("num_experts", num_experts)
    top_k = valid_top_k(top_k, num_experts)
    noise = non_negative_float("noise", noise)
    if not _is_graph(model) or not model.built:
        raise ValueError(
            "Expected a Functional or Sequential model that is built: call it once. "
            f"Received: '{getattr(model, 'name', model)}' of type {type(model).__name__}"
        )
    chosen = _chosen(model, layers)
    if top_k == 1 and gate is None:
        warnings.warn(
            "With top_k=1 an expert's output is multiplied by the gate's probability, so the "
            "upcycled model starts with other outputs than the model. With top_k=2 it does not.",
            stacklevel=2,
        )
    mixtures, kept = [], []

    def mixture(layer):
        rank = _rank(layer)
        new_gate = gate() if gate else _gate(layer, rank, num_experts, top_k)
        copies = [_copy(layer, f"{layer.name}_{e}") for e in range(num_experts)]
        made = SparseMoE(copies, new_gate, name=layer.name, **options)
        mixtures.append((layer, made))
        return made

    def clone(layer):
        if any(layer is one for one in chosen):
            return mixture(layer)
        if _is_graph(layer):
            return keras.models.clone_model(layer, clone_function=once)
        new = layer.__class__.from_config(layer.get_config())
        if isinstance(layer, keras.layers.Layer):  # else an operation, such as a sum
            kept.append((layer, new))
        return new

    clones = {}

    def once(layer):  # a layer may be shared by models inside the model
        if id(layer) not in clones:
            clones[id(layer)] = clone(layer)
        return clones[id(layer)]

    with sharing():  # a layer inside several mixtures stays one layer
        upcycled = keras.models.clone_model(model, clone_function=once)
    for old, new in kept:
        new.set_weights(old.get_weights())
    generator = np.random.default_rng(seed)
    for old, new in mixtures:
        for e, expert in enumerate(new.experts):
            expert.set_weights(old.get_weights())
            if e and noise:
                _disturb(expert, noise, generator)
    return upcycled


def _is_graph(layer):
    """Whether it is a Functional or Sequential model, whose layers can be replaced."""
    is_functional = isinstance(layer, keras.Model) and hasattr(layer, "operations")
    return is_functional or isinstance(layer, keras.Sequential)


def _inside(model):
    """All layers of a model, at any depth."""
    for layer in model.layers:
        yield layer
        if _is_graph(layer):
            yield from _inside(layer)


def _chosen(model, layers):
    found = list(_inside(model))
    if callable(layers):
        chosen = [layer for layer in found if layers(layer)]
    else:
        names = {layer.name for layer in found}
        unknown = [name for name in layers if name not in names]
        if unknown:
            raise ValueError(
                f"Expected names of layers of '{model.name}': {', '.join(sorted(names))}. "
                f"Received: {', '.join(map(str, unknown))}"
            )
        chosen = [layer for layer in found if layer.name in layers]
    if not chosen:
        raise ValueError(f"Expected at least one layer of '{model.name}'. Received: none")
    return chosen


def _on_features(layer):
    """Whether a layer treats each position of its input alike and alone."""
    if isinstance(layer, keras.Sequential):
        return all(map(_on_features, layer.layers))
    return isinstance(layer, ON_FEATURES)


def _rank(layer):
    """How many axes the tensor has that a layer is called on in its model."""
    arguments = layer._inbound_nodes[0].arguments
    given = [*arguments.args, *(v for name, v in arguments.kwargs.items() if name != "mask")]
    tensors = [x for x in keras.tree.flatten(given) if isinstance(x, keras.KerasTensor)]
    if len(tensors) != 1 or not any(tensors[0] is value for value in given):
        raise ValueError(
            "Expected chosen layers that are called on one tensor, for a gate to see. Received: "
            f"'{layer.name}' of type {type(layer).__name__}, called on {len(tensors)} tensors, or "
            "on one in a list or dict. Leave it out, or choose layers inside it"
        )
    return len(tensors[0].shape)


def _gate(layer, rank, num_experts, top_k):
    gate = TopKGate(num_experts, top_k)
    if rank < 3 or _on_features(layer):
        return gate
    if rank not in POOLING:
        raise ValueError(
            f"Expected inputs of at most {max(POOLING)} axes, for the default gate to take means. "
            f"Received: '{layer.name}', called on a tensor of {rank} axes. Give a `gate`"
        )
    return keras.Sequential([POOLING[rank](), gate])


def _copy(layer, name):
    """A layer like another, which takes its tokens without the axes that a mixture takes away."""
    if isinstance(layer, keras.Sequential) and _on_features(layer):
        return keras.Sequential([_copy(part, part.name) for part in layer.layers], name=name)
    with sharing(anew=True):  # within a copy, and not with the other copies
        return layer.__class__.from_config({**layer.get_config(), "name": name})


def _disturb(expert, noise, generator):
    for variable in expert.trainable_weights:
        value = keras.ops.convert_to_numpy(variable)
        variable.assign(value + noise * value.std() * generator.normal(size=value.shape))
