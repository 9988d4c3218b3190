"""The exercises of lab 04, the dense mixture."""

import numpy as np
from keras import ops

from moe_labs.exercises.draws import far_apart, numbers, one_hot, probabilities, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import Array, Tensor
from moe_labs.exercises.ways import arrays, gradient, tensors, training_step


def _mixtures(random):
    """Logits (B, E) and outputs (B, E, C), the first ones small, the last ones far apart."""
    for high in (4, 7):
        images, experts, classes = sizes(random, 3, high=high)
        yield numbers(random, images, experts), numbers(random, images, experts, classes)
    images, experts, classes = sizes(random, 3, low=3, high=9)
    logits = far_apart(random, numbers(random, images, experts))
    yield logits, numbers(random, images, experts, classes)


def _upstream_gradients(random):
    for logits, outputs in _mixtures(random):
        yield logits, outputs, numbers(random, len(outputs), outputs.shape[-1])


def _labeled(random):
    for logits, outputs in _mixtures(random):
        yield logits, outputs, one_hot(random, len(outputs), outputs.shape[-1])


def _with_sigma(random):
    for case in _labeled(random):
        yield *case, float(random.uniform(0.6, 1.8))
    logits, outputs, targets = case
    yield logits, 100 * outputs, targets, 0.25  # as far off as untrained experts may be
    # The gate has ruled an expert out, by a weight that is 0 in a computer, and it is right.
    logits, outputs = logits.copy(), outputs.copy()
    logits[:, 0] = logits[:, 1:].min(axis=1) - 150
    outputs[:, 0] = targets
    yield logits, outputs, targets, 0.05


def _labels_of_images(random):
    """Gate weights (N, E), labels with one class missing, and how many classes there are."""
    for images, missing, wide in ((5, 1, False), (30, 0, True), (40, -1, False)):
        experts, classes = sorted(sizes(random, 2, low=3, high=6), reverse=wide)
        labels = random.choice(np.delete(np.arange(classes), missing), images)
        yield probabilities(random, images, experts), labels, classes


def _squares(outputs, targets):
    return ops.sum(ops.square(ops.expand_dims(targets, 1) - outputs), axis=-1)


def _plain_softmax(logits):
    powers = ops.exp(logits)
    return powers / ops.sum(powers, axis=-1, keepdims=True)


TOO_LARGE = (
    "With large logits your weights are no longer finite, for exp is too large for a computer: "
    "ops.softmax copes."
)


def _responsible(logits, outputs, targets, divided_by):
    return ops.softmax(ops.log_softmax(logits) - _squares(outputs, targets) / divided_by)


@exercise(
    marks=2,
    cases=_mixtures,
    returns=Tensor(),
    ways=[arrays, training_step, gradient("logits", "outputs")],
    mistakes=[
        (
            lambda a, o: ops.einsum("be,bec->bc", a, o),
            "You weigh with the logits themselves: a softmax makes weights of them, with sum 1.",
        ),
        (
            lambda a, o: ops.mean(o, axis=1),
            "That is the plain average of the experts: the weights are not used.",
        ),
        (
            lambda a, o: ops.sum(o, axis=1),
            "That is the plain sum of the experts: the weights are not used.",
        ),
        (
            lambda a, o: ops.einsum("be,bec->bc", ops.softmax(a, axis=0), o),
            "Your softmax runs over the images. It must run over the experts, the last axis.",
        ),
        (
            lambda a, o: ops.einsum("be,bec->bc", ops.sigmoid(a), o),
            "A sigmoid gives each expert a weight by itself: a softmax makes them sum to 1.",
        ),
        (
            lambda a, o: ops.expand_dims(ops.softmax(a), -1) * o,
            "Each expert is weighed, and now they must be added: sum over axis 1, the experts.",
        ),
        (
            lambda a, o: np.einsum("be,bec->bc", np.eye(a.shape[1])[np.argmax(a, axis=1)], o),
            "You take the heaviest expert alone: sum all of them, each times its weight.",
        ),
        (lambda a, o: ops.einsum("be,bec->bc", _plain_softmax(a), o), TOO_LARGE),
    ],
    hints=[
        "Two steps: logits to weights, then the weighted sum over the experts.",
        "ops.softmax(logits) runs over the last axis, the experts. ops.expand_dims(weights, -1) "
        "gives them the shape (B, E, 1).",
        "ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)",
    ],
)
def mix(logits, outputs):
    """The mixture (B, C) of outputs (B, E, C), weighed by the softmax of logits (B, E)."""
    weights = ops.softmax(logits)
    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)


