"""The exercises of lab 08, the guided mixture."""

from unittest import mock

import keras
import numpy as np
from keras import ops

from moe_keras.gates import LabelGuidedGate, SoftmaxGate
from moe_keras.mixtures import Combine, DenseMoE
from moe_labs.exercises.behaviour import require_shape, to_numpy
from moe_labs.exercises.draws import numbers, probabilities, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import Number, Tensor
from moe_labs.exercises.ways import arrays, gradient, tensors
from moe_labs.exercises.wrong_answer import WrongAnswer

PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def _plan(random, labels, experts):
    """Matrix (C, E) of 0 and 1: each label has an expert, each expert a label, some have more."""
    matrix = random.random((labels, experts)) < 0.2
    matrix[np.arange(labels), random.integers(experts, size=labels)] = True
    matrix[random.integers(labels, size=experts), np.arange(experts)] = True
    matrix[random.integers(labels), :2] = True
    return matrix.astype("float64")


def _groups(random):
    """The labels of each expert, unsorted; the pairs of the lab last."""
    for high in (4, 6, 9, 9):
        plan = _plan(random, *sizes(random, 2, low=2, high=high))
        yield ([tuple(random.permutation(np.flatnonzero(column)).tolist()) for column in plan.T],)
    yield (PAIRS,)
    yield ([list(pair) for pair in random.permutation(10).reshape(5, 2).tolist()],)


@exercise(
    marks=2,
    cases=_groups,
    mistakes=[
        (
            lambda groups: assignment_matrix(groups).T,
            "Labels and experts have changed places: a row for each label, (C, E).",
        ),
        (
            lambda groups: assignment_matrix(groups) / assignment_matrix(groups).sum(axis=0),
            "The matrix holds 0 and 1 alone, whether a label is an expert's; you divide by the "
            "number of its labels.",
        ),
        (
            lambda groups: (
                assignment_matrix(groups) / assignment_matrix(groups).sum(axis=1)[:, None]
            ),
            "The matrix holds 0 and 1 alone, whether a label is an expert's; you divide by the "
            "number of its experts.",
        ),
        *(
            (
                lambda groups, pick=pick: np.eye(len(groups))[
                    [pick(np.flatnonzero(row)) for row in assignment_matrix(groups)]
                ],
                "A label may belong to several experts: its row then has several ones.",
            )
            for pick in (min, max)
        ),
        (
            lambda groups: assignment_matrix(groups)[:-1],
            "The last label has no row: labels begin at 0, so there are 1 + the largest of them.",
        ),
        (
            lambda groups: assignment_matrix([group[:1] for group in groups]),
            "You use the first label of each group alone.",
        ),
    ],
    hints=[
        "Begin with zeros. How many rows, how many columns?",
        "For expert e with its labels: the rows of these labels get a 1 in column e.",
        "matrix = np.zeros((number of labels, len(groups))), then for each expert: "
        "matrix[list(labels), expert] = 1",
    ],
)
def assignment_matrix(groups):
    """Array (C, E) of 0 and 1; groups holds the labels of each expert."""
    matrix = np.zeros((1 + max(map(max, groups)), len(groups)))
    for expert, labels in enumerate(groups):
        matrix[list(labels), expert] = 1
    return matrix


def _labels_with_plans(random):
    """Labels (B,), unsorted, with some missing, and a plan (C, E); what the lab passes last."""
    for images, high in ((3, 4), (1, 6), (9, 6), (20, 9)):
        labels, experts = sizes(random, 2, low=2, high=high)
        yield random.integers(labels, size=images), _plan(random, labels, experts)
    yield np.arange(10), assignment_matrix(PAIRS)


def _rows(labels, matrix):
    return ops.take(matrix, labels, axis=0)


@exercise(
    marks=2,
    cases=_labels_with_plans,
    mistakes=[
        (
            lambda labels, matrix: _rows(labels, matrix) * 0 + ops.mean(_rows(labels, matrix), 0),
            "All images want the same, whatever their label: is there still a mean over the batch?",
        ),
        (
            lambda labels, matrix: wanted(labels, matrix) * 0 + ops.mean(wanted(labels, matrix), 0),
            "All images want the same, whatever their label: is there still a mean over the batch?",
        ),
        (
            _rows,
            "The row of a label with several experts sums to more than 1: divide each row by its "
            "sum, so that the image wants the same share of each.",
        ),
        (
            lambda labels, matrix: _rows(labels, matrix) / matrix.shape[1],
            "Each image's row must sum to 1: divide it by its sum, not by the number of experts.",
        ),
        (
            lambda labels, matrix: ops.softmax(_rows(labels, matrix)),
            "A softmax gives experts a share that the label does not belong to: divide each row by "
            "its sum.",
        ),
        (
            lambda labels, matrix: _rows(labels, matrix / matrix.sum(axis=0)),
            "You divide by the sums of the columns: each row must sum to 1, over the experts.",
        ),
        (
            lambda labels, matrix: np.eye(matrix.shape[1])[matrix.argmax(axis=1)][labels],
            "You take one expert for each label: one with several wants the same share of each.",
        ),
        (
            lambda labels, matrix: matrix / matrix.sum(axis=1, keepdims=True),
            "Those are the rows of all labels: take for each image that of its label.",
        ),
    ],
    hints=[
        "Print what two images of different labels want. Which line makes them the same?",
        "ops.mean(rows, axis=0) forgets whose row is whose. What must be done to each row instead, "
        "so that it sums to 1?",
        "return rows / ops.sum(rows, axis=1, keepdims=True)",
    ],
)
def wanted(labels, matrix):
    """What each image wants of each expert: labels (B,), matrix (C, E), shares (B, E)."""
    rows = ops.take(matrix, labels, axis=0)
    return rows / ops.sum(rows, axis=1, keepdims=True)


