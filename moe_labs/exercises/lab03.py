"""The exercises of lab 03, whether a mixture is worth it."""

from pathlib import Path

import numpy as np

from moe_keras.evaluation import expected_calibration_error, negative_log_likelihood
from moe_labs.exercises.draws import probabilities, sizes
from moe_labs.exercises.exercise import WrongAnswer, exercise
from moe_labs.exercises.forms import Array, Number, Several

# Networks trained small, several times: made by `python -m benchmarks.width_sweep`.
WIDTH_SWEEP = Path(__file__).with_name("width_sweep.csv")

TEMPERATURES = [round(t, 2) for t in np.arange(0.2, 2.01, 0.05)]  # the lab's


def _convolutions(random):
    yield tuple(map(int, random.permutation(np.arange(1, 6))))
    yield tuple(sizes(random, 5, high=9))
    side, filters = sizes(random, 2, low=8, high=64)
    yield side, side, 3, filters, 3


@exercise(
    marks=2,
    cases=_convolutions,
    returns=Number("int"),
    mistakes=[
        (
            lambda h, w, c, f, s: h * w * f * s * s,
            "Each filter has a patch of weights for every channel of its input: the channels are "
            "missing.",
        ),
        (
            lambda h, w, c, f, s: f * s * s * c,
            "That is the number of weights. Each of them is used at every place of the output: "
            "times height times width.",
        ),
        (
            lambda h, w, c, f, s: f * (s * s * c + 1),
            "That is the number of parameters. Count what is computed: each weight is used at "
            "every place of the output.",
        ),
        (
            lambda h, w, c, f, s: 2 * h * w * f * s * s * c,
            "You count multiplications and additions apart. Here one multiplication with its "
            "addition counts as one.",
        ),
        (
            lambda h, w, c, f, s: h * w * f * (s * s * c + 1),
            "You count the biases too: leave them out.",
        ),
        (
            lambda h, w, c, f, s: h * w * f * s * c,
            "A filter is as high as it is wide: size * size.",
        ),
        (
            lambda h, w, c, f, s: h * w * s * s * c,
            "That is one filter: times the number of filters.",
        ),
        (
            lambda h, w, c, f, s: h * w * (s * s * c + f),
            "All filters see the whole patch: multiply, do not add.",
        ),
        (
            lambda h, w, c, f, s: (h - s + 1) * (w - s + 1) * f * s * s * c,
            "Height and width are those of the output already: no place is lost at the edge.",
        ),
        (lambda h, w, c, f, s: h * w * f * c * 9, "Not every convolution is 3 by 3: use size."),
        (lambda h, w, c, f, s: h * h * f * s * s * c, "Height and width may differ."),
    ],
    hints=[
        "How many numbers does the layer put out, and how many weights does each of them need?",
        "The output has height * width * filters numbers.",
        "Each needs a patch of size * size places with all channels: multiply the two.",
    ],
)
def conv_cost(height, width, channels, filters, size):
    """Multiply-adds of a convolution: output (height, width, filters), input with `channels`."""
    return height * width * filters * size * size * channels


def _said(random):
    """Probabilities (N, C) and a temperature below 1, above it, and 1; some are exactly 0."""
    for high, temperature in ((4, 2.0), (8, random.uniform(0.3, 0.8)), (8, random.uniform(1.2, 3))):
        images, classes = sizes(random, 2, high=high)
        yield probabilities(random, images, classes), float(temperature)
    said = probabilities(random, images, classes)
    yield said, 1.0
    certain = np.where(said < np.median(said, axis=1, keepdims=True), 0, said)
    yield certain / certain.sum(axis=1, keepdims=True), 0.7