@exercise(
    marks=3,
    cases=_upstream_gradients,
    returns=Tensor(),
    ways=[arrays, tensors],
    mistakes=[
        (
            lambda a, o, g: ops.einsum("bc,bec->be", g, o),
            "Those are the gradients to the weights w_e. Go on, back through the softmax.",
        ),
        (
            lambda a, o, g: ops.softmax(a) * ops.einsum("bc,bec->be", g, o),
            "A larger logit also takes weight from all the other experts: compare what expert e "
            "says with what the mixture says, o_e - y, not with 0.",
        ),
        (
            lambda a, o, g: ops.einsum("bc,bec->be", g, o - ops.expand_dims(mix(a, o), 1)),
            "The factor w_e is missing: an expert with a small weight moves the mixture little.",
        ),
        (
            lambda a, o, g: -gate_gradient(a, o, g),
            "The sign is inverted: it is o_e - y, the expert minus the mixture.",
        ),
        (
            lambda a, o, g: (
                ops.softmax(a) * ops.einsum("bc,bec->be", g, o - ops.mean(o, axis=1, keepdims=True))
            ),
            "You compare each expert with the plain average of them: y is their weighted sum.",
        ),
        (
            lambda a, o, g: ops.einsum(
                "be,bec->bec", ops.softmax(a), o - ops.expand_dims(mix(a, o), 1)
            ),
            "Upstream is missing: multiply by it and sum over the classes.",
        ),
    ],
    hints=[
        "First the gradient to the weights: dL/dw_e is upstream times o_e, summed over classes.",
        "Then through the softmax: dL/da_e = w_e (dL/dw_e - sum over j of w_j dL/dw_j). The last "
        "sum is upstream times the mixture y.",
        "weights * ops.sum(upstream[:, None] * (outputs - mixed[:, None]), axis=-1)",
    ],
)
def gate_gradient(logits, outputs, upstream):
    """dL/dlogits (B, E), given dL/dmixture: upstream (B, C)."""
    apart = outputs - ops.expand_dims(mix(logits, outputs), 1)  # o_e - y, (B, E, C)
    along = ops.sum(ops.expand_dims(upstream, 1) * apart, axis=-1)
    return ops.softmax(logits) * along


@exercise(
    marks=2,
    cases=_labeled,
    returns=Tensor(),
    ways=[arrays, training_step, gradient("logits", "outputs")],
    mistakes=[
        (
            lambda a, o, d: ops.sum(ops.softmax(a) * _squares(o, d), axis=1),
            "You weigh the experts' errors one by one. Mix the answers first: the loss sees the "
            "error of the mixture alone.",
        ),
        (
            lambda a, o, d: ops.sum(ops.abs(d - mix(a, o)), axis=-1),
            "The differences must be squared before they are summed.",
        ),
        (
            lambda a, o, d: ops.sum(d - mix(a, o), axis=-1) ** 2,
            "Square each class's difference, then sum: differences of both signs cancel otherwise.",
        ),
        (
            lambda a, o, d: ops.mean(ops.square(d - mix(a, o)), axis=-1),
            "You take the mean over the classes: the loss is their sum.",
        ),
        (lambda a, o, d: cooperative(a, o, d) / 2, "That is half of it."),
        (
            lambda a, o, d: ops.sqrt(cooperative(a, o, d)),
            "That is the distance: the loss is its square.",
        ),
        (
            lambda a, o, d: ops.mean(cooperative(a, o, d)),
            "Your result is one number for all images: give one for each, (B,).",
        ),
        (
            lambda a, o, d: ops.square(d - mix(a, o)),
            "Those are the errors of the single classes: sum them, the last axis, for each image.",
        ),
    ],
    hints=[
        "Mix first, compare then.",
        "The mixture is mix(logits, outputs).",
        "Square targets - mixed, and sum over the last axis.",
    ],
)
def cooperative(logits, outputs, targets):
    """Squared error of the mixture, (B,): logits (B, E), outputs (B, E, C), targets (B, C)."""
    return ops.sum(ops.square(targets - mix(logits, outputs)), axis=-1)