def _wishes(random):
    """Logits (B, E), in the end hundreds apart, and what images want (B, E)."""
    for high, scale in ((4, 1), (7, 1), (7, 300)):
        images, experts = sizes(random, 2, high=high)
        wishes = probabilities(random, images, experts)
        plan = wanted(np.arange(images), _plan(random, images, experts))
        half = random.random((images, 1)) < 0.5
        yield (
            numbers(random, images, experts, scale=scale),
            np.where(half, wishes, plan).astype("float32"),
        )


def _of_each(logits, wanted):
    return -ops.sum(wanted * ops.log_softmax(logits), axis=-1)


@exercise(
    marks=2,
    cases=_wishes,
    returns=Tensor(),
    ways=[arrays, tensors, gradient("logits")],
    mistakes=[
        (_of_each, "That is a loss for each image: take the mean over the batch."),
        (
            lambda a, t: -guidance(a, t),
            "The sign is wrong: a logarithm of a probability is below 0.",
        ),
        (
            lambda a, t: ops.sum(_of_each(a, t)),
            "You sum over the images: take the mean, or the loss grows with B.",
        ),
        (
            lambda a, t: guidance(a, t) / a.shape[1],
            "You take the mean over images and experts alike. Sum over the experts, then take the "
            "mean over the images.",
        ),
        (
            lambda a, t: -ops.mean(ops.sum(t * a, axis=-1)),
            "Those are logits, no logarithms of probabilities: ops.log_softmax.",
        ),
        *(
            (
                lambda a, t, top=top: top - ops.mean(ops.sum(t * ops.softmax(a), axis=-1)),
                "The logarithm is missing.",
            )
            for top in (0, 1)
        ),
        (
            lambda a, t: guidance(a, ops.mean(t, axis=0)),
            "You average what the images want before you look at each: all alike.",
        ),
        (
            lambda a, t: ops.mean(-ops.sum(t * ops.log_softmax(a, axis=0), axis=-1)),
            "Your softmax runs over the images. It must run over the experts, the last axis.",
        ),
        (
            lambda a, t: ops.mean(-ops.sum(t * ops.log(ops.softmax(a)), axis=-1)),
            "With logits far apart your loss is no longer finite, for a probability is 0 in a "
            "computer and has no logarithm: ops.log_softmax copes.",
        ),
    ],
    hints=[
        "Two steps: a sum over the experts for each image, then the mean over the images.",
        "ops.log_softmax(logits) gives all the logarithms of probabilities at once.",
        "-ops.sum(wanted * ops.log_softmax(logits), axis=-1), then ops.mean.",
    ],
)
def guidance(logits, wanted):
    """The guidance loss, one number: the gate's logits (B, E), what images want (B, E)."""
    return ops.mean(-ops.sum(wanted * ops.log_softmax(logits), axis=-1))


def _worked_out_on_paper(answer, random):
    import tensorflow as tf

    told = WrongAnswer("Write it without automatic differentiation: the softmax makes it short.")
    with mock.patch.object(tf, "GradientTape", side_effect=told):
        answer(*next(_wishes(random)))


def _plain_softmax(logits):
    powers = ops.exp(logits)
    return powers / ops.sum(powers, axis=-1, keepdims=True)


