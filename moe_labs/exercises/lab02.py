"""The exercises of lab 02, the hierarchical gate."""

import numpy as np
from keras import ops

from moe_labs.exercises.draws import grouped, numbers, probabilities, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import Indices, Number, Several, Tensor
from moe_labs.exercises.ways import arrays, gradient, training_step


def _network(random, image_shape, classes):
    """A stand-in for a network, whose answer depends on every pixel's place."""
    places = random.normal(size=(*image_shape, classes)) / (100 * np.prod(image_shape) ** 0.5)

    def ask(images):
        said = _softmax(np.tensordot(np.asarray(images, "float64"), places, axes=3))
        said = said.astype("float32")
        said.flags.writeable = False  # as FrozenOutputs does with what it keeps
        return said

    return ask


def _asked(random):
    """A network and images, and at last images as the lab has them."""
    for high in (4, 9):
        images, height, width = sizes(random, 3, high=high)
        yield _questioned(random, images, (height, width, 3), high + 1)
    yield _questioned(random, 2, (32, 32, 3), 10)


def _questioned(random, images, image_shape, classes):
    pixels = random.integers(0, 256, (images, *image_shape)).astype("uint8")
    return _network(random, image_shape, classes), pixels


def _softmax(values, axis=-1):
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def _with_view(ask, images, other):
    return (ask(images) + ask(other)) / 2


@exercise(
    marks=2,
    cases=_asked,
    mistakes=[
        (
            lambda ask, x: np.concatenate([ask(x), ask(x[:, :, ::-1])]),
            "You put both views' answers one below the other: take their mean.",
        ),
        (
            lambda ask, x: ask(x) + ask(x[:, :, ::-1]),
            "Your rows sum to 2: take the mean of the two views, not their sum.",
        ),
        (
            lambda ask, x: ask(x),
            "You ask about the images alone: ask about their mirror images as well.",
        ),
        (
            lambda ask, x: ask(x[:, :, ::-1]),
            "You ask about the mirror images alone: ask about the images as well.",
        ),
        *(
            (
                lambda ask, x, step=step: _with_view(ask, x, x[:, ::-1, ::step]),
                "You turn the images upside down. The axes are (B, height, width, channels): a "
                "mirror swaps left and right, along the width.",
            )
            for step in (1, -1)
        ),
        (
            lambda ask, x: _with_view(ask, x, x[..., ::-1]),
            "You swap red and blue: the mirror runs along the width, axis 2.",
        ),
        (
            lambda ask, x: _with_view(ask, x, x[::-1]),
            "You reverse the order of the images: mirror each one, along axis 2.",
        ),
        (
            lambda ask, x: ask(x / 2 + x[:, :, ::-1] / 2),
            "You lay the two views on top of each other and ask once. Ask about each, then take "
            "the mean of the answers.",
        ),
        *(
            (
                lambda ask, x, both=both: both(ask(x), ask(x[:, :, ::-1])),
                "Combine the two answers by their mean: half of each.",
            )
            for both in (np.maximum, lambda here, there: np.sqrt(here * there))
        ),
    ],
    hints=[
        "Ask twice: about the images, and about their mirror images. Then take the mean.",
        "The axes are (B, height, width, channels). Width is axis 2, and [::-1] reverses an axis.",
        "The mirror images are images[:, :, ::-1].",
    ],
)
def two_views(ask, images):
    """Mean probabilities (B, C) of images (B, height, width, channels) and of their mirror images."""
    return (ask(images) + ask(images[:, :, ::-1])) / 2


def _each_group(reduce):
    return lambda p, groups: np.stack([reduce(p[:, list(ids)], axis=1) for ids in groups], axis=1)


