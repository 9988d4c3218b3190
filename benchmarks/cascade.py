"""What a cascade over the networks of the package gains and costs, on CIFAR-10.

    python -m benchmarks.cascade [--shares 0.05 0.1 0.15 0.2 0.25 0.3] [--rounds 10]

The base answers; a share of the images, those of the smallest margin, is deferred to the natural
and the artificial expert, weighed by what the base says of the two groups: "both experts" by the
sums of its probabilities, "one expert" by a switch to the larger sum. A deferred image's answer is
the mean of the base's and the experts'. Nothing is learned; one number is fitted, the threshold, on
one half of the validation images. The other half says what to expect, and the test images are read
once. Two views, as in lab 03: the mean over an image and its mirror image.

Writes `results/cascade.json`: the gains with paired intervals, multiply-adds, and the times of the
layer itself (`CascadeMoE` in a `tf.function`, one view) relative to the base's, in the same run, at
batches of 1, 32 and 1,000. A batch of 1 is one image after the other, of 64.
"""

import argparse
import json
import os
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from benchmarks.machine import describe
from benchmarks.timing import ratio, times_in_turns
from moe_common.files import write_text
from moe_keras.data import groups, load
from moe_keras.evaluation import fit_threshold, multiply_adds, paired_interval
from moe_keras.experts import ClassSubset, pretrained_vgg
from moe_keras.gates import GroupGate
from moe_keras.mixtures import CascadeMoE
from moe_keras.mixtures.confidence import confidence_of
from moe_keras.training import FrozenOutputs

RESULTS = Path(__file__).parent / "results" / "cascade.json"
GROUPS = groups("cifar10")
KINDS = {"both experts": False, "one expert": True}  # whether the gate is a switch
CHOSEN = 0.2  # the share whose time is taken
BATCHES = (1, 32, 1000)


def networks(key):
    """The base, and the two experts with their classes in ten columns."""
    experts = [
        ClassSubset(pretrained_vgg(name, key), class_ids, 10) for name, class_ids in GROUPS.items()
    ]
    return pretrained_vgg("base", key), experts


def cascade_of(base, experts, threshold, hard):
    gate = GroupGate(keras.layers.Identity(), list(GROUPS.values()), hard=hard)
    return CascadeMoE(base, experts, gate, threshold)


class Answers(NamedTuple):
    """What base and experts say about N images, and about their mirror images."""

    views: list  # two arrays (3, N, 10)
    labels: np.ndarray

    def of(self, rows):
        return Answers([view[:, rows] for view in self.views], self.labels[rows])

    def base(self):
        return np.concatenate([view[0] for view in self.views])

    def right(self, threshold, hard):
        """Which images a cascade gets right, by two views and by one; the share deferred."""
        views, deferred = [], []
        for base, *experts in self.views:
            weights = np.stack([base[:, list(ids)].sum(axis=1) for ids in GROUPS.values()], axis=1)
            if hard:
                weights = np.eye(2)[weights.argmax(axis=1)]
            unsure = keras.ops.convert_to_numpy(confidence_of(base, "margin")) < threshold
            mixed = (base + np.einsum("ne,enc->nc", weights, experts)) / 2
            views.append(np.where(unsure[:, None], mixed, base))
            deferred.append(unsure.mean())
        two, one = (said.argmax(axis=1) == self.labels for said in (sum(views), views[0]))
        return two, one, float(np.mean(deferred))


def answers_to(images, labels, networks, kept):
    views = images, images[:, :, ::-1]
    return Answers([np.stack([kept(net, view) for net in networks]) for view in views], labels)


def percent(interval):
    return [round(100 * value, 2) for value in interval]


def row(answers, threshold, hard, cost):
    """Gains over the base, the share deferred, and multiply-adds relative to the base."""
    two, one, deferred = answers.right(threshold, hard)
    base_two, base_one, _ = answers.right(0.0, hard)
    experts = cost["experts"] * (1 if hard else 2)
    return {
        "accuracy": round(100 * float(two.mean()), 2),
        "gain": percent(paired_interval(two, base_two)),
        "gain, one view": percent(paired_interval(one, base_one)),
        "deferred": round(100 * deferred, 2),
        "multiply-adds": round(1 + deferred * experts / cost["base"], 3),
    }


def times(models, images, batch, rounds):
    """Time of each model relative to the base, at one size of a batch."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *images.shape[1:]), "float32")]
    shown = np.float32(images[: max(batch, 64)])
    parts = [tf.constant(shown[i : i + batch]) for i in range(0, len(shown), batch)]

    def step(model):
        function = tf.function(lambda x: model(x, training=False), signature)
        return lambda: [function(part).numpy() for part in parts]

    taken = times_in_turns({name: step(model) for name, model in models.items()}, rounds)
    return {
        name: {
            "times the base": [round(v, 2) for v in ratio(seconds, taken["base"])],
            "milliseconds": round(1000 * float(np.median(seconds)) / len(shown), 2),
        }
        for name, seconds in taken.items()
    }


def main(options):
    cifar = load("cifar10", subset=options.subset)
    base, experts = networks(cifar.key)
    kept = FrozenOutputs(options.outputs, verbose=0)
    one_image = np.zeros((1, 32, 32, 3), "float32")
    cost = {"base": multiply_adds(base, one_image), "experts": multiply_adds(experts[0], one_image)}
    nets = base, *experts
    validation = answers_to(cifar.x_validation, cifar.y_validation, nets, kept)
    fitted, judged = np.array_split(
        np.random.default_rng(0).permutation(len(cifar.y_validation)), 2
    )
    test = answers_to(cifar.x_test, cifar.y_test, nets, kept)
    rows, models = [], {"base": base}
    for kind, hard in KINDS.items():
        for share in (*options.shares, 1.0):
            threshold = fit_threshold(validation.of(fitted).base(), share)
            found = {
                "validation": row(validation.of(judged), threshold, hard, cost),
                "test": row(test, threshold, hard, cost),
            }
            rows.append({"kind": kind, "share": share, "threshold": round(threshold, 4), **found})
            print(rows[-1], flush=True)
            if share == CHOSEN:
                models[f"{kind}, {share:.0%} deferred"] = cascade_of(base, experts, threshold, hard)
    result = {"machine": describe(), "data": cifar.label, "multiply-adds": cost, "rows": rows}
    result["times"] = {}
    for batch in BATCHES if options.rounds else ():
        result["times"][f"batch {batch}"] = times(models, cifar.x_validation, batch, options.rounds)
        print(batch, result["times"][f"batch {batch}"], flush=True)
        write_text(options.results, json.dumps(result, indent=1) + "\n")
    write_text(options.results, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cascade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shares = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    parser.add_argument("--shares", nargs="+", type=float, default=shares)
    parser.add_argument("--rounds", type=int, default=10, help="of timing; 0 for none")
    parser.add_argument("--subset", type=float, help="part of the images, from 0 to 1; all")
    parser.add_argument("--outputs", type=Path, default=Path("build/frozen-outputs"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(parser.parse_args())