def _plain_exponentials(logits, outputs, targets, sigma):
    terms = ops.softmax(logits) * ops.exp(-_squares(outputs, targets) / (2 * sigma**2))
    return -ops.log(ops.sum(terms, axis=-1))


@exercise(
    marks=3,
    cases=_with_sigma,
    returns=Tensor(),
    ways=[arrays, training_step, gradient("logits", "outputs")],
    mistakes=[
        (
            lambda a, o, d, s: -competitive(a, o, d, s),
            "The sign is inverted: a loss is minus the logarithm.",
        ),
        *(
            (
                lambda a, o, d, s, by=by: ops.sum(ops.softmax(a) * _squares(o, d), axis=1) / by(s),
                "That is the mean error of the experts. Here the sum stands inside the logarithm: "
                "-log of the sum of w_e exp(-error / (2 sigma^2)).",
            )
            for by in (lambda s: 1, lambda s: 2, lambda s: 2 * s**2)
        ),
        *(
            (
                lambda a, o, d, s, by=by: cooperative(a, o, d) / by(s),
                "The experts are mixed before they are judged: that is cooperative.",
            )
            for by in (lambda s: 1, lambda s: 2, lambda s: 2 * s**2)
        ),
        *(
            (
                lambda a, o, d, s, by=by: (
                    -ops.logsumexp(ops.log_softmax(a) - _squares(o, d) / by(s), axis=-1)
                ),
                "The exponent is minus the squared error over 2 sigma^2: *twice* the *square*.",
            )
            for by in (lambda s: 1, lambda s: 2, lambda s: s, lambda s: 2 * s, lambda s: s**2)
        ),
        (
            lambda a, o, d, s: -ops.logsumexp(-_squares(o, d) / (2 * s**2), axis=-1),
            "The gate's weights are not used.",
        ),
        (
            lambda a, o, d, s: -ops.logsumexp(a - _squares(o, d) / (2 * s**2), axis=-1),
            "Logits are not yet logarithms of weights: those are ops.log_softmax(logits).",
        ),
        (
            lambda a, o, d, s: ops.mean(competitive(a, o, d, s)),
            "Your result is one number for all images: give one for each, (B,).",
        ),
        (
            _plain_exponentials,
            "With large errors your loss is no longer finite, for exp(-error) is 0 in a computer. "
            "Stay in logarithms: ops.logsumexp(log weight - error / (2 sigma^2)).",
        ),
        (
            lambda a, o, d, s: (
                -ops.logsumexp(ops.log(ops.softmax(a)) - _squares(o, d) / (2 * s**2), axis=-1)
            ),
            "A weight that is 0 in a computer has no logarithm: ops.log_softmax(logits) does not "
            "go through the weights.",
        ),
    ],
    hints=[
        "Each expert's squared error first, of shape (B, E): ops.sum(ops.square(targets[:, None] "
        "- outputs), axis=-1).",
        "The logarithm of w_e exp(-error / s) is log w_e - error / s; ops.log_softmax(logits) is "
        "log w.",
        "-ops.logsumexp(ops.log_softmax(logits) - squares / (2 * sigma**2), axis=-1)",
    ],
)
def competitive(logits, outputs, targets, sigma):
    """Negative log-likelihood of the targets, (B,): one expert answers, drawn by the gate."""
    squares = ops.sum(ops.square(ops.expand_dims(targets, 1) - outputs), axis=-1)  # (B, E)
    return -ops.logsumexp(ops.log_softmax(logits) - squares / (2 * sigma**2), axis=-1)