@exercise(
    marks=2,
    cases=grouped,
    mistakes=[
        (
            lambda p, groups: group_weights(p, groups).T,
            "The weights are right, but images come first: (B, groups).",
        ),
        (
            lambda p, groups: group_weights(p, groups)[:, 0],
            "One number an image is not enough: a weight for each group, (B, groups).",
        ),
        (
            lambda p, groups: group_weights(p, groups)[:, ::-1],
            "Your columns are swapped: the first group's weight belongs in column 0. A gate with "
            "the wrong polarity sends every image to the wrong expert.",
        ),
        *(
            (
                lambda p, groups, over=over: over(_each_group(np.mean)(p, groups)),
                "You take means over each group. The probability of a group is the sum over its "
                "classes: a mean favours the smaller group.",
            )
            for over in (np.asarray, lambda means: means / means.sum(axis=1, keepdims=True))
        ),
        (_each_group(np.max), "You take each group's largest class: sum over all its classes."),
        (
            lambda p, groups: np.add.reduceat(p, np.cumsum([0, *map(len, groups[:-1])]), axis=1),
            "You cut the columns in the order they stand in. The classes of a group need not be "
            "neighbours: take the columns that the group names.",
        ),
        (
            lambda p, groups: p[:, [ids[0] for ids in groups]],
            "You take the first class of each group alone: sum over all its classes.",
        ),
        (
            lambda p, groups: np.eye(len(groups))[group_weights(p, groups).argmax(axis=1)],
            "You choose a group: give the probability of each.",
        ),
    ],
    hints=[
        "An image is natural if it is a bird or a cat or a deer ...: what happens to the "
        "probabilities of events that exclude each other?",
        "probabilities[:, list(group)] are the columns of one group. Sum them, for each group.",
        "np.stack([... for group in groups], axis=1) makes columns of them.",
    ],
)
def group_weights(probabilities, groups):
    """Each group's probability (B, G): probabilities (B, C), a list of each group's class ids."""
    return np.stack([probabilities[:, list(group)].sum(axis=1) for group in groups], axis=1)


def _class_logits(random):
    """Logits (B, C, E), small and large, with ties and as the lab has them."""
    for low, high in ((2, 4), (2, 6), (11, 13)):
        yield (numbers(random, *sizes(random, 3, low, high)),)
    logits = numbers(random, *sizes(random, 3, low=3), scale=300)
    logits[:, 0] = 100
    yield (logits,)
    bonus = np.zeros((1, 10, 2), "float32")
    bonus[:, random.integers(10)] = 2
    yield (bonus,)


@exercise(
    marks=2,
    cases=_class_logits,
    returns=Tensor(),
    ways=[arrays, training_step, gradient("logits")],
    mistakes=[
        (
            lambda a: ops.softmax(a, axis=(1, 2)),
            "You took one softmax over classes and experts together: a class's weights must sum "
            "to 1 over its experts.",
        ),
        (
            lambda a: ops.softmax(a, axis=1),
            "Your softmax runs over the classes. Classes must not compete: for each class, over "
            "the experts.",
        ),
        (
            lambda a: ops.softmax(a, axis=0),
            "Your softmax runs over the images: for each image and class, over the experts.",
        ),
        (
            ops.sigmoid,
            "A sigmoid weighs each expert by itself: a class's weights need a sum of 1 over the "
            "experts. Take the softmax.",
        ),
        (ops.exp, "Those are powers without their division: take the softmax."),
        (ops.log_softmax, "Those are logarithms of the weights: take the softmax."),
        (
            lambda a: ops.one_hot(ops.argmax(a, axis=-1), a.shape[-1]),
            "That is a hard choice, without a gradient: take the softmax.",
        ),
        (
            lambda a: ops.softmax(-a),
            "The smaller logit has more weight: leave the sign as it is.",
        ),
        (
            lambda a: ops.softmax(a)[..., ::-1],
            "The experts have changed places: the larger logit has more weight.",
        ),
        (
            lambda a: ops.exp(a) / ops.sum(ops.exp(a), axis=-1, keepdims=True),
            "With a logit of 1000 your weights are no longer finite: e^1000 is too large for a "
            "computer. A softmax does not change if the largest logit is taken from all of them.",
        ),
    ],
    hints=[
        "Fix a class. Over what must its weights sum to 1?",
        "The axes are (B, C, E): images, classes, experts. The experts are the last one.",
        "powers = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True)), divided by their sum.",
    ],
)
def second_level(logits):
    """Each class's weights of the experts: logits and weights (B, C, E)."""
    powers = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
    return powers / ops.sum(powers, axis=-1, keepdims=True)


