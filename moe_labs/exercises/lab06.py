"""The exercises of lab 06, the soft mixture."""

import numpy as np
from keras import ops

from moe_labs.exercises.draws import far_apart, numbers, probabilities, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import Tensor
from moe_labs.exercises.ways import arrays, gradient, tensors


def _lengths(random):
    """Different B, T, E, S and features: small ones, one token, and those of the lab."""
    yield *sizes(random, 4, low=2, high=5), 2
    for _ in range(2):
        yield tuple(sizes(random, 5, low=2, high=6))
    images, experts, slots, features = sizes(random, 4, low=2, high=6)
    yield images, 1, experts, slots, features
    yield 5, 16, 3, 2, 12


def _logits(random):
    for images, tokens, experts, slots, _ in _lengths(random):
        yield (numbers(random, images, tokens, experts, slots),)
    yield (far_apart(random, numbers(random, 2, 4, 3, 2), axis=1),)


def _tokens(random):
    """Dispatch weights (B, T, E, S), sum 1 over the tokens, and tokens (B, T, D)."""
    for images, tokens, experts, slots, features in _lengths(random):
        dispatch = np.moveaxis(probabilities(random, images, experts, slots, tokens), -1, 1)
        yield dispatch, numbers(random, images, tokens, features)


def _answers(random):
    for images, tokens, experts, slots, features in _lengths(random):
        logits = numbers(random, images, tokens, experts, slots)
        yield logits, numbers(random, images, experts, slots, features)
    logits = far_apart(random, logits, axis=(2, 3))
    yield logits, numbers(random, images, experts, slots, features)


def _single_tokens(random):
    for images, _, experts, slots, features in _lengths(random):
        logits = numbers(random, images, experts, slots)
        yield logits, numbers(random, images, experts, features)
    yield far_apart(random, logits, axis=(1, 2)), numbers(random, images, experts, features)


def _exponentials(logits, axis):
    powers = ops.exp(logits)
    return powers / ops.sum(powers, axis=axis, keepdims=True)


TOO_LARGE = (
    "With large logits your weights are no longer finite, for exp is too large for a computer: "
    "ops.softmax copes."
)


@exercise(
    marks=2,
    cases=_logits,
    returns=Tensor(),
    ways=[arrays, tensors, gradient("logits")],
    mistakes=[
        (
            lambda a: ops.softmax(a, axis=(2, 3)),
            "Your weights sum to 1 over the slots of each token: those are the combine weights. "
            "A slot is a mixture of tokens: its weights must sum to 1 over the tokens.",
        ),
        (
            lambda a: ops.softmax(a, axis=-1),
            "Your softmax runs over the last axis, an expert's slots. It must run over the tokens.",
        ),
        (
            lambda a: ops.softmax(a, axis=2),
            "Your softmax runs over the experts. It must run over the tokens.",
        ),
        (
            lambda a: ops.softmax(a, axis=0),
            "Your softmax runs over the images. It must run over the tokens of each.",
        ),
        (
            lambda a: ops.softmax(a, axis=(1, 2, 3)),
            "Your softmax runs over everything at once: each slot needs weights of its own, with "
            "sum 1 over the tokens.",
        ),
        (ops.exp, "Those are powers without their division: take the softmax."),
        (
            lambda a: a / ops.sum(a, axis=1, keepdims=True),
            "You divide the logits themselves by their sum: take the softmax.",
        ),
        (
            lambda a: ops.log_softmax(a, axis=1),
            "Those are the logarithms of the weights: ops.softmax gives the weights.",
        ),
        (lambda a: _exponentials(a, 1), TOO_LARGE),
    ],
    hints=[
        "Fix a slot. Over what must its weights sum to 1?",
        "The axes are B, T, E, S: images, tokens, experts, slots. The tokens are axis 1.",
        "ops.softmax(logits, axis=1)",
    ],
)
def dispatch_weights(logits):
    """How much each slot takes of each token: logits and weights (B, T, E, S)."""
    return ops.softmax(logits, axis=1)