@exercise(
    marks=2,
    cases=_wishes,
    ways=[arrays, tensors],
    properties=[_worked_out_on_paper],
    mistakes=[
        (
            lambda a, t: -pull(a, t),
            "The sign is wrong. A gradient points to where the loss grows: the logit of an expert "
            "that is wanted must have one below 0.",
        ),
        (
            lambda a, t: pull(a, t) / len(a),
            "Here each image has its own loss: do not divide by the batch.",
        ),
        (lambda a, t: a - t, "Those are logits: take their softmax first."),
        (
            lambda a, t: -t / ops.softmax(a),
            "That is the gradient by the probabilities. Go one step further, through the softmax.",
        ),
        (
            lambda a, t: ops.softmax(a) * pull(a, t),
            "You multiply by the probabilities once too often: they cancel with 1 / p of the log.",
        ),
        (
            lambda a, t: t * (ops.softmax(a) - 1),
            "Each logit is in the probabilities of *all* experts, for they are divided by the sum: "
            "you look at its own alone.",
        ),
        (lambda a, t: ops.softmax(a), "The softmax is half of it: what does the image want?"),
        (
            lambda a, t: ops.softmax(a, axis=0) - t,
            "Your softmax runs over the images. It must run over the experts, the last axis.",
        ),
        (
            lambda a, t: _plain_softmax(a) - t,
            "With large logits your gradient is no longer finite, for exp is too large for a "
            "computer: ops.softmax copes.",
        ),
    ],
    hints=[
        "Write ln p_e = a_e - ln(sum of all exp(a)) into the loss before you differentiate.",
        "L = -sum_e t_e a_e + ln(sum_j exp(a_j)), as the t_e sum to 1. The derivative of the last "
        "term by a_e is the softmax.",
        "ops.softmax(logits) minus something that you are given.",
    ],
)
def pull(logits, wanted):
    """dL/dlogits (B, E) of each image's own loss, no mean over the batch."""
    return ops.softmax(logits) - wanted


def _after_a_step(model, inputs, targets):
    """The trainable weights by their identity after a step of training; they are then put back."""
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy", run_eagerly=True)
    before = model.get_weights()
    model.train_on_batch(inputs, targets)
    after = {id(v): to_numpy(v) for v in model.trainable_variables}
    model.set_weights(before)
    return after


def _is_guided_by_labels(answer, random):
    for weight in (2.0, 0.5, 0.0):
        _require_guided(answer, random, weight)


def _require_guided(answer, random, weight):
    classes, experts, pixels, features, batch = sizes(random, 5, low=3, high=9)
    matrix = _plan(random, classes, experts)
    images = keras.Input((pixels,))
    seen = keras.layers.Dense(features, activation="tanh")(images)
    gate = keras.Sequential([keras.layers.Dense(4), SoftmaxGate(experts)])
    mixture = DenseMoE(
        [
            keras.Sequential([keras.layers.Dense(classes, activation="softmax")])
            for _ in range(experts)
        ],
        LabelGuidedGate(gate, matrix, guidance_weight=weight),
    )
    inference = keras.Model(images, mixture(seen))
    logits = keras.Model(images, mixture.gate(seen)["logits"])
    inside = {id(v) for v in inference.trainable_variables}
    training = answer(images, seen, mixture)
    if training is None:
        raise WrongAnswer("Your model is None, nothing: does your function end with `return`?")
    if not isinstance(training, keras.Model):
        raise WrongAnswer(f"Expected a keras.Model; yours is a {type(training).__name__}.")
    # A model that was not made from its inputs has none.
    if [i is images for i in getattr(training, "inputs", [])] != [True, False]:
        raise WrongAnswer(
            "The training model takes two inputs, in this order: keras.Model([images, labels], "
            "...), with the images that you are given."
        )
    x, labels = numbers(random, batch, pixels), random.integers(classes, size=batch)
    others = (labels + 1) % classes
    said = to_numpy(training([x, labels]), "the model's answer")
    require_shape(said, (batch, classes), f"the answer for {batch} images of {classes} classes")
    answers = [training([x, told], training=t) for told in (labels, others) for t in (False, True)]
    if not all(np.allclose(said, to_numpy(other), atol=1e-5) for other in answers):
        raise WrongAnswer(
            "With other labels, or in training, the answer is another one: the labels leak into "
            "the weights. In use there are none. Labels may add a loss, and nothing else."
        )
    if {id(v) for v in training.trainable_variables} != inside:
        raise WrongAnswer(
            "The two models must share every layer: use the mixture's own gate and experts, and no "
            "new ones."
        )
    if not np.allclose(said, to_numpy(inference(x)), atol=1e-5):
        raise WrongAnswer(
            "The answer is not the mixture's: weigh each expert with the gate's probabilities."
        )
    right = weight * float(guidance(logits(x), ops.cast(wanted(labels, matrix), "float32")))
    training([x, labels], training=True)
    costs = sum(float(loss) for loss in training.losses)
    if weight and not training.losses:
        raise WrongAnswer("Nothing guides the gate: call it with the labels as second input.")
    if abs(costs - right) > 1e-3:
        raise WrongAnswer(
            f"The guidance should cost {right:.3f} here, and yours costs {costs:.3f}: is the "
            "gate called with the labels once, as they are?"
        )
    after, expected = (
        _after_a_step(model, [x, labels], labels)
        for model in (training, training_model(images, seen, mixture))
    )
    if not all(np.allclose(after[v], expected[v], atol=1e-3) for v in inside):
        raise WrongAnswer(
            "The answer and the loss are right, but the layers learn something else from them: is "
            "a gradient cut off between the answer and the gate or the experts?"
        )


