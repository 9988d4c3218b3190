"""The exercises of lab 10, experts for words."""

import numpy as np
from keras import ops

from moe_labs.exercises.draws import far_apart, numbers, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import Array, Number, Several, Tensor
from moe_labs.exercises.ways import arrays, gradient, tensors, training_step
from moe_labs.exercises.wrong_answer import WrongAnswer

NEVER = np.float32(-1e9)  # a score that leaves a weight of 0


def _texts(random):
    """A text as bytes, where its windows begin, and how long they are."""
    for high in (4, 6):
        count, length = sizes(random, 2, high=high)
        text = random.integers(32, 127, size=int(random.integers(20, 30))).astype("uint8")
        yield text, random.integers(0, len(text) - length, size=count), length
    yield text, np.array([len(text) - 4, 0]), 3


def _shifted(text, starts, length, by):
    return text[np.asarray(starts)[:, None] + np.arange(length) + by].astype("int32")


@exercise(
    marks=2,
    cases=_texts,
    returns=Several(inputs=Array("int"), targets=Array("int")),
    mistakes=[
        (
            lambda text, starts, n: windows(text, starts, n)[::-1],
            "The first of the two must be the inputs, the second the targets.",
        ),
        (
            lambda text, starts, n: (_shifted(text, starts, n, 0), _shifted(text, starts, n, 0)),
            "Your targets are the inputs themselves: the target of a byte is the one after it.",
        ),
        (
            lambda text, starts, n: (
                _shifted(text, starts, n, 0),
                np.roll(_shifted(text, starts, n, 0), -1, axis=1),
            ),
            "The last target of a window is the byte after the window, not the window's first.",
        ),
        (
            lambda text, starts, n: (
                _shifted(text, starts, n - 1, 0),
                _shifted(text, starts, n - 1, 1),
            ),
            "Your windows are one byte too short: inputs and targets both have `length` bytes.",
        ),
        (
            lambda text, starts, n: (
                windows(text, starts, n)[0],
                windows(text, starts, n)[1][:, -1:],
            ),
            "Every byte of a window has a target, not the last one alone.",
        ),
        (
            lambda text, starts, n: tuple(a.T for a in windows(text, starts, n)),
            "Windows are rows: both are of shape (N, length).",
        ),
    ],
    hints=[
        "Which bytes does the window hold that begins at `start`? And which are their targets?",
        "places = starts[:, None] + np.arange(length) has a row for each window.",
        "return text[places], text[places + 1]",
    ],
)
def windows(text, starts, length):
    """Inputs and targets (N, length): bytes from each start on, and for each the byte after it."""
    places = np.asarray(starts)[:, None] + np.arange(length)  # (N, length)
    return text[places].astype("int32"), text[places + 1].astype("int32")


def _heads(random):
    """Queries, keys and values (B, T, D)."""
    for high in (4, 5, 7):
        batch, tokens, features = sizes(random, 3, high=high)
        yield tuple(numbers(random, 3, batch, tokens, features))
    yield tuple(numbers(random, 3, batch, 1, features))
    queries, keys, values = numbers(random, 3, batch, tokens, features)
    yield 30 * queries, 30 * keys, values
    yield tuple(numbers(random, 3, 2, 40, 8))  # longer, as the lab's windows are


def _scores(queries, keys):
    return ops.einsum("bqd,bkd->bqk", queries, keys) / float(queries.shape[-1]) ** 0.5


def _attend(scores, values, allowed):
    return ops.matmul(ops.softmax(ops.where(allowed, scores, NEVER)), values)


def _square(tokens, k=0):
    return np.tri(tokens, k=k, dtype=bool)


