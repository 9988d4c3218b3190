"""The exercises of lab 01, natural or artificial?"""

import keras
import numpy as np
from keras import ops

from moe_keras.checks.behaviour import (
    TOLERANCE,
    require_frozen,
    require_probabilities,
    require_shape,
    require_weights_over_experts,
    to_numpy,
    train_one_step,
)
from moe_keras.checks.exercise import Exercise, WrongAnswer
from moe_keras.data import CIFAR10_ARTIFICIAL, CIFAR10_NATURAL, CLASS_NAMES
from moe_keras.experts import FrozenExpert, vgg
from moe_keras.gates import PerClassGate
from moe_keras.mixtures import Combine

MOST_PARAMETERS = 1_000_000
_GROUPS = {"natural": CIFAR10_NATURAL, "artificial": CIFAR10_ARTIFICIAL}
_order = list(_GROUPS)  # the group whose number is 0, and the other


def number_groups(*names):
    """Number the groups in this order, from 0: a variant of the lab may begin with artificial.

    Raises:
        ValueError: if these are not the two groups.
    """
    if sorted(names) != sorted(_GROUPS):
        raise ValueError(f"Expected the names of both groups, {list(_GROUPS)}. Received: {names}")
    _order[:] = names


def _verify_build_cnn(build_cnn):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    for num_classes in (10, 4):
        model = build_cnn(num_classes)
        if not isinstance(model, keras.Model):
            raise WrongAnswer(
                f"build_cnn must return a Keras model; yours returns a {type(model).__name__}."
            )
        probabilities = to_numpy(model(images))
        if probabilities.shape == (3, 10) and num_classes != 10:
            raise WrongAnswer(
                "build_cnn(4) still gives 10 classes: use num_classes in the last layer."
            )
        require_shape(probabilities, (3, num_classes), f"build_cnn({num_classes})(3 images)")
        require_probabilities(probabilities, "the model's output")
    if not any(len(weight.shape) == 4 for weight in model.trainable_variables):
        raise WrongAnswer("There is no convolution (Conv2D) in your network.")
    if model.count_params() > MOST_PARAMETERS:
        raise WrongAnswer(
            f"Your network has {model.count_params():,} parameters; with more than "
            f"{MOST_PARAMETERS:,} you would wait too long. Pool more before the dense layers, or "
            "use fewer filters."
        )
    plain = np.stack([np.full((32, 32, 3), value, "uint8") for value in (0, 255)])
    if to_numpy(model(np.concatenate([images, plain]))).max() > 0.99:
        raise WrongAnswer(
            "Before any training your network is already certain of its answer: are the pixel "
            "values, 0 to 255, scaled to about -1 to 1 by a first layer (Rescaling)?"
        )


def _verify_to_group(to_group):
    labels = np.array([9, 0, 2, 7, 8, 1, 3, 6, 5, 4])
    groups = to_numpy(to_group(labels))
    require_shape(groups, labels.shape, "one group for each label")
    right = np.isin(labels, _GROUPS[_order[1]]).astype(float)
    if np.array_equal(groups, 1 - right):
        raise WrongAnswer(f"The polarity is inverted: {_order[0]} must be 0 and {_order[1]} 1.")
    if not np.array_equal(groups, right):
        name = CLASS_NAMES["cifar10"][labels[groups != right][0]]
        raise WrongAnswer(
            f"The class {name!r} is in the wrong group, or its group is neither 0 nor 1."
        )


def _verify_spread(spread):
    for class_ids in ((1, 3), (4, 0)):
        given = np.array([[0.2, 0.8], [0.7, 0.3]], "float32")
        expected = np.zeros((2, 5))
        expected[:, class_ids] = given
        answer = to_numpy(spread(given, class_ids, 5))
        require_shape(answer, (2, 5), "spread(probabilities of 2 images, class_ids, 5)")
        if not np.allclose(answer, expected, atol=TOLERANCE):
            raise WrongAnswer(
                f"With class_ids {class_ids}, the first image's probabilities 0.2 and 0.8 must "
                f"become {expected[0].round(2).tolist()}; yours are "
                f"{answer[0].round(2).tolist()}."
            )


