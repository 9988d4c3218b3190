"""The exercises of lab 05, the sparse mixture."""

import keras
import numpy as np
from keras import ops

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer

PROBABILITIES = np.array([[0.1, 0.5, 0.4], [0.6, 0.1, 0.3]], "float32")


def _same(answer, other):
    return answer.shape == np.shape(other) and np.allclose(answer, other, atol=TOLERANCE)


def _pair(answer, names):
    """The two parts of an answer as arrays; a clear message if it is not a pair."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise WrongAnswer(f"Return two tensors: {names}.")
    return [to_numpy(part) for part in answer]


def _require_usable_in_a_network(function, *shapes_and_dtypes):
    """Raise unless the function runs on tensors whose number of images is not known."""
    inputs = [keras.Input(shape, dtype=dtype) for shape, dtype in shapes_and_dtypes]
    try:
        function(*inputs)
    except Exception as error:
        raise WrongAnswer(
            "It is right on arrays, but does not work inside a network, where the number of images "
            "is not known beforehand. Use keras.ops throughout (no NumPy, no loop over images), "
            f"and ops.mean where you would divide by their number. ({type(error).__name__})"
        ) from None


def _verify_route(route):
    logits = np.log(PROBABILITIES) + 3.0  # a softmax takes no notice of the 3
    indices, weights = _pair(route(logits, 2), "indices and weights, in this order")
    require_shape(indices, (2, 2), "the indices of 2 images, k = 2,")
    require_shape(weights, (2, 2), "the weights of 2 images, k = 2,")
    if _same(indices, weights) or not _same(indices, np.round(indices)):
        raise WrongAnswer("The first of the two must be the experts' numbers, the second weights.")
    if _same(np.sort(indices), [[0, 2], [1, 2]]):
        raise WrongAnswer("Those are the experts with the smallest probabilities.")
    if not _same(indices, [[1, 2], [0, 2]]):
        raise WrongAnswer(
            "For probabilities 0.1, 0.5, 0.4 the two best experts are 1 and 2, the best first; "
            f"yours are {indices[0].astype(int).tolist()}."
        )
    if _same(weights, logits[[[0], [1]], [[1, 2], [0, 2]]]):
        raise WrongAnswer("Those are the logits of the chosen: weights come after a softmax.")
    if _same(weights, [[0.5, 0.4], [0.6, 0.3]]):
        raise WrongAnswer(
            "With k = 2 the weights of the chosen must sum to 1: divide them by their sum."
        )
    if not _same(weights, [[5 / 9, 4 / 9], [2 / 3, 1 / 3]]):
        raise WrongAnswer(
            "Probabilities 0.5 and 0.4 of the chosen make weights 0.5 / 0.9 = 0.556 and 0.444; "
            f"yours are {weights[0].round(3).tolist()}."
        )
    indices, weights = _pair(route(logits, 1), "indices and weights, in this order")
    require_shape(weights, (2, 1), "the weights of 2 images, k = 1,")
    if _same(weights, [[1.0], [1.0]]):
        raise WrongAnswer(
            "With k = 1 your weight is always 1, whatever the gate thinks: then it gets no "
            "gradient. Divide by the sum for k > 1 only; for k = 1 the weight is the probability."
        )
    if not _same(indices, [[1], [0]]) or not _same(weights, [[0.5], [0.6]]):
        raise WrongAnswer("With k = 1 the first image goes to expert 1, with weight 0.5.")
    _require_usable_in_a_network(lambda logits: route(logits, 2), ((3,), "float32"))


class _Witness:
    """An expert that notes the rows it is shown: E_e(x) = factor * x."""

    def __init__(self, factor):
        self.factor = factor
        self.seen = []

    def __call__(self, rows):
        rows = to_numpy(rows, "what an expert is called with")
        self.seen.append(rows)
        return self.factor * rows

    @property
    def rows(self):
        return sum(len(rows) for rows in self.seen)


def _verify_run_chosen(run_chosen):
    images = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]], "float32")
    indices = np.array([[2, 0], [0, 3], [0, 2]])
    weights = np.array([[0.75, 0.25], [0.5, 0.5], [0.9, 0.1]], "float32")
    experts = [_Witness(factor) for factor in (1.0, 10.0, 100.0, 1000.0)]
    answer = to_numpy(run_chosen(images, indices, weights, experts))
    require_shape(answer, (3, 2), "one answer for each of 3 images,")
    if experts[1].rows:
        raise WrongAnswer(
            "Expert 1 was called with images, though no image chose it. An expert must run on the "
            "images that chose it alone; multiplying by zero afterwards saves nothing."
        )
    for e, chosen in ((0, [0, 1, 2]), (2, [0, 2]), (3, [1])):
        if experts[e].rows > len(chosen):
            raise WrongAnswer(
                f"Expert {e} was chosen by {len(chosen)} images and ran on {experts[e].rows}: hand "
                "it the rows that chose it, images[rows], and no others."
            )
    factors = np.array([1.0, 10.0, 100.0, 1000.0])
    if _same(answer, factors[indices].sum(axis=1)[:, None] * images):
        raise WrongAnswer("The weights are not used.")
    if _same(answer, (weights[:, ::-1] * factors[indices]).sum(axis=1)[:, None] * images):
        raise WrongAnswer("Weights and experts are in different orders: weight j is for choice j.")
    if any(
        _same(answer, (weights[:, j] * factors[indices[:, j]])[:, None] * images) for j in (0, 1)
    ):
        raise WrongAnswer("Only one choice of each image counts: add up the answers of all k.")
    if not _same(answer, (weights * factors[indices]).sum(axis=1)[:, None] * images):
        raise WrongAnswer(
            "The first image chose experts 2 and 0 with weights 0.75 and 0.25, which answer 100 "
            f"and 1: 0.75 * 100 + 0.25 * 1 = 75.25; yours is {answer[0, 0]:.4g}."
        )


def _verify_balance(balance):
    # Choices: expert 0 three times of four, expert 1 once. P = (0.7, 0.2, 0.1).
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1]], "float32")
    indices = np.array([[0, 1], [0, 2]])
    share, mean = np.array([0.5, 0.25, 0.25]), np.array([0.7, 0.2, 0.1])
    right = 3 * (share * mean).sum()
    answer = to_numpy(balance(probabilities, indices))
    require_shape(answer, (), "one number for the batch,")
    if _same(answer, right / 3):
        raise WrongAnswer("The factor E is missing: even routing must give 1.")
    if _same(answer, right * 2):
        raise WrongAnswer(
            "f must be the share of *all* choices, with sum 1: divide by k as well. Even routing "
            "must give 1 for every k."
        )
    if _same(answer, right * 4) or _same(answer, right * 2 * 2):
        raise WrongAnswer("f counts choices; turn the counts into shares of all choices.")
    if _same(answer, 3 * (share**2).sum()):
        raise WrongAnswer(
            "You use the shares f twice. Counts have no gradient: one factor must be the mean "
            "probability P."
        )
    if _same(answer, 3 * (mean**2).sum()):
        raise WrongAnswer("You use the mean probabilities twice: f counts who was really chosen.")
    if _same(answer, -right):
        raise WrongAnswer("The sign is inverted: a loss must be small when routing is even.")
    if not _same(answer, right):
        raise WrongAnswer(
            f"With shares f = {share.tolist()} and mean probabilities P = {mean.tolist()} the "
            f"loss is 3 * (0.5 * 0.7 + 0.25 * 0.2 + 0.25 * 0.1) = {right:.4g}; yours is "
            f"{float(answer):.4g}."
        )
    _require_usable_in_a_network(balance, ((3,), "float32"), ((2,), "int32"))


def _verify_add_noise(add_noise):
    clean = np.array([[1.0, -1.0, 0.0]], "float32")
    raw = np.array([[0.0, 2.0, -20.0]], "float32")
    drawn = np.array([[1.0, -2.0, 5.0]], "float32")
    scale = np.log1p(np.exp(raw))
    answer = to_numpy(add_noise(clean, raw, drawn))
    require_shape(answer, (1, 3), "noisy logits of the shape of the clean ones,")
    if _same(answer, clean + drawn):
        raise WrongAnswer("The noise must be multiplied by its learnt size, softplus(raw).")
    if _same(answer, clean + drawn * raw):
        raise WrongAnswer("raw may be negative, a size may not: take the softplus of it.")
    if _same(answer, clean * (1 + drawn * scale)):
        raise WrongAnswer("The noise is added, not multiplied: a logit of 0 needs noise too.")
    if _same(answer, clean + scale):
        raise WrongAnswer("The drawn numbers are not used.")
    if not _same(answer, clean + drawn * scale):
        raise WrongAnswer(
            f"Clean 1, raw 0, drawn 1: 1 + 1 * softplus(0) = 1.693; yours is {answer[0, 0]:.4g}."
        )


def _verify_dropped_share(dropped_share):
    indices = np.array([[0, 1], [1, 0], [0, 2], [0, 1]])  # counts 4, 3, 1, 0
    cases = ((4, 0.0), (3, 1 / 8), (2, 3 / 8), (1, 5 / 8))
    for slots, right in cases:
        answer = to_numpy(dropped_share(indices, 4, slots))
        require_shape(answer, (), "one number,")
        if right and _same(answer, 8 * right):
            raise WrongAnswer("Those are counts: divide by the number of all choices, B * k.")
        if right and _same(answer, 2 * right):
            raise WrongAnswer("You divide by the images; there are k choices for each of them.")
        if _same(answer, (np.array([4, 3, 1, 0]) - slots).sum() / 8):
            raise WrongAnswer(
                "Free slots of an idle expert help nobody who chose another one: what is below 0 "
                "must count as 0."
            )
        if right not in (0, 0.5) and _same(answer, 1 - right):
            raise WrongAnswer("That is the share that was kept.")
        if not _same(answer, right):
            raise WrongAnswer(
                f"Chosen 4, 3, 1 and 0 times, with {slots} slots each, {round(8 * right)} of the 8 "
                f"choices are dropped: {right:.4g}; yours is {float(answer):.4g}."
            )


def _reference_route(logits, k):
    best, indices = ops.top_k(ops.softmax(logits), k)
    return indices, best if k == 1 else best / ops.sum(best, axis=-1, keepdims=True)


def _reference_run_chosen(images, indices, weights, experts):
    answers = [0.0] * len(images)
    for e, expert in enumerate(experts):
        rows, choices = np.nonzero(np.asarray(indices) == e)
        if len(rows) == 0:
            continue
        said = np.asarray(expert(images[rows]))
        for row, choice, answer in zip(rows, choices, said, strict=True):
            answers[row] = answers[row] + weights[row, choice] * answer
    return np.stack(answers)


def _reference_balance(probabilities, indices):
    num_experts = probabilities.shape[-1]
    share = ops.mean(ops.one_hot(indices, num_experts), axis=(0, 1))
    return num_experts * ops.sum(share * ops.mean(probabilities, axis=0))


def _reference_add_noise(clean, raw, drawn):
    return clean + drawn * ops.softplus(raw)


def _reference_dropped_share(indices, num_experts, slots):
    counts = np.bincount(np.ravel(indices), minlength=num_experts)
    return np.maximum(counts - slots, 0).sum() / np.size(indices)


route = Exercise(
    "route",
    _verify_route,
    reference=lambda: _reference_route,
    hints=[
        "Three steps: softmax over all experts, the k best, their weights.",
        "ops.top_k(probabilities, k) gives the k largest values, and where they are.",
        "best / ops.sum(best, axis=-1, keepdims=True) if k > 1, else best.",
    ],
    marks=3,
)
run_chosen = Exercise(
    "run_chosen",
    _verify_run_chosen,
    reference=lambda: _reference_run_chosen,
    hints=[
        "Go through the experts. Which images chose expert e, and as which choice?",
        "rows, choices = np.nonzero(indices == e)",
        "answers[rows] += weights[rows, choices][:, None] * expert(images[rows])",
    ],
    marks=3,
)
add_noise = Exercise(
    "add_noise",
    _verify_add_noise,
    reference=lambda: _reference_add_noise,
    hints=[
        "A size must be positive; softplus(x) = log(1 + e^x) is.",
        "ops.softplus(raw) is the noise's standard deviation.",
        "clean + drawn * ops.softplus(raw)",
    ],
    marks=1,
)
balance = Exercise(
    "balance",
    _verify_balance,
    reference=lambda: _reference_balance,
    hints=[
        "f: turn the indices into one-hot rows, ops.one_hot(indices, E), of shape (B, k, E).",
        "Their mean over axes 0 and 1 is the share of all choices.",
        "E * ops.sum(f * ops.mean(probabilities, axis=0))",
    ],
    marks=3,
)
dropped_share = Exercise(
    "dropped_share",
    _verify_dropped_share,
    reference=lambda: _reference_dropped_share,
    hints=[
        "How often is each expert chosen? np.bincount(indices.ravel(), minlength=num_experts)",
        "What lies above the number of slots is dropped, expert by expert.",
        "np.maximum(counts - slots, 0).sum() / indices.size",
    ],
    marks=2,
)
