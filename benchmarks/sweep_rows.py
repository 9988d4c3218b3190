"""What the trained networks of a sweep come to: a row for each way to use them."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from benchmarks.sweep_networks import GROUPS
from moe_keras.evaluation import (
    expected_calibration_error,
    fit_temperature,
    multiply_adds,
    negative_log_likelihood,
    with_temperature,
)
from moe_keras.experts import pretrained_card, pretrained_vgg
from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures import Combine
from moe_keras.training import FrozenOutputs
from moe_keras.training.pretrain import examples

EXPERTS = ("base", *GROUPS)
LOOKED_AT = ("base", "group-gate")  # what the learned gate sees
OTHERS = ("second", "parameters", "compute", "longer")  # plain networks, in folders of their own


class Way(NamedTuple):
    """A way to answer."""

    answer: Callable  # of the networks' outputs, a dict, and the labels: probabilities (N, C)
    always: tuple = ()  # networks that run for every image
    weights: Callable | None = None  # of the same: (N, E); an expert runs where it is above 0


def rows_of(seed, folder, images):
    """The rows of one seed, each a dict, from the networks in a folder."""
    places = {name: (name, folder / f"seed-{seed}") for name in (*EXPERTS, "group-gate")}
    places |= {name: ("base", folder / f"seed-{seed}-{name}") for name in OTHERS}
    networks = {n: pretrained_vgg(net, "cifar10", place) for n, (net, place) in places.items()}
    cards = {n: pretrained_card(net, "cifar10", place) for n, (net, place) in places.items()}
    image = np.float32(images.x_test[:1])
    cost = {name: multiply_adds(network, image) for name, network in networks.items()}
    outputs = FrozenOutputs(folder / "outputs", verbose=0)
    labels = {"validation": images.y_validation, "test": images.y_test}
    outputs = {
        part: [
            {name: outputs(network, view) for name, network in networks.items()}
            for view in (x, x[:, :, ::-1])  # an image and its mirror
        ]
        for part, x in (("validation", images.x_validation), ("test", images.x_test))
    }
    outputs = calibrated(outputs, labels)
    gate = learn(outputs["validation"], labels["validation"], seed)
    return [
        {
            "seed": seed,
            "model": name,
            **scores(way, outputs, labels),
            **means(way, outputs["test"][0], labels["test"], cost, cards),
        }
        for name, way in ways(gate, seed).items()
    ]


def ways(gate, seed):
    """Each way to answer, by name. `gate`: the learned one, from `looks_at` to its answer."""

    def alone(name):
        return Way(lambda outputs, y: outputs[name], (name,))

    def mixture(weights, always=()):
        def answer(outputs, y):
            return np.einsum("ne,nec->nc", weights(outputs, y), opinions(outputs))

        return Way(answer, always, weights)

    def learned(outputs, y):
        return ops.convert_to_numpy(gate(looks_at(outputs))["probabilities"])

    def trained(outputs, y):
        return _to_experts(outputs["group-gate"])

    def hard(weights):
        return lambda outputs, y: _switch(weights(outputs, y))

    return {
        "base": alone("base"),
        "base, trained longer": alone("longer"),
        "CNN, parameters of the mixture": alone("parameters"),
        "CNN, compute of a switch": alone("compute"),
        "two bases, averaged": Way(
            lambda outputs, y: (outputs["base"] + outputs["second"]) / 2, ("base", "second")
        ),
        "average of the experts": mixture(lambda outputs, y: np.full((_count(outputs), 3), 1 / 3)),
        "random gate": mixture(
            lambda outputs, y: np.eye(3)[
                np.random.default_rng(seed).integers(0, 3, _count(outputs))
            ]
        ),
        "base as gate, hard": mixture(
            hard(lambda outputs, y: _to_experts(groups_of_base(outputs))), ("base",)
        ),
        "group gate, soft": mixture(trained, ("group-gate",)),
        "group gate, hard": mixture(hard(trained), ("group-gate",)),
        "learned gate, soft": mixture(learned, LOOKED_AT),
        "learned gate, hard": mixture(hard(learned), LOOKED_AT),
        "oracle of the group": mixture(
            lambda outputs, y: _to_experts(
                np.stack([np.isin(y, i) for i in GROUPS.values()], axis=1)
            )
        ),
        "oracle of the expert": mixture(
            lambda outputs, y: _switch(opinions(outputs)[np.arange(len(y)), :, y])
        ),
    }


def opinions(outputs):
    """What base, natural and artificial expert say, over all classes: (N, 3, C)."""
    wide = np.zeros((_count(outputs), 3, outputs["base"].shape[1]), "float32")
    wide[:, 0] = outputs["base"]
    for e, (name, class_ids) in enumerate(GROUPS.items(), start=1):
        wide[:, e, list(class_ids)] = outputs[name]
    return wide


def groups_of_base(outputs):
    """How natural and how artificial the base finds each image: (N, 2)."""
    return np.stack([outputs["base"][:, list(ids)].sum(axis=1) for ids in GROUPS.values()], axis=1)


def looks_at(outputs):
    """What a learned gate sees: log-odds of natural, by the base and the group gate: (N, 2)."""
    natural = np.stack([groups_of_base(outputs)[:, 0], outputs["group-gate"][:, 0]], axis=1)
    natural = np.clip(natural, 1e-4, 1 - 1e-4)
    return np.log(natural / (1 - natural))


def calibrated(outputs, labels):
    """The outputs, each network's at the temperature that fits its own validation images best."""
    temperatures = {}
    for name in outputs["validation"][0]:
        own = [
            examples(name, GROUPS, view[name], labels["validation"])
            for view in outputs["validation"]
        ]
        answers, truth = (np.concatenate(parts) for parts in zip(*own, strict=True))
        temperatures[name] = fit_temperature(answers, truth)
    return {
        part: [{n: with_temperature(p, temperatures[n]) for n, p in view.items()} for view in views]
        for part, views in outputs.items()
    }