@exercise(
    marks=3,
    properties=[_is_guided_by_labels],
    hints=[
        "The gate is mixture.gate; called with two inputs, gate(features, labels), it adds its "
        "loss in training.",
        'Labels are an input of their own, keras.Input((), dtype="int32"). The experts\' answers '
        "are a list: [expert(features) for expert in mixture.experts].",
        "keras.Model([images, labels], Combine()(weights, said)), with weights = "
        'mixture.gate(features, labels)["probabilities"].',
    ],
)
def training_model(images, features, mixture):
    """keras.Model from [images, labels] to probabilities (B, C), which guides the gate."""
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    said = [expert(features) for expert in mixture.experts]
    return keras.Model([images, labels], Combine()(weights, said))


def _activations(random):
    """Tables with a row for each image and expert, shuffled; in the order of a run folder last."""
    import pandas as pd  # for the labs alone

    for images, labels, experts in ((3, 4, 3), (12, 5, 4), (30, 4, 6), (50, 10, 5)):
        plan = _plan(random, labels, experts)
        sample, expert = np.divmod(np.arange(images * experts), experts)
        label, guess = random.integers(labels, size=(2, images))
        table = pd.DataFrame(
            {
                "sample": random.choice(1000, images, replace=False)[sample],
                "label": label[sample],
                "prediction": guess[sample],
                "expert": expert,
                "weight": probabilities(random, images, experts).astype("float64").ravel(),
                "assigned": plan[label[sample], expert].astype(int),
            }
        )
        yield (table.sample(frac=1, random_state=int(random.integers(1000))),)
    yield (table,)


def _heaviest(table):
    return table.sort_values("weight").groupby("sample").tail(1)


@exercise(
    marks=3,
    cases=_activations,
    returns=Number(),
    mistakes=[
        (
            lambda t: t["assigned"].mean(),
            "That is the share of rows with assigned = 1, whatever the weights.",
        ),
        (
            lambda t: (t["weight"] * t["assigned"]).sum() / t["sample"].nunique(),
            "That is the share of weight that goes to the right experts. The question is how many "
            "images have the right expert as their heaviest.",
        ),
        (
            lambda t: _heaviest(t)["assigned"].sum(),
            "That is a number of images: divide by how many there are.",
        ),
        (
            lambda t: _heaviest(t)["assigned"].sum() / len(t),
            "You divide by the rows: each image has as many rows as there are experts.",
        ),
        (
            lambda t: t[t["weight"] > 0.5]["assigned"].sum() / t["sample"].nunique(),
            "A weight above 0.5 is not asked for: the heaviest of three may have 0.4.",
        ),
        (
            lambda t: t.sort_values("weight").groupby("sample")["assigned"].first().mean(),
            "You take each image's lightest expert.",
        ),
        (
            lambda t: t.groupby("sample")["assigned"].first().mean(),
            "You take the first row of each image, and not the one with the largest weight.",
        ),
        (
            lambda t: t.groupby("sample")["assigned"].max().mean(),
            "You ask whether any of an image's rows is assigned, and one always is.",
        ),
        (
            lambda t: t.iloc[t.groupby("sample")["weight"].idxmax()]["assigned"].mean(),
            "idxmax gives labels of the index, not places: look them up with loc, or a table in "
            "another order misleads you.",
        ),
        (
            lambda t: t.loc[t.groupby("expert")["weight"].idxmax()]["assigned"].mean(),
            "You take each expert's heaviest image: take each image's heaviest expert.",
        ),
        (
            lambda t: t.loc[t.groupby("label")["weight"].idxmax()]["assigned"].mean(),
            "You take one row for each label: take one for each image, by sample.",
        ),
        (
            lambda t: (t["label"] == t["prediction"]).mean(),
            "That is the accuracy: the question is who was asked, not what was answered.",
        ),
        (
            lambda t: 1 - _heaviest(t)["assigned"].mean(),
            "That is the share of images that go elsewhere.",
        ),
    ],
    hints=[
        "Each image has a row for each expert. Find its heaviest row first.",
        'activations.groupby("sample")["weight"].idxmax() gives the index of each image\'s '
        "heaviest row.",
        'heaviest = activations.loc[...those...]; then the mean of heaviest["assigned"].',
    ],
)
def routed(activations):
    """Share of images that go to an expert of their label, 0 to 1."""
    heaviest = activations.loc[activations.groupby("sample")["weight"].idxmax()]
    return heaviest["assigned"].mean()
