"""The exercises of lab 09, trees on Spark."""

import struct

import numpy as np
from keras import ops

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer


def _same(answer, other):
    return answer.shape == np.shape(other) and np.allclose(answer, other, atol=TOLERANCE)


def _verify_read_header(read_header):
    # Sizes above 255 need more than one byte, and a header may be followed by any bytes at all.
    for kind, shape in ((8, (300, 28, 27)), (8, (70_000,)), (13, (2, 3, 4, 5))):
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape)
        answer = read_header(header + bytes(range(40)))
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise WrongAnswer("Return two things: the code of the kind of values, and the shape.")
        code, sizes = answer
        about = f"For a header that begins {header[:8].hex(' ')}"
        if not hasattr(sizes, "__len__"):
            raise WrongAnswer(f"The shape must be a tuple; yours is a {type(sizes).__name__}.")
        sizes = tuple(int(size) for size in sizes)
        if sizes == struct.unpack_from(f"<{len(shape)}I", header, 4):
            raise WrongAnswer(
                f"Your sizes are {sizes}: the bytes are read in the wrong order. IDX writes the "
                'largest part first: int.from_bytes(..., "big").'
            )
        if sizes == tuple(header[4 : 4 + len(shape)]):
            raise WrongAnswer("Each size takes four bytes; you read one byte for each.")
        if sizes and sizes == struct.unpack_from(f">{len(sizes)}I", header + bytes(40)):
            raise WrongAnswer("You begin at byte 0. The sizes begin at byte 4, after the magic.")
        if len(sizes) != len(shape):
            raise WrongAnswer(
                f"{about}, byte 3 says {len(shape)} dimensions; your shape has {len(sizes)}."
            )
        if code == len(shape) and code != kind:
            raise WrongAnswer("Your code is the number of dimensions: the kind is in byte 2.")
        if sizes != shape:
            raise WrongAnswer(f"{about}, the shape is {shape}; yours is {sizes}.")
        if code != kind:
            raise WrongAnswer(f"{about}, the kind of values is {kind}; yours is {code}.")


def _verify_standardise(standardise):
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (50, 4)).astype("uint8")
    train[:, 2] = 7  # a pixel that is the same in all training images
    new = rng.integers(100, 256, (20, 4)).astype("uint8")
    new[:, 2] = 9
    answer = to_numpy(standardise(train, new))
    require_shape(answer, new.shape, "standardise(train (50, 4), images (20, 4))")
    live = [0, 1, 3]
    own, seen = new[:, live], train[:, live]
    mean, spread = seen.mean(axis=0), seen.std(axis=0)

    def is_(other_mean, other_spread):
        return _same(answer[:, live], (own - other_mean) / other_spread)

    if is_(own.mean(axis=0), own.std(axis=0)):
        raise WrongAnswer(
            "You use the mean and the spread of the images themselves. Use those of `train` for "
            "all images: each new one must be measured with the same ruler."
        )
    if is_(train.mean(), train.std()):
        raise WrongAnswer("You use one mean for all pixels: each pixel has its own (axis=0).")
    if is_(mean, spread**2):
        raise WrongAnswer("You divide by the variance. Divide by its root, np.std.")
    if is_(0, spread):
        raise WrongAnswer("The mean is not taken away.")
    if is_(mean, 1):
        raise WrongAnswer("The mean is taken away, but nothing is divided by the spread.")
    if not np.isfinite(answer).all():
        raise WrongAnswer(
            "A pixel that is the same in all training images has spread 0, and you divide by it. "
            "Give such a pixel the value 0."
        )
    # The spread of a sample (n - 1) is what Spark takes, that of all (n) is NumPy's: both pass.
    sample = seen.std(axis=0, ddof=1)
    if not (is_(mean, spread) or is_(mean, sample)):
        raise WrongAnswer(
            f"Pixel 0 of the first image is {new[0, 0]}; with mean {mean[0]:.2f} and spread "
            f"{spread[0]:.2f} it becomes {(new[0, 0] - mean[0]) / spread[0]:.3f}; yours is "
            f"{answer[0, 0]:.3f}."
        )
    if np.abs(answer[:, 2]).max() > TOLERANCE:
        raise WrongAnswer(
            "A pixel that is the same in all training images tells nothing, so its value must be "
            f"0, also where a new image differs there; yours is {answer[0, 2]:.3g}."
        )


