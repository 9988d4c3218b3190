"""The exercises of lab 03, whether a mixture is worth it."""

import numpy as np

from moe_keras.checks.behaviour import TOLERANCE, require_shape, to_numpy
from moe_keras.checks.exercise import Exercise, WrongAnswer
from moe_keras.inspection import negative_log_likelihood, paired_interval, with_temperature

SAID = np.array([[0.81, 0.09, 0.1], [0.04, 0.16, 0.8], [0.5, 0.25, 0.25]])
# Images on which both are right, only a, only b, neither.
BOTH, ONLY_A, ONLY_B, NEITHER = 200, 54, 27, 119
CORRECT_A = np.repeat([True, True, False, False], [BOTH, ONLY_A, ONLY_B, NEITHER])
CORRECT_B = np.repeat([True, False, True, False], [BOTH, ONLY_A, ONLY_B, NEITHER])


def _number(answer, what):
    """One number, or a clear message."""
    value = to_numpy(answer, what)
    if value.size != 1:
        raise WrongAnswer(f"Expected {what} to be one number; yours has shape {value.shape}.")
    return value.item()


def _numbers(answer, count, what):
    """A tuple of so many numbers, or a clear message."""
    if not isinstance(answer, tuple | list | np.ndarray) or len(answer) != count:
        raise WrongAnswer(f"Expected {count} numbers, {what}; yours is {answer!r}.")
    return [_number(value, f"each of {what}") for value in answer]


def _verify_conv_cost(conv_cost):
    height, width, channels, filters, size = 7, 5, 4, 6, 3
    answer = _number(conv_cost(height, width, channels, filters, size), "the cost")
    places, weights = height * width, size * size * channels
    mistakes = {
        places * filters * size * size: "Each filter has a 3x3 patch of weights for every channel "
        "of its input: the channels are missing.",
        filters * weights: "That is the number of weights. Each of them is used at every place of "
        "the output: times height times width.",
        filters * (weights + 1): "That is the number of parameters. Count what is computed: each "
        "weight is used at every place of the output.",
        2 * places * filters * weights: "You count multiplications and additions apart. Here one "
        "multiplication with its addition counts as one.",
        places * filters * (weights + 1): "You count the biases too: leave them out.",
        places * filters * size * channels: "A filter is as high as it is wide: size * size.",
        places * weights: "That is one filter: times the number of filters.",
        places * (weights + filters): "All filters see the whole patch: multiply, do not add.",
    }
    if answer in mistakes:
        raise WrongAnswer(mistakes[answer])
    if answer != places * filters * weights:
        raise WrongAnswer(
            "7 x 5 places, 6 filters, and 3 x 3 x 4 weights in each: 7 * 5 * 6 * 36 = 7,560; yours "
            f"is {answer:,.6g}."
        )


def _verify_temper(temper):
    said = SAID.copy()
    answer = to_numpy(temper(said, 2.0))
    if not np.array_equal(said, SAID):
        raise WrongAnswer("Your function changes the array that it is given: make a new one.")
    require_shape(answer, SAID.shape, "temper(probabilities (3, 3), 2.0)")
    right = with_temperature(SAID, 2.0)
    if _close(answer, SAID**0.5):
        raise WrongAnswer(
            "Those are powers whose rows do not sum to 1: divide each row by its sum."
        )
    if _close(answer, SAID / 2):
        raise WrongAnswer("You divide the probabilities. Take them to the power 1 / temperature.")
    if _close(answer, SAID):
        raise WrongAnswer(
            "Nothing has changed: dividing all probabilities by one number and then by their sum "
            "gives them back. Take powers."
        )
    if _close(answer, with_temperature(SAID, 0.5)):
        raise WrongAnswer(
            "You take the power temperature, which makes probabilities steeper above 1. The power "
            "is 1 / temperature."
        )
    powers = np.exp(SAID / 2)
    if _close(answer, powers / powers.sum(axis=1, keepdims=True)):
        raise WrongAnswer(
            "You treat probabilities as logits. The softmax of log(p) / T is what you want: powers "
            "p ** (1 / T), divided by their sum."
        )
    if _close(answer, SAID**0.5 / (SAID**0.5).sum(axis=0)):
        raise WrongAnswer("Your columns sum to 1. Each row, an image, must: sum over axis 1.")
    if _close(answer, SAID**0.5 / (SAID**0.5).sum()):
        raise WrongAnswer(
            "All your numbers together sum to 1. Each row must: sum with axis=1, keepdims=True."
        )
    if not _close(answer, right):
        raise WrongAnswer(
            "At temperature 2 the last row's powers are 0.707, 0.5 and 0.5, so its first number is "
            f"0.707 / 1.707 = 0.414; yours is {answer[2, 0]:.3g}."
        )