def _trees(random):
    """A first gate (B, G), and second-level weights and probabilities (B, G, C, E)."""
    for groups, classes, experts in ((2, 4, 3), sizes(random, 3, 3, 5), (3, 12, 2), (2, 10, 2)):
        images = int(random.integers(6, 9))
        first = probabilities(random, images, groups)
        second = probabilities(random, images, groups, classes, experts)
        said = probabilities(random, images, groups, experts, classes).swapaxes(-1, -2).copy()
        first[0] = np.eye(groups)[-1]  # a gate that is sure,
        second[1] = np.eye(experts)[0]  # one expert that is not heard,
        said[2] = np.eye(classes)[1][:, None]  # a class of which all are sure,
        said[3:, 0, 0, -1] = 0  # and one that an expert does not know
        yield first, second, said


def _tree(first, second, said):
    return np.einsum("bg,bgce,bgce->bc", first, second, said)


@exercise(
    marks=3,
    cases=_trees,
    mistakes=[
        *(
            (
                lambda f, s, y, to=to: np.einsum(f"bg,bgce,bgce->{to}", f, s, y),
                "You have a result for each group: sum over the groups as well.",
            )
            for to in ("bgc", "bcg")
        ),
        (
            lambda f, s, y: np.einsum("bgce,bgce->bgc", s, y),
            "You have a result for each group: weigh it by the first gate, and sum over the groups.",
        ),
        *(
            (
                lambda f, s, y, by=by: _tree(np.full_like(f, by(f.shape[1])), s, y),
                "The first gate is not used: weigh each group's mixture by it.",
            )
            for by in (lambda count: 1, lambda count: 1 / count)
        ),
        *(
            (
                lambda f, s, y, by=by: _tree(f, np.full_like(s, by(s.shape[-1])), y),
                "The second-level weights are not used: weigh each expert, class by class.",
            )
            for by in (lambda count: 1, lambda count: 1 / count)
        ),
        (
            lambda f, s, y: _tree(f, s.mean(axis=2, keepdims=True) + 0 * s, y),
            "You take the mean of an expert's weights over the classes: each class has its own.",
        ),
        (
            lambda f, s, y: _tree(hard_gate(f), s, y),
            "You take the heaviest group alone: that is a hard gate. Sum over all groups.",
        ),
        (
            lambda f, s, y: _tree(f[:, ::-1], s, y),
            "The groups have changed places: column g of `first` weighs group g.",
        ),
        (
            lambda f, s, y: _tree(f, s[..., ::-1], y),
            "The experts have changed places: weight e belongs to expert e.",
        ),
        (
            lambda f, s, y: _tree(f, s, y) / _tree(f, s, y).sum(axis=1, keepdims=True),
            "Leave the sum as it is: divide by nothing.",
        ),
    ],
    hints=[
        "Two sums, one in the other: over the experts of a group, then over the groups.",
        "np.einsum names the axes: first is bg, second and said are bgce, the result is bc.",
        'np.einsum("bg,bgce,bgce->...", first, second, said)',
    ],
)
def hierarchical_sum(first, second, said):
    """The answer (B, C): first gate (B, G), second-level weights and what is said (B, G, C, E)."""
    return np.einsum("bg,bgce,bgce->bc", first, second, said)


def _soft_gates(random):
    """Weights (B, G): some nearly even, none above a half among many groups, and some sure."""
    for groups, images in ((3, 4), (2, 5), tuple(sizes(random, 2, low=4, high=8))):
        first = (probabilities(random, images, groups) + 1 / groups) / 2
        first[0] = np.eye(groups)[-1]
        nearly_even = 1 + np.arange(groups) / 1000
        first[1:3] = np.stack([nearly_even, nearly_even[::-1]]) / nearly_even.sum()
        yield (first,)