def _verify_spread(spread):
    said = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    for labels, classes in (([1, 4, 5], 6), ([0, 2, 3], 4)):
        answer = to_numpy(spread(said, labels, classes))
        right = np.zeros((2, classes))
        right[:, labels] = said
        require_shape(answer, (2, classes), f"spread(said (2, 3), labels {labels}, {classes})")
        first = np.pad(said, ((0, 0), (0, classes - 3)))
        last = np.pad(said, ((0, 0), (classes - 3, 0)))
        if _same(answer, first) or _same(answer, last):
            raise WrongAnswer(
                "The probabilities stand side by side at one end. Column j of said belongs to the "
                f"class labels[j]: with labels {labels}, column 1 goes to class {labels[1]}."
            )
        if _same(answer, right / right.sum(axis=0).clip(1e-9)):
            raise WrongAnswer("Nothing need be divided: each row sums to 1 already.")
        if not np.allclose(answer.sum(axis=1), 1, atol=TOLERANCE):
            raise WrongAnswer(
                "Each row must still sum to 1: classes that the tree never saw get 0. "
                f"One of yours sums to {answer.sum(axis=1)[0]:.3g}."
            )
        if not _same(answer, right):
            raise WrongAnswer(
                f"With labels {labels}, the first row must be {right[0].tolist()}; yours is "
                f"{np.round(answer[0], 3).tolist()}."
            )


def _verify_mixture(mixture):
    weights = np.array([[0.75, 0.25], [0.0, 1.0]])
    said = np.array([[[0.6, 0.4, 0.0], [0.0, 0.2, 0.8]], [[1.0, 0.0, 0.0], [0.1, 0.3, 0.6]]])
    right = np.einsum("be,bec->bc", weights, said)
    answer = to_numpy(mixture(weights, said))
    if answer.shape == (2, 2, 3) and _same(answer.sum(axis=1), right):
        raise WrongAnswer("The products are right: now sum them over the experts, axis 1.")
    if answer.shape == (2, 2):
        raise WrongAnswer("You sum over the classes. Sum over the experts: axis 1 of (B, E, C).")
    require_shape(answer, (2, 3), "mixture(weights (2, 2), said (2, 2, 3))")
    if _same(answer, said.mean(axis=1)):
        raise WrongAnswer("That is the plain mean of the trees: use the weights.")
    if _same(answer, said.sum(axis=1)):
        raise WrongAnswer("That is the plain sum of the trees: use the weights.")
    if _same(answer, said[np.arange(2), weights.argmax(axis=1)]):
        raise WrongAnswer("You take the heaviest tree alone. Every tree counts, by its weight.")
    if _same(answer, np.einsum("be,bec->bc", weights[:, ::-1], said)):
        raise WrongAnswer("The weights are exchanged: weights[:, e] belongs to said[:, e].")
    if _same(answer, right / 2):
        raise WrongAnswer("The weights sum to 1 already: take their sum, not their mean.")
    if not _same(answer, right):
        raise WrongAnswer(
            "For the first image and class 0: 0.75 * 0.6 + 0.25 * 0 = 0.45; yours is "
            f"{answer[0, 0]:.3g}."
        )