@exercise(
    marks=3,
    cases=_heads,
    returns=Tensor(),
    ways=[arrays, training_step, gradient("queries", "keys", "values")],
    mistakes=[
        (
            lambda q, k, v: ops.matmul(ops.softmax(_scores(q, k)), v),
            "Your tokens look ahead: token t may see the tokens up to t alone. Mask the others.",
        ),
        (
            lambda q, k, v: _attend(_scores(q, k), v, _square(q.shape[1]).T),
            "Your mask is turned round: each token sees itself and what comes later. It must see "
            "itself and what came before.",
        ),
        (
            lambda q, k, v: _attend(_scores(q, k), v, _square(q.shape[1], 1)),
            "Your mask lets each token see the next one, which it is to foretell.",
        ),
        (
            lambda q, k, v: ops.matmul(
                ops.softmax(ops.where(_square(q.shape[1]), _scores(q, k), 0.0)), v
            ),
            "A score of 0 is no mask: exp(0) is 1, and those tokens still get weight. Use a large "
            "negative number such as -1e9.",
        ),
        (
            lambda q, k, v: ops.matmul(
                ops.where(_square(q.shape[1]), ops.softmax(_scores(q, k)), 0.0), v
            ),
            "You mask after the softmax, so the weights that are left no longer sum to 1. Mask the "
            "scores before it.",
        ),
        (
            lambda q, k, v: _attend(
                _scores(q, k) * float(q.shape[-1]) ** 0.5, v, _square(len(q[0]))
            ),
            "Divide the scores by the square root of D, or large ones make the softmax hard.",
        ),
        (
            lambda q, k, v: _attend(
                _scores(q, k) / float(q.shape[-1]) ** 0.5, v, _square(len(q[0]))
            ),
            "You divide by D: it must be its square root.",
        ),
        (
            lambda q, k, v: ops.matmul(
                ops.softmax(ops.where(_square(q.shape[1]), _scores(q, k), NEVER), axis=1), v
            ),
            "Your softmax runs over the queries: each query's weights over the keys must sum to 1.",
        ),
        (
            lambda q, k, v: causal_attention(k, q, v),
            "Queries and keys have changed places: row t holds the scores of query t.",
        ),
        (
            lambda q, k, v: causal_attention(q, k, k),
            "The weights choose among the values; you weigh the keys.",
        ),
    ],
    hints=[
        "Scores (B, T, T): each query times each key. Which of them may a token not see?",
        "np.tri(T, dtype=bool) is True where a key is not later than the query; ops.where(mask, "
        "scores, -1e9).",
        "ops.matmul(ops.softmax(masked), values), with scores = ops.einsum('bqd,bkd->bqk', queries, "
        "keys) / D ** 0.5",
    ],
)
def causal_attention(queries, keys, values):
    """What each token takes from itself and earlier ones: queries, keys, values, result (B, T, D)."""
    tokens, features = queries.shape[1:]
    scores = ops.einsum("bqd,bkd->bqk", queries, keys) / float(features) ** 0.5
    allowed = np.tri(tokens, dtype=bool)  # [query, key]: not later than the query
    return ops.matmul(ops.softmax(ops.where(allowed, scores, -1e9)), values)


def _one(name):
    """A function of (B, T, D) that knows which one it is: none of them can stand for another."""

    def make(random, features):
        matrix = numbers(random, features, features)
        bias = numbers(random, features)

        def part(x):
            return ops.tanh(ops.matmul(x, matrix)) * 2 + bias

        part.__name__ = name
        return part

    return make


def _blocks(random):
    for high in (4, 6):
        batch, tokens, features = sizes(random, 3, high=high)
        parts = [_one(name)(random, features) for name in ("norm_1", "attend", "norm_2", "feed")]
        yield numbers(random, batch, tokens, features), *parts


