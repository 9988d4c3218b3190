"""The exercises of lab 02, the hierarchical gate."""

import numpy as np
from keras import ops

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer

# Two images of 3 x 4 pixels and 3 channels, and a stand-in for a network whose answer depends on
# every pixel's place. No two sizes but the channels' are equal, so that no wrong axis goes unseen.
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3)).astype("uint8")
PLACES = np.random.default_rng(1).normal(size=(3, 4, 3, 5)) / 200


def _ask(images):
    """Probabilities (B, 5) of images (B, 3, 4, 3)."""
    return _softmax(np.tensordot(np.asarray(images, "float64"), PLACES, axes=3), axis=-1)


def _verify_two_views(two_views):
    answer = to_numpy(two_views(_ask, IMAGES.copy()))
    mirrored = IMAGES[:, :, ::-1]
    here, there = _ask(IMAGES), _ask(mirrored)
    if answer.shape == (4, 5):
        raise WrongAnswer("You put both views' answers one below the other: take their mean.")
    require_shape(answer, (2, 5), "two_views(ask, images (2, 3, 4, 3)) for 5 classes")
    if _same(answer, here + there):
        raise WrongAnswer("Your rows sum to 2: take the mean of the two views, not their sum.")
    if _same(answer, here):
        raise WrongAnswer("You ask about the images alone: ask about their mirror images as well.")
    if _same(answer, there):
        raise WrongAnswer("You ask about the mirror images alone: ask about the images as well.")
    if _same(
        answer, *((here + _ask(IMAGES[:, ::-1])) / 2, (here + _ask(IMAGES[:, ::-1, ::-1])) / 2)
    ):
        raise WrongAnswer(
            "You turn the images upside down. The axes are (B, height, width, channels): a mirror "
            "swaps left and right, along the width."
        )
    if _same(answer, (here + _ask(IMAGES[..., ::-1])) / 2):
        raise WrongAnswer("You swap red and blue: the mirror runs along the width, axis 2.")
    if _same(answer, (here + _ask(IMAGES[::-1])) / 2):
        raise WrongAnswer("You reverse the order of the images: mirror each one, along axis 2.")
    if _same(answer, _ask(IMAGES / 2.0 + mirrored / 2.0)):
        raise WrongAnswer(
            "You lay the two views on top of each other and ask once. Ask about each, then take "
            "the mean of the answers."
        )
    if _same(answer, np.maximum(here, there), np.sqrt(here * there)):
        raise WrongAnswer("Combine the two answers by their mean: half of each.")
    if not _same(answer, (here + there) / 2):
        raise WrongAnswer(
            f"For one class the image gives {here[0, 0]:.3f} and its mirror {there[0, 0]:.3f}: the "
            f"mean is {(here + there)[0, 0] / 2:.3f}; yours is {answer[0, 0]:.3g}."
        )


def _verify_group_weights(group_weights):
    said = np.array(
        [[0.1, 0.2, 0.3, 0.15, 0.25], [0.5, 0.1, 0.1, 0.2, 0.1], [0.0, 0.6, 0.05, 0.05, 0.3]]
    )
    groups = ((1, 4), (0, 2, 3))
    answer = to_numpy(group_weights(said.astype("float32"), groups))
    right = np.array([[0.45, 0.55], [0.2, 0.8], [0.9, 0.1]])
    if _same(answer, right.T):
        raise WrongAnswer("The weights are right, but images come first: (B, groups).")
    if answer.shape == (3,):
        raise WrongAnswer(
            "One number an image is not enough: a weight for each group, (B, groups)."
        )
    require_shape(answer, (3, 2), "group_weights(probabilities (3, 5), two groups)")
    means = np.stack([said[:, list(group)].mean(axis=1) for group in groups], axis=1)
    if _same(answer, right[:, ::-1]):
        raise WrongAnswer(
            "Your columns are swapped: the first group's weight belongs in column 0. A gate with "
            "the wrong polarity sends every image to the wrong expert."
        )
    if _same(answer, means, means / means.sum(axis=1, keepdims=True)):
        raise WrongAnswer(
            "You take means over each group. The probability of a group is the sum over its "
            "classes: a mean favours the smaller group."
        )
    if _same(answer, np.stack([said[:, list(group)].max(axis=1) for group in groups], axis=1)):
        raise WrongAnswer("You take each group's largest class: sum over all its classes.")
    if _same(answer, np.stack([said[:, :2].sum(axis=1), said[:, 2:].sum(axis=1)], axis=1)):
        raise WrongAnswer(
            "You cut the columns in the order they stand in. The classes of a group need not be "
            "neighbours: take the columns that the group names."
        )
    if _same(answer, np.stack([said[:, group[0]] for group in groups], axis=1)):
        raise WrongAnswer("You take the first class of each group alone: sum over all its classes.")
    if not _same(answer, right):
        raise WrongAnswer(
            "The first image's classes 1 and 4 have 0.2 and 0.25, so the group (1, 4) weighs 0.45; "
            f"yours is {answer[0, 0]:.3g}."
        )


