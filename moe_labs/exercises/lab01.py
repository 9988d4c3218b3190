"""The exercises of lab 01, natural or artificial?"""

import functools
import re

import keras
import numpy as np
from keras import layers, ops

from moe_keras.data import SPECS, groups
from moe_keras.evaluation import paired_interval as bootstrap_interval
from moe_keras.experts import FrozenExpert
from moe_keras.gates import PerClassGate
from moe_keras.mixtures import Combine
from moe_labs.exercises.behaviour import (
    in_network,
    require_frozen,
    require_images_apart,
    require_learning,
    require_made,
    require_probabilities,
    require_shape,
    require_weights_over_experts,
    to_numpy,
    train_one_step,
)
from moe_labs.exercises.draws import numbers, probabilities, sizes
from moe_labs.exercises.exercise import WrongAnswer, exercise
from moe_labs.exercises.forms import Array, Network, Number, Several, Tensor, Text
from moe_labs.exercises.ways import arrays, gradient, variable

NATURAL, ARTIFICIAL = groups("cifar10").values()
CLASS_NAMES = SPECS["cifar10"].class_names
IMAGE = (32, 32, 3)
MOST_PARAMETERS = 1_000_000


def block(filters):
    """The block that the lab gives."""
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        layers.MaxPooling2D(),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


def _is_a_classifier(build_cnn, random):
    models = []
    for num_classes in (10, int(random.integers(3, 9)), 2):  # the gate is one of two classes
        model = build_cnn(num_classes)
        require_made(model, keras.Model, f"build_cnn({num_classes})")
        images = random.integers(0, 256, (4, *IMAGE)).astype("uint8")
        said = to_numpy(model(images), "the network's output")
        if said.shape == (4, 10) and num_classes != 10:
            raise WrongAnswer(
                f"build_cnn({num_classes}) still gives 10 classes: use num_classes in the last "
                "layer."
            )
        require_shape(said, (4, num_classes), f"the output for 4 images and {num_classes} classes")
        require_probabilities(said, "the network's output")
        require_images_apart(model, images)
        in_training = to_numpy(model(images, training=True))
        if not np.allclose(in_training.sum(axis=-1), 1, atol=1e-3):
            raise WrongAnswer(
                "In training the network's output does not sum to 1: nothing may come after the "
                "softmax, and dropout only before the last layer."
            )
        models.append(model)
    shapes, *of_fewer = ([tuple(v.shape) for v in model.weights] for model in models)
    for others in of_fewer:
        # The last layer has a kernel and a bias.
        if len(shapes) != len(others) or sum(map(tuple.__ne__, shapes, others)) > 2:
            raise WrongAnswer(
                "Networks for 10 classes and for fewer must have the same layers, all but the last "
                "of the same size: the lab copies the weights of one to the other."
            )
    models.append(build_cnn(10))  # the lab builds several for ten classes
    models[-1](images)
    variables = [id(v) for model in models for v in model.variables]
    if len(set(variables)) < len(variables):
        raise WrongAnswer(
            "Two calls share their layers: whoever trains one network would train the other too. "
            "Create the layers inside build_cnn."
        )