@exercise(
    marks=2,
    cases=_said,
    mistakes=[
        (
            lambda p, t: p ** (1 / t),
            "Those are powers whose rows do not sum to 1: divide each row by its sum.",
        ),
        (
            lambda p, t: p / t,
            "You divide the probabilities. Take them to the power 1 / temperature.",
        ),
        (
            lambda p, t: p,
            "Nothing has changed: dividing all probabilities by one number and then by their sum "
            "gives them back. Take powers.",
        ),
        (
            lambda p, t: temper(p, 1 / t),
            "You take the power temperature, which makes probabilities steeper above 1. The power "
            "is 1 / temperature.",
        ),
        (
            lambda p, t: np.exp(p / t) / np.exp(p / t).sum(axis=1, keepdims=True),
            "You treat probabilities as logits. The softmax of log(p) / T is what you want: powers "
            "p ** (1 / T), divided by their sum.",
        ),
        (
            lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(axis=0),
            "Your columns sum to 1. Each row, an image, must: sum over axis 1.",
        ),
        (
            lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(),
            "All your numbers together sum to 1. Each row must: sum with axis=1, keepdims=True.",
        ),
        (
            lambda p, t: p ** (1 / t) / (p ** (1 / t)).max(axis=1, keepdims=True),
            "You divide by each row's largest number: divide by its sum.",
        ),
    ],
    hints=[
        "Two steps: a power, then a division so that each row sums to 1 again.",
        "powers = probabilities ** (1 / temperature)",
        "powers / powers.sum(axis=1, keepdims=True)",
    ],
)
def temper(probabilities, temperature):
    """Probabilities (N, C) to the power 1 / temperature, each row divided by its sum."""
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def _judged(random):
    """Probabilities too shy, too sure, and as the lab's, with labels drawn at another temperature.

    In the last case a switch has ruled out the true class of some images.
    """
    grid = [0.25, 0.5, 1.0, 2.0, 4.0]
    for images, classes, own, temperatures in (
        (12, 4, 0.4, random.permutation(grid).tolist()),
        (60, 9, 2.2, random.permutation(grid).tolist()[:4]),
        (80, 3, 0.7, random.permutation(TEMPERATURES).tolist()),
        (70, 5, 1.5, TEMPERATURES),
    ):
        said = probabilities(random, images, classes)
        truth = np.cumsum(temper(said, own), axis=1)
        labels = (random.random((images, 1)) < truth / truth[:, -1:]).argmax(axis=1)
        yield said, labels, temperatures
    ruled_out = np.flatnonzero(random.random(images) < 0.2)
    said[ruled_out, labels[ruled_out]] = 0
    yield said / said.sum(axis=1, keepdims=True), labels, TEMPERATURES


def _surprises(probabilities, labels, temperatures):
    return [negative_log_likelihood(temper(probabilities, t), labels) for t in temperatures]


def _temperature_of(figure, best=np.argmin):
    """The temperature at which another figure than the NLL is best."""
    return lambda p, y, ts: ts[best([figure(temper(p, t), y) for t in ts])]


def _of_true_class(probabilities, labels):
    return probabilities[np.arange(len(labels)), labels]


@exercise(
    marks=2,
    cases=_judged,
    returns=Number(),
    mistakes=[
        (
            lambda p, y, ts: min(_surprises(p, y, ts)),
            "That is the lowest negative log-likelihood itself: return the temperature that has "
            "it.",
        ),
        (
            lambda p, y, ts: int(np.argmin(_surprises(p, y, ts))),
            "That is the place in the list: return the temperature there.",
        ),
        (
            _temperature_of(negative_log_likelihood, np.argmax),
            "That is the worst of the list: the likelihood should be high, so its negative "
            "logarithm low.",
        ),
        (
            _temperature_of(lambda p, y: (p.argmax(axis=1) == y).mean(), np.argmax),
            "All temperatures have the same accuracy: compare negative_log_likelihood.",
        ),
        (
            _temperature_of(expected_calibration_error),
            "A small calibration error may be luck: compare negative_log_likelihood.",
        ),
        (
            _temperature_of(lambda p, y: _of_true_class(p, y).mean(), np.argmax),
            "You compare the mean probability of the true class: its logarithm is missing.",
        ),
        (
            _temperature_of(lambda p, y: -np.log(_of_true_class(p, y)).mean()),
            "Where the true class got probability 0, the surprise is infinite at every "
            "temperature: use negative_log_likelihood, which has a limit.",
        ),
        (
            lambda p, y, ts: sorted(ts)[np.argmin(_surprises(p, y, ts))],
            "You have sorted the temperatures, but not their negative log-likelihoods with them.",
        ),
        (lambda p, y, ts: 1.0, "At temperature 1 nothing changes: try all of the list."),
    ],
    hints=[
        "Try all temperatures, note the negative log-likelihood of each, take the lowest.",
        "surprises = [negative_log_likelihood(temper(probabilities, t), labels) for t in ...]",
        "temperatures[np.argmin(surprises)]",
    ],
)
def best_temperature(probabilities, labels, temperatures):
    """The temperature with which the true labels are least of a surprise."""
    surprises = [negative_log_likelihood(temper(probabilities, t), labels) for t in temperatures]
    return temperatures[np.argmin(surprises)]