@exercise(
    marks=2,
    cases=_soft_gates,
    mistakes=[
        (
            lambda w: w.argmax(axis=1),
            "That is the number of the group: make it a row of weights, 1 for this group and 0 for "
            "the others.",
        ),
        *(
            (
                above,
                "Where no weight is above a half, none or too few of your groups are chosen: 0.3, "
                "0.3, 0.4 is a choice as well. Take the largest.",
            )
            for above in (lambda w: w > 0.5, np.round)
        ),
        (
            lambda w: hard_gate(w) * w,
            "The chosen group keeps its soft weight: it must get 1, so that each row sums to 1.",
        ),
        (
            lambda w: np.eye(w.shape[1])[w.argmin(axis=1)],
            "You choose the lightest group: choose the heaviest.",
        ),
        (
            lambda w: 1 - hard_gate(w),
            "You give 1 to all groups but the heaviest: the other way round.",
        ),
        (
            lambda w: (w > 1 / w.shape[1]).astype(float),
            "You choose all that weigh more than the average: choose the heaviest alone.",
        ),
        (
            lambda w: (w == w.max()).astype(float),
            "You look for the largest weight of all images: each image has its own.",
        ),
        (
            lambda w: (w == w.max(axis=0)).astype(float),
            "You choose an image for each group: choose a group for each image, along axis 1.",
        ),
    ],
    hints=[
        "Find the heaviest group of each image, then write a row with one 1 in it.",
        "first.argmax(axis=1) are the groups' numbers.",
        "The rows of the identity matrix np.eye(n) are such rows: pick them by number.",
    ],
)
def hard_gate(first):
    """Soft weights (B, G) made hard: in each row a single 1."""
    return np.eye(first.shape[1])[first.argmax(axis=1)]


def _two_mixtures(random):
    """Probabilities of two mixtures, and labels: so many that n and n - 1 make no difference."""
    for rates in ((0.8, 0.7), (0.5, 0.7), (0.6, 0.58)):
        images, classes = int(random.integers(600, 1200)), int(random.integers(3, 11))
        labels = random.integers(classes, size=images)
        said = probabilities(random, 2, images, classes)
        for answers, rate in zip(said, rates, strict=True):
            right = np.flatnonzero(random.random(images) < rate)
            answers[right, labels[right]] += 1
        yield *(said / said.sum(axis=-1, keepdims=True)), labels
    yield said[0], said[0].copy(), labels


def _hits(said, labels):
    return (said.argmax(axis=1) == labels).astype(float)


def _gain(reach):
    """The gain with an interval that goes so far to each side of the differences' mean."""

    def answer(learnt, unlearnt, labels):
        d = _hits(learnt, labels) - _hits(unlearnt, labels)
        return d.mean(), d.mean() - reach(d), d.mean() + reach(d)

    return answer


def _as_if_apart(learnt, unlearnt, labels):
    a, b = _hits(learnt, labels), _hits(unlearnt, labels)
    gain, margin = a.mean() - b.mean(), 1.96 * np.sqrt((a.var() + b.var()) / len(labels))
    return gain, gain - margin, gain + margin


def _around(differences):
    margin = 1.96 * differences.std(ddof=1) / np.sqrt(len(differences))
    mean = differences.mean()
    return mean, mean - margin, mean + margin


def _of_true_class(learnt, unlearnt, labels):
    here = np.arange(len(labels))
    return _around(learnt[here, labels] - unlearnt[here, labels])


def _where_they_differ(learnt, unlearnt, labels):
    d = _hits(learnt, labels) - _hits(unlearnt, labels)
    return _around(d[d != 0])


@exercise(
    marks=3,
    cases=_two_mixtures,
    returns=Several(difference=Number(), low=Number(), high=Number()),
    mistakes=[
        (
            lambda a, b, y: learning_gain(b, a, y),
            "The sign is inverted: the accuracy with learning minus that without.",
        ),
        (
            _as_if_apart,
            "Your interval treats the two mixtures as if each had seen images of its own. They "
            "answered the same ones: take the standard deviation of the differences, image by "
            "image.",
        ),
        (
            _of_true_class,
            "You compare the probabilities of the true class. Accuracy asks only whether the most "
            "probable class is the true one: argmax over axis 1.",
        ),
        (
            _where_they_differ,
            "You leave out the images on which the two are both right or both wrong: each of them "
            "is a difference of 0, and counts.",
        ),
        (
            _gain(lambda d: 1.96 * d.std()),
            "Your interval is far too wide: divide the standard deviation by the root of N.",
        ),
        (_gain(lambda d: 1.96 * d.std() / len(d)), "Divide by the root of N, not by N."),
        (
            _gain(lambda d: d.std() / np.sqrt(len(d))),
            "You go one standard error to each side: a 95 % interval takes 1.96.",
        ),
        (
            _gain(lambda d: 1.96 * d.var() / np.sqrt(len(d))),
            "That is the variance: take the standard deviation, its root.",
        ),
        (
            lambda a, b, y: np.array(learning_gain(a, b, y))[[1, 0, 2]],
            "The order is difference, low, high.",
        ),
        (
            lambda a, b, y: 100 * np.array(learning_gain(a, b, y)),
            "Give fractions of 1, not percentage points.",
        ),
    ],
    hints=[
        "For each image: 1 if only the learnt mixture is right, -1 if only the other is, else 0.",
        "The gain is the mean of these numbers; its standard error is their standard deviation "
        "divided by the root of N.",
        "right = probabilities.argmax(axis=1) == labels for both; then 1.96 standard errors to "
        "each side of the mean of the differences.",
    ],
)
def learning_gain(learnt, unlearnt, labels):
    """(difference, low, high): accuracy of learnt minus unlearnt (N, C), paired, with 95 % interval."""
    right, right_without = (said.argmax(axis=1) == labels for said in (learnt, unlearnt))
    difference = right.astype(float) - right_without
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(labels))
    return difference.mean(), difference.mean() - margin, difference.mean() + margin