@exercise(
    marks=2,
    cases=_blocks,
    returns=Tensor(),
    ways=[arrays, tensors, gradient("x")],
    mistakes=[
        (
            lambda x, n1, attend, n2, feed: feed(n2(attend(n1(x)))),
            "The residuals are missing: each part is added to what goes into it.",
        ),
        (
            lambda x, n1, attend, n2, feed: x + feed(n2(x + attend(n1(x)))),
            "The second part is added to x; it must be added to what the first part made of x.",
        ),
        (
            lambda x, n1, attend, n2, feed: x + attend(n1(x)) + feed(n2(x)),
            "Both parts see x: the second must see what the first part made of it.",
        ),
        (
            lambda x, n1, attend, n2, feed: block(n1(x), lambda y: y, attend, n2, feed),
            "Normalise what goes into a part, and leave the path beside it as it is.",
        ),
        (
            lambda x, n1, attend, n2, feed: n2(n1(x + attend(x)) + feed(n1(x + attend(x)))),
            "You normalise after each sum; here each part's input is normalised, before it.",
        ),
        (
            lambda x, n1, attend, n2, feed: block(x, n2, attend, n1, feed),
            "norm_1 belongs to `attend` and norm_2 to `feed`.",
        ),
        (
            lambda x, n1, attend, n2, feed: block(x, n1, feed, n2, attend),
            "Attention comes first, then the feed-forward part.",
        ),
        (
            lambda x, n1, attend, n2, feed: x + attend(n1(x)),
            "The second half is missing: the feed-forward part.",
        ),
    ],
    hints=[
        "Twice the same: normalise, let a part work on it, add the result to what was there.",
        "x = x + attend(norm_1(x))",
        "... and then x + feed(norm_2(x))",
    ],
)
def block(x, norm_1, attend, norm_2, feed):
    """A decoder's block, (B, T, D) to (B, T, D): attention, then feed-forward, each with a residual."""
    x = x + attend(norm_1(x))
    return x + feed(norm_2(x))


def _biased(random):
    """Logits (B, T, E), a bias (E,) on the scale of probabilities, and k."""
    for k, high in ((2, 6), (1, 6), (3, 9)):
        batch, tokens, experts = sizes(random, 3, low=k + 1, high=high)
        logits = numbers(random, batch, tokens, experts)
        yield logits, numbers(random, experts, scale=0.3), k
    yield far_apart(random, logits), numbers(random, experts, scale=0.3), 2


def _weights_of(probabilities, indices):
    weights = ops.take_along_axis(probabilities, indices, axis=-1)
    if indices.shape[-1] > 1:
        weights = weights / ops.sum(weights, axis=-1, keepdims=True)
    return weights


def _chosen_by(scores, probabilities, k):
    _, indices = ops.top_k(scores, k)
    return indices, _weights_of(probabilities, indices)


@exercise(
    marks=3,
    cases=_biased,
    returns=Several(indices=Tensor("int"), weights=Tensor()),
    ways=[arrays, training_step, gradient("logits")],
    mistakes=[
        (
            lambda a, bias, k: route(a, bias, k)[::-1],
            "The first of the two must be the experts' numbers, the second their weights.",
        ),
        (
            lambda a, bias, k: route(a, 0 * bias, k),
            "The bias is not used: it decides who is chosen.",
        ),
        (
            lambda a, bias, k: _chosen_by(ops.softmax(a + bias), ops.softmax(a), k),
            "Add the bias to the probabilities, after the softmax.",
        ),
        (
            lambda a, bias, k: _chosen_by(ops.softmax(a) + bias, ops.softmax(a) + bias, k),
            "The bias decides who is chosen, and nothing else: take the weights from the "
            "probabilities without it.",
        ),
        (
            lambda a, bias, k: _chosen_by(ops.softmax(a) - bias, ops.softmax(a), k),
            "The sign of the bias is inverted: a larger bias makes a choice likelier.",
        ),
        (
            lambda a, bias, k: (
                route(a, bias, k)[0],
                ops.take_along_axis(ops.softmax(a), route(a, bias, k)[0], axis=-1),
            ),
            "With k > 1 the weights of the chosen must sum to 1: divide them by their sum.",
        ),
        (
            lambda a, bias, k: (
                route(a, bias, k)[0],
                ops.softmax(ops.take_along_axis(a, route(a, bias, k)[0], axis=-1)),
            ),
            "With k = 1 your weight is always 1, whatever the gate thinks: then it gets no "
            "gradient. Divide by the sum for k > 1 only; for k = 1 the weight is the probability.",
        ),
        (
            lambda a, bias, k: _chosen_by(-ops.softmax(a) - bias, ops.softmax(a), k),
            "Those are the experts with the smallest scores.",
        ),
        (
            lambda a, bias, k: (route(a, bias, k)[0], ops.softmax(a)),
            "Those are the probabilities of all experts: only the k chosen ones get a weight.",
        ),
    ],
    hints=[
        "Two scores: probabilities + bias choose, probabilities alone weigh.",
        "_, indices = ops.top_k(probabilities + bias, k)",
        "ops.take_along_axis(probabilities, indices, axis=-1), divided by its sum if k > 1.",
    ],
)
def route(logits, bias, k):
    """Indices and weights (B, T, k) of each token's experts: logits (B, T, E), bias (E,)."""
    probabilities = ops.softmax(logits)
    _, indices = ops.top_k(probabilities + bias, k)
    weights = ops.take_along_axis(probabilities, indices, axis=-1)
    if k > 1:
        weights = weights / ops.sum(weights, axis=-1, keepdims=True)
    return indices, weights