@exercise(
    marks=2,
    cases=_with_sigma,
    returns=Tensor(),
    ways=[arrays, tensors],
    mistakes=[
        (
            lambda a, o, d, s: ops.softmax(a) * ops.exp(-_squares(o, d) / (2 * s**2)),
            "An image's responsibilities must sum to 1: divide by their sum over the experts.",
        ),
        (
            lambda a, o, d, s: ops.softmax(
                ops.log_softmax(a) - _squares(o, d) / (2 * s**2), axis=0
            ),
            "They must sum to 1 over the experts; yours do over the images.",
        ),
        (
            lambda a, o, d, s: ops.softmax(-_squares(o, d) / (2 * s**2)),
            "The gate's weights are not used: they say what was expected before the answer.",
        ),
        (
            lambda a, o, d, s: ops.softmax(ops.log_softmax(a) + _squares(o, d) / (2 * s**2)),
            "The sign is inverted: a large error must make a small share.",
        ),
        (
            lambda a, o, d, s: ops.softmax(a),
            "Those are the gate's weights: what do the experts' errors add?",
        ),
        *(
            (
                lambda a, o, d, s, by=by: _responsible(a, o, d, by(s)),
                "Divide the squared error by 2 sigma^2: *twice* the *square*.",
            )
            for by in (lambda s: 1, lambda s: 2, lambda s: s, lambda s: 2 * s, lambda s: s**2)
        ),
        (
            lambda a, o, d, s: (
                ops.softmax(a)
                * ops.exp(-_squares(o, d) / (2 * s**2))
                / ops.exp(-_plain_exponentials(a, o, d, s))[:, None]
            ),
            "With large errors you divide 0 by 0, for exp(-error) is 0 in a computer. Stay in "
            "logarithms until the end: a softmax of log weight - error / (2 sigma^2).",
        ),
        (
            lambda a, o, d, s: ops.softmax(ops.log(ops.softmax(a)) - _squares(o, d) / (2 * s**2)),
            "A weight that is 0 in a computer has no logarithm: ops.log_softmax(logits) does not "
            "go through the weights.",
        ),
    ],
    hints=[
        "The terms of the sum in the competitive loss, each divided by the sum.",
        "A softmax divides exponentials by their sum. Of what must it be taken?",
        "ops.softmax(ops.log_softmax(logits) - squares / (2 * sigma**2))",
    ],
)
def responsibilities(logits, outputs, targets, sigma):
    """Each expert's share in the explanation of each target, (B, E), sum 1 over the experts."""
    squares = ops.sum(ops.square(ops.expand_dims(targets, 1) - outputs), axis=-1)
    return ops.softmax(ops.log_softmax(logits) - squares / (2 * sigma**2))


def _sums_by_label(weights, labels, num_classes):
    return np.eye(num_classes)[labels].T @ weights


@exercise(
    marks=2,
    cases=_labels_of_images,
    returns=Array(),
    mistakes=[
        (
            lambda w, y, c: routing_table(w, y, c).T,
            "Labels are the rows, experts the columns: your table lies on its side.",
        ),
        (
            lambda w, y, c: np.stack([np.mean(w[y == label], axis=0) for label in range(c)]),
            "A label without images must give a row of zeros, not of NaN.",
        ),
        (_sums_by_label, "Those are sums: divide each row by its number of images."),
        (
            lambda w, y, c: _sums_by_label(w, y, c) / len(y),
            "You divide by the number of all images: divide each row by its own number.",
        ),
        (
            lambda w, y, c: routing_table(np.eye(w.shape[1])[w.argmax(axis=1)], y, c),
            "You count the largest weight: take the mean of the weights themselves.",
        ),
        (
            lambda w, y, c: _sums_by_label(w, y, c) / _sums_by_label(w, y, c).sum(axis=0),
            "You divide by column: each label's row must sum to 1.",
        ),
        (
            lambda w, y, c: routing_table(w, y, c)[np.unique(y)],
            "A label without images has a row as well, of zeros: make num_classes rows.",
        ),
        (
            lambda w, y, c: routing_table(w, y, c)[: y.max() + 1],
            "The largest of these labels need not be the last class: make num_classes rows.",
        ),
    ],
    hints=[
        "One row for each label: the mean of the weights of its images.",
        "weights[labels == label] are the weights of one label's images; there may be none.",
        "np.stack the means for label in range(num_classes), zeros where there are no images.",
    ],
)
def routing_table(weights, labels, num_classes):
    """Mean weight of each expert (columns) for each label (rows): weights (N, E), labels (N,)."""
    table = np.zeros((num_classes, weights.shape[1]))
    for label in np.unique(labels):
        table[label] = weights[labels == label].mean(axis=0)
    return table