def _verify_second_level(second_level):
    powers = np.array([[[1, 1], [3, 1], [1, 4]], [[2, 3], [9, 1], [1, 1]]], "float64")  # (B, C, E)
    logits = np.log(powers).astype("float32")
    answer = to_numpy(second_level(logits))
    require_shape(answer, (2, 3, 2), "second_level(logits (2, 3, 2))")
    if _same(answer, powers / powers.sum(axis=(1, 2), keepdims=True)):
        raise WrongAnswer(
            "You took one softmax over classes and experts together: a class's weights must sum "
            f"to 1 over its experts; those of class 0 sum to {answer[0, 0].sum():.2f}."
        )
    if _same(answer, _softmax(logits, axis=1)):
        raise WrongAnswer(
            "Your softmax runs over the classes. Classes must not compete: for each class, over "
            "the experts."
        )
    if _same(answer, powers / (1 + powers)):
        raise WrongAnswer(
            "A sigmoid weighs each expert by itself: a class's weights need a sum of 1 over the "
            "experts. Take the softmax."
        )
    if _same(answer, powers):
        raise WrongAnswer("Those are powers without their division: take the softmax.")
    if _same(answer, (powers == powers.max(axis=-1, keepdims=True)).astype(float)):
        raise WrongAnswer("That is a hard choice, without a gradient: take the softmax.")
    right = powers / powers.sum(axis=-1, keepdims=True)
    if _same(answer, right[..., ::-1]):
        raise WrongAnswer("The experts have changed places: the larger logit has more weight.")
    if not _same(answer, right):
        raise WrongAnswer(
            "The powers of class 1 are 3 and 1 in the first image, so its weights are 0.75 and "
            f"0.25; yours are {answer[0, 1, 0]:.3g} and {answer[0, 1, 1]:.3g}."
        )


def _verify_hierarchical_sum(hierarchical_sum):
    first = np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])  # (B, G)
    random = np.random.default_rng(2)
    second = _softmax(random.normal(size=(3, 2, 4, 2)), axis=-1)  # (B, G, C, E)
    second[0, :, 0] = [[0.5, 0.5], [1.0, 0.0]]
    said = _softmax(random.normal(size=(3, 2, 4, 2)), axis=2)  # (B, G, C, E)
    said[0, :, 0] = [[0.5, 0.25], [0.5, 0.0]]
    answer = to_numpy(
        hierarchical_sum(*(array.astype("float32") for array in (first, second, said)))
    )
    inner = (second * said).sum(axis=-1)  # (B, G, C)
    right = (first[:, :, None] * inner).sum(axis=1)
    if _same(answer, inner, first[:, :, None] * inner):
        raise WrongAnswer("You have a result for each group: sum over the groups as well.")
    require_shape(answer, (3, 4), "hierarchical_sum(first (3, 2), second (3, 2, 4, 2), said)")
    if _same(answer, inner.sum(axis=1), inner.mean(axis=1)):
        raise WrongAnswer("The first gate is not used: weigh each group's mixture by it.")
    if _same(
        answer, *((first[:, :, None] * f(said, axis=-1)).sum(axis=1) for f in (np.sum, np.mean))
    ):
        raise WrongAnswer(
            "The second-level weights are not used: weigh each expert, class by class."
        )
    if _same(answer, inner[range(3), first.argmax(axis=1)]):
        raise WrongAnswer(
            "You take the heaviest group alone: that is a hard gate. Sum over both groups."
        )
    if _same(answer, (first[:, ::-1, None] * inner).sum(axis=1)):
        raise WrongAnswer("The groups have changed places: column g of `first` weighs group g.")
    if _same(answer, (first[:, :, None] * (second[..., ::-1] * said).sum(axis=-1)).sum(axis=1)):
        raise WrongAnswer("The experts have changed places: weight e belongs to expert e.")
    if _same(answer, right / right.sum(axis=1, keepdims=True)):
        raise WrongAnswer("Leave the sum as it is: divide by nothing.")
    if not _same(answer, right):
        raise WrongAnswer(
            "Class 0 of the first image: group 0 mixes 0.5 * 0.5 + 0.5 * 0.25 = 0.375, group 1 "
            "says 1 * 0.5 = 0.5; 0.75 * 0.375 + 0.25 * 0.5 = 0.406. Yours is "
            f"{answer[0, 0]:.3g}."
        )


