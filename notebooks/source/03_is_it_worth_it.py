# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   moe_keras:
#     minutes: 3
#     outcomes: count what a network computes; calibrate it by one temperature; tell a real difference
#       from luck with pairs of answers; judge a mixture at equal parameters, compute and training
#     serves:
#       - [conv_cost]
#       - [temper, best_temperature, question-calibration]
#       - [paired_bootstrap, mcnemar, question-statistics, question-fault]
#       - [frontier, cascade, question-worth, question-report, question-experiment]
#     variant:
#       report:
#         - ["of four networks reaches 1 point more", "p < 0.001"]
#         - ["of four networks reaches 0.8 points more", "p < 0.01"]
#         - ["of four networks reaches 1.3 points more", "p < 0.0001"]
# ---

# %% [markdown]
# # Lab 03: is it worth it?
#
# A mixture of four networks has four times the parameters of one of them, and takes about four times
# the training. If all four are asked, it takes four times the multiply-adds, and longer to answer
# accordingly. Does it at least beat that one? And what *else* could you have had for that, and would
# it have been better? Two plain networks, averaged? One larger network? The same network, trained for
# longer?
#
# The lab does not know the answer that you would like to hear. It reports what comes out.
#
# **After this lab you can**
#
# - count what a network computes for an image, and measure how long it takes;
# - say whether a classifier is as sure as it is right, and correct it with one number;
# - tell a real difference from luck when two models answer the same images;
# - compare a mixture with rivals of equal parameters, equal compute and equal training;
# - ask experts only where they are needed, and choose how often that is;
# - design an experiment that can tell two explanations apart.
#
# **Time:** 3 minutes of computing on two CPU cores; two hours with the exercises.
#
# **Builds on:** lab 01 (a mixture and its gate) and lab 02 (the networks that come with the package).
#
# **How it works.** There are seven exercises, worth 16 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab03.temper.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on. Six questions, one of them an experiment of your own, are worth 17
# marks and read by your lecturer: 33 marks in all.
#
# Where it says **guess first**, replace `None` before you run on; later the lab shows guess and
# outcome side by side. Guesses are not marked. A surprise is worth more than a hit.
#
# **Handing in.** Run all cells from the top, save, and hand in this file under its own name, in the
# way that your lecturer has told you.

# %%
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import ops

from moe_keras import plots
from moe_keras.data import group_labels, groups, load
from moe_keras.evaluation import (
    expected_calibration_error,
    fit_threshold,
    mean_interval,
    multiply_adds,
    negative_log_likelihood,
    reliability,
)
from moe_keras.experts import ClassSubset, pretrained_card, pretrained_vgg
from moe_keras.gates import GroupGate, SoftmaxGate
from moe_keras.mixtures import CascadeMoE, Combine
from moe_keras.training import FrozenOutputs
from moe_labs.exercises import Guesses, lab03, summary

# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0, 1) if QUICK else (0, 1, 2, 3, 4)
BUILD = Path("../../build") if Path("../source").is_dir() else Path("../build")
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab
guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
conv_cost = temper = best_temperature = paired_bootstrap = mcnemar = frontier = cascade = None

# %% [markdown]
# ## 1 The networks
#
# CIFAR-10, as in lab 01. Nothing is trained on images today, so the training images are not needed.
# The 5,000 **validation** images, which no network has learnt from, are for all choices: the gates,
# the temperatures. The 10,000 **test** images wait for section 6.

# %% tags=["nbval-ignore-output"]
cifar = load("cifar10", subset=0.1 if QUICK else None)
print(cifar)

# %% [markdown]
# Four networks of one size come with the package, each with a card that says how it was trained: a
# **base** for all ten classes, an expert for the **natural** and one for the **artificial** classes,
# and a **group gate** that tells the two groups apart.

# %% tags=["nbval-ignore-output"]
GROUPS = groups("cifar10")
NAMES = ("base", *GROUPS, "group-gate")
networks = {name: pretrained_vgg(name, cifar.key) for name in NAMES}
for name, class_ids in GROUPS.items():  # the experts' few classes in ten columns, as in lab 02
    networks[name] = ClassSubset(networks[name], class_ids, 10)
cards = {name: pretrained_card(name, cifar.key) for name in NAMES}
parameters = {name: card["parameters"] for name, card in cards.items()}
images_shown = {name: card["epochs"] * card["split"]["train"] for name, card in cards.items()}
pd.DataFrame(
    {
        name: {
            "classes": len(card["classes"]),
            "parameters": f"{parameters[name]:,}",
            "epochs": card["epochs"],
            "images shown": f"{images_shown[name]:,}",
            "training minutes": card["minutes"],
            "validation accuracy": f"{card['accuracy']['validation']['two views']:.2%}",
        }
        for name, card in cards.items()
    }
).T

# %% [markdown]
# Each is good at its own task. Note the price already here: the mixture's four networks were shown
# several times as many images as the base.
#
# ## 2 What does an answer cost?
#
# Milliseconds depend on the machine, and on what else it does. So we also count **multiply-adds**:
# multiplications, each with the addition that follows. Nearly all of a CNN's work is in its
# convolutions. One that puts out `height` x `width` places with `filters` numbers each looks, for
# each of these numbers, at a patch of `size` x `size` places with `channels` numbers each.
#
# **Exercise 1 (2 marks).** Write `conv_cost`, the multiply-adds of one convolution (no bias).

# %% exercise="conv_cost"

# %% [markdown]
# The package's `multiply_adds` runs a model once and counts what is computed. Does it agree with
# you, over all convolutions of the base and its dense layer at the end?
#
# **Guess first.** The base has seven convolutions, 0 to 6. The last ones have the most weights, 590,000
# each. Which one computes most? (Not marked.)

# %%
guess["the convolution that computes most"] = None  # a number from 0 to 6

# %% tags=["nbval-ignore-output"]
by_hand, rows = 0, []
for layer in networks["base"].layer.layers:
    if isinstance(layer, keras.layers.Conv2D):
        _, height, width, filters = layer.output.shape
        size, _, channels, _ = layer.kernel.shape
        by_hand += conv_cost(height, width, channels, filters, size)
        rows.append([height, channels, filters, conv_cost(height, width, channels, filters, size)])
by_hand += cards["base"]["widths"][-1] * 10  # dense: units * features
one_image = np.zeros((1, 32, 32, 3), "float32")
cost = {name: multiply_adds(network, one_image) for name, network in networks.items()}
counts_agree = by_hand == cost["base"]
most = max(range(len(rows)), key=lambda i: rows[i][-1])
guess.compare("the convolution that computes most", most)
pd.DataFrame(rows, columns=["height and width", "channels", "filters", "multiply-adds"])