def _right_or_wrong(random, images):
    """Which answers of two models are right, (N,) each: on half of the images they agree."""
    rates = random.choice([0.45, 0.55, 0.65, 0.75], 2, replace=False)
    a, b = random.random((2, images)) < rates[:, None]
    return a, np.where(random.random(images) < 0.5, a, b)


def _without_luck(random):
    """Pairs of which every resample is alike."""
    images, more = sizes(random, 2, high=9)
    yield np.full(images, True), np.full(images, False), 20, 0
    yield np.full(more, False), np.full(more, True), 30, 1
    a, _ = _right_or_wrong(random, 40)
    yield a, a.copy(), 10, 2


_THREE = Several(difference=Number(), low=Number(), high=Number())


def _three(answer, *args):
    return [float(part) for _, part in _THREE.read(answer(*args), "Your result")]


def _is_a_paired_bootstrap(answer, random):
    a, b = _right_or_wrong(random, int(random.integers(900, 1300)))
    seed = int(random.integers(1000))
    d = a.astype(float) - b
    difference, low, high = _three(answer, a, b, 4000, seed)
    if abs(difference - d.mean()) > 1e-6:
        raise WrongAnswer(
            f"Model a is right on {a.sum()} of {len(a)} images, b on {b.sum()}: the difference is "
            f"{d.mean():.4f}; yours is {difference:.4f}. (It is that of all images, not the mean "
            "of the draws.)"
        )
    if low > high:
        raise WrongAnswer("Your lower end is above your upper end.")
    width, error = high - low, d.std() / np.sqrt(len(d))
    if width < 0.1 * error:
        raise WrongAnswer(
            "Your interval has no width. Each resample must be drawn anew, and with replacement: "
            "the same images in another order have the same mean."
        )
    # Independent draws for a and b: the variances add up.
    unpaired = np.sqrt((a.var() + b.var()) / len(a))
    for wrong, message in (
        (
            2 * 1.96 * unpaired,
            "Your interval is that of two unrelated sets of images. Both models saw the same ones: "
            "draw images once in each resample, and take both models' answers on them.",
        ),
        (
            2 * 1.645 * error,
            "Your interval covers 90 %. For 95 % leave out 2.5 % at each end: quantiles 0.025 and "
            "0.975.",
        ),
        (
            2 * error,
            "Your ends are one standard error away. The 95 % interval goes from the quantile 0.025 "
            "of the resampled differences to the quantile 0.975.",
        ),
    ):
        if abs(width / wrong - 1) < 0.06:
            raise WrongAnswer(message)
    # By luck the ends of 4000 draws lie a little off: by four standard deviations less than this.
    off = np.array([low, high]) - d.mean() - 1.96 * error * np.array([-1, 1])
    if np.abs(off).max() > 0.2 * error or abs(width / (3.92 * error) - 1) > 0.07:
        raise WrongAnswer(
            f"Expected an interval of about [{d.mean() - 1.96 * error:.3f}, "
            f"{d.mean() + 1.96 * error:.3f}]; yours is [{low:.3f}, {high:.3f}]. Draw as many "
            "images as there are, with replacement; the quantiles 0.025 and 0.975 of the "
            "differences are its ends."
        )


def _draws_from_the_seed(answer, random):
    a, b = _right_or_wrong(random, int(random.integers(300, 500)))
    for seed in range(3):
        _, low, high = _three(answer, a, b, 1, seed)
        if high - low > 1e-9:
            raise WrongAnswer(
                "Asked for a single resample, your interval should have no width: draw as many "
                "resamples as `resamples` says."
            )
        # A sum of differences of 1, 0 and -1, divided by how many were drawn.
        if abs(low * len(a) - round(low * len(a))) > 1e-3:
            raise WrongAnswer(
                f"The mean of {len(a)} differences is a whole number of {len(a)}ths; that of your "
                "resample is not: draw as many images as there are."
            )
    if all(np.ptp(_three(answer, a, b, 2, seed)[1:]) < 1e-9 for seed in range(4)):
        raise WrongAnswer(
            "Asked for two resamples, your interval has no width: draw as many resamples as "
            "`resamples` says."
        )
    for image in (0, len(a) - 1):  # the one on which the models differ
        one = np.arange(len(a)) == image
        if np.ptp(_three(answer, one, ~one & one, 60, 0)[1:]) < 1e-9:
            raise WrongAnswer(
                f"Where the models differ on image {image} of {len(a)} alone, your interval has no "
                "width: some resamples have that image, others have not."
            )
    found = [_three(answer, a, b, 25, seed) for seed in (3, 3, 4, 5)]
    mean = a.mean() - b.mean()
    if max(abs(difference - mean) for difference, *_ in found) > 1e-6:
        raise WrongAnswer(
            f"The difference is that of all images, {mean:.4f}, however few resamples there are; "
            f"yours is {found[0][0]:.4f}."
        )
    if found[0] != found[1]:
        raise WrongAnswer(
            "The same seed gives two intervals: draw from np.random.default_rng(seed)."
        )
    if found[0] == found[2] == found[3]:
        raise WrongAnswer("Every seed gives the same: draw from np.random.default_rng(seed).")


