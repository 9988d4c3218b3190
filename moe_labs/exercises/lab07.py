"""The exercises of lab 07, digits in two halves."""

import itertools

import keras
import numpy as np

from moe_labs.exercises.draws import grouped, probabilities, sizes
from moe_labs.exercises.exercise import exercise
from moe_labs.exercises.forms import Array, Number, Several, Text
from moe_labs.exercises.wrong_answer import WrongAnswer


def _labeled_images(random):
    """Images, labels and some class ids in rising order, with gaps or without.

    Once there is no image of the first of these classes.
    """
    for classes, images, absent in ((4, 5, 0), (7, 12, 1), (10, 30, 0), (12, 40, 0)):
        ids = np.sort(random.choice(classes, random.integers(2, classes - 1), replace=False))
        labels = random.integers(classes, size=images)
        labels[np.isin(labels, ids[:absent])] = ids[-1]
        labels[:2] = ids[-1], np.setdiff1d(np.arange(classes), ids)[0]
        pixels = random.integers(0, 256, (images, 2, 3, 1)).astype("uint8")
        yield pixels, random.permutation(labels), tuple(ids.tolist())


def _kept(images, labels, class_ids, renumber):
    keep = np.isin(labels, class_ids)
    return images[keep], renumber(labels[keep], np.array(class_ids))


@exercise(
    marks=2,
    cases=_labeled_images,
    returns=Several(images=Array(None), labels=Array("int")),
    mistakes=[
        (
            lambda x, y, ids: _kept(x, y, ids, lambda y, ids: y),
            "The labels are still those of all digits. The expert numbers its classes from 0: the "
            "first of class_ids becomes 0, the second 1.",
        ),
        (
            lambda x, y, ids: _kept(x, y, ids, lambda y, ids: y - ids[0]),
            "Taking the first id away is right only where classes follow each other without a gap.",
        ),
        (
            lambda x, y, ids: _kept(x, y, ids, lambda y, ids: y % len(ids)),
            "A remainder does not number the classes: the label's place in class_ids does.",
        ),
        (
            lambda x, y, ids: _kept(x, y, ids, lambda y, ids: 1 + np.searchsorted(ids, y)),
            "Your labels begin with 1: number the classes from 0.",
        ),
        (lambda x, y, ids: own(x, y, ids)[::-1], "Images first, then their labels."),
        (
            lambda x, y, ids: (x, np.searchsorted(ids, y)),
            "You return all images: keep those whose label is in class_ids.",
        ),
        (
            lambda x, y, ids: (own(x, y, ids)[0], np.searchsorted(ids, y)),
            "One label for each image that is kept: you renumber those of all images.",
        ),
        (
            lambda x, y, ids: own(x[:, None], y, ids)[:1] + own(x, y, ids)[1:],
            "The images have got another shape: keep them as they are.",
        ),
    ],
    hints=[
        "Two steps: which images to keep, and what their labels are called among the class_ids.",
        "np.isin(labels, class_ids) is true where a label is one of the ids.",
        "np.searchsorted(class_ids, labels[keep]) gives each label's place in class_ids.",
    ],
)
def own(images, labels, class_ids):
    """The images of some classes, and their labels as places in class_ids: two arrays."""
    keep = np.isin(labels, class_ids)
    return images[keep], np.searchsorted(class_ids, labels[keep])


def _of_groups(said, groups, put_together):
    return np.stack([put_together(said[:, list(ids)], axis=1) for ids in groups], axis=1)


@exercise(
    marks=2,
    cases=grouped,
    mistakes=[
        (
            lambda p, g: _of_groups(p, g, np.mean),
            "You take the mean over a group's classes. A probability of one class *or* another is "
            "the sum.",
        ),
        (
            lambda p, g: _of_groups(p, g, np.max),
            "You take a group's most probable class alone. A probability of one class *or* "
            "another is the sum.",
        ),
        (
            lambda p, g: np.eye(len(g))[_of_groups(p, g, np.sum).argmax(axis=1)],
            "You choose a group. Give the probability of each, and choose later.",
        ),
        (
            lambda p, g: _of_groups(p, g, np.sum).T,
            "The sums are right, but images come first: (B, number of groups).",
        ),
        (
            lambda p, g: _of_groups(p, g[::-1], np.sum),
            "Your columns are in the reverse order: the first group belongs in column 0.",
        ),
        (
            lambda p, g: np.add.reduceat(p, np.cumsum([0, *map(len, g[:-1])]), axis=1),
            "You cut the classes in the order they stand in: use the ids in groups.",
        ),
        (
            lambda p, g: np.stack([p[:, min(i) : max(i) + 1].sum(axis=1) for i in g], axis=1),
            "You take all classes from a group's first to its last: some are not in the group.",
        ),
        (
            lambda p, g: _of_groups(p, g, np.prod),
            "You multiply: one class *or* another is the sum of their probabilities.",
        ),
    ],
    hints=[
        "How probable is it that a digit is a 0 or a 1 or a 2, given the probability of each?",
        "said[:, list(ids)] are the columns of a group: (B, number of its classes).",
        "Sum each group's columns over axis 1, then np.stack(..., axis=1).",
    ],
)
def group_probabilities(said, groups):
    """How probable each group of classes is, (B, groups), given the classes' probabilities (B, C)."""
    return np.stack([said[:, list(ids)].sum(axis=1) for ids in groups], axis=1)