# %%
print("your count of the base is the package's:", counts_agree)

# %% [markdown]
# The four networks cost the same for an image, but for the width of their last layer.
#
# ## 3 As sure as right?
#
# Frozen networks give the same output each time, so each is run once; `FrozenOutputs` keeps the answers in
# files, as in lab 02. Each image is also shown **mirrored**, and in the end the two answers of a
# model are averaged. All models are treated so, at twice the cost; section 6 shows the single view
# beside it. (The first time this takes some minutes.)

# %% tags=["nbval-ignore-output"]
outputs = FrozenOutputs(BUILD / "frozen-outputs", verbose=0)


def ask(images):
    """What the networks say about the images, and about their mirror images: a list of two dicts."""
    views = images, images[:, :, ::-1]
    return [{name: outputs(network, view) for name, network in networks.items()} for view in views]


started = time.perf_counter()
shy_validation, y_validation = ask(cifar.x_validation), cifar.y_validation
print(f"{len(y_validation):,} validation images, two views: {time.perf_counter() - started:.0f} s")

# %% [markdown]
# A classifier that says 80 % should be right four times out of five. Two figures tell how far it is
# from that. The **expected calibration error** (ECE) is the mean distance of confidence and accuracy.
# The **negative log-likelihood** (NLL) is the mean surprise at the true class, $-\ln p_y$: low for
# one who is right and sure, high for one who is wrong and sure.
#
# Our networks were trained with *label smoothing*: instead of 100 % for the true class the base was
# asked for 82 %, and for 2 % for each other class. It makes better networks, and shy ones. That is no
# harm to accuracy, but it spoils ECE and NLL, and a gate that learns by NLL is misled by experts
# that are shy to different degrees. One number puts it right, the **temperature** T:
#
# $$q_c = \frac{p_c^{1/T}}{\sum_j p_j^{1/T}}$$
#
# **Exercise 2 (2 marks).** Write `temper`.

# %% exercise="temper"

# %% [markdown]
# **Exercise 3 (2 marks).** Write `best_temperature`: of a list of temperatures, the one with the
# lowest `negative_log_likelihood(probabilities, labels)`.

# %% exercise="best_temperature"

# %% [markdown]
# One temperature for each network, fitted on the validation images of its own classes. The list
# contains 1, which changes nothing, so on these images nobody can lose.

# %% tags=["nbval-ignore-output"]
TEMPERATURES = [round(t, 2) for t in np.arange(0.2, 2.01, 0.05)]
truth = {name: y_validation for name in NAMES}
truth["group-gate"] = group_labels(y_validation, GROUPS)
temperatures, surprise, rows = {}, {}, {}
for name in NAMES:
    own = np.isin(y_validation, GROUPS.get(name, range(10)))
    said = np.concatenate([view[name][own] for view in shy_validation])
    labels = np.tile(truth[name][own], 2)  # of the images, and of their mirror images
    temperatures[name] = best_temperature(said, labels, TEMPERATURES)
    after = temper(said, temperatures[name])
    surprise[name] = [negative_log_likelihood(p, labels) for p in (said, after)]
    rows[name] = {
        "temperature": f"{temperatures[name]:.2f}",
        "NLL before": f"{surprise[name][0]:.3f}",
        "NLL after": f"{surprise[name][1]:.3f}",
        "ECE before": f"{expected_calibration_error(said, labels):.3f}",
        "ECE after": f"{expected_calibration_error(after, labels):.3f}",
    }
pd.DataFrame(rows).T


# %%
def calibrated(views):
    """What the networks say, each at its temperature."""
    return [{name: temper(p, temperatures[name]) for name, p in view.items()} for view in views]


said_validation = calibrated(shy_validation)

# %% [markdown]
# A **reliability diagram** shows it: images sorted by confidence, and how often the model is right
# among them. Above the diagonal a model is too shy, below it too sure. Larger points hold more
# images.

# %% tags=["nbval-ignore-output"]
plots.reliability(
    {
        "base": reliability(shy_validation[0]["base"], y_validation),
        f"base at temperature {temperatures['base']:.2f}": reliability(
            said_validation[0]["base"], y_validation
        ),
    },
    "The base before and after, validation images",
    source=cifar.label,
)

# %% [markdown]
# ## 4 Ways to answer
#
# The mixture has three experts: the base, the natural and the artificial expert. What they say about
# an image is an array (3, 10); a gate gives three weights.

# %%
EXPERTS = ("base", *GROUPS)


def opinions(said):
    """What the three experts say: (N, 3, 10)."""
    return np.stack([said[name] for name in EXPERTS], axis=1)


# %% [markdown]
# Here are the gates that need no learning. Each is a function from what the networks say, and the
# true labels, to weights (N, 3). Only an **oracle** may look at the labels: it cannot be built, and
# shows what a perfect gate would be worth. Two have the group gate decide: **soft**, everybody is
# listened to by their probability, or **hard**, only one expert is asked (and run).


# %%
def groups_of_base(said):
    """How natural and how artificial the base finds each image: (N, 2), rows sum to 1."""
    return np.stack([said["base"][:, list(ids)].sum(axis=1) for ids in GROUPS.values()], axis=1)


def to_experts(groups):
    """Weights of the two groups as weights of the three experts: the base is not listened to."""
    return np.pad(groups, ((0, 0), (1, 0)))


def switch(weights):
    """All weight for the largest."""
    return np.eye(weights.shape[1])[weights.argmax(axis=1)]


def average(said, labels):
    return np.full((len(labels), 3), 1 / 3)


def at_random(said, labels):
    return np.eye(3)[np.random.default_rng(0).integers(0, 3, len(labels))]


def base_hard(said, labels):
    return to_experts(switch(groups_of_base(said)))


def group_gate(said, labels):
    return to_experts(said["group-gate"])


def group_gate_hard(said, labels):
    return to_experts(switch(said["group-gate"]))


def oracle_of_group(said, labels):
    return to_experts(np.stack([np.isin(labels, ids) for ids in GROUPS.values()], axis=1))


def oracle_of_expert(said, labels):
    """All weight for the expert that gives the true class the most."""
    return switch(opinions(said)[np.arange(len(labels)), :, labels])


