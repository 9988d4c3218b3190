"""The exercises of lab 08, the guided mixture."""

import keras
import numpy as np
from keras import ops

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer
from moe_keras.gates import LabelGuidedGate, SoftmaxGate
from moe_keras.mixtures import Combine, DenseMoE

# Four labels and three experts; label 3 has two. No two of B, C and E are equal.
GROUPS = [(2,), (0, 3), (1, 3)]
MATRIX = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 1]], "float32")  # (C, E)
LABELS = np.array([2, 0, 3, 1, 2])
WANTED = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0]], "float32"
)  # (B, E) = (5, 3)
POWERS = np.array([[2, 1, 1], [1, 2, 1], [2, 1, 1], [1, 6, 1], [5, 4, 1]])
LOGITS = np.log(POWERS).astype("float32")
PROBABILITIES = POWERS / POWERS.sum(axis=1, keepdims=True)


def _same(answer, *others):
    """Whether an answer is one of these arrays, broadcasting apart."""
    return any(
        answer.shape == np.shape(other) and np.allclose(answer, other, atol=TOLERANCE)
        for other in others
    )


def _verify_assignment_matrix(assignment_matrix):
    answer = to_numpy(assignment_matrix(GROUPS))
    if _same(answer, MATRIX.T):
        raise WrongAnswer("Labels and experts have changed places: a row for each label, (C, E).")
    require_shape(answer, MATRIX.shape, "the matrix of groups [(2,), (0, 3), (1, 3)]")
    if not np.isin(answer, (0, 1)).all():
        raise WrongAnswer("The matrix holds 0 and 1 alone: whether a label is an expert's.")
    if not (answer.sum(axis=0) == (1, 2, 2)).all():
        raise WrongAnswer(
            "Expert 0 has one label, expert 1 two, expert 2 two, as long as their groups; your "
            f"columns sum to {answer.sum(axis=0).astype(int).tolist()}."
        )
    if not _same(answer, MATRIX):
        raise WrongAnswer(
            "The first group is (2,): row 2 has a 1 in column 0. Yours has its 1 in row "
            f"{int(answer[:, 0].argmax())}. The numbers in a group are labels, in no special order."
        )


def _verify_wanted(wanted):
    answer = to_numpy(wanted(LABELS, MATRIX))
    require_shape(answer, WANTED.shape, "wanted(labels (5,), matrix (4, 3))")
    if np.allclose(answer, answer[0], atol=TOLERANCE):
        raise WrongAnswer(
            "All images want the same, whatever their label: is there still a mean over the batch?"
        )
    if _same(answer, MATRIX[LABELS]):
        raise WrongAnswer(
            "Label 3 has two experts and its row sums to 2: divide each row by its sum, so that "
            "the image wants 0.5 of each."
        )
    if np.abs(answer.sum(axis=1) - 1).max() > TOLERANCE:
        raise WrongAnswer(
            "Each image's row must sum to 1 over the experts; yours sum to "
            f"{', '.join(f'{total:.2g}' for total in answer.sum(axis=1))}."
        )
    if not _same(answer, WANTED):
        raise WrongAnswer(
            "The first image has label 2, which is expert 0's alone, so it wants 1, 0, 0; yours "
            f"wants {', '.join(f'{value:.2g}' for value in answer[0])}."
        )
    alone = to_numpy(wanted(LABELS[:1], MATRIX))
    if not _same(alone, WANTED[:1]):
        raise WrongAnswer("What an image wants must not depend on the others in its batch.")


def _verify_guidance(guidance):
    answer = to_numpy(guidance(LOGITS, WANTED))
    if answer.shape in ((5,), (5, 1)):
        raise WrongAnswer("That is a loss for each image: take the mean over the batch.")
    require_shape(answer, (), "guidance(logits (5, 3), wanted (5, 3))")
    each = -(WANTED * np.log(PROBABILITIES)).sum(axis=1)
    right = each.mean()
    if _same(answer, -right):
        raise WrongAnswer("The sign is wrong: a logarithm of a probability is below 0.")
    if _same(answer, each.sum()):
        raise WrongAnswer("You sum over the images: take the mean, or the loss grows with B.")
    if _same(answer, right / 3):
        raise WrongAnswer(
            "You take the mean over images and experts alike. Sum over the experts, then take the "
            "mean over the images."
        )
    if _same(answer, -(WANTED * LOGITS).sum(axis=1).mean()):
        raise WrongAnswer("Those are logits, no logarithms of probabilities: ops.log_softmax.")
    if _same(answer, 1 - (WANTED * PROBABILITIES).sum(axis=1).mean()) or _same(
        answer, -(WANTED * PROBABILITIES).sum(axis=1).mean()
    ):
        raise WrongAnswer("The logarithm is missing.")
    if _same(answer, -(WANTED.mean(axis=0) * np.log(PROBABILITIES)).sum(axis=1).mean()):
        raise WrongAnswer("You average what the images want before you look at each: all alike.")
    if not _same(answer, right):
        raise WrongAnswer(
            "The probabilities of the expert that is wanted are 1/2, 1/2, then 1/4 twice by "
            "halves, 1/8 and 1/2: (3 ln 2 + ln 4 + ln 8) / 5 = 1.109; yours is "
            f"{float(answer):.3f}."
        )


