"""The exercises of lab 06, the soft mixture."""

import numpy as np
from keras import ops

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer

# One image of three tokens with two features; two experts with two slots each. No two of T, D and
# E S are equal, and so no wrong axis goes unseen.
LOGITS = np.log(
    np.array([[[[2, 1], [1, 4]], [[1, 1], [5, 1]], [[1, 6], [2, 3]]]], "float32")
)  # (B, T, E, S) = (1, 3, 2, 2)
TOKENS = np.array([[[1.0, 0.0], [0.0, 2.0], [4.0, 1.0]]], "float32")  # (B, T, D)
ANSWERS = np.array(
    [[[[1, 0, 2], [0, 3, 1]], [[2, 2, 0], [1, 5, 4]]]], "float32"
)  # (B, E, S, F) = (1, 2, 2, 3)
POWERS = np.exp(LOGITS.astype("float64"))
DISPATCH = POWERS / POWERS.sum(axis=1, keepdims=True)
COMBINE = POWERS / POWERS.sum(axis=(2, 3), keepdims=True)


def _same(answer, *others):
    """Whether an answer is one of these arrays, broadcasting apart."""
    return any(
        answer.shape == np.shape(other) and np.allclose(answer, other, atol=TOLERANCE)
        for other in others
    )


def _verify_dispatch_weights(dispatch_weights):
    answer = to_numpy(dispatch_weights(LOGITS))
    require_shape(answer, LOGITS.shape, "dispatch_weights(logits (1, 3, 2, 2))")
    if _same(answer, COMBINE):
        raise WrongAnswer(
            "Your weights sum to 1 over the slots of each token: those are the combine weights. "
            "A slot is a mixture of tokens: its weights must sum to 1 over the tokens."
        )
    if _same(answer, _softmax(LOGITS, axis=-1)):
        raise WrongAnswer(
            "Your softmax runs over the last axis, an expert's slots. It must run over the tokens."
        )
    if _same(answer, _softmax(LOGITS, axis=2)):
        raise WrongAnswer("Your softmax runs over the experts. It must run over the tokens.")
    if _same(answer, POWERS / POWERS.sum()):
        raise WrongAnswer(
            "Your softmax runs over everything at once: each slot needs weights of its own, with "
            "sum 1 over the tokens."
        )
    if _same(answer, POWERS):
        raise WrongAnswer("Those are powers without their division: take the softmax.")
    if not _same(answer, DISPATCH):
        raise WrongAnswer(
            "The powers of the first slot's logits are 2, 1, 1 for the three tokens, so its "
            "weights are 0.5, 0.25, 0.25; yours are "
            f"{', '.join(f'{w:.3g}' for w in answer[0, :, 0, 0])}."
        )


def _verify_fill_slots(fill_slots):
    answer = to_numpy(fill_slots(DISPATCH.astype("float32"), TOKENS))
    right = np.einsum("btes,btd->besd", DISPATCH, TOKENS)
    if answer.shape == (2, 1, 2, 2) and _same(answer, right.swapaxes(0, 1)):
        raise WrongAnswer("The slots are right, but images come first: (B, E, S, D).")
    require_shape(answer, (1, 2, 2, 2), "fill_slots(dispatch (1, 3, 2, 2), tokens (1, 3, 2))")
    if _same(answer, right / 3):
        raise WrongAnswer(
            "You take the mean over the tokens. The weights sum to 1 already: take the sum."
        )
    if _same(answer, np.broadcast_to(TOKENS.mean(axis=1)[:, None, None], answer.shape)):
        raise WrongAnswer("Each of your slots is the plain mean of the tokens: use the weights.")
    if _same(answer, np.broadcast_to(TOKENS.sum(axis=1)[:, None, None], answer.shape)):
        raise WrongAnswer("Each of your slots is the plain sum of the tokens: use the weights.")
    if _same(answer, TOKENS[0, DISPATCH.argmax(axis=1)]):
        raise WrongAnswer(
            "You give each slot its heaviest token alone. That is a hard choice: sum all tokens, "
            "each times its weight."
        )
    if _same(answer, np.einsum("btes,btd->besd", COMBINE, TOKENS)):
        raise WrongAnswer("You take the combine weights: slots are filled with dispatch weights.")
    if _same(answer, right.swapaxes(1, 2)):
        raise WrongAnswer("Experts and slots have changed places: the order is (B, E, S, D).")
    if not _same(answer, right):
        raise WrongAnswer(
            "The first slot's weights are 0.5, 0.25, 0.25 and the tokens' first features 1, 0, 4: "
            f"0.5 * 1 + 0.25 * 0 + 0.25 * 4 = 1.5; yours is {answer[0, 0, 0, 0]:.3g}."
        )