def _verify_mixture(mixture):
    weights = np.array([[0.25, 0.75], [1.0, 0.0]], "float32")
    outputs = np.array(
        [[[0.8, 0.2, 0], [0, 0.4, 0.6]], [[0.1, 0.2, 0.7], [0.5, 0.5, 0]]], "float32"
    )
    # 0.25 * 0.8, 0.25 * 0.2 + 0.75 * 0.4, 0.75 * 0.6; the second image listens to its first expert
    # only.
    expected = np.array([[0.2, 0.35, 0.45], [0.1, 0.2, 0.7]])
    answer = to_numpy(mixture(weights, outputs))
    require_shape(answer, (2, 3), "mixture(weights (2, 2), outputs (2, 2, 3))")
    if np.allclose(answer, outputs.mean(axis=1), atol=TOLERANCE):
        raise WrongAnswer("That is the plain average of the experts: the weights are not used.")
    if not np.allclose(answer, expected, atol=TOLERANCE):
        raise WrongAnswer(
            "With weights 0.25 and 0.75 the experts' 0.8 and 0 for the first class make 0.25 * "
            f"0.8 + 0.75 * 0 = 0.2; yours is {answer[0, 0]:.3g}."
        )


def _verify_hard_switch(hard_switch):
    gate = np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55]], "float32")
    natural = np.array([[0, 1, 0]] * 3, "float32")
    artificial = np.array([[1, 0, 0]] * 3, "float32")
    answer = to_numpy(hard_switch(gate, natural, artificial))
    require_shape(answer, (3, 3), "hard_switch(gate (3, 2), natural (3, 3), artificial (3, 3))")
    said = {"natural": natural, "artificial": artificial}
    first, second = (said[name] for name in _order)
    expected = np.stack([first[0], second[1], second[2]])
    if np.allclose(answer, np.stack([second[0], first[1], first[2]])):
        raise WrongAnswer(
            f"The polarity is inverted: column 0 of the gate is {_order[0]}, yet an image that is "
            f"{_order[0]} with 0.9 goes to the {_order[1]} expert."
        )
    if not np.allclose(answer, expected, atol=TOLERANCE):
        raise WrongAnswer(
            "Each image must get the answer of exactly one expert, the one with the larger gate "
            "value: here the natural expert's for the first image and the artificial expert's "
            "for the other two."
        )


def _verify_importance_gate(gate_class):
    features = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
    gate = gate_class(num_classes=3, num_experts=2)
    if not isinstance(gate, keras.layers.Layer):
        raise WrongAnswer("ImportanceGate must be a class that derives from keras.layers.Layer.")
    weights = to_numpy(gate(features))
    require_shape(weights, (8, 3, 2), "the weights of 8 images, 3 classes and 2 experts")
    require_weights_over_experts(weights)
    if np.allclose(weights, weights[:1], atol=1e-6):
        raise WrongAnswer("Every image gets the same weights: the gate must look at its input.")
    inputs = keras.Input((5,))
    moved = train_one_step(
        keras.Model(inputs, gate(inputs)), features, np.ones((8, 3, 2)) * [1.0, 0.0]
    )
    if not any(moved.values()):
        raise WrongAnswer(
            "Training does not move the gate: create its layers in __init__ or build."
        )


