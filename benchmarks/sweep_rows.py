"""What the trained networks of a sweep come to: a row for each way to use them."""

import keras
import numpy as np
from keras import ops

from moe_keras.data import CIFAR10_ARTIFICIAL, CIFAR10_NATURAL, load
from moe_keras.experts import pretrained_card, pretrained_vgg
from moe_keras.gates import SoftmaxGate
from moe_keras.inspection import (
    expected_calibration_error,
    fit_temperature,
    multiply_adds,
    negative_log_likelihood,
    with_temperature,
)
from moe_keras.mixtures import Combine
from moe_keras.training import FrozenOutputs

IDS = {"natural": CIFAR10_NATURAL, "artificial": CIFAR10_ARTIFICIAL}
GATES = ("base", "group-gate")  # the networks whose group probabilities a learned gate looks at


def rows_of(seed, folder):
    """The rows of one seed, each a dict, from the networks in a folder."""
    networks = {name: _network(folder / f"seed-{seed}", name) for name in (*GATES, *IDS)}
    for name in ("second", "parameters", "compute", "longer"):
        networks[name] = _network(folder / f"seed-{seed}-{name}", "base")
    images = load("cifar10")
    outputs = FrozenOutputs(folder / "outputs", verbose=0)
    labels = {"validation": images.y_validation, "test": images.y_test}
    said = {}
    for part, x in (("validation", images.x_validation), ("test", images.x_test)):
        views = (x, x[:, :, ::-1])  # an image and its mirror
        said[part] = [{n: outputs(e, view) for n, (e, _, _) in networks.items()} for view in views]
    costs = {name: cost for name, (_, _, cost) in networks.items()}
    cards = {name: card for name, (_, card, _) in networks.items()}
    return [
        {
            "seed": seed,
            "model": model,
            **_scores(answer, said, labels),
            **_means(used, runs, costs, cards, said["test"]),
        }
        for model, (answer, used, runs) in ways(said["validation"], labels, seed).items()
    ]


def ways(validation, labels, seed):
    """Each way to answer: a function of what the networks said, the networks that it needs, and
    which of them it runs for an image: a dict from a network to a share, or a function that tells.
    """
    experts = ("base", *IDS)
    four = (*GATES, *IDS)
    soft, hard = learn(validation, labels["validation"], seed)

    def alone(name):
        return lambda said, _: said[name], [name], {name: 1}

    def mixture(weigh):
        """Weights (N, 3) of base, natural and artificial, times what they say."""
        return lambda said, y: _combine(weigh(said, y), spread(said))

    def asked(weigh, *gates):
        """The gates always run, an expert for the images that are sent to it."""

        def shares(said):
            share = dict(zip(experts, weigh(said, None).mean(axis=0), strict=True))
            return {**share, **dict.fromkeys(gates, 1)}

        return shares

    def trained(said, _):
        return _after_base(said["group-gate"])

    def own(said, _):
        return _after_base(groups_of_base(said))

    def switched(gate):
        return lambda said, y: one_hot(gate(said, y))

    def chance(said, _):
        size = len(said["base"])
        return np.eye(3)[np.random.default_rng(seed).integers(0, 3, size)]

    def true_group(said, y):
        return np.eye(3)[np.where(np.isin(y, CIFAR10_NATURAL), 1, 2)]

    def best(said, y):
        return one_hot(spread(said)[np.arange(len(y)), :, y])

    pair = {"base": 1, "second": 1}
    return {
        "base": alone("base"),
        "base, trained longer": alone("longer"),
        "CNN, parameters of the mixture": alone("parameters"),
        "CNN, compute of a switch": alone("compute"),
        "two bases, averaged": (lambda s, _: (s["base"] + s["second"]) / 2, [*pair], pair),
        "average of the experts": (
            mixture(lambda said, _: np.full((len(said["base"]), 3), 1 / 3)),
            experts,
            dict.fromkeys(experts, 1),
        ),
        "random gate": (mixture(chance), experts, asked(chance)),
        "base as gate, hard": (
            mixture(switched(own)),
            experts,
            asked(switched(own), "base"),
        ),
        "group gate, soft": (mixture(trained), four[1:], dict.fromkeys(four[1:], 1)),
        "group gate, hard": (
            mixture(switched(trained)),
            four[1:],
            asked(switched(trained), "group-gate"),
        ),
        "learned gate, soft": (mixture(soft), four, dict.fromkeys(four, 1)),
        "learned gate, hard": (mixture(hard), four, asked(hard, *GATES)),
        "oracle of the group": (mixture(true_group), [*IDS], {"natural": 0.6, "artificial": 0.4}),
        "oracle of the expert": (mixture(best), experts, dict.fromkeys(experts, 1 / 3)),
    }