@exercise(
    marks=3,
    cases=_without_luck,
    returns=_THREE,
    properties=[_is_a_paired_bootstrap, _draws_from_the_seed],
    mistakes=[
        (
            lambda a, b, n, seed: 100 * np.array(paired_bootstrap(a, b, n, seed)),
            "Give fractions of 1, not percentage points.",
        ),
        (
            lambda a, b, n, seed: paired_bootstrap(b, a, n, seed),
            "You subtract a from b. The difference is accuracy a minus accuracy b.",
        ),
        (
            lambda a, b, n, seed: np.array(paired_bootstrap(a, b, n, seed)) * len(a),
            "Those are numbers of images: divide by how many there are.",
        ),
        (
            lambda a, b, n, seed: np.abs(paired_bootstrap(a, b, n, seed)),
            "Keep the sign: the difference is negative if b is right more often.",
        ),
    ],
    hints=[
        "Look at d = a - b, image by image: 1, 0 or -1. Resample d, and the pairs stay together.",
        "One resample: d[rng.integers(0, len(d), size=len(d))].mean(). Do it `resamples` times, in "
        "a loop.",
        "The ends: np.quantile(means, [0.025, 0.975]). The difference: d.mean(), of all images.",
    ],
)
def paired_bootstrap(correct_a, correct_b, resamples, seed):
    """(difference, low, high) of accuracy a minus accuracy b; two arrays (N,) of True and False."""
    difference = correct_a.astype("float32") - correct_b
    rng, count = np.random.default_rng(seed), len(difference)
    means = [difference[rng.integers(0, count, count)].mean() for _ in range(resamples)]
    return difference.mean(), *np.quantile(means, [0.025, 0.975])


def _pairs(random):
    for images in (6, 60, 90):
        a, b = _right_or_wrong(random, images)
        a[:2], b[:2] = True, False  # something has been decided
        yield a, b
    yield b, a
    yield a, a.copy()
    yield a, a & (np.arange(images) != np.flatnonzero(a)[0])
    yield a, a & (random.random(images) < 0.6)  # z is beyond 1.96


def _with_z(z):
    """The right counts, and another z of them and the number of images."""
    return lambda a, b: (*mcnemar(a, b)[:2], z(*mcnemar(a, b)[:2], len(a)))


@exercise(
    marks=3,
    cases=_pairs,
    returns=Several(n_a=Number("int"), n_b=Number("int"), z=Number()),
    mistakes=[
        (
            lambda a, b: (*mcnemar(b, a)[:2], mcnemar(a, b)[2]),
            "The two counts have changed places: images that only a gets right first.",
        ),
        (
            lambda a, b: mcnemar(b, a),
            "a and b have changed places: z is positive if a is right more often.",
        ),
        (
            lambda a, b: (np.sum(a & b), np.sum(~a & ~b), mcnemar(a, b)[2]),
            "You count images on which both are right, or both wrong. They say nothing about which "
            "is better: count those on which one alone is right.",
        ),
        *(
            (
                lambda a, b, z=z: (a.sum(), b.sum(), z(a, b)),
                "You count all that a gets right: leave out those that b gets right too.",
            )
            for z in (
                lambda a, b: mcnemar(a, b)[2],
                lambda a, b: (int(a.sum()) - int(b.sum())) / np.sqrt(a.sum() + b.sum()),
            )
        ),
        (
            _with_z(lambda a, b, n: (a - b) / np.sqrt(n)),
            "You divide by the root of all images. Where both agree nothing was decided: divide by "
            "the root of the images on which they differ.",
        ),
        (
            _with_z(lambda a, b, n: (a - b) ** 2 / max(a + b, 1)),
            "That is z squared, the chi-squared statistic: it has lost the sign.",
        ),
        (
            _with_z(lambda a, b, n: (a - b) / max(a + b, 1)),
            "Divide by the square root of the number on which they differ.",
        ),
        (
            _with_z(lambda a, b, n: (b - a) / np.sqrt(max(a + b, 1))),
            "The sign is wrong: z is positive if a is right more often.",
        ),
        (
            _with_z(lambda a, b, n: abs(a - b) / np.sqrt(max(a + b, 1))),
            "Keep the sign: z is negative if b is right more often.",
        ),
        (
            _with_z(lambda a, b, n: 2 * (a - b) / np.sqrt(max(a + b, 1))),
            "With a coin, the number of heads has variance n / 4, but the difference of heads and "
            "tails has variance n.",
        ),
        (
            _with_z(lambda a, b, n: (a - b) / np.float64(np.sqrt(a + b))),
            "If both models are right on the same images, z is 0. Mind the division by 0.",
        ),
        (
            _with_z(lambda a, b, n: (a - b) / np.sqrt(a + b + 1)),
            "Divide by the root of n_a + n_b as it is: return 0 apart if there are no such images.",
        ),
    ],
    hints=[
        "On which images does it matter which model you take?",
        "only_a = (correct_a & ~correct_b).sum(), and the other way round.",
        "z = (only_a - only_b) / np.sqrt(only_a + only_b), and 0 if there are no such images.",
    ],
)
def mcnemar(correct_a, correct_b):
    """(n_a, n_b, z): images that only a, only b gets right, and how surprising that would be."""
    only_a, only_b = np.sum(correct_a & ~correct_b), np.sum(correct_b & ~correct_a)
    if only_a + only_b == 0:
        return 0, 0, 0.0
    return only_a, only_b, (only_a - only_b) / np.sqrt(only_a + only_b)


