"""Mutation tests of lab 05, with answers that its declarations do not list."""

import numpy as np
import tensorflow as tf
from keras import ops
from mutations import MutationTests

from moe_keras import losses
from moe_keras.gates.choice import choose
from moe_labs.exercises import lab05


def route(logits, k):
    best, indices = ops.top_k(ops.softmax(logits), k)
    return indices, best if k == 1 else best / ops.sum(best, axis=-1, keepdims=True)


def route_as_the_package(logits, k):
    choice = choose(logits, ops.softmax(logits), k)
    return choice["indices"], choice["weights"]


def route_by_sorting(logits, k):
    indices = ops.argsort(-logits, axis=-1)[:, :k]
    best = tf.gather(tf.nn.softmax(logits), indices, batch_dims=1)
    return [ops.cast(indices, "float32"), best / (ops.sum(best, -1, keepdims=True) if k > 1 else 1)]


def route_after(logits, k):
    """Softmax after the choice: right for k > 1, no gradient for k = 1."""
    best, indices = ops.top_k(logits, k)
    return indices, ops.softmax(best)


def route_in_numpy(logits, k):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    probabilities = powers / powers.sum(axis=-1, keepdims=True)
    indices = np.argsort(-probabilities, axis=-1)[:, :k]
    best = np.take_along_axis(probabilities, indices, axis=-1)
    return indices, best if k == 1 else best / best.sum(axis=-1, keepdims=True)


def route_by_exp(logits, k):
    powers = ops.exp(logits)
    best, indices = ops.top_k(powers / ops.sum(powers, axis=-1, keepdims=True), k)
    return indices, best if k == 1 else best / ops.sum(best, axis=-1, keepdims=True)


def first_image_for_all(logits, k):
    return tuple(part[:1] + 0 * part for part in route(logits, k))


def run_chosen(images, indices, weights, experts):
    answers = np.zeros_like(images)
    for e, expert in enumerate(experts):
        rows, choices = np.nonzero(indices == e)
        if len(rows):
            answers[rows] += weights[rows, choices][:, None] * expert(images[rows])
    return answers


def run_each_choice(images, indices, weights, experts):
    answers = 0
    for j in range(indices.shape[1]):
        said = [experts[e](image[None])[0] for e, image in zip(indices[:, j], images, strict=True)]
        answers = answers + weights[:, j, None] * np.stack(said)
    return answers


def run_backwards(images, indices, weights, experts):
    answers = [np.zeros(images.shape[1]) for _ in images]
    for e in np.unique(indices)[::-1]:
        rows, choices = np.nonzero(indices == e)
        said = experts[e](images[rows[::-1]])[::-1]
        for row, choice, answer in zip(rows, choices, said, strict=True):
            answers[row] = answers[row] + weights[row, choice] * answer
    return [answer.tolist() for answer in answers]


def run(shown, images, indices, weights, experts):
    """As it should be, but that each expert is shown more: `shown(rows of those that chose it)`."""
    spread = np.zeros((len(images), len(experts)))
    np.put_along_axis(spread, indices, weights, axis=1)
    answers = np.zeros_like(images)
    for e, expert in enumerate(experts):
        rows = np.array(shown(np.flatnonzero(spread[:, e]), len(images)), int)
        said = dict(zip(rows.tolist(), expert(images[rows]), strict=True))
        for row in np.flatnonzero(spread[:, e]):
            answers[row] += spread[row, e] * said[row]
    return answers


def running(shown):
    return lambda *args: run(shown, *args)


def run_the_first_two(images, indices, weights, experts):
    return run_chosen(images, indices, weights, experts[:2])


def run_overwriting(images, indices, weights, experts):
    answers = np.zeros_like(images)
    for e, expert in enumerate(experts):
        rows, choices = np.nonzero(indices == e)
        if len(rows):
            answers[rows] = weights[rows, choices][:, None] * expert(images[rows])
    return answers


def run_with_rows_mixed(images, indices, weights, experts):
    """Each expert hears the mean of its images among them."""
    return run_chosen(
        images, indices, weights, [lambda x, f=f: f(x) + 0 * x.mean(0) + x.mean(0) for f in experts]
    )


def balance(probabilities, indices, axes=(0, 1)):
    num_experts = probabilities.shape[-1]
    share = ops.mean(ops.one_hot(indices, num_experts), axis=axes)
    return num_experts * ops.sum(share * ops.mean(probabilities, axis=0))