# %% [markdown]
# And one gate that learns: a softmax over the three experts. It looks at two numbers, how natural
# the base finds the image and how natural the group gate finds it, as log-odds $\ln p / (1 - p)$.
# So it has 2 x 3 weights and 3 biases, **nine parameters**. It learns on the validation images. Not on the training images! There
# the experts are nearly always right, and a gate would learn to trust them blindly. Nine
# parameters cannot learn 5,000 images by heart either.


# %%
def log_odds(probabilities):
    p = np.clip(probabilities, 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


def looks_at(said):
    """What the learned gate sees: (N, 2)."""
    return log_odds(np.stack([groups_of_base(said)[:, 0], said["group-gate"][:, 0]], axis=1))


def learn_gate(views, labels, seed, looks=looks_at):
    """A softmax gate (N, D) -> (N, 3), trained through the mixture on frozen experts' answers."""
    keras.utils.set_random_seed(seed)
    gate = SoftmaxGate(num_experts=3)
    seen = keras.Input(looks(views[0]).shape[1:])
    answers = [keras.Input((10,)) for _ in EXPERTS]
    mixture = keras.Model([seen, *answers], Combine()(gate(seen)["probabilities"], answers))
    mixture.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    x = [np.concatenate([looks(said) for said in views])]
    x += [np.concatenate([opinions(said)[:, e] for said in views]) for e in range(3)]
    mixture.fit(x, np.tile(labels, len(views)), batch_size=250, epochs=20, verbose=0)
    return gate


learned = {seed: learn_gate(said_validation, y_validation, seed) for seed in SEEDS}
print("parameters of the learned gate:", learned[0].count_params())

# %% [markdown]
# So small a gate can be seen as a whole. Let base and group gate find an image natural to the same
# degree. Whom does the mixture listen to? The axis shows log-odds, as the gate sees them: 0 is an even
# chance, 2 is 88 %, 4 is 98 %, 7 is 99.9 %. That is where nearly all images are, and on an axis of
# probabilities they would share one edge.

# %% tags=["nbval-ignore-output"]
odds = np.linspace(-8, 8, 65)
weights = ops.convert_to_numpy(learned[0](np.stack([odds, odds], axis=1))["probabilities"])
beyond = np.abs(looks_at(said_validation[0])).min(axis=1) > 2
print(f"both networks surer than 88 %: {beyond.mean():.1%} of the validation images")
plots.lines(
    {name: (odds, weights[:, e]) for e, name in enumerate(EXPERTS)},
    "The learned gate, seed 0",
    source=cifar.label,
    x_label="log-odds of natural, both networks",
    y_label="weight",
)

# %% [markdown]
# Now all ways to answer, in one list. For each: its probabilities; the networks that *always* run;
# and, where a switch decides, the weights: another expert runs only for the images that give it a
# weight above 0.


# %%
def weights_of(gate, looks=looks_at):
    return lambda said, labels: ops.convert_to_numpy(gate(looks(said))["probabilities"])


def learned_soft(seed):
    return weights_of(learned[seed])


def learned_hard(seed):
    return lambda said, labels: switch(learned_soft(seed)(said, labels))


class Way(NamedTuple):
    """A way to answer: what it says, and what has to run for it."""

    answer: Callable  # of what the networks said, and the labels: probabilities (N, 10)
    always: tuple
    weights: Callable | None = None


def mixture(weights, always=()):
    """The weighted sum of the experts; one that is not in `always` runs only where it has weight."""

    def answer(said, labels):
        return np.einsum("ne,nec->nc", weights(said, labels), opinions(said))

    return Way(answer, always, weights)


LOOKED_AT = ("base", "group-gate")
ways = {
    "base": Way(lambda said, labels: said["base"], ("base",)),
    "average of the experts": mixture(average),
    "random gate": mixture(at_random),
    "base as gate, hard": mixture(base_hard, ("base",)),
    "group gate, soft": mixture(group_gate, ("group-gate",)),
    "group gate, hard": mixture(group_gate_hard, ("group-gate",)),
    "learned gate, soft": mixture(learned_soft(0), LOOKED_AT),
    "learned gate, hard": mixture(learned_hard(0), LOOKED_AT),
    "oracle of the group": mixture(oracle_of_group),
    "oracle of the expert": mixture(oracle_of_expert),
}


def both_views(way, said, labels):
    """Probabilities of a way, averaged over an image and its mirror image."""
    return sum(way.answer(view, labels) for view in said) / len(said)


validation = {name: both_views(way, said_validation, y_validation) for name, way in ways.items()}

# %% tags=["nbval-ignore-output"]


def accuracy(probabilities, labels):
    return float((probabilities.argmax(axis=1) == labels).mean())


for name, said in validation.items():
    print(f"{name}: {accuracy(said, y_validation):.2%} of the validation images")

# %% [markdown]
# ## 5 What each way takes
#
# For parameters and training count every network that a way needs at all. For multiply-adds and
# milliseconds count what *runs*: a hard gate keeps all experts in memory, and asks one. The oracles
# need nobody to decide, which is why nobody can have them.
#
# The milliseconds are for one view: the first validation image alone, and the first 256 at once. Which
# experts a hard gate asks depends on the image. So the first image's time need not fit the
# multiply-adds, which are means over all validation images.


# %%
def held(way, said, labels):
    """The networks that a way needs."""
    weights = np.zeros((1, 3)) if way.weights is None else way.weights(said, labels)
    return {*way.always, *(name for e, name in enumerate(EXPERTS) if weights[:, e].any())}


def computed(way, said, labels):
    """Mean multiply-adds for one view of an image."""
    total = sum(cost[name] for name in way.always)
    if way.weights is not None:
        asked = (way.weights(said, labels) > 0).mean(axis=0)
        total += sum(
            share * cost[name]
            for name, share in zip(EXPERTS, asked, strict=True)
            if name not in way.always
        )
    return total


one_view = tf.TensorSpec((None, 32, 32, 3), "float32")
fast = {
    name: tf.function(lambda x, network=network: network(x), input_signature=[one_view])
    for name, network in networks.items()
}


def run(way, images, labels):
    """Run the networks that a way runs, as a program in use would."""
    said = {name: fast[name](images).numpy() for name in way.always}
    if way.weights is not None:
        weights = way.weights(said, labels)
        for e, name in enumerate(EXPERTS):
            rows = np.flatnonzero(weights[:, e])
            if name not in said and len(rows):
                fast[name](images[rows]).numpy()


def milliseconds(way, batch, repeats):
    """Median milliseconds for one view of an image."""
    images = np.float32(cifar.x_validation[:batch])
    seconds = []
    for _ in range(repeats + 1):  # once to warm up
        started = time.perf_counter()
        run(way, images, y_validation[:batch])
        seconds.append(time.perf_counter() - started)
    return 1000 * np.median(seconds[1:]) / batch


# %% tags=["nbval-ignore-output"]
real = [name for name in ways if not name.startswith("oracle")]
used = {name: held(way, said_validation[0], y_validation) for name, way in ways.items()}
work = {name: computed(way, said_validation[0], y_validation) for name, way in ways.items()}
took = {name: (milliseconds(ways[name], 1, 20), milliseconds(ways[name], 256, 3)) for name in real}
means = pd.DataFrame(
    {
        name: {
            "parameters, millions": f"{sum(parameters[n] for n in used[name]) / 1e6:.2f}",
            "multiply-adds, millions": f"{work[name] / 1e6:.0f}",
            "ms, first image": f"{took[name][0]:.1f}" if name in took else "",
            "ms an image, 256 at once": f"{took[name][1]:.2f}" if name in took else "",
            "images shown, millions": f"{sum(images_shown[n] for n in used[name]) / 1e6:.2f}",
            "training minutes": f"{sum(cards[n]['minutes'] for n in used[name]):.0f}",
        }
        for name in ways
    }
).T
means

# %% [markdown]
# ## 6 The test, once
#
# A mixture of calibrated experts need not be calibrated itself. So each way to answer gets a
# temperature of its own too, again from the validation images.

# %% tags=["nbval-ignore-output"]
temperature = {
    name: best_temperature(said, y_validation, TEMPERATURES) for name, said in validation.items()
}
tempered = {name: temper(said, temperature[name]) for name, said in validation.items()}
pd.DataFrame(
    {
        name: {
            "temperature": f"{temperature[name]:.2f}",
            "NLL before": f"{negative_log_likelihood(validation[name], y_validation):.3f}",
            "NLL after": f"{negative_log_likelihood(tempered[name], y_validation):.3f}",
        }
        for name in ways
    }
).T

# %% [markdown]
# Look at the NLL of the two ways that switch between the groups: base as gate and group gate, hard. A
# switch gives the other group's classes a probability of exactly 0: where it is wrong, the truth was
# declared impossible, and no temperature makes something of 0. (The surprise would be infinite; NLL
# counts at most $-\ln 10^{-7} = 16$.)
#
# All is decided: the gates are trained, the temperatures fitted. Now the test images, once.
#
# **Guess first.** Base and learned soft gate both answer 10,000 test images. On how many of 10,000 is
# exactly one of the two right? And of six ways to mix (average; base as gate; group gate, soft and
# hard; learned gate, soft and hard), how many are better than the base by more than luck, with the
# interval of the gain above 0? (Not marked.)

# %%
guess["images of 10,000 on which one alone is right"] = None  # a number
guess["ways that beat the base by more than luck"] = None  # a number from 0 to 6

# %% tags=["nbval-ignore-output"]
said_test, y_test = calibrated(ask(cifar.x_test)), cifar.y_test
test = {name: both_views(way, said_test, y_test) for name, way in ways.items()}
single = {name: way.answer(said_test[0], y_test) for name, way in ways.items()}
right = {name: said.argmax(axis=1) == y_test for name, said in test.items()}
for name in ways:
    print(f"{name}: {right[name].mean():.2%} (one view {accuracy(single[name], y_test):.2%})")

# %% [markdown]
# Is a difference of half a point more than luck? Both models answered the same images, and agree on
# most of them. The **paired bootstrap** asks: what if we had drawn other test images? Draw as many
# images as there are, *with replacement*, so that some come twice and some not at all; take the
# difference of the two accuracies on them; do so again and again. The middle 95 % of these
# differences are the interval.
#
# **Exercise 4 (3 marks).** Write `paired_bootstrap`. Draw from `np.random.default_rng(seed)`.

# %% exercise="paired_bootstrap"

# %% [markdown]
# There is a shorter way to think of it. Images on which both are right, or both wrong, say nothing
# about which model is better. What is left are images that *only a* gets right, and images that *only
# b* gets right. Were the two equally good, each of these would fall to a or b like a coin. In n
# throws, heads minus tails is $\sqrt n$ or so. So
#
# $$z = \frac{n_a - n_b}{\sqrt{n_a + n_b}}$$
#
# is seldom beyond 1.96, only once in twenty times. This is **McNemar's test**.
#
# **Exercise 5 (3 marks).** Write `mcnemar`. If there are no such images, z is 0.

# %% exercise="mcnemar"

# %% [markdown]
# Every way against the base: is it better? (Differences and intervals in percentage points.)

# %% tags=["nbval-ignore-output"]
gain = {name: paired_bootstrap(right[name], right["base"], 2000, 0) for name in ways}
pairs = {name: mcnemar(right[name], right["base"]) for name in ways}
tempered_test = {name: temper(said, temperature[name]) for name, said in test.items()}
quality = pd.DataFrame(
    {
        name: {
            "accuracy": f"{right[name].mean():.2%}",
            "one view": f"{accuracy(single[name], y_test):.2%}",
            "against the base": "{:+.2f} [{:+.2f}, {:+.2f}]".format(
                *(100 * value for value in gain[name])
            ),
            "right alone / base alone": "{} / {}".format(*pairs[name][:2]),
            "z": f"{pairs[name][2]:.1f}",
        }
        for name in ways
    }
).T
alone = sum(pairs["learned gate, soft"][:2])
above = [name for name in ways if gain[name][1] > 0 and not name.startswith("oracle")]
guess.compare("images of 10,000 on which one alone is right", f"{1e4 * alone / len(y_test):.0f}")
guess.compare("ways that beat the base by more than luck", f"{len(above)} {above}")
quality

# %% [markdown]
# And are its probabilities good? What it takes, section 5 has shown; here is the part of it that
# counts most.

# %% tags=["nbval-ignore-output"]
ruled_out = {name: (p[np.arange(len(y_test)), y_test] == 0).mean() for name, p in test.items()}
pd.DataFrame(
    {
        name: {
            "NLL": f"{negative_log_likelihood(tempered_test[name], y_test):.3f}",
            "ECE": f"{expected_calibration_error(tempered_test[name], y_test):.3f}",
            "truth called impossible": f"{ruled_out[name]:.2%}",
        }
        for name in ways
    }
).T.join(means[["multiply-adds, millions", "images shown, millions"]])

# %% tags=["nbval-ignore-output"]
near = [name for name in ways if name not in ("base", "random gate")]
plots.intervals(
    {name: [100 * value for value in gain[name]] for name in near},
    "Gain over the base, test images",
    source=cifar.label,
    label="percentage points, with 95 % interval (paired)",
    reference=0,
)

# %% tags=["nbval-ignore-output"]
best_real = max(real, key=lambda name: accuracy(validation[name], y_validation))
plots.reliability(
    {name: reliability(tempered_test[name], y_test) for name in dict.fromkeys(("base", best_real))},
    "Base and the way that is best on validation, test images",
    source=cifar.label,
)

# %% [markdown]
# A gate that starts from other random numbers: does it matter? The learned gate was trained several
# times.

# %% tags=["nbval-ignore-output"]
by_seed = {
    kind: [
        100 * accuracy(both_views(mixture(make(seed), LOOKED_AT), said_test, y_test), y_test)
        for seed in SEEDS
    ]
    for kind, make in {"soft": learned_soft, "hard": learned_hard}.items()
}
for kind, values in by_seed.items():
    mean, low, high = mean_interval(values)
    print(f"learned gate, {kind}: {mean:.2f} % [{low:.2f}, {high:.2f}], {len(SEEDS)} seeds")

# %% [markdown]
# ## 7 Accuracy against compute
#
# A way to answer is **dominated** if another one computes no more, is at least as accurate, and is
# better in one of the two. Why should anyone take it? The others are the **frontier**: for each
# amount of compute the best that can be had.
#
# **Exercise 6 (2 marks).** Write `frontier`.

# %% exercise="frontier"

# %% [markdown]
# The oracles are left out, since nobody can have them, and so is the random gate, far below. A point on
# the frontier may be there by luck: its lead over a cheaper one may be smaller than what luck does. So
# a name gets a star, \*, if it is on the frontier and leads the starred one before it, the next
# cheaper, by more than its paired interval. It gets (\*) if it is on the frontier by its number alone.

# %% tags=["nbval-ignore-output"]


def stars_of(points, lead):
    """A star or none for each name; lead(a, b): the interval of accuracy a minus accuracy b."""
    costs, accuracies = np.array([point[:2] for point in points.values()]).T
    on_it = dict(zip(points, frontier(costs, accuracies), strict=True))
    stars, sure = dict.fromkeys(points, ""), None
    for name in sorted((name for name in points if on_it[name]), key=lambda n: points[n][0]):
        if sure is not None:
            print("{} over {}: {:+.2f} [{:+.2f}, {:+.2f}]".format(name, sure, *lead(name, sure)))
        if sure is None or lead(name, sure)[1] > 0:
            stars[name], sure = " *", name
        else:
            stars[name] = " (*)"
    return stars


def figure_of(points, lead, title, source, x_label):
    """Accuracy against compute; points: a name to (cost, accuracy, low, high)."""
    stars = stars_of(points, lead)
    return plots.labeled_points(
        {name + stars[name]: point for name, point in points.items()},
        title,
        source=source,
        x_label=x_label,
        y_label="test accuracy, per cent",
    )


points = {}
for name in real:
    if name != "random gate":
        rate = 100 * right[name].mean()
        margin = 196 * np.sqrt(right[name].var() / len(y_test))
        points[name] = (work[name] / 1e6, rate, rate - margin, rate + margin)
figure_of(
    points,
    lambda a, b: [100 * value for value in paired_bootstrap(right[a], right[b], 2000, 0)],
    "Networks that come with the package, with 95 % intervals of each accuracy",
    cifar.label,
    "multiply-adds for one view, millions",
)

# %% [markdown]
# The intervals of single accuracies overlap, and still a difference may be real: they hold what is
# common to all models, a lucky or unlucky choice of test images. The paired interval above does not.
#
# ### Ask the experts only where the base is unsure
#
# Most images are easy: the base answers them alone as well as any mixture does. Why run more networks
# on those? In a **cascade** the base answers first. Its **margin** is its largest probability minus the
# second largest. Where that is below a **threshold**, the image is *deferred*: the mixture answers.
# Everywhere else the base's answer stands, and no expert runs.
#
# **Exercise 7 (2 marks).** Write `cascade`: the answers, and the share of the images on which the
# mixture is asked.

# %% exercise="cascade"

# %% [markdown]
# The mixture is a simple one, in which nothing is learned: half of the weight for the base, half for the
# two experts, as natural or artificial as the base finds the image. The group gate is not needed. Each
# threshold comes from the validation images: the margin below which a given share of them lies.
#
# **Guess first.** How many per cent of the images must be deferred for nine tenths of the gain of
# deferring all? (Not marked.)

# %%
guess["per cent deferred for nine tenths of the gain"] = None  # a number from 0 to 100

# %% tags=["nbval-ignore-output"]


def half_base(said):
    """The mean of the base's answer and of the experts', these weighed by the base's own sums."""
    weights = np.pad(groups_of_base(said) / 2, ((0, 0), (1, 0)), constant_values=0.5)
    return np.einsum("ne,nec->nc", weights, opinions(said))


SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
margins_of = np.concatenate([view["base"] for view in said_validation])
thresholds = {share: fit_threshold(margins_of, share) for share in SHARES}
cascades = {}
for share, threshold in thresholds.items():
    views = [cascade(view["base"], half_base(view), threshold) for view in said_test]
    deferred = np.mean([part for _, part in views])
    compute = 1 + deferred * (cost["natural"] + cost["artificial"]) / cost["base"]
    answers = sum(answer for answer, _ in views).argmax(axis=1)
    change = [100 * v for v in paired_bootstrap(answers == y_test, right["base"], 2000, 0)]
    cascades[share] = (deferred, compute, *change)
least = min(share for share in SHARES if cascades[share][2] >= 0.9 * cascades[1.0][2])
guess.compare("per cent deferred for nine tenths of the gain", f"{100 * cascades[least][0]:.0f}")
pd.DataFrame(
    {
        f"{share:.0%} wanted": {
            "threshold": f"{thresholds[share]:.2f}",
            "deferred": f"{deferred:.1%}",
            "multiply-adds, times the base's": f"{compute:.2f}",
            "against the base": "{:+.2f} [{:+.2f}, {:+.2f}]".format(*change),
        }
        for share, (deferred, compute, *change) in cascades.items()
    }
).T

# %% tags=["nbval-ignore-output"]
_, costs, *gains = zip((0, 1, 0, 0, 0), *cascades.values(), strict=True)  # at first the base alone
plots.lines(
    {
        name: (costs, gain)
        for name, gain in zip(("gain", "95 %, from", "95 %, to"), gains, strict=True)
    },
    "Gain of a cascade over its base: 5, 10, 15, 20, 30, 50 and 100 % wanted",
    source=cifar.label,
    x_label="multiply-adds, times the base's",
    y_label="percentage points",
)

# %% [markdown]
# The images of which the base is least sure bring most of the gain, and beyond some point further ones
# bring little. Which point is the best? These intervals, all against the base, do not compare the
# points with each other. And nobody may choose by the test images.
#
# Multiply-adds are a promise. Does the clock agree? The layer `CascadeMoE` runs the experts on the
# deferred images alone. Here a fifth of the validation images is deferred; the clock sees the first
# 256 of them, the same ones whatever the batch.

# %% tags=["nbval-ignore-output"]
shy = shy_validation[0]
cascade_layer = CascadeMoE(
    networks["base"],
    [networks[name] for name in GROUPS],
    GroupGate(keras.layers.Identity(), list(GROUPS.values())),
    threshold=fit_threshold(shy["base"], share=0.2),
)
few = np.float32(cifar.x_validation[:256])
by_exercise, _ = cascade(shy["base"], half_base(shy), cascade_layer.threshold)
layer_agrees = np.allclose(cascade_layer(few), by_exercise[:256], atol=1e-4)
of_cascade = tf.function(lambda x: cascade_layer(x, training=False), input_signature=[one_view])


def seconds_of(function, batch, repeats=3):
    """Median seconds for the few images, in batches."""
    batches = [few[i : i + batch] for i in range(0, len(few), batch)]
    seconds = []
    for _ in range(repeats + 1):  # once to warm up
        started = time.perf_counter()
        for images in batches:
            function(images).numpy()
        seconds.append(time.perf_counter() - started)
    return np.median(seconds[1:])


_, part = cascade(shy["base"][:256], half_base(shy)[:256], cascade_layer.threshold)
print(f"deferred: {part:.1%} of these {len(few)} images")
for batch in (1, 32, 256):
    times = seconds_of(of_cascade, batch) / seconds_of(fast["base"], batch)
    print(f"{batch} at a time: {times:.2f} times the base's time")

# %% [markdown]
# ## 8 The rivals, at a small width
#
# What is missing are the rivals. At full size each takes a long time to train. So a program of the
# repository, `benchmarks/width_sweep.py`, trained everything small: 8, 32 and 32 filters instead of
# 64, 256 and 256, images of 16 by 16 pixels, and few epochs (3 for the base, 9 and 7 for the experts,
# 1 for the gate). It did so with several seeds, *all* networks anew each time. Besides the ways above
# there are
#
# - **base, trained longer**: shown as many images as the mixture's four networks together;
# - **CNN, parameters of the mixture**: one wider network with as many as the four together;
# - **CNN, compute of a switch**: one with the multiply-adds of a gate and one expert, as in "group
#   gate, hard";
# - **two bases, averaged**: the base and another one that differs by its seed only.
#
# These figures are read from a file. They are on CIFAR-10 whatever the data above.
#
# **Guess first.** The learned soft gate against the four rivals: which of them comes nearest to it?
# (Not marked.)

# %%
guess["the rival nearest to the mixture"] = None  # a name from the list above

# %% tags=["nbval-ignore-output"]
sweep = pd.read_csv(lab03.WIDTH_SWEEP)
sweep_seeds = sorted(sweep["seed"].unique())
of_base = sweep[sweep["model"] == "base"].set_index("seed")
small = {}
for name, rows in sweep.groupby("model", sort=False):
    rows = rows.set_index("seed")
    small[name] = {
        **rows.mean(numeric_only=True).to_dict(),
        "accuracy": mean_interval(100 * rows["accuracy"]),
        "gain": mean_interval(100 * (rows["accuracy"] - of_base["accuracy"])),
    }
pd.DataFrame(
    {
        name: {
            "accuracy": "{:.2f} [{:.2f}, {:.2f}]".format(*row["accuracy"]),
            "against the base": "{:+.2f} [{:+.2f}, {:+.2f}]".format(*row["gain"]),
            "one view": f"{100 * row['one view']:.2f}",
            "NLL": f"{row['NLL, tempered']:.3f}",
            "ECE": f"{row['ECE, tempered']:.3f}",
        }
        for name, row in small.items()
    }
).T

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        name: {
            "parameters, thousands": f"{row['parameters'] / 1e3:.0f}",
            "multiply-adds, millions": f"{row['multiply-adds'] / 1e6:.1f}",
            "images shown, thousands": f"{row['images shown'] / 1e3:.0f}",
        }
        for name, row in small.items()
    }
).T

