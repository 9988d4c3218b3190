"""The exercises of lab 05, the sparse mixture."""

import numpy as np
from keras import ops

from moe_labs.exercises.behaviour import Witness
from moe_labs.exercises.draws import far_apart, numbers, probabilities, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import Number, Several, Tensor
from moe_labs.exercises.ways import arrays, gradient, training_step
from moe_labs.exercises.wrong_answer import WrongAnswer


def _choices(random, images, experts, k):
    """Indices (B, k), different ones for each image, of all experts but one that nobody chooses."""
    used = np.delete(np.arange(experts), random.integers(experts))
    return np.stack([random.choice(used, k, replace=False) for _ in range(images)])


def _logits(random):
    for k in (2, 1, 3, 4):
        images, experts = sizes(random, 2, low=max(2, k), high=k + 3)
        yield numbers(random, images, experts), k
    yield far_apart(random, numbers(random, 3, 5)), 2
    yield numbers(random, 9, 8), 2
    yield numbers(random, 5, 8), 8


def _weighed(logits, indices):
    """Chosen experts with the weights that they should have."""
    best = ops.take_along_axis(ops.softmax(logits), indices, axis=-1)
    return indices, best if indices.shape[1] == 1 else best / ops.sum(best, -1, keepdims=True)


def _best(logits, k):
    return ops.top_k(ops.softmax(logits), k)[0]


@exercise(
    marks=3,
    cases=_logits,
    returns=Several(indices=Tensor("int"), weights=Tensor()),
    ways=[arrays, training_step, gradient("logits")],
    mistakes=[
        (
            lambda a, k: route(a, k)[::-1],
            "The first of the two must be the experts' numbers, the second their weights.",
        ),
        (
            lambda a, k: _weighed(a, ops.argsort(a)[:, :k]),
            "Those are the experts with the smallest probabilities.",
        ),
        (
            lambda a, k: ops.top_k(a, k)[::-1],
            "Those are the logits of the chosen: weights come after a softmax.",
        ),
        (
            lambda a, k: (route(a, k)[0], _best(a, k)),
            "With k > 1 the weights of the chosen must sum to 1: divide them by their sum.",
        ),
        (
            lambda a, k: (route(a, k)[0], _best(a, k) / ops.sum(_best(a, k), -1, keepdims=True)),
            "With k = 1 your weight is always 1, whatever the gate thinks: then it gets no "
            "gradient. Divide by the sum for k > 1 only; for k = 1 the weight is the probability.",
        ),
        (
            lambda a, k: _weighed(a, ops.sort(route(a, k)[0])),
            "The best expert comes first: yours come in the order of their numbers.",
        ),
        (
            lambda a, k: _weighed(a, ops.flip(route(a, k)[0], axis=-1)),
            "The best expert comes first: with you it comes last.",
        ),
        (
            lambda a, k: (route(a, k)[0], ops.softmax(a)),
            "Those are the probabilities of all experts: only the k chosen ones get a weight.",
        ),
    ],
    hints=[
        "Three steps: softmax over all experts, the k best, their weights.",
        "ops.top_k(probabilities, k) gives the k largest values, and where they are.",
        "best / ops.sum(best, axis=-1, keepdims=True) if k > 1, else best.",
    ],
)
def route(logits, k):
    """Indices (B, k) of the k best experts, best first, and their weights (B, k); logits (B, E)."""
    best, indices = ops.top_k(ops.softmax(logits), k)
    if k > 1:
        best = best / ops.sum(best, axis=-1, keepdims=True)
    return indices, best


def _experts(random, count, features):
    """Functions of a row at a time, none linear: it matters what is weighed, and when."""

    def with_numbers(matrix, bias):
        def expert(rows):
            return np.tanh(np.asarray(rows) @ matrix) + bias

        return expert

    return [
        with_numbers(numbers(random, features, features), numbers(random, features))
        for _ in range(count)
    ]