def balance_by_tf(probabilities, indices):
    num_experts = probabilities.shape[-1]
    hits = tf.math.bincount(tf.cast(tf.reshape(indices, [-1]), "int32"), minlength=num_experts)
    share = tf.cast(hits, "float32") / tf.cast(tf.size(indices), "float32")
    return num_experts * tf.reduce_sum(share * tf.reduce_mean(probabilities, axis=0))


def balance_in_a_loop(probabilities, indices):
    shares = [
        ops.mean(ops.cast(ops.equal(indices, e), "float32")) for e in range(probabilities.shape[-1])
    ]
    terms = [f * ops.mean(probabilities[:, e]) for e, f in enumerate(shares)]
    return len(terms) * sum(terms)


def balance_in_numpy(probabilities, indices):
    num_experts = probabilities.shape[-1]
    share = np.bincount(np.ravel(indices), minlength=num_experts) / np.size(indices)
    return num_experts * (share * np.mean(probabilities, axis=0)).sum()


def counts(indices, num_experts):
    return np.bincount(np.ravel(indices), minlength=num_experts)


def dropped(indices, num_experts, slots):
    return np.maximum(counts(indices, num_experts) - slots, 0).sum() / indices.size


def dropped_in_a_loop(indices, num_experts, slots):
    return sum(max((indices == e).sum() - slots, 0) for e in range(num_experts)) / indices.size


def dropped_one_by_one(indices, num_experts, slots):
    free, lost = [slots] * num_experts, 0
    for e in indices.ravel().tolist():
        lost += free[e] <= 0
        free[e] -= 1
    return ops.convert_to_tensor([lost / indices.size])


RIGHT = {
    "route": [route, route_as_the_package, route_by_sorting],
    "run_chosen": [run_chosen, run_each_choice, run_backwards],
    "balance": [balance, losses.load_balancing_loss, balance_by_tf, balance_in_a_loop],
    "add_noise": [
        lambda clean, raw, drawn: clean + drawn * ops.softplus(raw),
        lambda clean, raw, drawn: tf.nn.softplus(raw) * drawn + clean,
        lambda clean, raw, drawn: ops.add(clean, drawn * -ops.log_sigmoid(-raw)),
        lambda clean, raw, drawn: clean + drawn * ops.logaddexp(raw, ops.zeros_like(raw)),
    ],
    "dropped_share": [dropped, dropped_in_a_loop, dropped_one_by_one],
}