def _loads(random):
    """A bias (E,), choices (B, T, k) of different experts, and a rate."""
    for k, high in ((2, 6), (1, 5), (3, 8)):
        experts, batch, tokens = sizes(random, 3, low=k + 1, high=high)
        order = np.argsort(random.random((batch, tokens, experts)) ** 2, axis=-1)
        order[..., 0] = np.where(order[..., 0] == experts - 1, 0, order[..., 0])
        yield (
            numbers(random, experts, scale=0.1),
            order[..., :k].astype("int32"),
            float(np.float32(random.uniform(0.001, 0.1))),
        )
    # Nobody chose the last expert; the first got exactly its share, the mean.
    yield (
        numbers(random, 4, scale=0.1),
        np.array([[[1], [0]], [[2], [1]]], "int32").repeat(2, axis=1),
        0.01,
    )


def _in_training(function, args, names, form):
    """On a gate's variable, inside a compiled training step with any number of windows."""
    import tensorflow as tf

    bias, indices, rate = args
    variable = tf.Variable(bias)

    @tf.function(
        input_signature=[tf.TensorSpec([None, *indices.shape[1:]], "int32")], autograph=False
    )
    def step(indices):
        return function(variable, indices, rate)

    try:
        return form.read(step(tf.constant(indices)), "Inside a training step, your result")
    except WrongAnswer:
        raise
    except Exception as error:
        raise WrongAnswer(
            "It is right on arrays, but fails inside a network's training step, where the number "
            f"of windows is not known beforehand. Use keras.ops throughout. ({type(error).__name__})"
        ) from error


def _counts(bias, indices):
    return ops.sum(ops.one_hot(indices, bias.shape[0]), axis=(0, 1, 2))


@exercise(
    marks=2,
    cases=_loads,
    returns=Tensor(),
    ways=[arrays, _in_training],
    mistakes=[
        (
            lambda bias, indices, rate: 2 * bias - new_bias(bias, indices, rate),
            "The sign is inverted: a busy expert's bias must fall, an idle one's rise.",
        ),
        (
            lambda bias, indices, rate: new_bias(0 * bias, indices, rate),
            "That is the change alone: add it to the old bias.",
        ),
        (
            lambda bias, indices, rate: (
                bias + rate * (ops.mean(_counts(bias, indices)) - _counts(bias, indices))
            ),
            "Each bias moves by the same step, `rate`, up or down: only the sign counts.",
        ),
        (
            lambda bias, indices, rate: bias - rate * ops.sign(_counts(bias, indices)),
            "Compare each expert's count with the mean of all experts, not with 0.",
        ),
        (
            lambda bias, indices, rate: (
                bias
                + rate
                * ops.sign(
                    ops.mean(_counts(bias, indices[..., :1])) - _counts(bias, indices[..., :1])
                )
            ),
            "You count the first choice of each token alone: all k count.",
        ),
        (
            lambda bias, indices, rate: (
                bias + rate * ops.sign(np.size(indices) - _counts(bias, indices))
            ),
            "Compare with the mean count of an expert, not with the number of all choices.",
        ),
        (
            lambda bias, indices, rate: bias * (new_bias(0 * bias, indices, rate) + 1),
            "The step is added to the bias, not multiplied with it.",
        ),
    ],
    hints=[
        "Count how often each expert was chosen, over all windows, tokens and choices.",
        "counts = ops.sum(ops.one_hot(indices, E), axis=(0, 1, 2))",
        "bias + rate * ops.sign(ops.mean(counts) - counts)",
    ],
)
def new_bias(bias, indices, rate):
    """The bias (E,) after a batch with these choices (B, T, k): up by `rate` for the idle, down for
    the busy, as it was for who got the mean."""
    counts = ops.sum(ops.one_hot(indices, bias.shape[0]), axis=(0, 1, 2))  # (E,)
    return bias + rate * ops.sign(ops.mean(counts) - counts)