def _models(random):
    """Costs and accuracies of models, some of them equal in one or in both.

    Of the first ones none is dominated, though one gains little for its cost.
    """
    order = random.permutation(3)
    yield np.cumsum(random.uniform(0.1, 0.4, 3))[order], np.array([0.8, 0.81, 0.9])[order]
    for count, turn in ((3, 1), (7, -1)):
        costs = random.integers(2, 7, count) * 1.0
        accuracies = random.integers(84, 94, count) / 100
        cheap = np.lexsort((-accuracies, costs))[0]  # on the frontier
        good = np.lexsort((costs, -accuracies))[0]
        # The cheap one again; as cheap and worse; as good as the best and dearer.
        costs = np.append(costs, [costs[cheap], costs[cheap], costs[good] + 1])
        accuracies = np.append(
            accuracies, [accuracies[cheap], accuracies[cheap] - 0.03, accuracies[good]]
        )
        # The last two are dominated by equals in one thing: once they come before them, once after.
        dominated = random.permutation([count + 1, count + 2])
        order = np.append(dominated, random.permutation(count + 1))[::turn]
        yield costs[order], accuracies[order]
    # As the lab's, in per cent; more cost more, but not all are better.
    count = int(random.integers(8, 12))
    costs = np.sort(random.uniform(2, 12, count))
    points = np.stack([costs, 80 + costs + 3 * random.normal(size=count)], axis=1)
    costs, accuracies = random.permutation(points).T
    yield costs, accuracies


def _unless(dominated):
    """All models but those of which another is said to dominate them."""
    return lambda c, y: np.array([not dominated(c, y, i).any() for i in range(len(c))])