def _verify_combine(combine):
    answer = to_numpy(combine(LOGITS, ANSWERS))
    require_shape(answer, (1, 3, 3), "combine(logits (1, 3, 2, 2), answers (1, 2, 2, 3))")

    def mixed(weights):
        return np.einsum("btes,besf->btf", weights, ANSWERS)

    if _same(answer, mixed(DISPATCH)):
        raise WrongAnswer(
            "You weigh with the dispatch weights. A token mixes slots: its weights must sum to 1 "
            "over all slots of all experts."
        )
    if _same(answer, mixed(_softmax(LOGITS, axis=-1))):
        raise WrongAnswer(
            "Your weights sum to 1 over the slots of each expert, so to 2 over both experts. One "
            "softmax over all E times S slots together: axis=(2, 3)."
        )
    if _same(answer, mixed(_softmax(LOGITS, axis=2))):
        raise WrongAnswer(
            "Your softmax runs over the experts alone. One softmax over all E times S slots "
            "together: axis=(2, 3)."
        )
    if _same(answer, mixed(LOGITS)):
        raise WrongAnswer("Those are sums with the logits: turn them into weights by a softmax.")
    if _same(answer, np.broadcast_to(ANSWERS.mean(axis=(1, 2))[:, None], answer.shape)):
        raise WrongAnswer("That is the plain mean of all answers: the logits are not used.")
    if _same(answer, np.broadcast_to(ANSWERS.sum(axis=(1, 2))[:, None], answer.shape)):
        raise WrongAnswer("That is the plain sum of all answers: the logits are not used.")
    if not _same(answer, mixed(COMBINE)):
        raise WrongAnswer(
            "The powers of the first token's logits are 2, 1, 1, 4 for the four slots, and the "
            "slots' first answers are 1, 0, 2, 1: (2 * 1 + 1 * 0 + 1 * 2 + 4 * 1) / 8 = 1; yours "
            f"is {answer[0, 0, 0]:.3g}."
        )


def _verify_one_token(one_token):
    powers = np.array([[[2, 1], [1, 4]], [[3, 3], [1, 3]]])  # (B, E, S)
    said = np.array([[[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]], [[0.0, 2.0, 1.0], [5.0, 0.0, 1.0]]])
    logits = np.log(powers).astype("float32")
    answer = to_numpy(one_token(logits, said.astype("float32")))
    require_shape(answer, (2, 3), "one_token(logits (2, 2, 2), outputs (2, 2, 3))")

    def mixed(weights):
        return np.einsum("be,bef->bf", weights, said)

    right = powers.sum(axis=-1) / powers.sum(axis=(1, 2))[:, None]
    if _same(answer, mixed(np.full((2, 2), 2.0)), mixed(np.ones((2, 2)))):
        raise WrongAnswer(
            "Those are sums with weights of 1: the dispatch weights are 1, but the combine weights "
            "are not."
        )
    if _same(answer, mixed(np.full((2, 2), 0.5))):
        raise WrongAnswer("That is the plain average of the experts: the logits are not used.")
    if _same(answer, *(mixed(_softmax(sums, axis=-1)) for sums in _sums_of_logits(logits))):
        raise WrongAnswer(
            "You put the slots together before the softmax. Softmax first, over all slots; then "
            "sum each expert's slots."
        )
    if _same(answer, mixed(right / 2)):
        raise WrongAnswer("You take the mean over an expert's slots. Their weights must be summed.")
    if _same(answer, mixed(powers[..., 0] / powers.sum(axis=(1, 2))[:, None])):
        raise WrongAnswer("You use the first slot of each expert alone: sum over all its slots.")
    if not _same(answer, mixed(right)):
        raise WrongAnswer(
            "The powers of the first token's logits are 2, 1 for expert 0 and 1, 4 for expert 1, "
            "so their weights are 3/8 and 5/8; they say 1 and 3: 3/8 * 1 + 5/8 * 3 = 2.25; yours "
            f"is {answer[0, 0]:.3g}."
        )


def _sums_of_logits(logits):
    return logits.sum(axis=-1), logits.mean(axis=-1), logits.max(axis=-1)


def _softmax(values, axis):
    powers = np.exp(values.astype("float64"))
    return powers / powers.sum(axis=axis, keepdims=True)


def _reference_dispatch_weights(logits):
    return ops.softmax(logits, axis=1)


def _reference_fill_slots(dispatch, tokens):
    return ops.einsum("btes,btd->besd", dispatch, tokens)


def _reference_combine(logits, answers):
    return ops.einsum("btes,besf->btf", ops.softmax(logits, axis=(2, 3)), answers)


def _reference_one_token(logits, outputs):
    weights = ops.sum(ops.softmax(logits, axis=(1, 2)), axis=-1)
    return ops.einsum("be,bef->bf", weights, outputs)


dispatch_weights = Exercise(
    "dispatch_weights",
    _verify_dispatch_weights,
    reference=lambda: _reference_dispatch_weights,
    hints=[
        "Fix a slot. Over what must its weights sum to 1?",
        "The axes are B, T, E, S: images, tokens, experts, slots. The tokens are axis 1.",
        "ops.softmax(logits, axis=1)",
    ],
    marks=2,
)
fill_slots = Exercise(
    "fill_slots",
    _verify_fill_slots,
    reference=lambda: _reference_fill_slots,
    hints=[
        "Each slot is a sum over the tokens: weight times token.",
        "ops.einsum names the axes: those that are missing after the arrow are summed over.",
        'ops.einsum("btes,btd->...", dispatch, tokens), with the letters of (B, E, S, D).',
    ],
    marks=2,
)
combine = Exercise(
    "combine",
    _verify_combine,
    reference=lambda: _reference_combine,
    hints=[
        "Two steps: weights that sum to 1 over all slots of all experts, then the weighted sum.",
        "ops.softmax takes several axes at once: axis=(2, 3) are experts and slots.",
        'weights = ops.softmax(logits, axis=(2, 3)); then ops.einsum("btes,besf->btf", ...)',
    ],
    marks=3,
)
one_token = Exercise(
    "one_token",
    _verify_one_token,
    reference=lambda: _reference_one_token,
    hints=[
        "With one token the dispatch weights are all 1: every slot holds the token itself. So all "
        "slots of an expert give the same answer.",
        "An expert's weight is the sum of the combine weights of its slots. One softmax over "
        "experts and slots, axes 1 and 2, then a sum over the slots.",
        "weights = ops.sum(ops.softmax(logits, axis=(1, 2)), axis=-1); then the sum over the "
        "experts of weight times output.",
    ],
    marks=3,
)