def _sent(random):
    """A gate of which some images reach the wrong half, and experts that err in both halves."""
    for images in (7, 11, 40):
        halves = random.integers(2, size=images)
        lost, right = random.random(images) < 0.4, random.random(images) < 0.6
        lost[:4], right[:4] = [True, True, False, False], [True, False, True, False]
        sure = random.uniform(0.55, 1, images)
        first = np.where(np.eye(2, dtype=bool)[halves ^ lost], sure[:, None], 1 - sure[:, None])
        order = random.permutation(images)
        yield first[order].astype("float32"), halves[order], right[order]


def _reaches(first, halves):
    return first.argmax(axis=1) == halves


@exercise(
    marks=2,
    cases=_sent,
    returns=Several(gate=Number(), expert=Number()),
    mistakes=[
        (
            lambda f, h, r: (_reaches(f, h).mean(), blame(f, h, r)[1]),
            "Your first share is that of the images sent to the *right* half.",
        ),
        (
            lambda f, h, r: (blame(f, h, r)[0], (~r).mean()),
            "Your second share also counts images that went to the wrong half. They are lost "
            "already: blame the expert only where the gate was right.",
        ),
        (
            lambda f, h, r: (blame(f, h, r)[0], (~r[_reaches(f, h)]).mean()),
            "Divide both shares by the number of all images: then their sum is the error.",
        ),
        (
            lambda f, h, r: (blame(f, h, r)[0], (_reaches(f, h) & r).mean()),
            "Your second share counts where the expert is right.",
        ),
        (
            lambda f, h, r: tuple(len(h) * share for share in blame(f, h, r)),
            "Those are counts: divide by the number of all images.",
        ),
        (lambda f, h, r: tuple(100 * share for share in blame(f, h, r)), "Those are per cent."),
        (lambda f, h, r: blame(f, h, r)[::-1], "The gate's share comes first."),
        (
            lambda f, h, r: ((1 - f[np.arange(len(h)), h]).mean(), blame(f, h, r)[1]),
            "An image is sent to one half, the more probable one: count those sent wrongly.",
        ),
        (
            lambda f, h, r: (blame(f, h, r)[0], (~_reaches(f, h) & ~r).mean()),
            "Blame the expert where the gate was right, not where it was wrong.",
        ),
    ],
    hints=[
        "Each image is lost at the gate, lost by the expert, or right. The three shares sum to 1.",
        "reaches = first.argmax(axis=1) == halves is true where the right expert is asked.",
        "The first share is the mean of ~reaches. The second: reaches, and not expert_right.",
    ],
)
def blame(first, halves_of, expert_right):
    """Two shares of all images: lost at the gate, lost by the expert.

    first: array (N, 2), probabilities of the halves; halves_of: (N,); expert_right: (N,) of bool.
    """
    reaches = first.argmax(axis=1) == halves_of
    return np.mean(~reaches), np.mean(reaches & ~expert_right)


class Paths(Text):
    """Paths of weights in any order; the weights themselves are as good."""

    def __init__(self):
        super().__init__(several=True)

    def read(self, value, what):
        return super().read(self.give(value) if hasattr(value, "__iter__") else value, what)

    def give(self, value):
        return value if isinstance(value, str) else [getattr(w, "path", w) for w in value]


