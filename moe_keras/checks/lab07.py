"""The exercises of lab 07, digits in two halves."""

import keras
import numpy as np
from keras import ops

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer


def _same(answer, other):
    return answer.shape == np.shape(other) and np.allclose(answer, other, atol=TOLERANCE)


def _pair(answer, names):
    """The two parts of an answer as arrays; a clear message if it is not a pair."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise WrongAnswer(f"Return two things: {names}.")
    return [to_numpy(part) for part in answer]


def _verify_own(own):
    labels = np.array([4, 1, 0, 7, 4, 9, 7])
    images = np.arange(7, dtype="uint8").reshape(7, 1, 1, 1)  # image i shows the number i
    for class_ids, kept, right in (
        ((1, 4, 7), [0, 1, 3, 4, 6], [1, 0, 2, 1, 2]),
        ((7, 9), [3, 5, 6], [0, 1, 0]),
    ):
        chosen, renumbered = _pair(own(images, labels, class_ids), "the images and their labels")
        about = f"With labels {labels.tolist()} and class_ids {class_ids}"
        if len(chosen) != len(kept) or not np.array_equal(chosen.ravel(), kept):
            raise WrongAnswer(
                f"{about}, the images to keep are numbers {kept}; yours are "
                f"{chosen.ravel().astype(int).tolist()}."
            )
        require_shape(chosen, (len(kept), 1, 1, 1), "the images")
        require_shape(renumbered, (len(kept),), "one label for each image that is kept")
        if np.array_equal(renumbered, labels[kept]):
            raise WrongAnswer(
                "The labels are still those of all digits. The expert numbers its classes from 0: "
                f"class {class_ids[0]} becomes 0, class {class_ids[1]} becomes 1."
            )
        if np.array_equal(renumbered, labels[kept] - class_ids[0]):
            raise WrongAnswer(
                f"Taking {class_ids[0]} away is right only where classes follow each other without "
                f"a gap. {about}, class {class_ids[-1]} must become {len(class_ids) - 1}."
            )
        if not np.array_equal(renumbered, right):
            raise WrongAnswer(
                f"{about}, the labels must become {right}; yours are "
                f"{renumbered.astype(int).tolist()}."
            )


def _verify_group_probabilities(group_probabilities):
    said = np.array([[0.1, 0.2, 0.3, 0.25, 0.05, 0.1], [0.0, 0.6, 0.0, 0.1, 0.3, 0.0]], "float32")
    groups = [(0, 3), (1,), (2, 4, 5)]
    sums = np.stack([said[:, list(ids)].sum(axis=1) for ids in groups], axis=1)
    answer = to_numpy(group_probabilities(said, groups))
    if answer.shape == (3, 2) and _same(answer.T, sums):
        raise WrongAnswer("The sums are right, but images come first: (B, number of groups).")
    require_shape(answer, (2, 3), "group_probabilities(said (2, 6), 3 groups)")
    if _same(answer, np.stack([said[:, list(ids)].mean(axis=1) for ids in groups], axis=1)):
        raise WrongAnswer(
            "You take the mean over a group's classes. A probability of one class *or* another is "
            "the sum."
        )
    if _same(answer, np.stack([said[:, list(ids)].max(axis=1) for ids in groups], axis=1)):
        raise WrongAnswer(
            "You take a group's most probable class alone. A probability of one class *or* "
            "another is the sum."
        )
    if _same(answer, np.eye(3)[sums.argmax(axis=1)]):
        raise WrongAnswer("You choose a group. Give the probability of each, and choose later.")
    if _same(answer, np.stack([said[:, :2].sum(1), said[:, 2:4].sum(1), said[:, 4:].sum(1)], 1)):
        raise WrongAnswer("You cut the classes into equal parts: use the ids in groups.")
    if not _same(answer, sums):
        raise WrongAnswer(
            "The first image's probabilities of classes 0 and 3 are 0.1 and 0.25, so group (0, 3) "
            f"has 0.35; yours is {answer[0, 0]:.3g}."
        )


def _verify_blame(blame):
    # Of ten images the gate sends three to the wrong half; where it is right, one expert errs, and
    # of the three that are lost already the own expert would have erred on two.
    halves = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    sent = np.array([0, 0, 1, 0, 1, 1, 0, 0, 1, 1])
    first = np.where(np.eye(2)[sent] > 0, 0.8, 0.2)
    right = np.array([1, 1, 0, 0, 1, 1, 0, 1, 1, 1], bool)
    gate, expert = (float(part) for part in _pair(blame(first, halves, right), "two shares"))
    if (gate, expert) == (3, 1):
        raise WrongAnswer("Those are counts: divide by the number of all images.")
    if abs(gate - 0.7) < TOLERANCE:
        raise WrongAnswer("Your first share is that of the images sent to the *right* half.")
    if abs(gate - 0.3) > TOLERANCE:
        raise WrongAnswer(
            "The gate sends 3 of 10 images to the wrong half: its share is 0.3; yours is "
            f"{gate:.3g}. The half it sends an image to is the larger of its two probabilities."
        )
    if abs(expert - 0.3) < TOLERANCE:
        raise WrongAnswer(
            "Your second share also counts images that went to the wrong half. They are lost "
            "already: blame the expert only where the gate was right."
        )
    if abs(expert - 1 / 7) < TOLERANCE:
        raise WrongAnswer(
            "Divide both shares by the number of all images: then their sum is the error."
        )
    if abs(expert - 0.6) < TOLERANCE:
        raise WrongAnswer("Your second share counts where the expert is right.")
    if abs(expert - 0.1) > TOLERANCE:
        raise WrongAnswer(
            "Of the 7 images in the right half, the expert errs on one: its share is 0.1 of all "
            f"ten; yours is {expert:.3g}."
        )


def _verify_hierarchy(hierarchy):
    first = np.array([[0.75, 0.25], [0.2, 0.8]], "float32")
    base = np.array([[0.4, 0.2, 0.4], [0.1, 0.8, 0.1]], "float32")
    experts = [
        np.array([[0.9, 0.1, 0.0], [0.3, 0.7, 0.0]], "float32"),
        np.array([[0.0, 0.0, 1.0], [0.0, 0.5, 0.5]], "float32"),
    ]
    own = [  # the weight of each class's expert, (B, C); the base has the rest
        np.array([[0.5, 0.25, 0.1], [0.6, 0.7, 0.2]], "float32"),
        np.array([[0.2, 0.4, 0.8], [0.9, 0.25, 0.5]], "float32"),
    ]
    weights = [np.stack([1 - w, w], axis=-1) for w in own]  # (B, C, 2): base, expert

    def mixed(first, weights):
        inner = [w[..., 0] * base + w[..., 1] * e for w, e in zip(weights, experts, strict=True)]
        return sum(first[:, g, None] * inner[g] for g in range(2))

    answer = to_numpy(hierarchy(first, weights, base, experts))
    require_shape(answer, (2, 3), "hierarchy(first (2, 2), two weights (2, 3, 2), base, experts)")
    if _same(answer, mixed(first[:, ::-1], weights)):
        raise WrongAnswer(
            "The halves are exchanged: column 0 of the first gate belongs to weights[0] and "
            "experts[0]."
        )
    if _same(answer, mixed(first, [w[..., ::-1] for w in weights])):
        raise WrongAnswer(
            "Base and expert are exchanged: the last axis of the weights is (base, expert)."
        )
    if _same(answer, mixed(np.ones_like(first), weights)):
        raise WrongAnswer("The first gate is not used: each half's answer is times its weight.")
    if _same(answer, mixed(np.full_like(first, 0.5), weights)):
        raise WrongAnswer("That is the plain mean of the two halves: use the first gate.")
    if _same(answer, mixed(np.eye(2)[first.argmax(axis=1)], weights)):
        raise WrongAnswer(
            "You take the more probable half alone. Sum both, each times its probability."
        )
    if _same(answer, sum(first[:, g, None] * experts[g] for g in range(2))):
        raise WrongAnswer("The second level is missing: within each half, weigh base and expert.")
    if _same(answer, mixed(first, [np.full_like(w, 0.5) for w in weights])):
        raise WrongAnswer(
            "Within each half you take the plain mean of base and expert: use the weights."
        )
    if not _same(answer, mixed(first, weights)):
        raise WrongAnswer(
            "For the first image and class 0, half 0 says 0.5 * 0.4 + 0.5 * 0.9 = 0.65, half 1 "
            "says 0.8 * 0.4 + 0.2 * 0 = 0.32, and together 0.75 * 0.65 + 0.25 * 0.32 = 0.5675; "
            f"yours is {answer[0, 0]:.4g}."
        )


def _verify_moved_weights(moved_weights):
    # The gate trains; the frozen part does not, but one of its statistics moves all the same.
    frozen = [keras.layers.Dense(3, name="frozen"), keras.layers.BatchNormalization(name="norm")]
    gate = keras.layers.Dense(2, name="gate")
    model = keras.Sequential([keras.Input((4,)), *frozen, gate])
    for layer in frozen:
        layer.trainable = False
    statistic = frozen[1].moving_mean
    trained = []

    def train():
        trained.append(True)
        for weight in (gate.kernel, statistic):
            weight.assign(weight + 1)

    answer = moved_weights(model, train)
    if isinstance(answer, str) or not hasattr(answer, "__iter__"):
        raise WrongAnswer(f"Return a list of paths; yours is a {type(answer).__name__}.")
    answer = {getattr(path, "path", path) for path in answer}
    if len(trained) != 1:
        raise WrongAnswer(f"Call train() once; you call it {len(trained)} times.")
    right = {gate.kernel.path, statistic.path}
    if answer == right:
        return
    if not answer:
        raise WrongAnswer(
            "You find no weight that moved, though two did. Before the training, keep *copies*: "
            "model.weights itself holds the variables, which move along."
        )
    if answer == {gate.kernel.path}:
        raise WrongAnswer(
            "You look at the trainable weights alone. A frozen network can also move by its "
            "statistics (batch normalisation): compare all of model.weights."
        )
    if answer == {weight.path for weight in model.weights} - right:
        raise WrongAnswer("Those are the weights that stayed the same.")
    if answer == {weight.path for weight in model.trainable_weights}:
        raise WrongAnswer("Those are the weights that may train. Which ones did move?")
    if answer == {weight.path for weight in model.weights}:
        raise WrongAnswer("You return all weights: compare each with what it was before.")
    if answer == {"kernel", "moving_mean"}:
        raise WrongAnswer(
            "Use each weight's path: there is a kernel in every layer, and the name alone does "
            "not say whose it is."
        )
    raise WrongAnswer(f"Expected the paths {sorted(right)}; yours are {sorted(map(str, answer))}.")


def _verify_errors_across(errors_across):
    counts = np.array([[90, 1, 2, 4], [8, 80, 16, 32], [64, 3, 70, 5], [6, 7, 9, 60]])
    for group, others in (((0, 2), (1, 3)), ((1,), (0, 2, 3))):
        answer = float(to_numpy(errors_across(counts, group)))
        out = counts[np.ix_(group, others)].sum()
        back = counts[np.ix_(others, group)].sum()
        if answer in (out, back):
            raise WrongAnswer(
                "You count one way alone. An error crosses when a member is taken for another, and "
                "when another is taken for a member."
            )
        wrong = counts.sum() - np.trace(counts)
        if answer == wrong - out - back:
            raise WrongAnswer("Those are the errors within the two groups, not across.")
        if answer == wrong:
            raise WrongAnswer("Those are all errors: count those that cross from group to group.")
        if answer == (out + back) / counts.sum():
            raise WrongAnswer("That is a share. Return the number of errors.")
        if answer >= counts[group, group].sum():
            raise WrongAnswer("You count the diagonal, or part of it: what stands there is right.")
        if answer != out + back:
            raise WrongAnswer(
                f"With group {group}, members are taken for others {out} times and others for "
                f"members {back} times: {out + back} errors cross; yours is {answer:.4g}."
            )


def _reference_own(images, labels, class_ids):
    keep = np.isin(labels, class_ids)
    return images[keep], np.searchsorted(class_ids, labels[keep])


def _reference_group_probabilities(said, groups):
    return ops.stack([sum(said[:, c] for c in ids) for ids in groups], axis=-1)


def _reference_blame(first, halves, expert_right):
    reaches = first.argmax(axis=1) == halves
    return (~reaches).mean(), (reaches & ~expert_right).mean()


def _reference_hierarchy(first, weights, base, experts):
    return sum(
        first[:, g, None] * (weights[g][..., 0] * base + weights[g][..., 1] * expert)
        for g, expert in enumerate(experts)
    )


def _reference_moved_weights(model, train):
    before = model.get_weights()
    train()
    changes = zip(model.weights, before, model.get_weights(), strict=True)
    return [weight.path for weight, old, new in changes if not np.array_equal(old, new)]


def _reference_errors_across(counts, group):
    inside = np.isin(range(len(counts)), group)
    return counts[inside[:, None] != inside[None, :]].sum()


own = Exercise(
    "own",
    _verify_own,
    reference=lambda: _reference_own,
    hints=[
        "Two steps: which images to keep, and what their labels are called among the class_ids.",
        "np.isin(labels, class_ids) is true where a label is one of the ids.",
        "np.searchsorted(class_ids, labels[keep]) gives each label's place in class_ids.",
    ],
    marks=2,
)
group_probabilities = Exercise(
    "group_probabilities",
    _verify_group_probabilities,
    reference=lambda: _reference_group_probabilities,
    hints=[
        "How probable is it that a digit is a 0 or a 1 or a 2, given the probability of each?",
        "said[:, list(ids)] are the columns of a group: (B, number of its classes).",
        "Sum each group's columns over axis 1, then np.stack(..., axis=1).",
    ],
    marks=2,
)
blame = Exercise(
    "blame",
    _verify_blame,
    reference=lambda: _reference_blame,
    hints=[
        "Each image is lost at the gate, lost by the expert, or right. The three shares sum to 1.",
        "reaches = first.argmax(axis=1) == halves is true where the right expert is asked.",
        "The first share is the mean of ~reaches. The second: reaches, and not expert_right.",
    ],
    marks=2,
)
moved_weights = Exercise(
    "moved_weights",
    _verify_moved_weights,
    reference=lambda: _reference_moved_weights,
    hints=[
        "Look before, train, look after, compare.",
        "model.get_weights() gives copies, as arrays, in the order of model.weights.",
        "Return [w.path for w, old, new in zip(model.weights, before, after) if they differ], with "
        "np.array_equal for the comparison.",
    ],
    marks=3,
)
hierarchy = Exercise(
    "hierarchy",
    _verify_hierarchy,
    reference=lambda: _reference_hierarchy,
    hints=[
        "From the inside out: first each half's answer (B, C), then the sum of both halves.",
        "weights[g][..., 0] * base + weights[g][..., 1] * experts[g] is what half g says.",
        "Each half's answer is times its column of first, first[:, g, None], of shape (B, 1).",
    ],
    marks=3,
)
errors_across = Exercise(
    "errors_across",
    _verify_errors_across,
    reference=lambda: _reference_errors_across,
    hints=[
        "An error lies in row i (the true class) and column j (what was said). When does it cross?",
        "inside = np.isin(range(len(counts)), group) is true for the members of the group.",
        "counts[inside][:, ~inside] are members taken for others. And the other way round?",
    ],
    marks=2,
)