def _verify_pull(pull):
    answer = to_numpy(pull(LOGITS, WANTED))
    require_shape(answer, WANTED.shape, "pull(logits (5, 3), wanted (5, 3))")
    right = PROBABILITIES - WANTED
    if _same(answer, -right):
        raise WrongAnswer(
            "The sign is wrong. A gradient points to where the loss grows: the logit of an expert "
            "that is wanted must have one below 0."
        )
    if _same(answer, right / 5):
        raise WrongAnswer("Here each image has its own loss: do not divide by the batch.")
    if _same(answer, LOGITS - WANTED):
        raise WrongAnswer("Those are logits: take their softmax first.")
    if _same(answer, -WANTED / PROBABILITIES):
        raise WrongAnswer(
            "That is the gradient by the probabilities. Go one step further, through the softmax."
        )
    if _same(answer, PROBABILITIES * right):
        raise WrongAnswer(
            "You multiply by the probabilities once too often: they cancel with 1 / p of the log."
        )
    if not _same(answer, right):
        raise WrongAnswer(
            "The first image's probabilities are 1/2, 1/4, 1/4 and it wants 1, 0, 0. Where they "
            "are the same there must be no pull at all. The first number is -0.5; yours is "
            f"{answer[0, 0]:.3g}."
        )


def _verify_taught_model(taught_model):
    images = keras.Input((4,))
    gate = LabelGuidedGate(SoftmaxGate(3), MATRIX, guidance=2.0)
    mixture = DenseMoE([keras.layers.Dense(4, activation="softmax") for _ in range(3)], gate)
    used = keras.Model(images, mixture(images))
    inside = {id(v) for v in used.trainable_variables}
    taught = taught_model(images, images, mixture)
    if not isinstance(taught, keras.Model):
        raise WrongAnswer(f"Expected a keras.Model; yours is a {type(taught).__name__}.")
    if len(taught.inputs) != 2:
        raise WrongAnswer(
            "The model that is taught takes two inputs, [images, labels]; yours takes "
            f"{len(taught.inputs)}."
        )
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    answer = to_numpy(taught([x, LABELS]))
    require_shape(answer, (5, 4), "the model's answer for 5 images of 4 classes")
    if not np.allclose(answer, to_numpy(taught([x, LABELS[::-1].copy()])), atol=1e-6):
        raise WrongAnswer(
            "With other labels the answer is another one: the labels leak into the weights. In use "
            "there are none. Labels may add a loss, and nothing else."
        )
    if {id(v) for v in taught.trainable_variables} != inside:
        raise WrongAnswer(
            "The two models must share every layer: use the mixture's own gate and experts, and no "
            "new ones."
        )
    if not np.allclose(answer, to_numpy(used(x)), atol=1e-5):
        raise WrongAnswer(
            "The answer is not the mixture's: weigh each expert with the gate's probabilities."
        )
    logits = to_numpy(gate(x)["logits"])
    taught([x, LABELS], training=True)
    losses = [float(loss) for loss in taught.losses]
    if not losses:
        raise WrongAnswer("Nothing guides the gate: call it with the labels as second input.")
    powers = np.exp(logits)
    logarithms = np.log(powers / powers.sum(axis=1, keepdims=True))
    right = -2 * (WANTED * logarithms).sum(axis=1).mean()
    if abs(sum(losses) - right) > 1e-3:
        raise WrongAnswer(
            f"The guidance should cost {right:.3f} here, and yours costs {sum(losses):.3f}: is the "
            "gate called with the labels once, as they are?"
        )


def _activations():
    """Five images with three experts, their rows shuffled; all but image 2 go where they should."""
    import pandas as pd  # for the labs alone

    images = {
        7: (2, (0.6, 0.3, 0.1)),
        2: (0, (0.4, 0.35, 0.25)),
        9: (3, (0.2, 0.3, 0.5)),
        4: (0, (0.1, 0.8, 0.1)),
        1: (2, (0.55, 0.25, 0.2)),
    }
    rows = [
        (sample, label, label, expert, weight, int(MATRIX[label, expert]))
        for sample, (label, weights) in images.items()
        for expert, weight in enumerate(weights)
    ]
    columns = ["sample", "label", "prediction", "expert", "weight", "assigned"]
    order = [3, 9, 0, 13, 6, 4, 11, 8, 1, 10, 2, 7, 5, 12, 14]
    return pd.DataFrame([rows[i] for i in order], columns=columns)