def _is_a_small_cnn_that_scales_and_learns(build_cnn, random):
    model = build_cnn(10)
    images = random.integers(0, 256, (4, *IMAGE)).astype("float32")
    images[0], images[1] = 0, 255
    model(images)
    if model.count_params() > MOST_PARAMETERS:
        raise WrongAnswer(
            f"Your network has {model.count_params():,} parameters; with more than "
            f"{MOST_PARAMETERS:,} you would wait too long. Pool more before the dense layers, or "
            "use fewer filters."
        )
    kernels = [v for v in model.trainable_variables if len(v.shape) == 4]
    if not kernels:
        raise WrongAnswer("There is no convolution (Conv2D) that can learn in your network.")
    frozen = [each.name for each in model._flatten_layers() if each.weights and not each.trainable]
    if frozen:
        raise WrongAnswer(f"Training cannot move {', '.join(frozen)}: leave `trainable` as it is.")
    seen = _seen_by_first_convolution(model, images)
    if seen is not None and not (np.ptp(seen) > 0.1 and np.abs(seen).max() <= 20):
        raise WrongAnswer(
            f"The first convolution sees values from {seen.min():.3g} to {seen.max():.3g}: are "
            "the pixel values, 0 to 255, scaled to about -1 to 1 by a first layer (Rescaling)?"
        )
    if seen is not None and len(np.unique(seen[2:])) <= 2:
        raise WrongAnswer(
            "The first convolution sees two values alone, so all shades between black and white are "
            "lost: do you divide whole numbers (// for /)?"
        )
    _require_look_at_all_of(model, images, random)
    before = to_numpy(kernels[0])
    for _ in range(2):  # a last layer of zeros hands nothing back at the first step
        train_one_step(model, images, np.eye(10)[[3, 1, 4, 8]])
    if np.array_equal(before, to_numpy(kernels[0])):
        raise WrongAnswer(
            "Training does not move the first convolution: what cuts its gradient, or freezes it?"
        )
    last = [v for v in model.trainable_variables if tuple(v.shape)[-1:] == (10,)][-2:]
    surest = 1
    for change in (np.array, lambda drawn: -np.abs(drawn)):  # a ReLU shows below 0 alone
        for weights in last:
            weights.assign(change(1000 * random.normal(size=weights.shape)))
        surest = min(surest, to_numpy(model(images)).max())
    if last and surest < 0.9:
        raise WrongAnswer(
            f"However large its last weights are, your network gives no class more than {surest:.2f}: "
            "is there a second softmax, or another activation before it?"
        )