def _small_cnn_with_traps():
    """A network that moves in all the ways in which a frozen one must not."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(6),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def _verify_freeze(freeze):
    images = np.random.default_rng(0).normal(size=(16, 4, 4, 1)).astype("float32")
    expert = _small_cnn_with_traps()
    expected = to_numpy(expert(images, training=False))
    frozen = freeze(expert)
    if not callable(frozen):
        raise WrongAnswer("freeze must return the frozen expert; yours returns nothing to call.")
    if not np.allclose(to_numpy(frozen(images, training=False)), expected, atol=1e-6):
        raise WrongAnswer("The frozen expert must give the same answers as the expert.")
    require_frozen(frozen, images)


def _tiny_experts():
    """Two frozen experts and an untrained gate, small enough to check an assembly in a moment."""
    keras_experts = [
        keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )
        for _ in range(2)
    ]
    return (*map(FrozenExpert, keras_experts), PerClassGate(num_classes=3, num_experts=2))


def _verify_assemble(assemble):
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    baseline, switch, gate = _tiny_experts()
    inputs = keras.Input((4, 4, 1))
    output = assemble(gate, [baseline(inputs), switch(inputs)])
    if output is None:
        raise WrongAnswer("assemble returns nothing: end it with return.")
    if isinstance(output, dict) or tuple(output.shape) != (None, 3):
        raise WrongAnswer(
            "assemble must return one tensor, the mixture's class probabilities (B, C)."
        )
    model = keras.Model(inputs, output)
    said = [to_numpy(expert(images)) for expert in (baseline, switch)]
    answer = to_numpy(model(images))

    def mix(seen, spoken):
        weights = to_numpy(gate(np.concatenate(seen, axis=-1).astype("float32"))["probabilities"])
        return (weights * np.stack(spoken, axis=-1)).sum(axis=-1)

    if not np.allclose(answer, mix(said, said), atol=TOLERANCE):
        if np.allclose(answer, mix(said, said[::-1]), atol=TOLERANCE):
            raise WrongAnswer(
                "The weights and the experts are in different orders: both baseline, switch."
            )
        if np.allclose(answer, np.mean(said, axis=0), atol=TOLERANCE):
            raise WrongAnswer(
                "That is the plain average of the two: the gate's weights are not used."
            )
        raise WrongAnswer(
            "The output is not the sum of what the two say, each times its weight for the "
            "class. Does the gate see both, joined in the order in which they are given?"
        )
    moved = train_one_step(model, images, np.eye(3)[np.arange(8) % 3])
    own = {variable.path for variable in gate.trainable_variables}
    if not any(moved.get(path) for path in own):
        raise WrongAnswer(
            "Training does not move the gate: is it part of the model, and trainable?"
        )


def _verify_paired_interval(paired_interval):
    # Of 400 images both models get 200 right, only a 60, only b 20, none 120: difference 40 / 400
    # = 0.1; variance of the differences 80 / 400 - 0.1 ** 2 = 0.19, standard error sqrt(0.19 /
    # 400) = 0.02179.
    a = np.repeat([True, True, False, False], [200, 60, 20, 120])
    b = np.repeat([True, False, True, False], [200, 60, 20, 120])
    answer = paired_interval(a, b)
    try:
        difference, low, high = (float(value) for value in answer)
    except (TypeError, ValueError):
        raise WrongAnswer(
            "paired_interval must return three numbers: difference, low, high."
        ) from None
    if abs(difference + 0.1) < 1e-6:
        raise WrongAnswer(
            "The sign is inverted: the difference is accuracy of a minus accuracy of b."
        )
    if abs(difference - 0.1) > 1e-6:
        raise WrongAnswer(
            f"a is right on 260 of 400, b on 220: difference 0.1; yours is {difference:.4g}."
        )
    half = (high - low) / 2
    if abs((high + low) / 2 - 0.1) > 0.005:
        raise WrongAnswer("The interval must lie around the difference.")
    if abs(half - 1.96 * 0.0345) < 0.003:
        raise WrongAnswer(
            "Your interval treats the two models as if each had seen images of its own. They "
            "saw the same ones: take the standard deviation of the differences a_i - b_i."
        )
    if half > 0.1:
        raise WrongAnswer("Your interval is far too wide: did you divide by the square root of n?")
    if abs(half - 1.96 * 0.02179) > 0.004:
        raise WrongAnswer(
            f"Expected an interval of about 0.1 - 0.043 to 0.1 + 0.043; yours is {low:.3f} to "
            f"{high:.3f}."
        )


def _verify_judge(judge):
    cases = (
        (0.01, 0.02, "better"),
        (-0.02, -0.01, "worse"),
        (-0.01, 0.02, "cannot tell"),
        (-0.02, 0.01, "cannot tell"),
    )
    for low, high, expected in cases:
        answer = judge(low, high)
        if answer != expected:
            raise WrongAnswer(
                f"With an interval of {low} to {high} the judgement is {expected!r}; yours is "
                f"{answer!r}."
            )


def _reference_mixture(weights, outputs):
    return ops.einsum("be,bec->bc", weights, outputs)


def _reference_to_group(labels):
    return np.isin(labels, _GROUPS[_order[1]]).astype("int32")


def _reference_spread(probabilities, class_ids, num_classes):
    spread = np.zeros((len(probabilities), num_classes), "float32")
    spread[:, list(class_ids)] = probabilities
    return spread


def _reference_hard_switch(gate, natural, artificial):
    first, second = (natural, artificial) if _order[0] == "natural" else (artificial, natural)
    return ops.where(gate[:, :1] >= gate[:, 1:], first, second)


class _ReferenceImportanceGate(PerClassGate):
    def call(self, features):
        return super().call(features)["probabilities"]


def _reference_assemble(gate, said):
    weights = gate(ops.concatenate(said, axis=-1))["probabilities"]
    return Combine()(weights, said)


def _reference_paired_interval(correct_a, correct_b):
    difference = correct_a.astype(float) - correct_b.astype(float)
    margin = 1.96 * difference.std() / len(difference) ** 0.5
    return difference.mean(), difference.mean() - margin, difference.mean() + margin


def _reference_judge(low, high):
    return "better" if low > 0 else "worse" if high < 0 else "cannot tell"


def _natural_names():
    return ", ".join(CLASS_NAMES["cifar10"][i] for i in CIFAR10_NATURAL)


build_cnn = Exercise(
    "build_cnn",
    _verify_build_cnn,
    reference=lambda: vgg,
    hints=[
        "A CNN is a chain: scale the pixels, then blocks of convolution, normalisation, ReLU "
        "and pooling.",
        "Three blocks with 32, 64 and 128 filters will do; then one number a filter with a "
        "global pooling.",
        'End with keras.layers.Dense(num_classes, activation="softmax").',
    ],
    marks=3,
)
to_group = Exercise(
    "to_group",
    _verify_to_group,
    reference=lambda: _reference_to_group,
    hints=[
        f"Natural are: {_natural_names()}.",
        "np.isin(labels, ids) is true where a label is one of the ids.",
        "Turn true and false into 1 and 0 with .astype.",
    ],
    marks=1,
)
spread = Exercise(
    "spread",
    _verify_spread,
    reference=lambda: _reference_spread,
    hints=[
        "A class that the expert does not know gets probability 0.",
        "Begin with np.zeros of the right shape, then fill some of its columns.",
        "wide[:, list(class_ids)] = probabilities fills the columns in the order of class_ids.",
    ],
    marks=2,
)
mixture = Exercise(
    "mixture",
    _verify_mixture,
    reference=lambda: _reference_mixture,
    hints=[
        "One weight an image and expert: each of the expert's class probabilities is multiplied "
        "by it.",
        "Give weights a last axis of length 1, so that (B, E, 1) times (B, E, C) works.",
        "Then sum over axis 1, the experts.",
    ],
    marks=2,
)
hard_switch = Exercise(
    "hard_switch",
    _verify_hard_switch,
    reference=lambda: _reference_hard_switch,
    hints=[
        "Which column of the gate is natural? Look at what to_group calls 0.",
        "ops.where(condition, a, b) takes a where the condition holds.",
        "The condition needs shape (B, 1): gate[:, :1] > gate[:, 1:].",
    ],
    marks=2,
)
freeze = Exercise(
    "freeze",
    _verify_freeze,
    reference=lambda: FrozenExpert,
    hints=[
        "Two things move in training: weights, and layers that behave differently (dropout, "
        "batch norm).",
        "trainable = False stops the weights. What must the call say to quieten the rest?",
        "moe_keras.experts.FrozenExpert does both.",
    ],
    marks=2,
)
importance_gate = Exercise(
    "ImportanceGate",
    _verify_importance_gate,
    reference=lambda: _ReferenceImportanceGate,
    hints=[
        "A dense layer with num_classes * num_experts units gives all the numbers that are needed.",
        "Reshape them to (num_classes, num_experts) for each image.",
        "Softmax over the last axis: the experts compete within each class.",
    ],
    marks=3,
)
assemble = Exercise(
    "assemble",
    _verify_assemble,
    reference=lambda: _reference_assemble,
    hints=[
        "The gate sees what both experts say, joined: ops.concatenate(said, axis=-1).",
        'The gate returns a dictionary; its "probabilities" are the weights.',
        "Combine()(weights, said) is the weighted sum.",
    ],
    marks=2,
)
paired_interval = Exercise(
    "paired_interval",
    _verify_paired_interval,
    reference=lambda: _reference_paired_interval,
    hints=[
        "For each image, a_i - b_i is 1, 0 or -1. The difference is the mean of these.",
        "The standard error of a mean is the standard deviation divided by the square root of n.",
        "A 95 % interval reaches 1.96 standard errors to each side.",
    ],
    marks=2,
)
judge = Exercise(
    "judge",
    _verify_judge,
    reference=lambda: _reference_judge,
    hints=[
        "If 0 lies in the interval, both signs are possible.",
        "Better if the whole interval is above 0; what must its lower end be then?",
        "'better' if low > 0, 'worse' if high < 0, otherwise 'cannot tell'.",
    ],
    marks=1,
)