def _verify_best_temperature(best_temperature):
    # Nine of ten right. Said 3 to 1, so the best temperature is 0.5 (9 to 1).
    shy = np.tile([0.75, 0.25], (10, 1))
    sure = np.tile([0.99, 0.01], (10, 1))
    labels = np.array([0] * 9 + [1])
    grid = np.array([0.5, 1.0, 2.0, 4.0])
    for said, best, spread in ((shy, 0.5, "shy"), (sure, 2.0, "too sure")):
        answer = _number(best_temperature(said, labels, grid), "the temperature")
        surprises = [negative_log_likelihood(with_temperature(said, t), labels) for t in grid]
        if abs(answer - min(surprises)) < TOLERANCE:
            raise WrongAnswer(
                "That is the lowest negative log-likelihood itself: return the temperature that "
                "has it."
            )
        if answer == int(np.argmin(surprises)) and answer != best:
            raise WrongAnswer("That is the place in the list: return the temperature there.")
        if answer == grid[int(np.argmax(surprises))]:
            raise WrongAnswer(
                "That is the worst of the list: the likelihood should be high, so its negative "
                "logarithm low."
            )
        if answer not in grid:
            raise WrongAnswer(f"Expected one of the temperatures {grid.tolist()}; yours {answer}.")
        if answer != best:
            raise WrongAnswer(
                f"A classifier is {spread}: it says {said[0, 0]:.2f} and is right 9 times of 10. "
                f"Temperature {best} makes its negative log-likelihood lowest; yours is {answer}. "
                "(All temperatures have the same accuracy, and a small calibration error may be "
                "luck: compare negative_log_likelihood(temper(...), labels).)"
            )


def _verify_paired_bootstrap(paired_bootstrap):
    shuffled = np.random.default_rng(1).permutation(len(CORRECT_A))
    a, b = CORRECT_A[shuffled], CORRECT_B[shuffled]
    answer = paired_bootstrap(a, b, 4000, 0)
    difference, low, high = _numbers(answer, 3, "(difference, low, high)")
    right = paired_interval(a, b)
    if abs(difference - 100 * right.difference) < TOLERANCE:
        raise WrongAnswer("Give fractions of 1, not percentage points.")
    if abs(difference + right.difference) < TOLERANCE:
        raise WrongAnswer("You subtract a from b. The difference is accuracy a minus accuracy b.")
    if abs(difference - right.difference) > TOLERANCE:
        raise WrongAnswer(
            "Model a is right on 254 of 400 images, b on 227: the difference is 0.0675; yours is "
            f"{difference:.3g}. (It is that of all images, not the mean of the draws.)"
        )
    if low > high:
        raise WrongAnswer("Your lower end is above your upper end.")
    width, expected = high - low, right.high - right.low
    if width < 0.02 * expected:
        raise WrongAnswer(
            "Your interval has no width. Each resample must be drawn anew, and with replacement: "
            "the same images in another order have the same mean."
        )
    # Independent draws for a and b: the variances add up.
    unpaired = 2 * 1.96 * np.sqrt((a.var() + b.var()) / len(a))
    if abs(width / unpaired - 1) < 0.08:
        raise WrongAnswer(
            "Your interval is that of two unrelated sets of images. Both models saw the same ones: "
            "draw images once in each resample, and take both models' answers on them."
        )
    if abs(width / expected - 1645 / 1960) < 0.06:
        raise WrongAnswer(
            "Your interval covers 90 %. For 95 % leave out 2.5 % at each end: quantiles 0.025 and "
            "0.975."
        )
    if abs(width / expected - 1 / 1.96) < 0.06:
        raise WrongAnswer(
            "Your ends are one standard error away. The 95 % interval goes from the quantile 0.025 "
            "of the resampled differences to the quantile 0.975."
        )
    if abs(width / expected - 1) > 0.08 or abs((low + high) / 2 - right.difference) > 0.004:
        raise WrongAnswer(
            f"Expected an interval of about [{right.low:.3f}, {right.high:.3f}]; yours is "
            f"[{low:.3f}, {high:.3f}]. Draw as many images as there are, with replacement; the "
            "quantiles 0.025 and 0.975 of the differences are its ends."
        )