def _routed(random):
    """Images, their choices with weights, and experts of which one is chosen by nobody."""
    for k in (2, 1, 3):
        experts, features, images = sizes(random, 3, low=k + 1, high=k + 4)
        weights = probabilities(random, images, k) if k > 1 else random.uniform(0.2, 1, (images, 1))
        yield (
            numbers(random, images, features),
            _choices(random, images, experts, k),
            weights.astype("float32"),
            _experts(random, experts, features),
        )


def _run_only_the_chosen(answer, random):
    for images, indices, weights, experts in _routed(random):
        witnesses = [Witness(expert) for expert in experts]
        answer(images.copy(), indices.copy(), weights.copy(), witnesses)
        for e, witness in enumerate(witnesses):
            chosen = images[(indices == e).any(axis=1)]
            if witness.calls and not len(chosen):
                raise WrongAnswer(
                    f"Expert {e} was called, though no image chose it. An expert must run on the "
                    "images that chose it alone; multiplying by zero afterwards saves nothing."
                )
            if not witness.saw_exactly(chosen):
                raise WrongAnswer(
                    f"Expert {e} was chosen by {len(chosen)} images of {len(images)} and ran on "
                    f"{witness.rows}: hand it the rows that chose it, images[rows], each once, and "
                    "no others."
                )


@exercise(
    marks=3,
    cases=_routed,
    properties=[_run_only_the_chosen],
    mistakes=[
        (
            lambda x, i, w, experts: run_chosen(x, i, np.ones_like(w), experts),
            "The weights are not used.",
        ),
        (
            lambda x, i, w, experts: run_chosen(x, i, np.full_like(w, 1 / w.shape[1]), experts),
            "You take the plain mean of the chosen experts: the weights are not used.",
        ),
        (
            lambda x, i, w, experts: run_chosen(x, i, w[:, ::-1], experts),
            "Weights and experts are in different orders: weight j is for choice j.",
        ),
        *(
            (
                lambda x, i, w, experts, j=j: run_chosen(x, i[:, [j]], w[:, [j]], experts),
                "Only one choice of each image counts: add up the answers of all k.",
            )
            for j in (0, -1)
        ),
        (
            lambda x, i, w, experts: run_chosen(x, 0 * i + np.arange(i.shape[1]), w, experts),
            "Choice j is not expert j: its number stands in indices[:, j].",
        ),
        (
            lambda x, i, w, experts: run_chosen(x, i, w, experts).sum(axis=0) + 0 * x,
            "You add up the answers for all images: each image has a sum of its own.",
        ),
        (
            lambda x, i, w, experts: sum(
                run_chosen(w[:, [j]] * x, i[:, [j]], np.ones_like(w[:, [j]]), experts)
                for j in range(i.shape[1])
            ),
            "You weigh the images before the expert sees them: weigh its answers.",
        ),
    ],
    hints=[
        "Go through the experts. Which images chose expert e, and as which choice?",
        "rows, choices = np.nonzero(indices == e)",
        "answers[rows] += weights[rows, choices][:, None] * expert(images[rows])",
    ],
)
def run_chosen(images, indices, weights, experts):
    """Each image's weighted sum of its chosen experts' answers: images (B, D), the others (B, k)."""
    answers = np.zeros_like(images)
    for e, expert in enumerate(experts):
        rows, choices = np.nonzero(indices == e)
        if len(rows):
            answers[rows] += weights[rows, choices][:, None] * expert(images[rows])
    return answers


def _noise(random):
    """Clean logits, the noise's size before softplus and drawn numbers, all (B, E)."""
    for high in (4, 7):
        images, experts = sizes(random, 2, high=high)
        clean, raw, drawn = numbers(random, 3, images, experts)
        yield clean, 2 * raw, drawn
    raw[0, 0], raw[-1, -1] = 200, -200
    yield clean, raw, drawn