# %% [markdown]
# Intervals are Student's, over the seeds: they hold what another training would change. That is
# another question than that of section 6, where the networks stayed and the images changed. Three
# seeds are few, and the intervals say so by being wide.

# %% tags=["nbval-ignore-output"]
SWEEP_SOURCE = f"CIFAR-10 in 16 x 16 pixels, widths 8, 32, 32, {len(sweep_seeds)} seeds"
hidden = ("base", "random gate", "average of the experts")
plots.intervals(
    {name: row["gain"] for name, row in small.items() if name not in hidden},
    "Gain over the base, small width",
    source=SWEEP_SOURCE,
    label="percentage points, with 95 % interval over seeds",
    reference=0,
)

# %% tags=["nbval-ignore-output"]
by_name = 100 * sweep.pivot(index="seed", columns="model", values="accuracy")


def lead_over_seeds(a, b):
    """Interval of accuracy a minus accuracy b, in points: seed by seed, each with its own base."""
    return mean_interval(by_name[a] - by_name[b])


figure_of(
    {
        name: (row["multiply-adds"] / 1e6, *row["accuracy"])
        for name, row in small.items()
        if name != "random gate" and not name.startswith("oracle")
    },
    lead_over_seeds,
    "All rivals at a small width, with 95 % intervals over seeds",
    SWEEP_SOURCE,
    "multiply-adds for one view, millions",
)

