"""Mutation tests of lab 10, with answers that its declarations do not list."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from mutations import MutationTests

from moe_labs.exercises import lab10

BITS = np.log(2)


def windows(text, starts, length):
    places = np.add.outer(np.asarray(starts), np.arange(length + 1))
    return text[places][:, :-1], text[places][:, 1:]


def windows_in_a_loop(text, starts, length):
    return (
        [list(text[s : s + length]) for s in starts],
        [list(text[s + 1 : s + length + 1]) for s in starts],
    )


def attention(queries, keys, values):
    scores = ops.matmul(queries, ops.transpose(keys, (0, 2, 1))) / np.float32(
        np.sqrt(queries.shape[-1])
    )
    mask = np.tril(np.ones((queries.shape[1],) * 2, "float32"))
    return ops.matmul(ops.softmax(scores + (1 - mask) * -1e9), values)


def attention_of_keras(queries, keys, values):
    layer = keras.layers.Attention(use_scale=False)
    scale = np.float32(1 / np.sqrt(queries.shape[-1]))
    return layer([queries * scale, values, keys], use_causal_mask=True)


def attention_token_by_token(queries, keys, values):
    rows = []
    for t in range(queries.shape[1]):
        scores = ops.sum(queries[:, t : t + 1] * keys[:, : t + 1], axis=-1)
        weights = ops.softmax(scores / np.float32(np.sqrt(queries.shape[-1])))
        rows.append(ops.sum(ops.expand_dims(weights, -1) * values[:, : t + 1], axis=1))
    return ops.stack(rows, axis=1)


def scores_of(queries, keys):
    return ops.einsum("bqd,bkd->bqk", queries, keys) / np.float32(np.sqrt(queries.shape[-1]))


def masked(scores, value=-1e9):
    return ops.where(np.tri(scores.shape[1], dtype=bool), scores, value)


def block(x, norm_1, attend, norm_2, feed):
    seen = ops.add(x, attend(norm_1(x)))
    return ops.add(feed(norm_2(seen)), seen)


def block_in_steps(x, n1, a, n2, f):
    for norm, part in ((n1, a), (n2, f)):
        x = x + part(norm(x))
    return x


def route(logits, bias, k):
    p = ops.softmax(logits)
    indices = ops.argsort(-(p + bias), axis=-1)[..., :k]
    w = ops.take_along_axis(p, indices, axis=-1)
    return indices, w / ops.sum(w, axis=-1, keepdims=True) if k > 1 else w


def route_with_masks(logits, bias, k):
    p = ops.softmax(logits)
    _, indices = tf.math.top_k(p + bias, k)
    w = tf.gather(p, indices, batch_dims=2)
    return indices, w if k == 1 else w / tf.reduce_sum(w, -1, keepdims=True)


def renormalised(indices, probabilities):
    w = ops.take_along_axis(probabilities, indices, axis=-1)
    return indices, w / ops.sum(w, axis=-1, keepdims=True) if indices.shape[-1] > 1 else w


def new_bias(bias, indices, rate):
    each = ops.equal(ops.reshape(indices, (-1, 1)), np.arange(bias.shape[0]))
    counts = ops.sum(ops.cast(each, "float32"), axis=0)
    return bias + rate * ops.sign(ops.mean(counts) - counts)


def new_bias_in_numpy(bias, indices, rate):
    counts = counts_of(np.asarray(bias), indices)
    return np.asarray(bias) + rate * np.sign(counts.mean() - counts)


def new_bias_by_shares(bias, indices, rate):
    share = ops.mean(ops.one_hot(indices, bias.shape[0]), axis=(0, 1, 2))
    excess = share - 1 / bias.shape[0]
    return bias - rate * ops.where(ops.abs(excess) < 1e-6, 0.0, ops.sign(excess))


def counts_of(bias, indices):
    return np.bincount(np.ravel(indices), minlength=len(bias)).astype("float32")


def bits(logits, targets):
    nats = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    return ops.mean(nats) / BITS


def bits_by_logsumexp(logits, targets):
    logits = np.asarray(logits)
    right = np.take_along_axis(logits, np.asarray(targets)[..., None], -1)[..., 0]
    return np.mean(np.asarray(ops.logsumexp(logits, axis=-1)) - right) / BITS


def on_first_window(function):
    """What a function gives if it looks at the first window alone."""
    return lambda a, *args: ops.repeat(function(a[:1], *args), len(a), axis=0)


RIGHT = {
    "windows": [windows, windows_in_a_loop],
    "causal_attention": [attention, attention_of_keras, attention_token_by_token],
    "block": [block, block_in_steps],
    "route": [route, route_with_masks],
    "new_bias": [new_bias, new_bias_by_shares],
    "bits_per_byte": [bits, bits_by_logsumexp],
}

WRONG = {
    "windows": [
        lambda text, s, n: windows(text, np.sort(s), n),
        lambda text, s, n: windows(text, s, n + 1),
        lambda text, s, n: windows(text, [s[0]] * len(s), n),
        lambda text, s, n: windows(text, np.zeros_like(s), n),
        lambda text, s, n: (windows(text, s, n)[0], text[s[:, None] + np.arange(n) + 2 - 2]),
        lambda text, s, n: windows(text, s * 0 + np.arange(len(s)), n),
        lambda text, s, n: windows(text, s, n)[0],
        lambda text, s, n: np.stack([w.ravel() for w in windows(text, s, n)]),
        lambda text, s, n: tuple(w[:, ::-1] for w in windows(text, s, n)),
        lambda text, s, n: tuple(w - 32 for w in windows(text, s, n)),
        lambda text, s, n: (windows(text, s, n)[0], windows(text, s + n - 1, n)[1]),
    ],
    "causal_attention": [
        lambda q, k, v: ops.matmul(  # the five tokens before alone
            ops.softmax(
                ops.where(np.tri(q.shape[1], k=-5, dtype=bool), -1e9, masked(scores_of(q, k)))
            ),
            v,
        ),
        lambda q, k, v: np.array(attention(q, k, v)),
        lambda q, k, v: ops.stop_gradient(attention(q, k, v)),
        lambda q, k, v: on_first_window(lambda x: x)(attention(q, k, v)),
        lambda q, k, v: ops.cumsum(v, axis=1),
        lambda q, k, v: ops.matmul(ops.softmax(masked(scores_of(q, k), -1.0)), v),
        lambda q, k, v: ops.matmul(ops.softmax(masked(-scores_of(q, k))), v),
        lambda q, k, v: ops.matmul(masked(scores_of(q, k), 0.0), v),
        lambda q, k, v: ops.matmul(ops.sigmoid(masked(scores_of(q, k))), v),
        lambda q, k, v: attention(q, k, v) + v,
        lambda q, k, v: attention(v, v, v),
        lambda q, k, v: ops.matmul(
            ops.softmax(ops.where(np.tri(q.shape[1], k=-1, dtype=bool), scores_of(q, k), -1e9)), v
        ),
        lambda q, k, v: ops.matmul(
            ops.softmax(
                masked(scores_of(q, k)) * float(q.shape[-1]) ** 0.5 / float(q.shape[1]) ** 0.5
            ),
            v,
        ),
        lambda q, k, v: ops.matmul(
            ops.one_hot(ops.argmax(masked(scores_of(q, k)), -1), q.shape[1]), v
        ),
    ],
    "block": [
        lambda x, n1, a, n2, f: np.array(block(x, n1, a, n2, f)),
        lambda x, n1, a, n2, f: ops.stop_gradient(block(x, n1, a, n2, f)),
        lambda x, n1, a, n2, f: block(x, n1, a, n1, f),
        lambda x, n1, a, n2, f: block(x, n2, a, n2, f),
        lambda x, n1, a, n2, f: block(x, lambda y: y, a, n2, f),
        lambda x, n1, a, n2, f: block(x, n1, a, lambda y: y, f),
        lambda x, n1, a, n2, f: block(x, n1, a, n2, f) - x,
        lambda x, n1, a, n2, f: block(x, n1, a, n2, f) + x,
        lambda x, n1, a, n2, f: a(n1(x)) + f(n2(a(n1(x)))),
        lambda x, n1, a, n2, f: x + a(n1(x)) + f(n2(a(n1(x)))),
        lambda x, n1, a, n2, f: x + f(n2(x)) + a(n1(x + f(n2(x)))),
        lambda x, n1, a, n2, f: block(x, a, n1, n2, f),
        lambda x, n1, a, n2, f: block(x, n1, a, f, n2),
    ],
    "route": [
        lambda a, b, k: tuple(map(np.array, route(a, b, k))),
        lambda a, b, k: tuple(map(ops.stop_gradient, route(a, b, k))),
        lambda a, b, k: route(a, ops.flip(b), k),
        lambda a, b, k: route(a, b, 1),
        lambda a, b, k: route(a, 2 * b, k),
        lambda a, b, k: route(a + b, b, k),
        lambda a, b, k: renormalised(ops.sort(route(a, b, k)[0], axis=-1), ops.softmax(a)),
        lambda a, b, k: renormalised(ops.flip(route(a, b, k)[0], axis=-1), ops.softmax(a)),
        lambda a, b, k: renormalised(ops.top_k(a + b, k)[1], ops.softmax(a)),
        lambda a, b, k: renormalised(route(a, b, k)[0], ops.softmax(a) + b),
        lambda a, b, k: renormalised(route(a, b, k)[0], ops.sigmoid(a)),
        lambda a, b, k: renormalised(
            ops.repeat(route(a[:1], b, k)[0], len(a), axis=0), ops.softmax(a)
        ),
        lambda a, b, k: (route(a, b, k)[0], route(a, b, k)[1] * k),
        lambda a, b, k: (route(a, b, k)[0], ops.ones_like(route(a, b, k)[1]) / k),
        lambda a, b, k: renormalised(
            route(ops.softmax(a, axis=1), b, k)[0], ops.softmax(a, axis=1)
        ),
        lambda a, b, k: renormalised(ops.argsort(ops.softmax(a) + b)[..., -k:], ops.softmax(a)),
    ],
    "new_bias": [
        new_bias_in_numpy,
        lambda b, i, rate: new_bias(b, i, 1),
        lambda b, i, rate: new_bias(b, i, rate) - rate,
        lambda b, i, rate: new_bias(b, i[:1], rate),
        lambda b, i, rate: new_bias(b, i[:, :1], rate),
        lambda b, i, rate: b + rate * np.where(counts_of(b, i) < counts_of(b, i).mean(), 1, -1),
        lambda b, i, rate: b + rate * np.where(counts_of(b, i) > counts_of(b, i).mean(), -1, 1),
        lambda b, i, rate: b + rate * np.sign(np.median(counts_of(b, i)) - counts_of(b, i)),
        lambda b, i, rate: b + rate * np.sign(counts_of(b, i).max() - counts_of(b, i)),
        lambda b, i, rate: b + rate * (counts_of(b, i) == 0),
        lambda b, i, rate: b - rate * (counts_of(b, i) == counts_of(b, i).max()),
        lambda b, i, rate: (
            b + rate * np.sign(counts_of(b, i)[counts_of(b, i) > 0].mean() - counts_of(b, i))
        ),
        lambda b, i, rate: b * np.sign(counts_of(b, i).mean() - counts_of(b, i)),
        lambda b, i, rate: b + rate * np.sign(b.mean() - b),
        lambda b, i, rate: new_bias(b, i, rate) - new_bias(b, i, rate).mean(),
    ],
    "bits_per_byte": [
        lambda a, t: bits(a, t) * 8,
        lambda a, t: bits(a[:1], t[:1]),
        lambda a, t: bits(a[:, -1:], t[:, -1:]),
        lambda a, t: bits(-a, t),
        lambda a, t: bits(a[:, :-1], t[:, 1:]),
        lambda a, t: ops.mean(ops.logsumexp(a, axis=-1) - ops.max(a, axis=-1)) / BITS,
        lambda a, t: bits(a, ops.argmax(a, axis=-1)),
        lambda a, t: bits(a, t) / BITS,
        lambda a, t: bits(a / BITS, t),
        lambda a, t: np.median(lab10._nats(a, t)) / BITS,
        lambda a, t: np.mean(np.asarray(ops.argmax(a, axis=-1)) == np.asarray(t)),
        lambda a, t: -ops.mean(ops.log_softmax(a)) / BITS,
        lambda a, t: bits(ops.swapaxes(a, 0, 1)[: len(t)], t) if a.shape[0] < a.shape[1] else 0.0,
        lambda a, t: 3.0,
    ],
}


class TestLab10(MutationTests):
    lab, right, wrong = lab10, RIGHT, WRONG