class _Training:
    """A call that moves some weights; how often it was called, and what it left, it keeps."""

    __name__ = "train"

    def __init__(self, random, model):
        self.model = model
        self.calls = 0
        model.set_weights([random.normal(size=weight.shape) for weight in model.weights])
        weights = random.permutation(len(model.weights))
        self.moving, self.back = weights[: len(weights) // 2], weights[-1]

    def __call__(self):
        self.calls += 1
        self.model.weights[self.back].assign_add(self.model.weights[self.back])
        for change, place in zip(itertools.cycle(_CHANGES), self.moving):
            weight = self.model.weights[place]
            values = keras.ops.convert_to_numpy(weight).copy()
            change(values.reshape(-1)[1:-1])
            weight.assign(values)
        self.model.weights[self.back].assign(self.model.weights[self.back] / 2)
        self.left = self.model.get_weights()


def _swap(values):
    values[:2] = values[1::-1]


def _raise(values):
    values[0] += 1e-4


def _lower(values):
    values[-1] -= 1e-4


# None is seen in a weight's first entry, and none in all of sum, norm and sign.
_CHANGES = (_swap, _raise, _lower)


def _partly_frozen(random):
    """Models of which some weights move: trainable ones, frozen ones, and running statistics."""
    for units in (4, 5):
        frozen = [keras.layers.Dense(units, name="base"), keras.layers.BatchNormalization()]
        frozen[1].name = "norm"
        gate = keras.layers.Dense(6, name="gate")
        model = keras.Sequential([keras.Input((3,)), *frozen, gate], name="model")
        for layer in frozen:
            layer.trainable = False
        yield model, _Training(random, model)


def _moved(model, train, weights="weights", name="path", moved=True):
    watched = getattr(model, weights)
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in watched]
    train()
    return [
        getattr(weight, name)
        for weight, old in zip(watched, before, strict=True)
        if np.array_equal(old, keras.ops.convert_to_numpy(weight)) != moved
    ]


def _without_copies(model, train):
    before = list(model.weights)
    train()
    return [w.path for w, old in zip(model.weights, before, strict=True) if w is not old]


def _all_of(model, train, weights="weights"):
    train()
    return [weight.path for weight in getattr(model, weights)]


def _trains_once(moved_weights, random):
    for model, train in _partly_frozen(random):
        moved_weights(model, train)
        if train.calls != 1:
            raise WrongAnswer(f"Call train() once; you call it {train.calls} times.")
        if not all(map(np.array_equal, model.get_weights(), train.left)):
            raise WrongAnswer("Leave the model as train() leaves it: you change its weights again.")


@exercise(
    marks=3,
    cases=_partly_frozen,
    returns=Paths(),
    mistakes=[
        (
            _without_copies,
            "You find no weight that moved, though some did. Before the training, keep *copies*: "
            "model.weights itself holds the variables, which move along. And compare every entry.",
        ),
        (
            lambda m, t: _moved(m, t, weights="trainable_weights"),
            "You look at the trainable weights alone. A frozen network can also move by its "
            "statistics (batch normalisation): compare all of model.weights.",
        ),
        (
            lambda m, t: _moved(m, t, weights="non_trainable_weights"),
            "You look at the frozen weights alone: compare all of model.weights.",
        ),
        (lambda m, t: _moved(m, t, moved=False), "Those are the weights that stayed the same."),
        (
            lambda m, t: _all_of(m, t, "trainable_weights"),
            "Those are the weights that may train. Which ones did move?",
        ),
        (_all_of, "You return all weights: compare each with what it was before."),
        (
            lambda m, t: _moved(m, t, name="name"),
            "Use each weight's path: there is a kernel in every layer, and the name alone does "
            "not say whose it is.",
        ),
    ],
    properties=[_trains_once],
    hints=[
        "Look before, train, look after, compare.",
        "model.get_weights() gives copies, as arrays, in the order of model.weights.",
        "Return [w.path for w, old, new in zip(model.weights, before, after) if they differ], with "
        "np.array_equal for the comparison.",
    ],
)
def moved_weights(model, train):
    """The paths of those of model.weights that a call of train() changes: a list of str."""
    before = model.get_weights()
    train()
    changes = zip(model.weights, before, model.get_weights(), strict=True)
    return [weight.path for weight, old, new in changes if not np.array_equal(old, new)]


def _two_levels(random):
    """First gate (B, 2), second level (B, C, 2) for each half, base and experts (B, C)."""
    for low, high in ((3, 4), (3, 8), (11, 13)):
        images, classes = sizes(random, 2, low, high)
        weights = [probabilities(random, images, classes, 2) for _ in range(2)]
        experts = [probabilities(random, images, classes) for _ in range(2)]
        first = probabilities(random, images, 2)
        base = probabilities(random, images, classes)
        first[0] = 0, 1  # a gate that is sure, and a class of which all are
        for said in (base, *experts):
            said[1] = np.eye(classes)[1]
        yield first, weights, base, experts


def _mixed(first, weights, base, experts):
    inner = [w[..., 0] * base + w[..., 1] * e for w, e in zip(weights, experts, strict=True)]
    return first[:, :1] * inner[0] + first[:, 1:] * inner[1]