# %% [markdown]
# And the question of the lab itself: the learned soft gate against each rival, seed by seed. No rival
# has its compute. The CNN with the compute of a switch has that of "group gate, hard", so these two
# are compared as well.

# %% tags=["nbval-ignore-output"]
MIXTURE = "learned gate, soft"
RIVALS = (
    "base, trained longer",
    "CNN, parameters of the mixture",
    "CNN, compute of a switch",
    "two bases, averaged",
)
over_rivals = {f"over {rival}": lead_over_seeds(MIXTURE, rival) for rival in RIVALS}
nearest = min(RIVALS, key=lambda rival: abs(over_rivals[f"over {rival}"][0]))
guess.compare("the rival nearest to the mixture", nearest)
SWITCH, OF_ITS_COMPUTE = "group gate, hard", "CNN, compute of a switch"
over_compute = lead_over_seeds(SWITCH, OF_ITS_COMPUTE)
print("{} over {}: {:+.2f} [{:+.2f}, {:+.2f}]".format(SWITCH, OF_ITS_COMPUTE, *over_compute))
plots.intervals(
    over_rivals,
    "The learned soft gate against the rivals, small width",
    source=SWEEP_SOURCE,
    label="percentage points, with 95 % interval over seeds",
    reference=0,
)

# %% [markdown]
# ## 9 An experiment of your own
#
# Say that the learned soft gate is better than the base. There are two explanations. It knows *whom to
# ask about which image*. Or it is enough to hear three opinions, with weights that are the same for
# every image. No figure above tells the two apart.
#
# **Question A (4 marks).** Design an experiment that does. Before you run it, write down
#
# 1. what varies, and in which steps;
# 2. what stays the same, and why the comparison is fair;
# 3. what you measure: on which images, with how many seeds, with which interval;
# 4. which result would make you believe in the first explanation, which in the second, and which
#    would leave it open.
#
# Then run it, and say what came out. The test images have been read; stay with the validation images.
# To learn and to judge on the same images would be no experiment, so `right_by` splits them: one half
# trains the gate and the other half is judged, then the other way round.