@exercise(
    marks=1,
    cases=_noise,
    returns=Tensor(),
    ways=[arrays, training_step, gradient("clean", "raw")],
    mistakes=[
        (
            lambda clean, raw, drawn: clean + drawn,
            "The noise must be multiplied by its learnt size, softplus(raw).",
        ),
        (
            lambda clean, raw, drawn: clean + drawn * raw,
            "raw may be negative, a size may not: take the softplus of it.",
        ),
        (
            lambda clean, raw, drawn: clean + drawn * ops.relu(raw),
            "With a relu a size of 0 stays 0, for it has no gradient there: take the softplus.",
        ),
        (
            lambda clean, raw, drawn: clean * (1 + drawn * ops.softplus(raw)),
            "The noise is added, not multiplied: a logit of 0 needs noise too.",
        ),
        (lambda clean, raw, drawn: clean + ops.softplus(raw), "The drawn numbers are not used."),
        (
            lambda clean, raw, drawn: clean + ops.softplus(drawn * raw),
            "Only raw goes through the softplus: noise has both signs.",
        ),
        (
            lambda clean, raw, drawn: drawn * ops.softplus(raw),
            "That is the noise alone: add it to the clean logits.",
        ),
        *(
            (
                lambda clean, raw, drawn, log=log: clean + drawn * log(ops.exp(raw)),
                "With a large raw your noise is no longer finite, for exp(raw) is too large for a "
                "computer: ops.softplus(raw) copes.",
            )
            for log in (ops.log1p, lambda x: ops.log(1 + x))
        ),
    ],
    hints=[
        "A size must be positive; softplus(x) = log(1 + e^x) is.",
        "ops.softplus(raw) is the noise's standard deviation.",
        "clean + drawn * ops.softplus(raw)",
    ],
)
def add_noise(clean, raw, drawn):
    """Noisy logits (B, E): clean logits, the noise's size before softplus, and drawn numbers."""
    return clean + drawn * ops.softplus(raw)


def _batches(random):
    """Probabilities (B, E) and choices (B, k), at first of few images."""
    for k, high in ((2, 5), (1, 6), (3, 8)):
        images, experts = sizes(random, 2, low=k + 1, high=high)
        yield probabilities(random, images, experts), _choices(random, images, experts, k)
    yield np.full((8, 4), 0.25, "float32"), np.arange(8)[:, None] % 3
    yield np.eye(4, dtype="float32")[[0] * 8], np.zeros((8, 1), "int32")


def _share(probabilities, indices):
    return ops.mean(ops.one_hot(indices, probabilities.shape[-1]), axis=(0, 1))


def _chosen_probability(probabilities, indices):
    return ops.mean(ops.take_along_axis(probabilities, indices, axis=-1))


@exercise(
    marks=3,
    cases=_batches,
    returns=Tensor(),
    ways=[arrays, training_step, gradient("probabilities")],
    mistakes=[
        (
            lambda p, i: balance(p, i) / p.shape[1],
            "The factor E is missing: even routing must give 1.",
        ),
        (
            lambda p, i: balance(p, i) * i.shape[1],
            "f must be the share of *all* choices, with sum 1: divide by k as well. Even routing "
            "must give 1 for every k.",
        ),
        *(
            (
                lambda p, i, by=by: balance(p, i) * by(p, i),
                "f counts choices; turn the counts into shares of all choices.",
            )
            for by in (lambda p, i: i.size, lambda p, i: i.size / p.shape[1])
        ),
        (
            lambda p, i: balance(p, i) * len(p),
            "f and P are both means; one of yours is a sum over the images.",
        ),
        (
            lambda p, i: p.shape[1] * ops.sum(_share(p, i) ** 2),
            "You use the shares f twice. Counts have no gradient: one factor must be the mean "
            "probability P.",
        ),
        (
            lambda p, i: p.shape[1] * ops.sum(ops.mean(p, axis=0) ** 2),
            "You use the mean probabilities twice: f counts who was really chosen.",
        ),
        (
            lambda p, i: -balance(p, i),
            "The sign is inverted: a loss must be small when routing is even.",
        ),
        (
            lambda p, i: p.shape[1] * _share(p, i) * ops.mean(p, axis=0),
            "Those are the terms of the single experts: sum them.",
        ),
        (
            lambda p, i: ops.mean(_share(p, i) * ops.mean(p, axis=0)),
            "The experts' terms are summed, times E; you take their mean.",
        ),
        (
            lambda p, i: balance(p, i[:, :1]),
            "You count the first choice of each image alone: f is the share of all k.",
        ),
        (
            lambda p, i: p.shape[1] * _chosen_probability(p, i),
            "You pair each image's choices with its own probabilities. Take both means over the "
            "batch first, then multiply.",
        ),
    ],
    hints=[
        "f: turn the indices into one-hot rows, ops.one_hot(indices, E), of shape (B, k, E).",
        "Their mean over axes 0 and 1 is the share of all choices.",
        "E * ops.sum(f * ops.mean(probabilities, axis=0))",
    ],
)
def balance(probabilities, indices):
    """Switch's load-balancing loss, one number: probabilities (B, E), indices (B, k)."""
    num_experts = probabilities.shape[-1]
    share = ops.mean(ops.one_hot(indices, num_experts), axis=(0, 1))  # f, (E,)
    return num_experts * ops.sum(share * ops.mean(probabilities, axis=0))