@exercise(
    marks=2,
    cases=_tokens,
    returns=Tensor(),
    ways=[arrays, tensors, gradient("dispatch", "tokens")],
    mistakes=[
        (
            lambda d, x: ops.swapaxes(fill_slots(d, x), 0, 1),
            "The slots are right, but images come first: (B, E, S, D).",
        ),
        (
            lambda d, x: ops.swapaxes(fill_slots(d, x), 1, 2),
            "Experts and slots have changed places: the order is (B, E, S, D).",
        ),
        (
            lambda d, x: fill_slots(d, x) / x.shape[1],
            "You take the mean over the tokens. The weights sum to 1 already: take the sum.",
        ),
        (
            lambda d, x: fill_slots(ops.ones_like(d) / x.shape[1], x),
            "Each of your slots is the plain mean of the tokens: use the weights.",
        ),
        (
            lambda d, x: fill_slots(ops.ones_like(d), x),
            "Each of your slots is the plain sum of the tokens: use the weights.",
        ),
        (
            lambda d, x: fill_slots(ops.one_hot(ops.argmax(d, 1), d.shape[1], axis=1), x),
            "You give each slot its heaviest token alone. That is a hard choice: sum all tokens, "
            "each times its weight.",
        ),
        (
            lambda d, x: fill_slots(d / ops.sum(d, axis=(2, 3), keepdims=True), x),
            "You divide the weights by their sum over the slots: they sum to 1 over the tokens, "
            "and that is as it should be.",
        ),
        (
            lambda d, x: fill_slots(ops.softmax(d, axis=1), x),
            "The weights come out of a softmax already: use them as they are.",
        ),
        (
            lambda d, x: ops.einsum("btes,btd->btesd", d, x),
            "Each token is weighed, and now they must be added: sum over T.",
        ),
        (
            lambda d, x: ops.sum(fill_slots(d, x), axis=2),
            "You add up an expert's slots: each slot stays by itself.",
        ),
    ],
    hints=[
        "Each slot is a sum over the tokens: weight times token.",
        "ops.einsum names the axes: those that are missing after the arrow are summed over.",
        'ops.einsum("btes,btd->...", dispatch, tokens), with the letters of (B, E, S, D).',
    ],
)
def fill_slots(dispatch, tokens):
    """Slots (B, E, S, D), mixed from tokens (B, T, D) by dispatch weights (B, T, E, S)."""
    return ops.einsum("btes,btd->besd", dispatch, tokens)


def _mixed(weights, answers):
    return ops.einsum("btes,besf->btf", weights, answers)


@exercise(
    marks=3,
    cases=_answers,
    returns=Tensor(),
    ways=[arrays, tensors, gradient("logits", "answers")],
    mistakes=[
        (
            lambda a, o: _mixed(ops.softmax(a, axis=1), o),
            "You weigh with the dispatch weights. A token mixes slots: its weights must sum to 1 "
            "over all slots of all experts.",
        ),
        (
            lambda a, o: _mixed(ops.softmax(a, axis=-1), o),
            "Your weights sum to 1 over the slots of each expert, so to E over all experts. One "
            "softmax over all E times S slots together: axis=(2, 3).",
        ),
        (
            lambda a, o: _mixed(ops.softmax(a, axis=2), o),
            "Your softmax runs over the experts alone. One softmax over all E times S slots "
            "together: axis=(2, 3).",
        ),
        (
            lambda a, o: _mixed(ops.softmax(ops.softmax(a, axis=2), axis=3), o),
            "You take one softmax after the other. It must be a single one over all E times S "
            "slots together: axis=(2, 3).",
        ),
        (
            lambda a, o: _mixed(ops.softmax(a, axis=(1, 2, 3)), o),
            "Your softmax runs over the tokens too: each token has weights of its own.",
        ),
        (_mixed, "Those are sums with the logits: turn them into weights by a softmax."),
        (
            lambda a, o: combine(ops.zeros_like(a), o),
            "That is the plain mean of all answers: the logits are not used.",
        ),
        (
            lambda a, o: _mixed(ops.ones_like(a), o),
            "That is the plain sum of all answers: the logits are not used.",
        ),
        (
            lambda a, o: combine(a, o) / (a.shape[2] * a.shape[3]),
            "You take the mean over the slots. The weights sum to 1 already: take the sum.",
        ),
        (
            lambda a, o: ops.einsum("btes,besf->btesf", ops.softmax(a, axis=(2, 3)), o),
            "Each answer is weighed, and now they must be added: sum over experts and slots.",
        ),
        (lambda a, o: _mixed(_exponentials(a, (2, 3)), o), TOO_LARGE),
    ],
    hints=[
        "Two steps: weights that sum to 1 over all slots of all experts, then the weighted sum.",
        "ops.softmax takes several axes at once: axis=(2, 3) are experts and slots.",
        'weights = ops.softmax(logits, axis=(2, 3)); then ops.einsum("btes,besf->btf", ...)',
    ],
)
def combine(logits, answers):
    """Each token's answer (B, T, F): logits (B, T, E, S), the slots' answers (B, E, S, F)."""
    weights = ops.softmax(logits, axis=(2, 3))
    return ops.einsum("btes,besf->btf", weights, answers)