def _verify_gate_loss(gate_loss):
    labels = np.array([0, 1])
    mixed = np.array([[0.8, 0.2], [0.5, 0.5]], "float32")
    peaked = np.array([[0.98, 0.01, 0.01], [0.9, 0.05, 0.05]], "float32")
    even = np.full((2, 3), 1 / 3, "float32")

    def loss(weights, strength):
        value = to_numpy(gate_loss(labels, mixed, weights, strength))
        if value.size != 1:
            raise WrongAnswer(
                f"Return one number, the mean over the images; yours has the shape {value.shape}."
            )
        return float(value)

    cross_entropy = -(np.log(0.8) + np.log(0.5)) / 2
    entropy = -(peaked * np.log(peaked)).sum(axis=1)
    plain = loss(peaked, 0.0)
    if abs(plain - 2 * cross_entropy) < TOLERANCE:
        raise WrongAnswer("The cross-entropy is summed over the images: take the mean.")
    if abs(plain + cross_entropy) < TOLERANCE:
        raise WrongAnswer("The cross-entropy has a minus: - ln of the true class's probability.")
    if abs(plain - cross_entropy) > TOLERANCE:
        raise WrongAnswer(
            "With strength 0 only the cross-entropy is left: the mean of -ln 0.8 and -ln 0.5, "
            f"{cross_entropy:.4f}; yours is {plain:.4f}. It is the mixture's, of the true class."
        )
    added = loss(peaked, 0.5) - plain
    if abs(added) < TOLERANCE:
        raise WrongAnswer("The strength changes nothing: is the entropy term there?")
    if abs(added - 0.5 * entropy.mean()) < TOLERANCE:
        raise WrongAnswer(
            "That is the published sign: the loss *grows* with the entropy, so training makes the "
            "weights peaked. The text promised the opposite. Compare even weights with peaked "
            "ones: which should cost less?"
        )
    if abs(added + 0.5 * entropy.sum()) < TOLERANCE:
        raise WrongAnswer("The entropy is summed over the images: take the mean.")
    of_mean = -(peaked.mean(axis=0) * np.log(peaked.mean(axis=0))).sum()
    if abs(added + 0.5 * of_mean) < TOLERANCE:
        raise WrongAnswer(
            "That is the entropy of the mean weights. Take each image's own entropy, then the mean."
        )
    if abs(added + 0.5 * entropy.mean() / 3) < TOLERANCE:
        raise WrongAnswer("Over the experts the entropy is a sum, not a mean.")
    of_answers = -(mixed * np.log(mixed)).sum(axis=1).mean()
    if abs(abs(added) - 0.5 * of_answers) < TOLERANCE:
        raise WrongAnswer("That is the entropy of the mixture's answer. Take that of the weights.")
    if abs(added + entropy.mean() * 0.5) > TOLERANCE:
        raise WrongAnswer(
            f"With strength 0.5 the entropy term must add {-0.5 * entropy.mean():.4f} here; yours "
            f"adds {added:.4f}. The entropy of an image is -sum_e w_e ln w_e."
        )
    if abs(loss(even, 0.5) - plain + 0.5 * np.log(3)) > TOLERANCE:
        raise WrongAnswer("Even weights over three trees have the entropy ln 3; yours differ.")
    if not np.isfinite(loss(np.array([[1, 0, 0], [0, 0, 1]], "float32"), 0.5)):
        raise WrongAnswer(
            "With a weight of exactly 0 your loss is not finite: 0 ln 0 counts as 0, but the "
            "computer's ln(0) does not. Keep the weights in ln at 1e-9 or more."
        )


def _verify_scores(scores):
    counts = np.array([[8, 2, 0, 0], [1, 6, 0, 3], [0, 4, 0, 0], [1, 0, 0, 3]])
    answer = scores(counts)
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise WrongAnswer("Return three things: precision, recall and F1, an array of each.")
    precision, recall, f1 = (to_numpy(part) for part in answer)
    for part, name in ((precision, "precision"), (recall, "recall"), (f1, "F1")):
        require_shape(part, (4,), f"{name}, one for each class,")
    hits, said, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    right_precision = hits / np.maximum(said, 1)
    right_recall = hits / true
    if np.allclose(precision[[0, 1, 3]], right_recall[[0, 1, 3]]) and np.allclose(
        recall[[0, 1, 3]], right_precision[[0, 1, 3]]
    ):
        raise WrongAnswer(
            "Precision and recall are exchanged. Rows are true classes, columns predicted ones: "
            "precision divides by a column's sum, recall by a row's."
        )
    if not all(np.isfinite(part).all() for part in (precision, recall, f1)):
        raise WrongAnswer(
            "Class 2 is never predicted here, so you divide 0 by 0. Let its precision and its F1 "
            "be 0: np.maximum(..., 1) below counts, and a tiny number below sums, will do."
        )
    if not _same(precision, right_precision):
        raise WrongAnswer(
            f"Class 0 is predicted 10 times, 8 times rightly: precision 0.8; yours is "
            f"{precision[0]:.3g}. Classes 1 and 3: 0.5; yours {precision[1]:.3g} and "
            f"{precision[3]:.3g}."
        )
    if not _same(recall, right_recall):
        raise WrongAnswer(
            "Of the 4 images of class 3, 3 are found: recall 0.75; yours is "
            f"{recall[3]:.3g}. Divide the diagonal by the sum of its row."
        )
    if _same(f1, (right_precision + right_recall) / 2):
        raise WrongAnswer(
            "F1 is not the plain mean of precision and recall but the harmonic one, "
            "2 P R / (P + R): it is small if either is."
        )
    total = right_precision + right_recall
    right_f1 = 2 * right_precision * right_recall / np.where(total > 0, total, 1)
    if _same(f1, right_f1 / 2):
        raise WrongAnswer("The factor 2 is missing from 2 P R / (P + R).")
    if not _same(f1, right_f1):
        raise WrongAnswer(
            f"Class 3 has precision 0.5 and recall 0.75: F1 is 2 * 0.375 / 1.25 = 0.6; yours is "
            f"{f1[3]:.3g}."
        )