def _verify_hard_gate(hard_gate):
    first = np.array([[0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.05, 0.9, 0.05], [0.4, 0.35, 0.25]])
    answer = to_numpy(hard_gate(first.astype("float32")))
    right = np.eye(3)[first.argmax(axis=1)]
    if answer.shape == (4,):
        raise WrongAnswer(
            "That is the number of the group: make it a row of weights, 1 for this group and 0 for "
            "the others."
        )
    require_shape(answer, (4, 3), "hard_gate(first (4, 3))")
    if _same(answer, (first > 0.5).astype(float), (first >= 0.5).astype(float)):
        raise WrongAnswer(
            "Where no weight is above a half, none or too few of your groups are chosen: 0.3, 0.3, "
            "0.4 is a choice as well. Take the largest."
        )
    if _same(answer, right * first):
        raise WrongAnswer(
            "The chosen group keeps its soft weight: it must get 1, so that each row sums to 1."
        )
    if _same(answer, np.eye(3)[first.argmin(axis=1)]):
        raise WrongAnswer("You choose the lightest group: choose the heaviest.")
    if _same(answer, 1 - right):
        raise WrongAnswer("You give 1 to all groups but the heaviest: the other way round.")
    if not _same(answer, right):
        raise WrongAnswer(
            "The weights 0.5, 0.3, 0.2 become 1, 0, 0; yours are "
            f"{', '.join(f'{w:.3g}' for w in answer[0])}."
        )


def _verify_repaired_and_broken(repaired_and_broken):
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    before = np.array([0, 2, 2, 0, 1, 1, 3, 3])  # right: 0, 2, 5, 7
    after = np.array([0, 1, 0, 1, 0, 1, 2, 3])  # right: 0, 1, 4, 5, 6, 7
    answer = repaired_and_broken(before.copy(), after.copy(), labels.copy())
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise WrongAnswer("Return two arrays: those repaired, those broken.")
    sets = []
    for which in answer:
        values = np.asarray(which[0] if isinstance(which, tuple) and len(which) == 1 else which)
        if values.dtype == bool:
            raise WrongAnswer(
                "You return True and False for all images: np.flatnonzero tells which are True."
            )
        if values.ndim != 1:
            raise WrongAnswer("Return the numbers of the images, not how many they are.")
        sets.append(sorted(values.tolist()))
    repaired, broken = [1, 4, 6], [2]
    if sets == [broken, repaired]:
        raise WrongAnswer("Right sets, but swapped: those repaired first.")
    if sets[0] == [0, 1, 4, 5, 6, 7]:
        raise WrongAnswer(
            "Your first set holds all that is right afterwards. Repaired is what was wrong before."
        )
    if sets[1] == [2, 3]:
        raise WrongAnswer(
            "Your second set holds all that is wrong afterwards. Broken is what was right before."
        )
    if {1, 2, 3, 4, 6} in (set(sets[0]), set(sets[1])):
        raise WrongAnswer(
            "You take all images with another answer: one wrong answer in place of another repairs "
            "nothing. Compare with the labels."
        )
    if sets != [repaired, broken]:
        raise WrongAnswer(
            "With labels 0 1 2 3 0 1 2 3, before 0 2 2 0 1 1 3 3 and after 0 1 0 1 0 1 2 3, the "
            f"images 1, 4, 6 are repaired and 2 is broken; yours: {sets[0]} and {sets[1]}."
        )