def _verify_mcnemar(mcnemar):
    only_a, only_b, z = _numbers(mcnemar(CORRECT_A, CORRECT_B), 3, "(only_a, only_b, z)")
    if (only_a, only_b) == (ONLY_B, ONLY_A):
        raise WrongAnswer(
            "The two counts have changed places: images that only a gets right first."
        )
    if {only_a, only_b} & {BOTH, NEITHER}:
        raise WrongAnswer(
            "You count images on which both are right, or both wrong. They say nothing about which "
            "is better: count those on which one alone is right."
        )
    if (only_a, only_b) == (BOTH + ONLY_A, BOTH + ONLY_B):
        raise WrongAnswer("You count all that a gets right: leave out those that b gets right too.")
    if (only_a, only_b) != (ONLY_A, ONLY_B):
        raise WrongAnswer(f"Only a is right on 54 images, only b on 27; yours: {only_a}, {only_b}.")
    lead, torn = ONLY_A - ONLY_B, ONLY_A + ONLY_B
    mistakes = {
        lead / np.sqrt(len(CORRECT_A)): "You divide by the root of all images. Where both agree "
        "nothing was decided: divide by the root of the images on which they differ.",
        lead**2 / torn: "That is z squared, the chi-squared statistic: it has lost the sign.",
        lead / torn: "Divide by the square root of the number on which they differ.",
        -lead / np.sqrt(torn): "The sign is wrong: z is positive if a is right more often.",
        lead / np.sqrt(torn / 4): "With a coin, the number of heads has variance n / 4, but the "
        "difference of heads and tails has variance n.",
    }
    for value, message in mistakes.items():
        if abs(z - value) < TOLERANCE:
            raise WrongAnswer(message)
    if abs(z - lead / np.sqrt(torn)) > TOLERANCE:
        raise WrongAnswer(f"(54 - 27) / sqrt(54 + 27) = 3, so z should be 3; yours is {z:.3g}.")
    with np.errstate(all="ignore"):
        same = _numbers(mcnemar(CORRECT_A, CORRECT_A), 3, "(only_a, only_b, z)")
    if same != [0, 0, 0]:
        raise WrongAnswer(
            "Two models that are right on the same images: expected (0, 0, 0.0); yours is "
            f"{tuple(same)}. Mind the division by 0."
        )


def _verify_frontier(frontier):
    # The second costs 2; the third as much for less, the fifth more for as much; the last is the
    # first once more.
    costs = np.array([1.0, 2.0, 2.0, 4.0, 3.0, 1.0])
    accuracies = np.array([0.90, 0.92, 0.91, 0.93, 0.92, 0.90])
    right = np.array([True, True, False, True, False, True])
    answer = to_numpy(frontier(costs, accuracies))
    if answer.ndim == 1 and len(answer) != 6:
        raise WrongAnswer(
            "Expected an array of true and false, one for each model, in the models' order; yours "
            f"is {answer.tolist()}."
        )
    require_shape(answer, (6,), "frontier(costs (6,), accuracies (6,))")
    answer = answer.astype(bool)
    mistakes = (
        (~right, "True and false have changed places: true for a model that nobody dominates."),
        (
            accuracies == accuracies.max(),
            "That is the most accurate alone. A cheaper one is on the frontier too, if nothing as "
            "cheap is as accurate.",
        ),
        (costs == costs.min(), "Those are the cheapest alone."),
        (
            [False, True, False, True, False, False],
            "Two equal models rule each other out in yours. A model is dominated only if the other "
            "is better in cost or in accuracy.",
        ),
        (
            [True, True, True, True, True, True],
            "Nobody is dominated in yours. A model that costs as much and is less accurate is.",
        ),
        (
            [True, True, True, True, False, True],
            "The third costs as much as the second and is less accurate: dominated.",
        ),
        (
            [True, True, False, True, True, True],
            "The fifth costs more than the second and is no more accurate: dominated.",
        ),
        (
            [False] * 6,
            "Everybody is dominated in yours: is each model compared with itself?",
        ),
    )
    for wrong, message in mistakes:
        if np.array_equal(answer, wrong):
            raise WrongAnswer(message)
    if not np.array_equal(answer, right):
        raise WrongAnswer(
            f"Costs {costs.tolist()} and accuracies {accuracies.tolist()}: expected "
            f"{right.tolist()}; yours {answer.tolist()}."
        )