@exercise(
    marks=2,
    cases=_models,
    returns=Array("bool"),
    mistakes=[
        (
            lambda c, y: ~frontier(c, y),
            "True and false have changed places: true for a model that nobody dominates.",
        ),
        (
            lambda c, y: y == y.max(),
            "That is the most accurate alone. A cheaper one is on the frontier too, if nothing as "
            "cheap is as accurate.",
        ),
        (lambda c, y: c == c.min(), "Those are the cheapest alone."),
        (
            _unless(lambda c, y, i: (c < c[i]) & (y > y[i])),
            "In yours a model must be beaten in both, cost and accuracy: it is enough that another "
            "is better in one, and as good in the other.",
        ),
        (
            _unless(lambda c, y, i: (c < c[i]) & (y >= y[i])),
            "A model that costs as much as another and is less accurate is dominated.",
        ),
        (
            _unless(lambda c, y, i: (c <= c[i]) & (y > y[i])),
            "A model that costs more than another and is no more accurate is dominated.",
        ),
        (
            _unless(lambda c, y, i: (c <= c[i]) & (y >= y[i])),
            "Everybody is dominated in yours: is each model compared with itself?",
        ),
        (
            _unless(lambda c, y, i: (c <= c[i]) & (y >= y[i]) & (np.arange(len(c)) != i)),
            "Two equal models rule each other out in yours. A model is dominated only if the other "
            "is better in cost or in accuracy.",
        ),
        (
            _unless(lambda c, y, i: (c <= c[i]) & (y >= y[i]) & (np.arange(len(c)) < i)),
            "You compare each model with those before it only: compare it with all.",
        ),
        (
            _unless(lambda c, y, i: (c >= c[i]) & (y >= y[i]) & ((c > c[i]) | (y > y[i]))),
            "A model is better if it costs *less*: in yours a high cost is good.",
        ),
        (
            lambda c, y: np.flatnonzero(frontier(c, y)),
            "Give an array of true and false, one for each model, in the models' order.",
        ),
    ],
    hints=[
        "A model is off the frontier if one other costs no more, is at least as accurate, and is "
        "better in one of the two.",
        "For model i: no_dearer = costs <= costs[i]; no_worse = accuracies >= accuracies[i]; "
        "better = (costs < costs[i]) | (accuracies > accuracies[i]).",
        "np.array([not (no_dearer & no_worse & better).any() for each i])",
    ],
)
def frontier(costs, accuracies):
    """Array (N,) of True for models that no other dominates; arrays (N,) of costs, accuracies."""
    undominated = []
    for cost, accuracy in zip(costs, accuracies, strict=True):
        no_worse = (costs <= cost) & (accuracies >= accuracy)
        better = (costs < cost) | (accuracies > accuracy)
        undominated.append(not (no_worse & better).any())
    return np.array(undominated)


def _unsure(random):
    """Answers of a base and of a mixture, and thresholds: some below, none, all, and one a tie."""
    for high in (6, 9):
        images, classes = sizes(random, 2, low=3, high=high)
        base, mixture = (probabilities(random, images + 20, classes) for _ in range(2))
        yield base, mixture, float(random.uniform(0.2, 0.5))
    yield base, mixture, 0.0
    yield base, mixture, 1.5
    tie = np.array([[0.125, 0.625, 0.25], [0.5, 0.25, 0.25], [0.25, 0.0, 0.75]])  # 3/8, 1/4, 1/2
    yield tie, tie[::-1] / 2 + 1 / 6, 0.375


def _margin(p):
    first, second = np.sort(p, axis=1)[:, :-3:-1].T
    return first - second


def _where(unsure):
    """A cascade that takes other images for unsure ones."""
    return lambda b, m, t: (np.where(unsure(b, t)[:, None], m, b), unsure(b, t).mean())


@exercise(
    marks=2,
    cases=_unsure,
    returns=Several(answers=Array(), share=Number()),
    mistakes=[
        (
            _where(lambda b, t: _margin(b) > t),
            "You ask about the images that the base is sure of: those below the threshold.",
        ),
        (_where(lambda b, t: _margin(b) <= t), "A margin equal to the threshold is not below it."),
        (
            _where(lambda b, t: b.max(axis=1) < t),
            "That is the largest probability. The margin is what the second largest leaves of it.",
        ),
        (
            _where(lambda b, t: np.ptp(b, axis=1) < t),
            "You subtract the smallest probability: subtract the second largest.",
        ),
        (
            _where(lambda b, t: np.abs(b[:, 0] - b[:, 1]) < t),
            "You compare the first two columns: compare each image's two largest numbers.",
        ),
        (
            lambda b, m, t: (m, cascade(b, m, t)[1]),
            "The mixture answers all images in yours: where the base is sure, the base answers.",
        ),
        (
            lambda b, m, t: (cascade(b, m, t)[0], (_margin(b) < t).sum()),
            "That is a number of images: the share is their mean, from 0 to 1.",
        ),
        (
            lambda b, m, t: (cascade(b, m, t)[0], 1 - cascade(b, m, t)[1]),
            "That is the share which the base answers alone: return the share that is asked.",
        ),
    ],
    hints=[
        "Three steps: each image's margin, which of them are below the threshold, and np.where.",
        "ordered = np.sort(base, axis=1); the margin is ordered[:, -1] - ordered[:, -2].",
        "np.where(unsure[:, None], mixture, base), and unsure.mean()",
    ],
)
def cascade(base, mixture, threshold):
    """(answers, share): mixture's (N, C) where the base's margin is below threshold, else base's."""
    ordered = np.sort(base, axis=1)
    unsure = ordered[:, -1] - ordered[:, -2] < threshold
    return np.where(unsure[:, None], mixture, base), unsure.mean()