# %%
def looks_at_nothing(said):
    """What a gate sees that cannot know one image from another: (N, 1), all 0."""
    return np.zeros((len(said["base"]), 1))


def right_by(looks, seed):
    """Which validation images are right, each judged by a gate that has not learnt from it: (N,)."""
    rows = np.random.default_rng(seed).permutation(len(y_validation))
    halves, answers = np.array_split(rows, 2), np.zeros(len(rows), int)
    for learn, judge in (halves, halves[::-1]):
        parts = [
            [{name: p[which] for name, p in view.items()} for view in said_validation]
            for which in (learn, judge)
        ]
        gate = learn_gate(parts[0], y_validation[learn], seed, looks)
        way = mixture(weights_of(gate, looks))
        answers[judge] = both_views(way, parts[1], y_validation[judge]).argmax(axis=1)
    return answers == y_validation


# %% [markdown]
# A small setting to begin with. Change what varies, and add seeds or controls.

# %% tags=["nbval-ignore-output"]
VARIES = {"looks at both networks": looks_at, "looks at nothing": looks_at_nothing}
MY_SEEDS = (0,)
base_right = both_views(ways["base"], said_validation, y_validation).argmax(axis=1) == y_validation
found = {
    name: np.mean([right_by(looks, seed) for seed in MY_SEEDS], axis=0)  # (N,), mean over seeds
    for name, looks in VARIES.items()
}
first_kind, *others = found
comparisons = {f"{name} - base": found[name] - base_right for name in found}
comparisons |= {f"{first_kind} - {name}": found[first_kind] - found[name] for name in others}
for name, difference in comparisons.items():
    middle, margin = difference.mean(), 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    print(
        f"{name}: {100 * middle:+.2f} [{100 * (middle - margin):+.2f}, {100 * (middle + margin):+.2f}]"
    )

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-experiment", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# What varies is what the gate looks at: both networks' numbers, or nothing (then only its three biases
# learn, and every image gets the same weights), or the numbers of another image drawn by lot, which
# keeps the nine parameters and tells nothing. The same: experts, images, halves, optimizer, epochs,
# seeds; each image is judged by a gate that has not learnt from it. Measured: the difference of the
# two gates' accuracies on all 5,000 validation images, paired, as a mean over three seeds or more. An
# interval above 0 speaks for knowing whom to ask; one that holds 0, while the gate that looks at
# nothing is above the base, says that averaging is enough to explain the gain, so far as 5,000 images
# can tell. If it holds 0, and only the looking gate is above the base, it stays open. If neither is
# above the base, there is no gain to explain.
#
# What came out, in the stored run with one seed: the gate that looks is above the base by +0.88
# [+0.47, +1.29], the one that looks at nothing by +0.00, and the difference of the two is +0.88 [+0.47,
# +1.29]. That speaks for the first explanation, so far as one seed can; two more are to follow.
#
# *Marking guide.* 1 mark: one thing varies, what the gate looks at, with a control that knows nothing
# of the image (all zeros; better still noise, or another image's numbers, which keep the number of
# parameters). 1 mark: experts, images, training and seeds stay the same, and nobody is judged on what
# it has learnt from. 1 mark: a paired interval over images, and what it leaves out (other experts).
# 1 mark: each outcome was given its meaning before the run, "cannot tell" among them, and the
# conclusion keeps to it. What comes out earns no marks, nor loses any.