def _reference_read_header(data):
    sizes = [int.from_bytes(data[4 + 4 * d : 8 + 4 * d], "big") for d in range(data[3])]
    return data[2], tuple(sizes)


def _reference_standardise(train, images):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return (images - mean) / np.where(spread > 0, spread, np.inf)


def _reference_spread(said, labels, num_classes):
    answer = np.zeros((len(said), num_classes))
    answer[:, labels] = said
    return answer


def _reference_mixture(weights, said):
    return (weights[:, :, None] * said).sum(axis=1)


def _reference_gate_loss(labels, mixed, weights, strength):
    true = ops.take_along_axis(mixed, ops.expand_dims(labels, 1), axis=1)
    entropy = -ops.sum(weights * ops.log(ops.maximum(weights, 1e-9)), axis=1)
    return ops.mean(-ops.log(true)) - strength * ops.mean(entropy)


def _reference_scores(counts):
    hits = np.diag(counts)
    precision = hits / np.maximum(counts.sum(axis=0), 1)
    recall = hits / np.maximum(counts.sum(axis=1), 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


read_header = Exercise(
    "read_header",
    _verify_read_header,
    reference=lambda: _reference_read_header,
    hints=[
        "Bytes can be indexed: data[2] is a number from 0 to 255. Which byte says what?",
        'Size d stands in data[4 + 4 * d : 8 + 4 * d]; int.from_bytes(those, "big") reads it.',
        "Return data[2] and a tuple of the sizes, for d in range(data[3]).",
    ],
    marks=3,
)
standardise = Exercise(
    "standardise",
    _verify_standardise,
    reference=lambda: _reference_standardise,
    hints=[
        "Each pixel has its own mean and spread, and they come from the training images alone.",
        "train.mean(axis=0) and train.std(axis=0) are arrays (D,). Where is the spread 0?",
        "np.where(spread > 0, spread, np.inf): what is divided by infinity becomes 0.",
    ],
    marks=2,
)
spread = Exercise(
    "spread",
    _verify_spread,
    reference=lambda: _reference_spread,
    hints=[
        "Begin with zeros for all classes, and put the tree's columns where they belong.",
        "np.zeros((len(said), num_classes)) has a column for each class.",
        "answer[:, labels] = said writes all columns at once.",
    ],
    marks=2,
)
mixture = Exercise(
    "mixture",
    _verify_mixture,
    reference=lambda: _reference_mixture,
    hints=[
        "Every tree's probabilities times its weight, then the sum over the trees.",
        "weights[:, :, None] has the shape (B, E, 1) and fits said, (B, E, C).",
        "(weights[:, :, None] * said).sum(axis=1), or np.einsum with 'be,bec->bc'.",
    ],
    marks=2,
)
gate_loss = Exercise(
    "gate_loss",
    _verify_gate_loss,
    reference=lambda: _reference_gate_loss,
    hints=[
        "Training makes the loss small. Even weights have the largest entropy. So which sign makes "
        "weights even?",
        "The entropy of each image is -sum_e w_e ln w_e; keep the weights in the logarithm at "
        "1e-9 or more. mixed[np.arange(len(labels)), labels] are the true classes' probabilities.",
        "np.mean(-np.log(true)) - strength * np.mean(entropy), both means over the images.",
    ],
    marks=3,
)
scores = Exercise(
    "scores",
    _verify_scores,
    reference=lambda: _reference_scores,
    hints=[
        "The diagonal holds the hits. What does a row's sum count, and what a column's?",
        "hits = np.diag(counts); precision divides by counts.sum(axis=0), recall by axis=1.",
        "F1 is 2 P R / (P + R). np.maximum(..., 1e-12) below the line keeps it finite.",
    ],
    marks=2,
)
