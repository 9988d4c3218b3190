"""The exercises of lab 04, the dense mixture."""

import numpy as np
from keras import ops

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer

# Two images, three experts, two classes. The weights of the first image are 1/2, 1/4, 1/4.
LOGITS = np.log(np.array([[2.0, 1.0, 1.0], [1.0, 3.0, 4.0]], "float32"))
WEIGHTS = np.array([[0.5, 0.25, 0.25], [0.125, 0.375, 0.5]])
OUTPUTS = np.array(
    [[[1.0, 0.0], [0.0, 2.0], [2.0, 1.0]], [[0.0, 1.0], [3.0, 0.0], [1.0, 1.0]]], "float32"
)
TARGETS = np.array([[1.0, 0.0], [0.0, 2.0]], "float32")
MIXED = np.einsum("be,bec->bc", WEIGHTS, OUTPUTS)
SQUARES = ((TARGETS[:, None] - OUTPUTS) ** 2).sum(axis=-1)  # (B, E)
SIGMA = 2.0
LIKELIHOODS = WEIGHTS * np.exp(-SQUARES / 8)  # 2 sigma^2 = 8


def _same(answer, *others):
    """Whether an answer is one of these arrays, broadcasting apart."""
    return any(
        answer.shape == np.shape(other) and np.allclose(answer, other, atol=TOLERANCE)
        for other in others
    )


def _verify_mix(mix):
    answer = to_numpy(mix(LOGITS, OUTPUTS))
    require_shape(answer, (2, 2), "mix(logits (2, 3), outputs (2, 3, 2))")
    if _same(answer, np.einsum("be,bec->bc", LOGITS, OUTPUTS)):
        raise WrongAnswer("Those are the logits' sums: turn logits into weights with a softmax.")
    if _same(answer, OUTPUTS.mean(axis=1)):
        raise WrongAnswer("That is the plain average of the experts: the gate is not used.")
    if _same(answer, np.einsum("be,bec->bc", _softmax(LOGITS, axis=0), OUTPUTS)):
        raise WrongAnswer(
            "Your softmax runs over the images: an image's weights must sum to 1 over the experts."
        )
    if not _same(answer, MIXED):
        raise WrongAnswer(
            "For the first image the weights are 0.5, 0.25, 0.25, and the experts say 1, 0, 2 of "
            f"the first class: 0.5 * 1 + 0.25 * 0 + 0.25 * 2 = 1; yours is {answer[0, 0]:.3g}."
        )


def _verify_gate_gradient(gate_gradient):
    upstream = np.array([[1.0, -1.0], [0.5, 2.0]], "float32")
    answer = to_numpy(gate_gradient(LOGITS, OUTPUTS, upstream))
    require_shape(answer, (2, 3), "gate_gradient(logits (2, 3), outputs (2, 3, 2), upstream)")
    to_weights = np.einsum("bc,bec->be", upstream, OUTPUTS)
    right = WEIGHTS * np.einsum("bc,bec->be", upstream, OUTPUTS - MIXED[:, None])
    if _same(answer, to_weights):
        raise WrongAnswer(
            "That is the gradient with respect to the weights, after the softmax. One step is "
            "missing: from the weights back through the softmax to the logits."
        )
    if _same(answer, WEIGHTS * to_weights):
        raise WrongAnswer(
            "A larger logit also takes weight from all the other experts: compare what expert e "
            "says with what the mixture says, o_e - y, not with 0."
        )
    if _same(answer, to_weights - np.einsum("bc,bc->b", upstream, MIXED)[:, None]):
        raise WrongAnswer(
            "The factor w_e is missing: an expert with a small weight moves the mixture little."
        )
    if _same(answer, -right):
        raise WrongAnswer("The sign is inverted: it is o_e - y, the expert minus the mixture.")
    if not _same(answer, right):
        raise WrongAnswer(
            f"Expected w_e * (upstream . (o_e - y)): {right[0].round(3).tolist()} for the first "
            f"image; yours is {answer[0].round(3).tolist()}."
        )


def _verify_cooperative(cooperative):
    answer = to_numpy(cooperative(LOGITS, OUTPUTS, TARGETS))
    require_shape(answer, (2,), "the loss of 2 images, one number each,")
    right = ((TARGETS - MIXED) ** 2).sum(axis=-1)
    if _same(answer, (WEIGHTS * SQUARES).sum(axis=1)):
        raise WrongAnswer(
            "You weigh the experts' errors one by one. Mix the answers first: the loss sees the "
            "error of the mixture alone."
        )
    if _same(answer, np.abs(TARGETS - MIXED).sum(axis=-1)):
        raise WrongAnswer("The differences must be squared before they are summed.")
    if _same(answer, right / 2):
        raise WrongAnswer("That is half of it; or did you take the mean over the classes?")
    if not _same(answer, right):
        raise WrongAnswer(
            f"The first image's target is 1, 0 and the mixture says {MIXED[0].tolist()}: the "
            f"squared error is {right[0]:.4g}; yours is {answer[0]:.4g}."
        )