WRONG = {
    "route": [
        route_after,
        route_in_numpy,
        route_by_exp,
        first_image_for_all,
        lambda a, k: route(a, 2),
        lambda a, k: route(a[:, :3], min(k, 3)),
        lambda a, k: route(a, k)[1],
        lambda a, k: (route(a, k)[0] + 1, route(a, k)[1]),
        lambda a, k: (route(a, k)[0], ops.sqrt(route(a, k)[1])),
        lambda a, k: (route(a, k)[0], ops.sigmoid(ops.top_k(a, k)[0])),
        lambda a, k: (route(a, k)[0], ops.stop_gradient(route(a, k)[1])),
        lambda a, k: (route(a, k)[0], ops.ones_like(route(a, k)[1]) / k),
        lambda a, k: (ops.one_hot(route(a, k)[0], a.shape[1]), route(a, k)[1]),
        lambda a, k: tuple(ops.transpose(part) for part in route(a, k)),
        lambda a, k: (route(ops.abs(a), k)[0], route(a, k)[1]),
        lambda a, k: route(a / 2, k),
        lambda a, k: (route(a, k)[0], ops.softmax(route(a, k)[1])),
    ],
    "run_chosen": [
        running(lambda rows, images: range(images)),
        running(lambda rows, images: range(images) if len(rows) else rows),
        running(lambda rows, images: [*rows, *rows]),
        running(lambda rows, images: rows),  # calls those that nobody chose, with no rows
        running(lambda rows, images: [*rows, 0]),
        run_the_first_two,
        run_overwriting,
        run_with_rows_mixed,
        lambda x, i, w, experts: run_chosen(x, i, 2 * w, experts),
        lambda x, i, w, experts: run_chosen(x, i, w, experts)[:, 0],
        lambda x, i, w, experts: run_chosen(x, i, w, experts)[::-1],
        lambda x, i, w, experts: run_chosen(x, i[:1] + 0 * i, w, experts),
        lambda x, i, w, experts: run_chosen(x, np.sort(i), w, experts),
        lambda x, i, w, experts: run_chosen(x, i, w, experts[::-1]),
        lambda x, i, w, experts: run_chosen(x, i, w, experts).astype(int),
        lambda x, i, w, experts: run_chosen(x, i, w.round(), experts),
        lambda x, i, w, experts: x * w.sum(axis=1, keepdims=True),
    ],
    "balance": [
        balance_in_numpy,
        lambda p, i: balance(p, i) ** 2,
        lambda p, i: balance(p, i)[None],
        lambda p, i: 4 * balance(p, i) / p.shape[1],
        lambda p, i: balance(p[:1], i),
        lambda p, i: balance(p, ops.top_k(p, i.shape[1])[1]),
        lambda p, i: balance(p, ops.argmax(p, axis=-1)[:, None]),
        lambda p, i: balance(ops.stop_gradient(p), i),
        lambda p, i: balance(p[:, ::-1], i),
        lambda p, i: balance(ops.softmax(p), i),
        lambda p, i: balance(p, i) - 1,
        lambda p, i: balance(p, i, axes=(0,))[None],
        lambda p, i: balance(p, i) * 8 / len(p),
        lambda p, i: ops.sum(ops.max(p, axis=0) * ops.mean(ops.one_hot(i, p.shape[1]), (0, 1))),
    ],
    "add_noise": [
        lambda clean, raw, drawn: clean + drawn * ops.exp(raw),
        lambda clean, raw, drawn: clean + drawn * ops.abs(raw),
        lambda clean, raw, drawn: clean + drawn * ops.sigmoid(raw),
        lambda clean, raw, drawn: clean - drawn * ops.softplus(raw),
        lambda clean, raw, drawn: clean + drawn * ops.sqrt(ops.softplus(raw)),
        lambda clean, raw, drawn: clean + ops.abs(drawn) * ops.softplus(raw),
        lambda clean, raw, drawn: clean + drawn * ops.softplus(clean),
        lambda clean, raw, drawn: clean + drawn[:1] * ops.softplus(raw),
        lambda clean, raw, drawn: clean + drawn * ops.softplus(ops.stop_gradient(raw)),
        lambda clean, raw, drawn: clean + drawn * np.logaddexp(raw, 0),
        lambda clean, raw, drawn: clean + drawn * ops.minimum(ops.softplus(raw), 10),
        lambda clean, raw, drawn: clean + drawn + ops.softplus(raw),
        lambda clean, raw, drawn: raw + drawn * ops.softplus(clean),
        lambda clean, raw, drawn: ops.softmax(clean + drawn * ops.softplus(raw)),
        lambda clean, raw, drawn: clean + ops.mean(drawn * ops.softplus(raw), axis=0),
        lambda clean, raw, drawn: clean + drawn * ops.softplus(ops.mean(raw)),
    ],
    "dropped_share": [
        lambda i, e, s: dropped(i, e, s + 1),
        lambda i, e, s: 100 * dropped(i, e, s),
        lambda i, e, s: dropped(i[:4], e, s),
        lambda i, e, s: max(counts(i, e).max() - s, 0) / i.size,
        lambda i, e, s: np.maximum(counts(i, e) - s, 0).mean() / i.shape[1],
        lambda i, e, s: np.maximum(counts(i, e) - s, 0).sum() / (e * max(s, 1)),
        lambda i, e, s: int(dropped(i, e, s)),
        lambda i, e, s: round(dropped(i, e, s), 2),
        lambda i, e, s: dropped(i % 4, e, s),
        lambda i, e, s: max(1 - e * s / i.size, 0),
        lambda i, e, s: np.maximum(counts(i, e)[:4] - s, 0).sum() / i.size,
        lambda i, e, s: np.maximum(counts(i, e)[1:] - s, 0).sum() / i.size,
        lambda i, e, s: np.maximum(counts(i, e) - s, 1).sum() / i.size,
        lambda i, e, s: np.maximum(counts(i, e) - s, 0) / i.size,
    ],
}


class TestLab05(MutationTests):
    lab, right, wrong = lab05, RIGHT, WRONG