def _same(answer, *others):
    """Whether an answer is one of these arrays."""
    return any(
        answer.shape == np.shape(other) and np.allclose(answer, other, atol=TOLERANCE)
        for other in others
    )


def _softmax(values, axis):
    powers = np.exp(values.astype("float64"))
    return powers / powers.sum(axis=axis, keepdims=True)


def _reference_two_views(ask, images):
    return (ask(images) + ask(images[:, :, ::-1])) / 2


def _reference_group_weights(probabilities, groups):
    return np.stack([probabilities[:, list(group)].sum(axis=1) for group in groups], axis=1)


def _reference_second_level(logits):
    return ops.softmax(logits, axis=-1)


def _reference_hierarchical_sum(first, second, said):
    return np.einsum("bg,bgce,bgce->bc", first, second, said)


def _reference_hard_gate(first):
    return np.eye(first.shape[1])[first.argmax(axis=1)]


def _reference_repaired_and_broken(before, after, labels):
    was_right, is_right = before == labels, after == labels
    return np.flatnonzero(~was_right & is_right), np.flatnonzero(was_right & ~is_right)


two_views = Exercise(
    "two_views",
    _verify_two_views,
    reference=lambda: _reference_two_views,
    hints=[
        "Ask twice: about the images, and about their mirror images. Then take the mean.",
        "The axes are (B, height, width, channels). Width is axis 2, and [::-1] reverses an axis.",
        "The mirror images are images[:, :, ::-1].",
    ],
    marks=2,
)
group_weights = Exercise(
    "group_weights",
    _verify_group_weights,
    reference=lambda: _reference_group_weights,
    hints=[
        "An image is natural if it is a bird or a cat or a deer ...: what happens to the "
        "probabilities of events that exclude each other?",
        "probabilities[:, list(group)] are the columns of one group. Sum them, for each group.",
        "np.stack([... for group in groups], axis=1) makes columns of them.",
    ],
    marks=2,
)
second_level = Exercise(
    "second_level",
    _verify_second_level,
    reference=lambda: _reference_second_level,
    hints=[
        "Fix a class. Over what must its weights sum to 1?",
        "The axes are (B, C, E): images, classes, experts. The experts are the last one.",
        "ops.softmax(logits, axis=...)",
    ],
    marks=2,
)
hierarchical_sum = Exercise(
    "hierarchical_sum",
    _verify_hierarchical_sum,
    reference=lambda: _reference_hierarchical_sum,
    hints=[
        "Two sums, one in the other: over the experts of a group, then over the groups.",
        "np.einsum names the axes: first is bg, second and said are bgce, the result is bc.",
        'np.einsum("bg,bgce,bgce->...", first, second, said)',
    ],
    marks=3,
)
hard_gate = Exercise(
    "hard_gate",
    _verify_hard_gate,
    reference=lambda: _reference_hard_gate,
    hints=[
        "Find the heaviest group of each image, then write a row with one 1 in it.",
        "first.argmax(axis=1) are the groups' numbers.",
        "The rows of the identity matrix np.eye(n) are such rows: pick them by number.",
    ],
    marks=2,
)
repaired_and_broken = Exercise(
    "repaired_and_broken",
    _verify_repaired_and_broken,
    reference=lambda: _reference_repaired_and_broken,
    hints=[
        "Who was right before, and who is right afterwards? Two arrays of True and False.",
        "Repaired: not right before and right afterwards. `~` is not, `&` is and.",
        "np.flatnonzero turns True and False into the numbers of those that are True.",
    ],
    marks=3,
)