def _foretold(random):
    """Logits (N, T, V) and the right bytes (N, T)."""
    for high in (4, 6):
        count, tokens, bytes_ = sizes(random, 3, high=high)
        logits = 2 * numbers(random, count, tokens, bytes_)
        yield logits, random.integers(bytes_, size=(count, tokens)).astype("int32")
    logits = far_apart(random, logits)
    yield logits, random.integers(bytes_, size=(count, tokens)).astype("int32")
    certain = np.zeros((2, 3, 4), "float32")
    certain[..., 1] = 400
    yield certain, np.array([[1, 1, 0], [1, 2, 1]], "int32")


def _nats(logits, targets):
    return -np.take_along_axis(
        np.asarray(ops.log_softmax(logits)), np.asarray(targets)[..., None], -1
    )[..., 0]


@exercise(
    marks=2,
    cases=_foretold,
    returns=Number(),
    ways=[arrays, tensors],
    mistakes=[
        (
            lambda a, t: np.mean(_nats(a, t)),
            "That is in nats, with the natural logarithm: divide by ln 2 for bits.",
        ),
        (
            lambda a, t: np.sum(_nats(a, t)) / np.log(2),
            "That is the sum over all bytes: take the mean.",
        ),
        (
            lambda a, t: -np.mean(_nats(a, t)) / np.log(2),
            "The sign is inverted: bits are positive, and a better network needs fewer.",
        ),
        (
            lambda a, t: np.mean(_nats(a, t)) * np.log(2),
            "From nats to bits one divides by ln 2.",
        ),
        (
            lambda a, t: np.mean(np.sum(_nats(a, t), axis=-1)) / np.log(2),
            "That is bits for each window: divide by the bytes of a window, too.",
        ),
        (
            lambda a, t: 2 ** (np.mean(_nats(a, t)) / np.log(2)),
            "That is the perplexity, 2 to the power of the bits: give the bits.",
        ),
        (
            lambda a, t: -np.log2(np.mean(np.exp(-_nats(a, t)))),
            "Take the logarithm of each byte's probability first, and the mean after it.",
        ),
        (
            lambda a, t: np.mean(
                -np.log2(
                    np.take_along_axis(np.asarray(ops.softmax(a)), np.asarray(t)[..., None], -1)
                )
            ),
            "A probability that a computer rounds to 0 has no logarithm: ops.log_softmax stays in "
            "logarithms.",
        ),
    ],
    hints=[
        "Minus the logarithm to base 2 of the right byte's probability, and the mean over all.",
        "ops.log_softmax(logits) gives natural logarithms; pick the right byte's with "
        "ops.take_along_axis.",
        "-ops.mean(ops.take_along_axis(logs, targets[..., None], axis=-1)) / np.log(2)",
    ],
)
def bits_per_byte(logits, targets):
    """How many bits a byte takes, one number: logits (N, T, V), the right bytes (N, T)."""
    logs = ops.log_softmax(logits)
    right = ops.take_along_axis(logs, ops.expand_dims(targets, -1), axis=-1)
    return -ops.mean(right) / np.log(2)