# %% [markdown]
# The figures of this run, and what must hold in every run:

# %% tags=["figures", "nbval-ignore-output"]
print(f"data: {cifar.label}, {len(y_test):,} test images")
for name in ways:
    difference, low, high = (100 * value for value in gain[name])
    print(f"{name}: {right[name].mean():.2%}, {difference:+.2f} [{low:+.2f}, {high:+.2f}]")
for name in ("base", "learned gate, soft", "learned gate, hard"):
    print(f"{name}, NLL: {negative_log_likelihood(tempered_test[name], y_test):.3f}")
    print(f"{name}, multiply-adds: {work[name] / 1e6:.1f} million")
for deferred, compute, *change in cascades.values():
    what = f"cascade, {deferred:.1%} deferred, {compute:.2f} times the base's multiply-adds"
    print("{}: {:+.2f} [{:+.2f}, {:+.2f}]".format(what, *change))
for name, row in small.items():
    print("small width, {}: {:.2f} % [{:.2f}, {:.2f}]".format(name, *row["accuracy"]))
for name, interval in over_rivals.items():
    print("small width, {} {}: {:+.2f} [{:+.2f}, {:+.2f}]".format(MIXTURE, name, *interval))
what = f"small width, {SWITCH} over {OF_ITS_COMPUTE}"
print("{}: {:+.2f} [{:+.2f}, {:+.2f}]".format(what, *over_compute))