def _answered_twice(random):
    """Answers before and after, of all kinds; then nothing that changes."""
    for images, classes in ((6, 3), (12, 4), (40, 10)):
        labels = random.integers(classes, size=images)
        others = (labels + random.integers(1, classes, (2, images))) % classes
        was_right, is_right = random.random((2, images)) < 0.5
        was_right[:5], is_right[:5] = [1, 1, 0, 0, 0], [1, 0, 1, 1, 0]
        others[1, 4] = (2 * labels[4] - others[0, 4]) % classes  # wrong, then wrong otherwise
        order = random.permutation(images)
        before, after = np.where([was_right, is_right], labels, others)
        yield before[order], after[order], labels[order].astype("int32")
    yield before[order], before[order], labels[order]


def _whose(before, after, labels):
    was_right, is_right = before == labels, after == labels
    return ~was_right & is_right, was_right & ~is_right


@exercise(
    marks=3,
    cases=_answered_twice,
    returns=Several(repaired=Indices(), broken=Indices()),
    mistakes=[
        (
            _whose,
            "You return True and False for all images: np.flatnonzero tells which are True.",
        ),
        (
            lambda b, a, y: tuple(mask.sum() for mask in _whose(b, a, y)),
            "Return the numbers of the images, not how many they are.",
        ),
        (
            lambda b, a, y: repaired_and_broken(b, a, y)[::-1],
            "Right sets, but swapped: those repaired first.",
        ),
        *(
            (
                lambda b, a, y, second=second: (np.flatnonzero(a == y), second(b, a, y)),
                "Your first set holds all that is right afterwards. Repaired is what was wrong "
                "before.",
            )
            for second in (
                lambda b, a, y: np.flatnonzero(a != y),
                lambda b, a, y: repaired_and_broken(b, a, y)[1],
            )
        ),
        (
            lambda b, a, y: (repaired_and_broken(b, a, y)[0], np.flatnonzero(a != y)),
            "Your second set holds all that is wrong afterwards. Broken is what was right before.",
        ),
        *(
            (
                changed,
                "You take all images with another answer: one wrong answer in place of another "
                "repairs nothing. Compare with the labels.",
            )
            for changed in (
                lambda b, a, y: (np.flatnonzero(a != b), repaired_and_broken(b, a, y)[1]),
                lambda b, a, y: (
                    np.flatnonzero((a != b) & (b != y)),
                    repaired_and_broken(b, a, y)[1],
                ),
            )
        ),
        (
            lambda b, a, y: tuple(y[mask] for mask in _whose(b, a, y)),
            "Those are the images' classes: return the numbers of the images.",
        ),
    ],
    hints=[
        "Who was right before, and who is right afterwards? Two arrays of True and False.",
        "Repaired: not right before and right afterwards. `~` is not, `&` is and.",
        "np.flatnonzero turns True and False into the numbers of those that are True.",
    ],
)
def repaired_and_broken(before, after, labels):
    """Two arrays of image numbers; before, after and labels are arrays (N,) of class ids."""
    was_right, is_right = before == labels, after == labels
    return np.flatnonzero(~was_right & is_right), np.flatnonzero(was_right & ~is_right)