def learn(views, labels, seed):
    """A softmax gate of nine parameters, trained through the mixture on validation images."""
    keras.utils.set_random_seed(seed)
    gate, seen = SoftmaxGate(num_experts=3), keras.Input((2,))
    answers = [keras.Input((10,)) for _ in EXPERTS]
    head = keras.Model([seen, *answers], Combine()(gate(seen)["probabilities"], answers))
    head.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    heard = np.concatenate([opinions(outputs) for outputs in views])
    arrays = [np.concatenate([looks_at(outputs) for outputs in views]), *np.moveaxis(heard, 1, 0)]
    head.fit(arrays, np.tile(labels, len(views)), batch_size=250, epochs=20, verbose=0)
    return gate


def scores(way, outputs, labels):
    """Accuracy and calibration on the test set; the temperature is fitted on validation images."""
    views = {part: [way.answer(view, labels[part]) for view in outputs[part]] for part in outputs}
    both = {part: sum(answers) / len(answers) for part, answers in views.items()}
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


def means(way, outputs, labels, cost, cards):
    """Parameters and training of all networks that a way needs; multiply-adds of those it runs."""
    share = dict.fromkeys(way.always, 1)
    if way.weights is not None:
        asked = (way.weights(outputs, labels) > 0).mean(axis=0)
        share = {**dict(zip(EXPERTS, asked, strict=True)), **share}
    used = [name for name in share if share[name] > 0]
    return {
        "parameters": sum(cards[name]["parameters"] for name in used),
        "multiply-adds": round(sum(share[name] * cost[name] for name in used)),
        "images shown": sum(cards[n]["epochs"] * cards[n]["split"]["train"] for n in used),
        "minutes": round(sum(cards[name]["minutes"] for name in used), 2),
    }


def _count(outputs):
    return len(outputs["base"])


def _to_experts(weights):
    """Weights (N, 2) of the groups as weights (N, 3) of the experts: the base has none."""
    return np.pad(weights, ((0, 0), (1, 0)))


def _switch(weights):
    """All weight for the largest."""
    return np.eye(weights.shape[1])[weights.argmax(axis=1)]


def _accuracy(probabilities, labels):
    return round(float((probabilities.argmax(axis=1) == labels).mean()), 4)