def _close(answer, other):
    return np.allclose(answer, other, atol=TOLERANCE)


def _reference_conv_cost(height, width, channels, filters, size):
    return height * width * filters * size * size * channels


def _reference_best_temperature(probabilities, labels, temperatures):
    def surprise(temperature):
        return negative_log_likelihood(with_temperature(probabilities, temperature), labels)

    return min(temperatures, key=surprise)


def _reference_paired_bootstrap(correct_a, correct_b, resamples, seed):
    return tuple(paired_interval(correct_a, correct_b, resamples=resamples, seed=seed))


def _reference_mcnemar(correct_a, correct_b):
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    return only_a, only_b, (only_a - only_b) / max(np.sqrt(only_a + only_b), 1)


def _reference_frontier(costs, accuracies):
    no_dearer = costs[:, None] <= costs  # (other, model)
    no_worse = accuracies[:, None] >= accuracies
    better = (costs[:, None] < costs) | (accuracies[:, None] > accuracies)
    return ~(no_dearer & no_worse & better).any(axis=0)


conv_cost = Exercise(
    "conv_cost",
    _verify_conv_cost,
    reference=lambda: _reference_conv_cost,
    hints=[
        "How many numbers does the layer put out, and how many weights does each of them need?",
        "The output has height * width * filters numbers.",
        "Each needs a patch of size * size places with all channels: multiply the two.",
    ],
    marks=2,
)
temper = Exercise(
    "temper",
    _verify_temper,
    reference=lambda: with_temperature,
    hints=[
        "Two steps: a power, then a division so that each row sums to 1 again.",
        "powers = probabilities ** (1 / temperature)",
        "powers / powers.sum(axis=1, keepdims=True)",
    ],
    marks=2,
)
best_temperature = Exercise(
    "best_temperature",
    _verify_best_temperature,
    reference=lambda: _reference_best_temperature,
    hints=[
        "Try all temperatures, note the negative log-likelihood of each, take the lowest.",
        "surprises = [negative_log_likelihood(temper(probabilities, t), labels) for t in ...]",
        "temperatures[np.argmin(surprises)]",
    ],
    marks=2,
)
paired_bootstrap = Exercise(
    "paired_bootstrap",
    _verify_paired_bootstrap,
    reference=lambda: _reference_paired_bootstrap,
    hints=[
        "Look at d = a - b, image by image: 1, 0 or -1. Resample d, and the pairs stay together.",
        "One resample: d[rng.integers(0, len(d), size=len(d))].mean(). Do it `resamples` times, in "
        "a loop.",
        "The ends: np.quantile(means, [0.025, 0.975]). The difference: d.mean(), of all images.",
    ],
    marks=3,
)
mcnemar = Exercise(
    "mcnemar",
    _verify_mcnemar,
    reference=lambda: _reference_mcnemar,
    hints=[
        "On which images does it matter which model you take?",
        "only_a = (correct_a & ~correct_b).sum(), and the other way round.",
        "z = (only_a - only_b) / np.sqrt(only_a + only_b), and 0 if there are no such images.",
    ],
    marks=3,
)
frontier = Exercise(
    "frontier",
    _verify_frontier,
    reference=lambda: _reference_frontier,
    hints=[
        "A model is off the frontier if one other costs no more, is at least as accurate, and is "
        "better in one of the two.",
        "For model i: no_dearer = costs <= costs[i]; no_worse = accuracies >= accuracies[i]; "
        "better = (costs < costs[i]) | (accuracies > accuracies[i]).",
        "np.array([not (no_dearer & no_worse & better).any() for each i])",
    ],
    marks=2,
)
