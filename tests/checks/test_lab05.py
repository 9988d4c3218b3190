"""Mutation tests of lab 05: right answers pass; plausible wrong ones hear the right message."""

import numpy as np
from keras import ops
from mutations import MutationTests

from moe_keras import losses
from moe_keras.checks import lab05
from moe_keras.gates.choice import choose


def route(logits, k):
    best, indices = ops.top_k(ops.softmax(logits), k)
    return indices, best if k == 1 else best / ops.sum(best, axis=-1, keepdims=True)


def route_as_the_package(logits, k):
    choice = choose(logits, ops.softmax(logits), k)
    return choice["indices"], choice["weights"]


def route_after(logits, k):
    """Softmax after the choice: right for k > 1, no gradient for k = 1."""
    best, indices = ops.top_k(logits, k)
    return indices, ops.softmax(best)


def route_without_sum(logits, k):
    best, indices = ops.top_k(ops.softmax(logits), k)
    return indices, best


def route_to_the_worst(logits, k):
    return route(-logits, k)


def route_in_numpy(logits, k):
    powers = np.exp(logits)
    probabilities = powers / powers.sum(axis=-1, keepdims=True)
    indices = np.argsort(-probabilities, axis=-1)[:, :k]
    best = np.take_along_axis(probabilities, indices, axis=-1)
    return indices, best if k == 1 else best / best.sum(axis=-1, keepdims=True)


def run_chosen(images, indices, weights, experts, weigh=True):
    answers = np.zeros_like(images)
    for e, expert in enumerate(experts):
        rows, choices = np.nonzero(indices == e)
        if len(rows):
            factor = weights[rows, choices][:, None] if weigh else 1
            answers[rows] += factor * expert(images[rows])
    return answers


def run_each_choice(images, indices, weights, experts):
    answers = 0
    for j in range(indices.shape[1]):
        said = [experts[e](image[None])[0] for e, image in zip(indices[:, j], images, strict=True)]
        answers = answers + weights[:, j, None] * np.stack(said)
    return answers


def run_all(images, indices, weights, experts):
    spread = np.zeros((len(images), len(experts)))
    np.put_along_axis(spread, indices, weights, axis=1)
    return sum(spread[:, e, None] * expert(images) for e, expert in enumerate(experts))


def run_if_anybody_chose(images, indices, weights, experts):
    chosen = sorted(set(indices.ravel().tolist()))
    spread = np.zeros((len(images), len(experts)))
    np.put_along_axis(spread, indices, weights, axis=1)
    return sum(spread[:, e, None] * experts[e](images) for e in chosen)


def run_swapped(images, indices, weights, experts):
    return run_chosen(images, indices, weights[:, ::-1], experts)


def run_first_only(images, indices, weights, experts):
    return run_chosen(images, indices[:, :1], weights[:, :1], experts)


def balance(probabilities, indices, axes=(0, 1)):
    num_experts = probabilities.shape[-1]
    share = ops.mean(ops.one_hot(indices, num_experts), axis=axes)
    return num_experts * ops.sum(share * ops.mean(probabilities, axis=0))


def share_of(probabilities, indices):
    return ops.mean(ops.one_hot(indices, probabilities.shape[-1]), axis=(0, 1))


def balance_in_numpy(probabilities, indices):
    num_experts = probabilities.shape[-1]
    share = np.bincount(indices.ravel(), minlength=num_experts) / indices.size
    return num_experts * (share * probabilities.mean(axis=0)).sum()


def counts(indices, num_experts):
    return np.bincount(np.ravel(indices), minlength=num_experts)


def dropped(indices, num_experts, slots):
    return np.maximum(counts(indices, num_experts) - slots, 0).sum() / indices.size


def dropped_in_a_loop(indices, num_experts, slots):
    return sum(max((indices == e).sum() - slots, 0) for e in range(num_experts)) / indices.size


RIGHT = {
    "route": [route, route_as_the_package],
    "run_chosen": [run_chosen, run_each_choice],
    "balance": [balance, losses.load_balancing_loss],
    "add_noise": [
        lambda clean, raw, drawn: clean + drawn * ops.softplus(raw),
        lambda clean, raw, drawn: np.log1p(np.exp(raw)) * drawn + clean,
    ],
    "dropped_share": [dropped, dropped_in_a_loop],
}

WRONG = {
    "route": [
        (route_after, "no gradient"),
        (route_without_sum, "divide them by their sum"),
        (route_to_the_worst, "smallest"),
        (lambda a, k: route(a, k)[::-1], "first of the two"),
        (lambda a, k: ops.top_k(a, k)[::-1], "come after a softmax"),
        (lambda a, k: (route(a, k)[0], ops.softmax(a)), "of shape"),
        (lambda a, k: route(a, k)[1], "two tensors"),
        (route_in_numpy, "inside a network"),
    ],
    "run_chosen": [
        (run_all, "saves nothing"),
        (run_if_anybody_chose, "saves nothing|hand it the rows"),
        (run_swapped, "different orders"),
        (run_first_only, "Only one choice|was chosen"),
        (lambda x, i, w, experts: run_chosen(x, i, w, experts, weigh=False), "not used"),
        (lambda x, i, w, experts: run_chosen(x, i, 2 * w, experts), "75.25"),
        (lambda x, i, w, experts: run_chosen(x, i, w, experts)[:, 0], "of shape"),
    ],
    "balance": [
        (lambda p, i: balance(p, i) / 3, "factor E is missing"),
        (lambda p, i: balance(p, i) * 2, "divide by k"),
        (lambda p, i: balance(p, i) * 4, "counts"),
        (lambda p, i: 3 * ops.sum(share_of(p, i) ** 2), "shares f twice"),
        (lambda p, i: 3 * ops.sum(ops.mean(p, axis=0) ** 2), "really chosen"),
        (lambda p, i: -balance(p, i), "sign is inverted"),
        (lambda p, i: ops.mean(p, axis=0) * share_of(p, i), "of shape"),
        (lambda p, i: balance(p, i[:, :1]), "the loss is"),
        (balance_in_numpy, "inside a network"),
    ],
    "add_noise": [
        (lambda clean, raw, drawn: clean + drawn, "learnt size"),
        (lambda clean, raw, drawn: clean + drawn * raw, "may be negative"),
        (lambda clean, raw, drawn: clean * (1 + drawn * ops.softplus(raw)), "not multiplied"),
        (lambda clean, raw, drawn: clean + ops.softplus(raw), "not used"),
        (lambda clean, raw, drawn: clean + drawn * ops.exp(raw), "1.693"),
    ],
    "dropped_share": [
        (lambda i, e, s: np.maximum(counts(i, e) - s, 0).sum(), "Those are counts"),
        (lambda i, e, s: np.maximum(counts(i, e) - s, 0).sum() / len(i), "k choices"),
        (lambda i, e, s: (counts(i, e) - s).sum() / i.size, "Free slots"),
        (lambda i, e, s: 1 - dropped(i, e, s), "dropped|was kept"),
        (lambda i, e, s: np.maximum(counts(i, e) - s, 0) / i.size, "of shape"),
        (lambda i, e, s: dropped(i[:, :1], e, s), "are dropped"),
    ],
}


class TestLab05(MutationTests):
    lab, right, wrong, marks = lab05, RIGHT, WRONG, 12