# %% tags=["verdicts"]
print("your count of the base is the package's:", counts_agree)
print("the learned gate has nine parameters:", learned[0].count_params() == 9)
print(
    "its temperature lowers each network's surprise on validation:",
    all(after < before for before, after in surprise.values()),
)
print(
    "temperature changes no answer:",
    all((tempered[n].argmax(axis=1) == validation[n].argmax(axis=1)).all() for n in ways),
)
scored = {name: right[name].mean() for name in ways}
print(
    "no gate is better than the oracle of the expert:",
    max(scored.values()) == scored["oracle of the expert"],
)
print("no gate is worse than the random one:", min(scored.values()) == scored["random gate"])
print(
    "a hard gate computes less than a soft one:",
    work["learned gate, hard"] < work["learned gate, soft"],
)
print("the layer CascadeMoE says the same as your cascade:", layer_agrees)
print(
    "a switch calls some classes impossible, the learned soft gate none:",
    bool((test["group gate, hard"] == 0).any() and (test["learned gate, soft"] > 0).all()),
)
print(
    "small width, it leads two bases and the base trained longer by more than the interval:",
    all(over_rivals[f"over {r}"][1] > 0 for r in ("base, trained longer", "two bases, averaged")),
)
low, high = over_rivals["over CNN, parameters of the mixture"][1:]
print("small width, nobody can tell it from a CNN of its parameters:", bool(low < 0 < high))

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **B (3 marks).** Take the learned soft gate and the base. Report the difference with its interval,
# and n_a, n_b and z. Do the two methods agree? What does the interval *not* tell, that the intervals
# of section 8 do?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-statistics", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# In the stored run the difference is +0.46 [+0.18, +0.75] points, n_a = 118, n_b = 72, z = 3.3. The two
# methods agree, and must: the difference is (n_a - n_b) / N, and its standard error is nearly the root
# of n_a + n_b, over N. The interval leaves out 0 when z is beyond 1.96 or so. It speaks of these
# networks on other test images. It says nothing about other networks trained by the same recipe: for
# that one needs several trainings, as in section 8, where the seeds differ.

# %% [markdown]
# **C (4 marks).** Is it worth it? Judge the learned soft gate against the rivals of section 8: at equal
# parameters, at equal training (images shown), and against two bases averaged. At equal compute judge
# "group gate, hard" against the CNN with the compute of a switch.
# Which gains are larger than their intervals? What would you build, if you had (i) little memory,
# (ii) little time for an answer, (iii) little time for training?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-worth", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# At full size the learned soft gate gains half a point over the base, and its interval is above 0; it
# takes four times the parameters, the multiply-adds and the training; a cascade gains as much with
# three networks and some 1.4 times the base's multiply-adds. The hard gates gain less than their
# intervals. At the small width the mixture gains far more, and far more than two bases
# averaged. But the same base, shown as many images as the mixture's four networks, gains five of these
# six points (the mixture leads by 0.99, [0.62, 1.37]); and nobody can tell the mixture from one CNN
# with as many parameters (+0.07, [-1.02, +1.17]), which takes a quarter of the training and less
# compute than the soft gate. No rival has the soft gate's compute. At equal compute "group gate, hard"
# leads the CNN with the compute of a switch by +1.41 [+0.68, +2.14], but it was shown
# some three times as many images. So here parameters and training explain the gain, and nothing shows
# that the division of labour is needed for it. I would build (i) the base, trained longer; (ii) the same, or a
# somewhat wider CNN; (iii) the wider CNN, which has most from few images. A mixture is worth it if
# the experts are there already, or must be trained and exchanged one by one.

# %% [markdown]
# **D (2 marks).** A switch and its soft gate have nearly the same accuracy. Compare their NLL after
# tempering. Where does the difference come from, and why can no temperature mend it? When would
# you mind?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-calibration", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Where the switch takes the wrong group, the true class gets probability 0, and 0 to any power is 0.
# Each such image costs a surprise of 16 in our NLL, and an infinite one without the limit; the table
# says how many there are, and one in a hundred adds 0.16 to the mean. One minds when the probabilities are used: to set a threshold,
# to ask a person in doubtful cases, to combine with other evidence. For the most probable class
# alone it does not matter.

# %% [markdown]
# **E (2 marks).** A report says: "Our mixture of four networks reaches 1 point more than the
# baseline, p < 0.001." Name two things that you would ask before you believe that the division of
# labour among experts is the reason.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-report", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# What does the baseline reach with the same means: as many parameters, as much compute, shown as many
# images? Do two baselines, averaged, gain as much? That would be averaging, not division of labour.
# Further: on which images was the gate trained and chosen, and how often was the test set looked at?
# Does p speak of test images only, or of several trainings?

# %% [markdown]
# **F (2 marks).** Find the fault. This program runs on the figures of section 8. What is wrong with its
# conclusion, and which line would you change?

# %% tags=["nbval-ignore-output"]
mixtures = sweep[
    sweep["model"].str.contains("gate, (?:soft|hard)") & (sweep["model"] != "random gate")
]
rival = sweep[sweep["model"] == "CNN, parameters of the mixture"]
ours, theirs = 100 * mixtures["accuracy"].max(), 100 * rival["accuracy"].mean()
print(f"our mixture: {ours:.2f} %; one CNN with as many parameters: {theirs:.2f} %")
print("Conclusion: at equal parameters the mixture wins.")

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# It sets the best of five mixtures in three trainings, 15 numbers, against the mean of the rival's
# three: the largest of many lies above their mean by luck alone (1 mark). Change the line with `max`:
# choose one mixture beforehand, and take the mean of its differences from the rival, seed by seed,
# with an interval (1 mark). For the learned soft gate that is +0.07 [-1.02, +1.17]: nobody can tell.

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab03)

# %% [markdown]
# ## To read on
#
# - McNemar (1947), *Note on the sampling error of the difference between correlated proportions*,
#   Psychometrika 12: the test of section 6.
# - Efron and Tibshirani (1993), *An introduction to the bootstrap*: how far resampling goes.
# - Dietterich (1998), *Approximate statistical tests for comparing supervised classification
#   learning algorithms*, Neural Computation 10: which test answers which question.
# - Guo, Pleiss, Sun and Weinberger (2017), *On calibration of modern neural networks*: temperature.
# - Jitkrittum et al. (2023), *When does confidence-based cascade deferral suffice?*: when a margin is
#   enough to decide whom to ask.
# - Lakshminarayanan, Pritzel and Blundell (2017), *Simple and scalable predictive uncertainty
#   estimation using deep ensembles*: what two bases, averaged, are good for.
# - Jacobs, Jordan, Nowlan and Hinton (1991), *Adaptive mixtures of local experts*, Neural
#   Computation 3: the division of labour.