PARTS = {
    "upper half": np.s_[:, : IMAGE[0] // 2],
    "lower half": np.s_[:, IMAGE[0] // 2 :],
    "left half": np.s_[:, :, : IMAGE[1] // 2],
    "right half": np.s_[:, :, IMAGE[1] // 2 :],
    "red": np.s_[..., 0],
    "green": np.s_[..., 1],
    "blue": np.s_[..., 2],
}


def _require_look_at_all_of(model, images, random):
    """Raise if the network's output is the same, to the last bit, whatever a part of an image is."""
    for weights in model.trainable_variables:
        if tuple(weights.shape)[-1:] == (10,):  # a last layer may start with zeros
            weights.assign(random.normal(0, 0.1, weights.shape))
    said = to_numpy(model(images))
    for name, part in PARTS.items():
        others = images.copy()
        others[part] = random.integers(0, 256, others[part].shape)
        if np.array_equal(to_numpy(model(others)), said):
            raise WrongAnswer(
                f"Your network does not look at the {name} of an image: whatever is there, its output "
                "is the same."
            )


def _seen_by_first_convolution(model, images):
    convolutions = [layer for layer in model._flatten_layers() if isinstance(layer, layers.Conv2D)]
    if not convolutions:
        return None
    seen = []
    for layer in convolutions:
        layer.call = lambda x, *args, call=layer.call, **kwargs: seen.append(x) or call(x)
    model(images)
    for layer in convolutions:
        del layer.call
    return to_numpy(seen[0]) if seen else None


@exercise(
    marks=3,
    returns=Network(*IMAGE),
    properties=[_is_a_classifier, _is_a_small_cnn_that_scales_and_learns],
    hints=[
        "A CNN is a chain: scale the pixels, then blocks of convolution, normalisation, ReLU "
        "and pooling.",
        "Three blocks with 32, 64 and 128 filters will do; then one number a filter with a "
        "global pooling.",
        'End with keras.layers.Dense(num_classes, activation="softmax").',
    ],
)
def build_cnn(num_classes):
    """A CNN from images (B, 32, 32, 3), values 0 to 255, to probabilities (B, num_classes)."""
    chain = [keras.Input((32, 32, 3)), layers.Rescaling(1 / 63.75, offset=-2.0)]
    chain.append(layers.Conv2D(24, 2, activation="relu"))
    for filters in (32, 64, 128):
        chain += block(filters)
    chain += [layers.GlobalMaxPooling2D(), layers.Dense(num_classes, activation="softmax")]
    return keras.Sequential(chain)


def _given_variable(name):
    """The way with a variable, as the lab hands one over; what a variable lacks is told."""
    given_variable = variable(name)

    def way(function, args, names, form):
        try:
            return given_variable(function, args, names, form)
        except AttributeError as error:
            raise WrongAnswer(
                f"It is right on arrays, but the lab hands it a variable as well, and that lacks "
                f"something which your code, or keras.ops, asks of `{name}`. Begin with "
                f"{name} = tf.convert_to_tensor({name}). ({error})"
            ) from error

    return way


def _labels(random):
    """Some labels, each of them twice, and those of one group."""
    for labels in (
        random.integers(10, size=4),
        random.permutation(20) % 10,
        random.choice(NATURAL, 7),
    ):
        yield (labels.astype("int32"),)


@exercise(
    marks=1,
    cases=_labels,
    returns=Array("int"),
    mistakes=[
        (
            lambda labels: 1 - to_group(labels),
            "The polarity is inverted: natural must be 0 and artificial 1.",
        ),
        (lambda labels: labels, "Those are the labels themselves: give each its group, 0 or 1."),
        (
            lambda labels: np.eye(2)[to_group(labels)],
            "Give one number for each label, 0 or 1, not two columns.",
        ),
        *(
            (
                lambda labels, c=c: np.where(labels == c, 1 - to_group(labels), to_group(labels)),
                f"The class {name!r} is in the wrong group.",
            )
            for c, name in enumerate(CLASS_NAMES)
        ),
    ],
    hints=[
        f"Natural are: {', '.join(CLASS_NAMES[c] for c in NATURAL)}.",
        "np.isin(labels, ids) is true where a label is one of the ids.",
        "Turn true and false into 1 and 0 with .astype.",
    ],
)
def to_group(labels):
    """0 for natural labels, 1 for artificial ones, in an array of the same shape."""
    return np.isin(labels, ARTIFICIAL).astype("int32")


def _of_few_classes(random):
    for high in (4, 9):
        images, known, classes = sorted(sizes(random, 3, high=high))
        ids = tuple(map(int, random.permutation(classes)[:known]))
        if known > 1 and ids == tuple(sorted(ids)):
            ids = ids[::-1]
        yield probabilities(random, images, known), ids, classes
    yield probabilities(random, 5, len(NATURAL)), NATURAL, 10


def _with_columns(order):
    return lambda p, ids, n: spread(p, order(list(ids)), n)


@exercise(
    marks=2,
    cases=_of_few_classes,
    mistakes=[
        (
            _with_columns(lambda ids: range(len(ids))),
            "You fill the first columns: class_ids says which column each one belongs in.",
        ),
        (
            _with_columns(sorted),
            "You sort class_ids: its first entry belongs to the first probability, and so on.",
        ),
        (
            lambda p, ids, n: np.array(p)[:, np.argsort(ids)],
            "The result needs a column for each of the num_classes classes.",
        ),
        (lambda p, ids, n: spread(p, ids, n).T, "Images are the rows, classes the columns."),
        (
            lambda p, ids, n: spread(np.ones_like(p), ids, n),
            "You mark the classes that the expert knows: put its probabilities there.",
        ),
        (
            lambda p, ids, n: np.where(np.isin(np.arange(n), ids), spread(p, ids, n), 1 / n),
            "A class that the expert does not know gets probability 0.",
        ),
        (
            lambda p, ids, n: np.tile(spread(p, ids, n)[:1], (len(p), 1)),
            "All images get the first one's probabilities.",
        ),
    ],
    hints=[
        "A class that the expert does not know gets probability 0.",
        "Begin with np.zeros of the right shape, then fill some of its columns.",
        "wide[:, list(class_ids)] = probabilities fills the columns in the order of class_ids.",
    ],
)
def spread(probabilities, class_ids, num_classes):
    """Probabilities (B, len(class_ids)) to (B, num_classes), zero for classes not in class_ids."""
    wide = np.zeros((len(probabilities), num_classes), "float32")
    wide[:, list(class_ids)] = probabilities
    return wide


def _weights_and_outputs(random):
    for low, high in ((2, 4), (3, 7)):
        images, experts, classes = sizes(random, 3, low, high)
        outputs = probabilities(random, images, experts, classes)
        yield probabilities(random, images, experts), outputs
    images, experts, classes = sizes(random, 3, 5, 8)
    yield numbers(random, images, experts), numbers(random, images, experts, classes)
    # One image, as where the lab looks at the gradient.
    yield probabilities(random, 1, experts), probabilities(random, 1, experts, classes)


@exercise(
    marks=2,
    cases=_weights_and_outputs,
    returns=Tensor(),
    ways=[arrays, _given_variable("weights"), gradient("weights")],
    mistakes=[
        (
            lambda w, o: ops.mean(o, axis=1),
            "That is the plain average of the experts: the weights are not used.",
        ),
        (
            lambda w, o: ops.sum(o, axis=1),
            "That is the plain sum of the experts: the weights are not used.",
        ),
        (
            lambda w, o: ops.expand_dims(w, -1) * o,
            "Each expert is weighed, and now they must be added: sum over axis 1, the experts.",
        ),
        (
            lambda w, o: ops.mean(ops.expand_dims(w, -1) * o, axis=1),
            "You divide by the number of experts: the weights have done that already.",
        ),
        (
            lambda w, o: mixture(w / ops.sum(w, axis=1, keepdims=True), o),
            "You divide by the sum of the weights: the formula takes them as they are.",
        ),
        (
            lambda w, o: mixture(ops.softmax(w), o),
            "The weights are weights already: no softmax is needed.",
        ),
        (
            lambda w, o: ops.max(ops.expand_dims(w, -1) * o, axis=1),
            "You take the largest share for each class: a mixture adds the shares of all experts.",
        ),
        (
            lambda w, o: np.take_along_axis(o, np.argmax(w, axis=1)[:, None, None], 1)[:, 0],
            "You take the heaviest expert alone: sum all of them, each times its weight.",
        ),
        (
            lambda w, o: ops.sum(ops.expand_dims(w, -1) * o, axis=2),
            "You sum over the classes: sum over axis 1, the experts.",
        ),
        (
            lambda w, o: ops.squeeze(mixture(w, o)),
            "Of a single image the axis of images gets lost, and (1, C) becomes (C,): name the axis "
            "that ops.squeeze may take away.",
        ),
    ],
    hints=[
        "One weight an image and expert: each of the expert's class probabilities is multiplied "
        "by it.",
        "Give weights a last axis of length 1, so that (B, E, 1) times (B, E, C) works.",
        "Then sum over axis 1, the experts.",
    ],
)
def mixture(weights, outputs):
    """The weighted sum of the experts: weights (B, E), outputs (B, E, C), result (B, C)."""
    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)


def _gates_of_two(random):
    """Gates (B, 2), some of them nearly undecided, and what the two experts say, (B, C).

    Neither the first image nor their mean decides the same way in all cases. The last case is one
    image, as where the lab looks at the gradient.
    """
    for first, *others in (
        (0.97, 0.46, 0.53),
        (0.02, 0.46, 0.53, 0.97, 0.48, 0.56, 1, 0.9),
        (0.9, 0.02, 0.46, 0.1, 0.48),
        (0.53,),
    ):
        column = np.array([first, *random.permutation(others)])
        said = probabilities(random, 2, len(column), int(random.integers(2, 7)))
        yield np.stack([column, 1 - column], axis=1).astype("float32"), *said


@exercise(
    marks=2,
    cases=_gates_of_two,
    returns=Tensor(),
    ways=[arrays, _given_variable("gate")],
    mistakes=[
        (
            lambda g, n, a: hard_switch(g[:, ::-1], n, a),
            "The polarity is inverted: column 0 of the gate is natural, column 1 artificial.",
        ),
        (
            lambda g, n, a: (
                hard_switch(np.eye(2)[[0, 1]], n[:1], a[:1])[:1] * g[:, :1]
                + hard_switch(np.eye(2)[[1, 0]], n[:1], a[:1])[:1] * g[:, 1:]
            ),
            "All images get answers to the first image.",
        ),
        *(
            (
                lambda g, n, a, side=side: ops.where(g[:, :1] > g[:, 1:], n, a) * 0 + (n, a)[side],
                f"You ask the {name} expert for every image: the gate is not used.",
            )
            for side, name in enumerate(groups("cifar10"))
        ),
        *(
            (
                lambda g, n, a, side=side: g[:, side, None] * n + g[:, 1 - side, None] * a,
                "That is a soft mixture: each image must get the answer of one expert, whole.",
            )
            for side in (0, 1)
        ),
        (
            lambda g, n, a: ops.maximum(n, a),
            "You take the larger number for each class: take one expert's whole answer.",
        ),
        (
            lambda g, n, a: ops.where(
                ops.max(n, axis=1, keepdims=True) > ops.max(a, axis=1, keepdims=True), n, a
            ),
            "You take the expert that is surer of its answer: it is the gate that decides.",
        ),
        (
            lambda g, n, a: hard_switch(np.repeat(g[:1], len(g), axis=0), n, a),
            "The gate's decision on the first image is used for all: each image has its own.",
        ),
        (
            lambda g, n, a: hard_switch(np.repeat(g.mean(0)[None], len(g), axis=0), n, a),
            "You decide once for all images: each image has its own row in the gate.",
        ),
        (
            lambda g, n, a: ops.squeeze(hard_switch(g, n, a)),
            "Of a single image the axis of images gets lost, and (1, C) becomes (C,): name the axis "
            "that ops.squeeze may take away.",
        ),
    ],
    hints=[
        "Which column of the gate is natural? Look at what to_group calls 0.",
        "ops.where(condition, a, b) takes a where the condition holds.",
        "The condition needs shape (B, 1): gate[:, :1] > gate[:, 1:].",
    ],
)
def hard_switch(gate, natural, artificial):
    """The likelier group's answer: gate (B, 2), natural and artificial (B, C), result (B, C)."""
    return ops.where(gate[:, :1] > gate[:, 1:], natural, artificial)


def _is_frozen(freeze, random):
    for _ in range(2):
        side, classes = sizes(random, 2, low=3, high=6)
        # It moves in all the ways in which a frozen one must not.
        expert = keras.Sequential(
            [
                keras.Input((side, side, 1)),
                layers.Flatten(),
                layers.Dense(6),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.Dense(classes, activation="softmax"),
            ]
        )
        images, others = (numbers(random, count, side, side, 1) for count in (16, 5))
        expected = to_numpy(expert(images, training=False))
        of_others = to_numpy(expert(others, training=False))
        frozen = freeze(expert)
        require_made(frozen, layers.Layer, "freeze(expert)")
        if not np.allclose(to_numpy(frozen(images, training=False)), expected, atol=1e-6):
            raise WrongAnswer("The frozen expert must give the same answers as the expert.")
        require_frozen(frozen, images)
        said = to_numpy(frozen(others, training=False))
        if said.shape != of_others.shape or not np.allclose(said, of_others, atol=1e-6):
            raise WrongAnswer(
                "Of other images the frozen expert must give its own answers as well."
            )
        if frozen.trainable_variables:
            raise WrongAnswer(
                "No gradient reaches the expert, but its weights may still be trained: weight decay "
                "would move them. Set trainable = False on all of it."
            )


@exercise(
    marks=2,
    properties=[_is_frozen],
    hints=[
        "Two things move in training: weights, and layers that behave differently (dropout, "
        "batch norm).",
        "trainable = False stops the weights. What must the call say to quieten the rest?",
        "moe_keras.experts.FrozenExpert does both.",
    ],
)
def freeze(expert):
    """The same expert, which no training can move."""
    return FrozenExpert(expert)


def _weighs_the_experts_of_each_class(gate_class, random):
    for experts in (2, 3):
        classes, width = sizes(random, 2, low=4, high=7)
        gate = gate_class(num_classes=classes, num_experts=experts)
        require_made(gate, layers.Layer, "ImportanceGate(num_classes, num_experts)")
        images = numbers(random, 6, width)
        weights = gate(images)
        if weights is None:
            raise WrongAnswer("Its call gives None, nothing: does it end with `return`?")
        weights = to_numpy(weights, "the weights")
        require_shape(
            weights,
            (6, classes, experts),
            f"weights of 6 images, {classes} classes, {experts} experts",
        )
        require_weights_over_experts(weights)
        if not np.allclose(weights, to_numpy(gate(images)), atol=1e-6):
            raise WrongAnswer(
                "Called twice, the gate gives two answers: create its layers in __init__ or build."
            )
        require_images_apart(gate, images)
        twin = gate_class(num_classes=classes, num_experts=experts)
        twin(images)
        if {id(v) for v in gate.variables} & {id(v) for v in twin.variables}:
            raise WrongAnswer(
                "Two gates share their layers: whoever trains one would train the other too. Create "
                "the layers in __init__ or build."
            )


def _learns_whom_to_trust(gate_class, random):
    """Twelve images, of which each class should listen to another expert in turn: too much to fit
    for a gate that does not look at the whole image, or treats the classes alike."""
    images, classes, experts = 12, 4, 3
    features = numbers(random, images, 16)
    best = np.add.outer(random.permutation(images), random.permutation(classes)) % experts
    gate = gate_class(num_classes=classes, num_experts=experts)
    require_learning(gate, features, np.eye(experts, dtype="float32")[best], "gate")
    weights = to_numpy(gate(features))
    if np.allclose(weights, to_numpy(gate(features[:, ::-1])), atol=1e-6):
        raise WrongAnswer(
            "The gate gives the same weights if the features are turned round: it must know which "
            "is which."
        )
    for feature in range(features.shape[1]):
        changed = features + np.eye(features.shape[1], dtype="float32")[feature] / 10
        # Not a bit: of a gate that is sure, a change is small.
        if np.array_equal(weights, to_numpy(gate(changed))):
            raise WrongAnswer(
                "The gate does not look at the whole image: a little more of "
                f"feature {feature} makes no difference."
            )


@exercise(
    marks=3,
    properties=[_weighs_the_experts_of_each_class, _learns_whom_to_trust],
    hints=[
        "A dense layer with num_classes * num_experts units gives all the numbers that are needed.",
        "Reshape them to (num_classes, num_experts) for each image.",
        "Softmax over the last axis: the experts compete within each class.",
    ],
)
class ImportanceGate(keras.layers.Layer):
    """Weights (B, num_classes, num_experts) from features (B, D); sum 1 over the experts."""

    def __init__(self, num_classes, num_experts, **kwargs):
        super().__init__(**kwargs)
        ### BEGIN SOLUTION
        self.dense = layers.Dense(num_classes * num_experts)
        self.reshape = layers.Reshape((num_classes, num_experts))
        ### END SOLUTION

    def call(self, features):
        ### BEGIN SOLUTION
        return ops.softmax(self.reshape(self.dense(features)), axis=-1)
        ### END SOLUTION


def _gate_for(random, classes):
    gate = PerClassGate(num_classes=classes, num_experts=2)
    gate.build((None, 2 * classes))
    gate.set_weights([numbers(random, *weight.shape, scale=2) for weight in gate.weights])
    return gate


def _opinions(random):
    for images in (2, 5):
        classes = int(random.integers(3, 7))
        said = [probabilities(random, images, classes) for _ in range(2)]
        yield _gate_for(random, classes), said


def _trains_the_gate(assemble, random):
    _, (first, second) = list(_opinions(random))[-1]
    classes = first.shape[1]
    gate = _gate_for(random, classes)
    # Before the answer can freeze it.
    learns = list(gate.trainable_variables)
    model = in_network(lambda *said: assemble(gate, list(said)), (classes,), (classes,))
    expected = to_numpy(_assemble(gate, [first, second]))
    if not np.allclose(to_numpy(model([first, second])), expected, atol=1e-4):
        raise WrongAnswer("Inside a network it gives other answers than on arrays.")
    start, targets = gate.get_weights(), np.eye(classes)[np.arange(len(first)) % classes]
    moved = train_one_step(model, [first, second], targets)
    if not all(moved.get(weights.path) for weights in learns):
        raise WrongAnswer(
            "Training does not move the gate: is it part of the model, and trainable?"
        )
    after = gate.get_weights()
    gate.set_weights(start)
    right = in_network(lambda *said: _assemble(gate, list(said)), (classes,), (classes,))
    train_one_step(right, [first, second], targets)
    if not all(map(functools.partial(np.allclose, atol=1e-4), after, gate.get_weights())):
        raise WrongAnswer(
            "Training moves the gate, but elsewhere than the mixture's gradient would: is a part of "
            "it cut off?"
        )


def _mixed(seen, spoken, which="probabilities"):
    """An assembly in which the two orders may differ."""

    def answer(gate, said):
        weights = gate(ops.concatenate(seen(said), axis=-1))[which]
        return Combine()(weights, spoken(said))

    return answer


@exercise(
    marks=2,
    cases=_opinions,
    returns=Tensor(),
    properties=[_trains_the_gate],
    mistakes=[
        (
            _mixed(list, lambda said: said[::-1]),
            "The weights and the experts are in different orders.",
        ),
        (
            _mixed(lambda said: said[::-1], list),
            "The gate must see the two in the order in which they are given.",
        ),
        (
            _mixed(lambda said: said[::-1], lambda said: said[::-1]),
            "Keep the order in which the two are given, for the gate and for the sum.",
        ),
        (
            lambda gate, said: (said[0] + said[1]) / 2,
            "That is the plain average of the two: the gate's weights are not used.",
        ),
        (
            _mixed(list, list, "logits"),
            'Those are the gate\'s logits: the weights are its "probabilities".',
        ),
        (
            lambda gate, said: gate(ops.concatenate(said, axis=-1))["probabilities"],
            "Those are the weights: now take the weighted sum of what the two say, with Combine.",
        ),
    ],
    hints=[
        "The gate sees what both experts say, joined: ops.concatenate(said, axis=-1).",
        'The gate returns a dictionary; its "probabilities" are the weights.',
        "Combine()(weights, said) is the weighted sum.",
    ],
)
def assemble(gate, said):
    """The mixture (B, C) of what the experts said, tensors (B, C), weighed by a PerClassGate."""
    weights = gate(ops.concatenate(said, axis=-1))["probabilities"]
    return Combine()(weights, said)


_assemble = assemble.function  # where `assemble` is an answer to judge


def _right_or_wrong(random):
    """Of two models' answers, which are right: so many that n and n - 1 make no difference."""
    for rates in ((0.7, 0.5), (0.4, 0.6), (0.6, 0.55)):
        a, b = random.random((2, int(random.integers(600, 1200)))) < np.array(rates)[:, None]
        yield a, np.where(random.random(len(a)) < 0.5, a, b)
    yield a, a.copy()


def _interval(reach):
    """The interval of the differences a_i - b_i that goes so far to each side."""

    def answer(a, b):
        d = a.astype(float) - b
        return d.mean(), d.mean() - reach(d), d.mean() + reach(d)

    return answer


def _unpaired(a, b):
    margin = 1.96 * np.sqrt((a.var() + b.var()) / len(a))
    return a.mean() - b.mean(), a.mean() - b.mean() - margin, a.mean() - b.mean() + margin


@exercise(
    marks=2,
    cases=_right_or_wrong,
    returns=Several(difference=Number(), low=Number(), high=Number()),
    mistakes=[
        (
            lambda a, b: paired_interval(b, a),
            "The sign is inverted: the difference is accuracy of a minus accuracy of b.",
        ),
        (
            _unpaired,
            "Your interval treats the two models as if each had seen images of its own. They "
            "saw the same ones: take the standard deviation of the differences a_i - b_i.",
        ),
        (
            _interval(lambda d: 1.96 * d.std()),
            "Your interval is far too wide: did you divide by the square root of n?",
        ),
        (_interval(lambda d: 1.96 * d.std() / len(d)), "Divide by the square root of n, not by n."),
        (
            _interval(lambda d: d.std() / np.sqrt(len(d))),
            "You go one standard error to each side: a 95 % interval takes 1.96.",
        ),
        (
            _interval(lambda d: 1.96 * d.var() / np.sqrt(len(d))),
            "That is the variance: take the standard deviation, its root.",
        ),
        (
            lambda a, b: np.array(paired_interval(a, b))[[0, 2, 1]],
            "Your lower end is above your upper end.",
        ),
        (
            lambda a, b: np.array(paired_interval(a, b))[[1, 0, 2]],
            "The order is difference, low, high.",
        ),
        (
            lambda a, b: 100 * np.array(paired_interval(a, b)),
            "Give fractions of 1, not percentage points.",
        ),
        (
            bootstrap_interval,
            "That is a bootstrap, which draws at random: take 1.96 standard errors to each side.",
        ),
    ],
    hints=[
        "For each image, a_i - b_i is 1, 0 or -1. The difference is the mean of these.",
        "The standard error of a mean is the standard deviation divided by the square root of n.",
        "A 95 % interval reaches 1.96 standard errors to each side.",
    ],
)
def paired_interval(correct_a, correct_b):
    """(difference, low, high) of accuracy a minus accuracy b; two arrays (N,) of True and False."""
    difference = correct_a.astype(float) - correct_b.astype(float)
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return difference.mean(), difference.mean() - margin, difference.mean() + margin


def _ends(random):
    """Ends on one side of 0, the nearer one very near at times, and on both sides."""
    for scale in (0.1, 0.001):
        near, far = sorted(random.uniform(0.1, 1, 2) * scale)
        ends = [(near, far), (-far, -near), (-near, far), (-far, near), (near / 100, far)]
        yield from map(tuple, random.permutation(ends))
        yield -far, -near / 100
    yield 0.0, 0.0
    yield from ((0.0, far), (-far, 0.0))


@exercise(
    marks=1,
    cases=_ends,
    returns=Text(),
    mistakes=[
        (
            lambda low, high: {"better": "worse", "worse": "better"}.get(
                judge(low, high), judge(low, high)
            ),
            "Better and worse have changed places: the difference is a minus b.",
        ),
        (
            lambda low, high: "better" if low + high > 0 else "worse",
            "You look at the middle of the interval: it cannot tell if it contains 0.",
        ),
        (
            lambda low, high: "better" if low > 0 else "cannot tell",
            'It is "worse" if the whole interval is below 0.',
        ),
        (
            lambda low, high: "better" if low > 0 else "worse",
            'An interval that contains 0 says "cannot tell".',
        ),
        (
            lambda low, high: "better" if high > 0 else "worse" if low < 0 else "cannot tell",
            "Better needs the whole interval above 0: look at its lower end.",
        ),
        (
            lambda low, high: "better" if low >= 0 else "worse" if high <= 0 else "cannot tell",
            "An interval that ends at 0 contains it: it cannot tell.",
        ),
    ],
    hints=[
        "If 0 lies in the interval, both signs are possible.",
        "Better if the whole interval is above 0; what must its lower end be then?",
        "'better' if low > 0, 'worse' if high < 0, otherwise 'cannot tell'.",
    ],
)
def judge(low, high):
    """What an interval for a minus b says about a: "better", "worse" or "cannot tell"."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "cannot tell"


def _artificial_is_0(labels):
    """1 for natural labels, 0 for artificial ones, in an array of the same shape."""
    return np.isin(labels, NATURAL).astype("int32")


def _artificial_in_column_0(gate, natural, artificial):
    """The likelier group's answer: gate (B, 2), natural and artificial (B, C), result (B, C)."""
    return ops.where(gate[:, :1] > gate[:, 1:], artificial, natural)


_ARTIFICIAL_FIRST = {to_group: _artificial_is_0, hard_switch: _artificial_in_column_0}
_DECLARED = {which: (which.function, which.mistakes) for which in _ARTIFICIAL_FIRST}


def number_groups(*names):
    """Number the groups in this order, from 0: a variant of the lab may begin with artificial.

    Raises:
        ValueError: if these are not the two groups.
    """
    usual = tuple(groups("cifar10"))
    if sorted(names) != sorted(usual):
        raise ValueError(f"Expected the names of both groups, {usual}. Received: {names}")
    other = dict(zip(usual, names, strict=True))
    for which, (function, mistakes) in _DECLARED.items():
        which.function = function if names == usual else _ARTIFICIAL_FIRST[which]
        which.mistakes = tuple(
            (wrong, re.sub("|".join(usual), lambda name: other[name[0]], message))
            for wrong, message in mistakes
        )