def _weighed(weights, outputs):
    return ops.einsum("be,bef->bf", weights, outputs)


@exercise(
    marks=3,
    cases=_single_tokens,
    returns=Tensor(),
    ways=[arrays, tensors, gradient("logits", "outputs")],
    mistakes=[
        *(
            (
                lambda a, o, weight=weight: weight(a) * ops.sum(o, axis=1),
                "Those are sums with weights of 1: the dispatch weights are 1, but the combine "
                "weights are not.",
            )
            for weight in (lambda a: 1, lambda a: a.shape[-1])
        ),
        (
            lambda a, o: ops.mean(o, axis=1),
            "That is the plain average of the experts: the logits are not used.",
        ),
        *(
            (
                lambda a, o, put=put: _weighed(ops.softmax(put(a, axis=-1)), o),
                "You put the slots together before the softmax. Softmax first, over all slots; "
                "then sum each expert's slots.",
            )
            for put in (ops.sum, ops.mean, ops.max)
        ),
        (
            lambda a, o: _weighed(ops.mean(ops.softmax(a, axis=(1, 2)), axis=-1), o),
            "You take the mean over an expert's slots. Their weights must be summed.",
        ),
        (
            lambda a, o: _weighed(ops.max(ops.softmax(a, axis=(1, 2)), axis=-1), o),
            "You take the heaviest slot of each expert alone: sum over all its slots.",
        ),
        (
            lambda a, o: _weighed(ops.softmax(a, axis=(1, 2))[..., 0], o),
            "You use the first slot of each expert alone: sum over all its slots.",
        ),
        *(
            (
                lambda a, o, put=put: _weighed(put(ops.softmax(a, axis=1), axis=-1), o),
                "Your softmax runs over the experts for each slot by itself: one softmax over all "
                "slots of all experts.",
            )
            for put in (ops.sum, ops.mean)
        ),
        (
            lambda a, o: ops.expand_dims(ops.sum(ops.softmax(a, axis=(1, 2)), axis=-1), -1) * o,
            "Each expert is weighed, and now they must be added: sum over axis 1, the experts.",
        ),
        (lambda a, o: _weighed(ops.sum(_exponentials(a, (1, 2)), axis=-1), o), TOO_LARGE),
    ],
    hints=[
        "With one token the dispatch weights are all 1: every slot holds the token itself. So all "
        "slots of an expert give the same answer.",
        "An expert's weight is the sum of the combine weights of its slots. One softmax over "
        "experts and slots, axes 1 and 2, then a sum over the slots.",
        "weights = ops.sum(ops.softmax(logits, axis=(1, 2)), axis=-1); then the sum over the "
        "experts of weight times output.",
    ],
)
def one_token(logits, outputs):
    """The soft mixture (B, F) of one token: logits (B, E, S), experts' outputs (B, E, F)."""
    weights = ops.sum(ops.softmax(logits, axis=(1, 2)), axis=-1)  # (B, E)
    return ops.einsum("be,bef->bf", weights, outputs)