@exercise(
    marks=3,
    cases=_two_levels,
    mistakes=[
        (
            lambda f, w, b, e: _mixed(f[:, ::-1], w, b, e),
            "The halves are exchanged: column 0 of the first gate belongs to weights[0] and "
            "of_experts[0].",
        ),
        (
            lambda f, w, b, e: _mixed(f, [v[..., ::-1] for v in w], b, e),
            "Base and expert are exchanged: the last axis of the weights is (base, expert).",
        ),
        (
            lambda f, w, b, e: _mixed(np.ones_like(f), w, b, e),
            "The first gate is not used: each half's answer is times its weight.",
        ),
        (
            lambda f, w, b, e: _mixed(np.full_like(f, 0.5), w, b, e),
            "That is the plain mean of the two halves: use the first gate.",
        ),
        (
            lambda f, w, b, e: _mixed(np.eye(2)[f.argmax(axis=1)], w, b, e),
            "You take the more probable half alone. Sum both, each times its probability.",
        ),
        (
            lambda f, w, b, e: f[:, :1] * e[0] + f[:, 1:] * e[1],
            "The second level is missing: within each half, weigh base and expert.",
        ),
        (
            lambda f, w, b, e: _mixed(f, [np.full_like(v, 0.5) for v in w], b, e),
            "Within each half you take the plain mean of base and expert: use the weights.",
        ),
        (
            lambda f, w, b, e: _mixed(f, w, 0 * b, e),
            "The base is missing: within each half it has the first of the two weights.",
        ),
        (
            lambda f, w, b, e: _mixed(f, w, b, e) / _mixed(f, w, b, e).sum(axis=1, keepdims=True),
            "Leave the sum as it is: divide by nothing.",
        ),
    ],
    hints=[
        "From the inside out: first each half's answer (B, C), then the sum of both halves.",
        "weights[g][..., 0] * base + weights[g][..., 1] * of_experts[g] is what half g says.",
        "Each half's answer is times its column of first, first[:, g, None], of shape (B, 1).",
    ],
)
def hierarchy(first, weights, base, of_experts):
    """The mixture (B, C), by hand.

    first: (B, 2); weights: for each half (B, C, 2); base: (B, C); of_experts: for each half (B, C).
    """
    total = 0
    for g, expert in enumerate(of_experts):
        within = weights[g][..., 0] * base + weights[g][..., 1] * expert
        total = total + first[:, g, None] * within
    return total


def _confusions(random):
    """Counts (true, predicted), and a group of classes that need not be neighbors."""
    for classes in (3, 5, 10, 12):
        counts = random.integers(0, 40, (classes, classes)) + np.diag([400] * classes)
        group = random.choice(classes, random.integers(1, classes), replace=False)
        yield counts, tuple(np.sort(group).tolist())


def _inside(counts, group):
    return np.isin(np.arange(len(counts)), group)


def _out_of(counts, group):
    inside = _inside(counts, group)
    return counts[inside][:, ~inside].sum()


def _errors(counts):
    return counts.sum() - np.trace(counts)


@exercise(
    marks=2,
    cases=_confusions,
    returns=Number(),
    mistakes=[
        *(
            (
                lambda c, g, turn=turn: _out_of(turn(c), g),
                "You count one way alone. An error crosses when a member is taken for another, and "
                "when another is taken for a member.",
            )
            for turn in (np.asarray, np.transpose)
        ),
        (
            lambda c, g: _errors(c) - errors_across(c, g),
            "Those are the errors within the two groups, not across.",
        ),
        (
            lambda c, g: _errors(c),
            "Those are all errors: count those that cross from group to group.",
        ),
        (
            lambda c, g: errors_across(c, g) / c.sum(),
            "That is a share. Return the number of errors.",
        ),
        (
            lambda c, g: errors_across(c, g) / max(1, _errors(c)),
            "That is a share of the errors. Return their number.",
        ),
        (
            lambda c, g: c[list(g)].sum() + c[:, list(g)].sum(),
            "You count the diagonal, or part of it: what stands there is right.",
        ),
        (
            lambda c, g: c[list(g)].sum(),
            "You count all images of the group, the right ones with them.",
        ),
        (
            lambda c, g: (
                (c[_inside(c, g)][:, ~_inside(c, g)] > 0).sum()
                + (c[~_inside(c, g)][:, _inside(c, g)] > 0).sum()
            ),
            "You count the kinds of errors: sum how often each occurs.",
        ),
    ],
    hints=[
        "An error lies in row i (the true class) and column j (what was said). When does it cross?",
        "inside = np.isin(range(len(counts)), group) is true for the members of the group.",
        "counts[inside][:, ~inside] are members taken for others. And the other way round?",
    ],
)
def errors_across(counts, group):
    """How many images of the group are taken for others, and of others for the group: a number."""
    inside = np.isin(np.arange(len(counts)), group)
    return counts[inside][:, ~inside].sum() + counts[~inside][:, inside].sum()