def _verify_competitive(competitive):
    answer = to_numpy(competitive(LOGITS, OUTPUTS, TARGETS, SIGMA))
    require_shape(answer, (2,), "the loss of 2 images, one number each,")
    right = -np.log(LIKELIHOODS.sum(axis=1))
    if _same(answer, -right):
        raise WrongAnswer("The sign is inverted: a loss is minus the logarithm.")
    if _same(answer, *((WEIGHTS * SQUARES).sum(axis=1) / by for by in (1, 2, 8))):
        raise WrongAnswer(
            "That is the mean error of the experts. Here the sum stands inside the logarithm: "
            "-log of the sum of w_e exp(-error / (2 sigma^2))."
        )
    if _same(answer, *(((TARGETS - MIXED) ** 2).sum(axis=-1) / by for by in (1, 2, 8))):
        raise WrongAnswer("The experts are mixed before they are judged: that is cooperative.")
    if _same(answer, *(-np.log((WEIGHTS * np.exp(-SQUARES / by)).sum(axis=1)) for by in (1, 2, 4))):
        raise WrongAnswer(
            "The exponent is minus the squared error over 2 sigma^2: *twice* the *square*."
        )
    if _same(answer, -np.log(np.exp(-SQUARES / 8).sum(axis=1))):
        raise WrongAnswer("The gate's weights are not used.")
    if not _same(answer, right):
        raise WrongAnswer(
            f"The first image's weights are {WEIGHTS[0].tolist()}, the experts' squared errors "
            f"{SQUARES[0].tolist()}, sigma is {SIGMA}: the loss is {right[0]:.4g}; yours is "
            f"{answer[0]:.4g}."
        )
    far = to_numpy(competitive(LOGITS, 100 * OUTPUTS, TARGETS, SIGMA))
    if not np.isfinite(far).all():
        raise WrongAnswer(
            "With large errors your loss is no longer finite, for exp(-error) is 0 in a computer. "
            "Stay in logarithms: ops.logsumexp(log weight - error / (2 sigma^2))."
        )


def _verify_responsibilities(responsibilities):
    answer = to_numpy(responsibilities(LOGITS, OUTPUTS, TARGETS, SIGMA))
    require_shape(answer, (2, 3), "the responsibilities of 3 experts for 2 images")
    right = LIKELIHOODS / LIKELIHOODS.sum(axis=1, keepdims=True)
    if _same(answer, LIKELIHOODS):
        raise WrongAnswer(
            "An image's responsibilities must sum to 1: divide by their sum over the experts."
        )
    if _same(answer.sum(axis=0), np.ones(3)):
        raise WrongAnswer("They must sum to 1 over the experts; yours do over the images.")
    if _same(answer, _softmax(-SQUARES / 8)):
        raise WrongAnswer(
            "The gate's weights are not used: they say what was expected before the answer."
        )
    if _same(answer, _softmax(np.log(WEIGHTS) + SQUARES / 8)):
        raise WrongAnswer("The sign is inverted: a large error must make a small share.")
    if _same(answer, WEIGHTS):
        raise WrongAnswer("Those are the gate's weights: what do the experts' errors add?")
    if _same(answer, *(_softmax(np.log(WEIGHTS) - SQUARES / by) for by in (1, 2, 4))):
        raise WrongAnswer("Divide the squared error by 2 sigma^2: *twice* the *square*.")
    if not _same(answer, right):
        raise WrongAnswer(
            f"Expected {right[0].round(3).tolist()} for the first image; yours is "
            f"{answer[0].round(3).tolist()}."
        )