def spread(said):
    """What base, natural and artificial expert say, over all classes: (N, 3, C)."""
    wide = np.zeros((len(said["base"]), 3, said["base"].shape[1]))
    wide[:, 0] = said["base"]
    for place, (name, ids) in enumerate(IDS.items(), start=1):
        wide[:, place, list(ids)] = said[name]
    return wide


def groups_of_base(said):
    """The base's probabilities of natural and artificial: (N, 2)."""
    return np.stack([said["base"][:, list(ids)].sum(axis=1) for ids in IDS.values()], axis=1)


def features(said):
    """What a learned gate looks at: how natural the base and the group gate find an image."""
    return np.stack([groups_of_base(said)[:, 0], said["group-gate"][:, 0]], axis=1)


def one_hot(weights):
    return np.eye(weights.shape[1])[weights.argmax(axis=1)]


def learn(views, labels, seed):
    """A softmax gate of nine parameters, trained on validation images: soft, and as a switch."""
    keras.utils.set_random_seed(seed)
    looked_at = np.concatenate([features(said) for said in views])
    answers = np.concatenate([spread(said) for said in views])
    inputs = [keras.Input((2,)), *(keras.Input((10,)) for _ in range(3))]
    gate = SoftmaxGate(num_experts=3)
    head = keras.Model(inputs, Combine()(gate(inputs[0])["probabilities"], inputs[1:]))
    head.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    arrays = [looked_at, *np.moveaxis(answers, 1, 0)]
    head.fit(arrays, np.tile(labels, len(views)), batch_size=250, epochs=20, verbose=0)

    def soft(said, _):
        return ops.convert_to_numpy(gate(features(said))["probabilities"])

    return soft, lambda said, y: one_hot(soft(said, y))


def _network(folder, name):
    """A trained network, its card, and its multiply-adds for an image."""
    expert = pretrained_vgg(name, "cifar10", folder)
    image = np.zeros((1, 32, 32, 3), "float32")
    return expert, pretrained_card(name, "cifar10", folder), multiply_adds(expert, image)


def _after_base(groups):
    """Weights (N, 2) of the groups as weights (N, 3) of base, natural and artificial."""
    return np.pad(groups, ((0, 0), (1, 0)))


def _combine(weights, answers):
    return np.einsum("ne,nec->nc", weights, answers)


def _scores(answer, said, labels):
    """Accuracy and calibration on the test set; the temperature is fitted on validation images."""
    views = {part: [answer(view, labels[part]) for view in said[part]] for part in said}
    both = {part: sum(views[part]) / len(views[part]) for part in views}
    temperature = fit_temperature(both["validation"], labels["validation"])
    test, y = both["test"], labels["test"]
    tempered = with_temperature(test, temperature)
    return {
        "accuracy": _accuracy(test, y),
        "one view": _accuracy(views["test"][0], y),
        "NLL": round(negative_log_likelihood(test, y), 4),
        "ECE": round(expected_calibration_error(test, y), 4),
        "temperature": round(temperature, 3),
        "NLL, tempered": round(negative_log_likelihood(tempered, y), 4),
        "ECE, tempered": round(expected_calibration_error(tempered, y), 4),
    }


def _accuracy(probabilities, labels):
    return round(float((probabilities.argmax(axis=1) == labels).mean()), 4)


def _means(used, runs, costs, cards, views):
    """Parameters, multiply-adds for one view of an image, and what the training took."""
    if callable(runs):
        runs = {n: np.mean([runs(view)[n] for view in views]) for n in runs(views[0])}
    seen = [cards[name]["epochs"] * cards[name]["split"]["train"] for name in used]
    return {
        "parameters": sum(cards[name]["parameters"] for name in used),
        "multiply-adds": round(sum(share * costs[name] for name, share in runs.items())),
        "images shown": sum(seen),
        "minutes": round(sum(cards[name]["minutes"] for name in used), 1),
    }