def _capacities(random):
    """Choices (B, k), how many experts there are, and how many slots each has."""
    for k, images in ((2, 4), (1, 9), (3, 7), (2, 40)):
        experts = int(random.integers(k + 2, k + 6))
        indices = _choices(random, images, experts, k)
        indices[: images // 2] = indices[0]  # favourites
        for slots in (1, int(random.integers(2, images))):
            yield indices, experts, slots
    yield indices, experts, 0
    yield indices, experts, images


def _counts(indices, num_experts):
    return np.bincount(np.ravel(indices), minlength=num_experts)


@exercise(
    marks=2,
    cases=_capacities,
    returns=Number(),
    mistakes=[
        (
            lambda i, e, s: np.maximum(_counts(i, e) - s, 0).sum(),
            "Those are counts: divide by the number of all choices, B * k.",
        ),
        (
            lambda i, e, s: np.maximum(_counts(i, e) - s, 0).sum() / len(i),
            "You divide by the images; there are k choices for each of them.",
        ),
        (
            lambda i, e, s: (_counts(i, e) - s).sum() / i.size,
            "Free slots of an idle expert help nobody who chose another one: what is below 0 "
            "must count as 0.",
        ),
        (
            lambda i, e, s: max((_counts(i, e) - s).sum(), 0) / i.size,
            "Free slots of an idle expert help nobody who chose another one: count what each "
            "expert drops, then sum.",
        ),
        (lambda i, e, s: 1 - dropped_share(i, e, s), "That is the share that was kept."),
        (
            lambda i, e, s: np.abs(_counts(i, e) - s).sum() / i.size,
            "Free slots are no dropped choices: what is below 0 must count as 0.",
        ),
        (
            lambda i, e, s: (_counts(i, e) > s).mean(),
            "That is the share of experts that drop something: count the choices that they drop.",
        ),
        (
            lambda i, e, s: _counts(i, e)[_counts(i, e) > s].sum() / i.size,
            "A busy expert still takes as many as it has slots: only those above are dropped.",
        ),
        (
            lambda i, e, s: dropped_share(i[:, :1], e, s),
            "You count the first choice of each image alone.",
        ),
    ],
    hints=[
        "How often is each expert chosen? np.bincount(indices.ravel(), minlength=num_experts)",
        "What lies above the number of slots is dropped, expert by expert.",
        "np.maximum(counts - slots, 0).sum() / indices.size",
    ],
)
def dropped_share(indices, num_experts, slots):
    """Share of the choices (B, k) that find no slot, from 0 to 1."""
    counts = np.bincount(np.ravel(indices), minlength=num_experts)
    return np.maximum(counts - slots, 0).sum() / np.size(indices)