def _verify_routing_table(routing_table):
    weights = np.array([[0.75, 0.25], [0.25, 0.75], [0.25, 0.75], [0.375, 0.625]], "float32")
    labels = np.array([2, 0, 2, 0])
    answer = to_numpy(routing_table(weights, labels, 3))
    right = np.array([[0.3125, 0.6875], [0, 0], [0.5, 0.5]])
    if answer.shape == (2, 3):
        raise WrongAnswer("Labels are the rows, experts the columns: your table lies on its side.")
    require_shape(answer, (3, 2), "a table of 3 labels by 2 experts")
    if not np.isfinite(answer).all():
        raise WrongAnswer("A label without images must give a row of zeros, not of NaN.")
    if _same(answer, [[0.625, 1.375], [0, 0], [1, 1]]):
        raise WrongAnswer("Those are sums: divide each row by its number of images.")
    if _same(answer, [[0, 1], [0, 0], [0.5, 0.5]]):
        raise WrongAnswer("You count the largest weight: take the mean of the weights themselves.")
    if _same(answer, right / right.sum(axis=0)):
        raise WrongAnswer("You divide by column: each label's row must sum to 1.")
    if not _same(answer, right):
        raise WrongAnswer(
            "Label 0 has two images, with weights 0.25, 0.75 and 0.375, 0.625: its row is "
            f"0.3125, 0.6875; yours is {answer[0].round(3).tolist()}."
        )


def _softmax(values, axis=-1):
    powers = np.exp(values)
    return powers / powers.sum(axis=axis, keepdims=True)


def _reference_mix(logits, outputs):
    return ops.einsum("be,bec->bc", ops.softmax(logits), outputs)


def _reference_gate_gradient(logits, outputs, upstream):
    apart = outputs - ops.expand_dims(_reference_mix(logits, outputs), 1)
    return ops.softmax(logits) * ops.einsum("bc,bec->be", upstream, apart)


def _reference_cooperative(logits, outputs, targets):
    return ops.sum(ops.square(targets - _reference_mix(logits, outputs)), axis=-1)


def _log_joint(logits, outputs, targets, sigma):
    squares = ops.sum(ops.square(ops.expand_dims(targets, 1) - outputs), axis=-1)
    return ops.log_softmax(logits) - squares / (2 * sigma**2)


def _reference_competitive(logits, outputs, targets, sigma):
    return -ops.logsumexp(_log_joint(logits, outputs, targets, sigma), axis=-1)


def _reference_responsibilities(logits, outputs, targets, sigma):
    return ops.softmax(_log_joint(logits, outputs, targets, sigma))


def _reference_routing_table(weights, labels, num_classes):
    belongs = np.eye(num_classes)[labels]
    return belongs.T @ weights / np.maximum(belongs.sum(axis=0), 1)[:, None]


mix = Exercise(
    "mix",
    _verify_mix,
    reference=lambda: _reference_mix,
    hints=[
        "Two steps: logits to weights, then the weighted sum over the experts.",
        "ops.softmax(logits) runs over the last axis, the experts. ops.expand_dims(weights, -1) "
        "gives them the shape (B, E, 1).",
        "ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)",
    ],
    marks=2,
)
gate_gradient = Exercise(
    "gate_gradient",
    _verify_gate_gradient,
    reference=lambda: _reference_gate_gradient,
    hints=[
        "First the gradient to the weights: dL/dw_e is upstream times o_e, summed over classes.",
        "Then through the softmax: dL/da_e = w_e (dL/dw_e - sum over j of w_j dL/dw_j). The last "
        "sum is upstream times the mixture y.",
        "weights * ops.sum(upstream[:, None] * (outputs - mixed[:, None]), axis=-1)",
    ],
    marks=3,
)
cooperative = Exercise(
    "cooperative",
    _verify_cooperative,
    reference=lambda: _reference_cooperative,
    hints=[
        "Mix first, compare then.",
        "The mixture is mix(logits, outputs).",
        "Square targets - mixed, and sum over the last axis.",
    ],
    marks=2,
)
competitive = Exercise(
    "competitive",
    _verify_competitive,
    reference=lambda: _reference_competitive,
    hints=[
        "Each expert's squared error first, of shape (B, E): ops.sum(ops.square(targets[:, None] "
        "- outputs), axis=-1).",
        "The logarithm of w_e exp(-error / s) is log w_e - error / s; ops.log_softmax(logits) is "
        "log w.",
        "-ops.logsumexp(ops.log_softmax(logits) - squares / (2 * sigma**2), axis=-1)",
    ],
    marks=3,
)
responsibilities = Exercise(
    "responsibilities",
    _verify_responsibilities,
    reference=lambda: _reference_responsibilities,
    hints=[
        "The terms of the sum in the competitive loss, each divided by the sum.",
        "A softmax divides exponentials by their sum. Of what must it be taken?",
        "ops.softmax(ops.log_softmax(logits) - squares / (2 * sigma**2))",
    ],
    marks=2,
)
routing_table = Exercise(
    "routing_table",
    _verify_routing_table,
    reference=lambda: _reference_routing_table,
    hints=[
        "One row for each label: the mean of the weights of its images.",
        "weights[labels == label] are the weights of one label's images; there may be none.",
        "np.stack the means for label in range(num_classes), zeros where there are no images.",
    ],
    marks=2,
)