def _verify_routed(routed):
    table = _activations()
    answer = to_numpy(routed(table.copy()), "the share")
    require_shape(answer, (), "one number")
    answer = float(answer)
    rows = table["assigned"] == 1
    known = {
        rows.mean(): "That is the share of rows with assigned = 1, whatever the weights.",
        (table["weight"] * rows).sum() / 5: (
            "That is the share of weight that goes to the right experts. The question is how many "
            "images have the right expert as their heaviest."
        ),
        4: "That is a number of images: divide by how many there are.",
        4 / 15: "You divide by the rows: each image has as many rows as there are experts.",
        (rows & (table["weight"] > 0.5)).sum() / 5: (
            "A weight above 0.5 is not asked for: the heaviest of three may have 0.4."
        ),
        (table.sort_values("weight").groupby("sample")["assigned"].first()).mean(): (
            "You take each image's lightest expert."
        ),
        (table.groupby("sample")["assigned"].first()).mean(): (
            "You take the first row of each image, and not the one with the largest weight."
        ),
        table.groupby("sample")["assigned"].max().mean(): (
            "You ask whether any of an image's rows is assigned, and one always is."
        ),
    }
    if abs(answer - 0.8) > TOLERANCE:
        for value, message in known.items():
            if abs(answer - value) < TOLERANCE:
                raise WrongAnswer(message)
        raise WrongAnswer(
            "In the check's table four images of five have an expert of their label as the "
            f"heaviest: 0.8; yours is {answer:.3g}."
        )


def _reference_assignment_matrix(groups):
    matrix = np.zeros((1 + max(map(max, groups)), len(groups)))
    for expert, labels in enumerate(groups):
        matrix[list(labels), expert] = 1
    return matrix


def _reference_wanted(labels, matrix):
    rows = ops.take(matrix, labels, axis=0)
    return rows / ops.sum(rows, axis=1, keepdims=True)


def _reference_guidance(logits, wanted):
    return ops.mean(-ops.sum(wanted * ops.log_softmax(logits), axis=-1))


def _reference_pull(logits, wanted):
    return ops.softmax(logits) - wanted


def _reference_taught_model(images, features, mixture):
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    said = [expert(features) for expert in mixture.experts]
    return keras.Model([images, labels], Combine()(weights, said))


def _reference_routed(activations):
    heaviest = activations.loc[activations.groupby("sample")["weight"].idxmax()]
    return heaviest["assigned"].mean()


assignment_matrix = Exercise(
    "assignment_matrix",
    _verify_assignment_matrix,
    reference=lambda: _reference_assignment_matrix,
    hints=[
        "Begin with zeros. How many rows, how many columns?",
        "For expert e with its labels: the rows of these labels get a 1 in column e.",
        "matrix = np.zeros((number of labels, len(groups))), then for each expert: "
        "matrix[list(labels), expert] = 1",
    ],
    marks=2,
)
wanted = Exercise(
    "wanted",
    _verify_wanted,
    reference=lambda: _reference_wanted,
    hints=[
        "Print what two images of different labels want. Which line makes them the same?",
        "ops.mean(rows, axis=0) forgets whose row is whose. What must be done to each row instead, "
        "so that it sums to 1?",
        "return rows / ops.sum(rows, axis=1, keepdims=True)",
    ],
    marks=2,
)
guidance = Exercise(
    "guidance",
    _verify_guidance,
    reference=lambda: _reference_guidance,
    hints=[
        "Two steps: a sum over the experts for each image, then the mean over the images.",
        "ops.log_softmax(logits) gives all the logarithms of probabilities at once.",
        "-ops.sum(wanted * ops.log_softmax(logits), axis=-1), then ops.mean.",
    ],
    marks=2,
)
pull = Exercise(
    "pull",
    _verify_pull,
    reference=lambda: _reference_pull,
    hints=[
        "Write ln p_e = a_e - ln(sum of all exp(a)) into the loss before you differentiate.",
        "L = -sum_e t_e a_e + ln(sum_j exp(a_j)), as the t_e sum to 1. The derivative of the last "
        "term by a_e is the softmax.",
        "ops.softmax(logits) minus something that you are given.",
    ],
    marks=2,
)
taught_model = Exercise(
    "taught_model",
    _verify_taught_model,
    reference=lambda: _reference_taught_model,
    hints=[
        "The gate is mixture.gate; called with two inputs, gate(features, labels), it adds its "
        "loss in training.",
        'Labels are an input of their own, keras.Input((), dtype="int32"). The experts\' answers '
        "are a list: [expert(features) for expert in mixture.experts].",
        "keras.Model([images, labels], Combine()(weights, said)), with weights = "
        'mixture.gate(features, labels)["probabilities"].',
    ],
    marks=3,
)
routed = Exercise(
    "routed",
    _verify_routed,
    reference=lambda: _reference_routed,
    hints=[
        "Each image has a row for each expert. Find its heaviest row first.",
        'activations.groupby("sample")["weight"].idxmax() gives the index of each image\'s '
        "heaviest row.",
        'heaviest = activations.loc[...those...]; then the mean of heaviest["assigned"].',
    ],
    marks=3,
)
