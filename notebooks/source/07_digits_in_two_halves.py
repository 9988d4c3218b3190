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
#     minutes: 5
#     outcomes: build a hierarchy of experts from nothing; prove what trains and what is frozen; find
#       out where its errors come from; judge whether a split of the classes is a good one
#     serves:
#       - [own, group_probabilities, hierarchy]
#       - [moved_weights]
#       - [blame, question-helps, question-sure, question-fault]
#       - [errors_across, question-line, question-held-out]
#     variant:
#       # Which images are held back.
#       seed:
#         - "subset=0.2 if QUICK else None)"
#         - "subset=0.2 if QUICK else None, seed=1)"
#         - "subset=0.2 if QUICK else None, seed=2)"
#         - "subset=0.2 if QUICK else None, seed=3)"
#       halves:
#         - - "one expert for 0 to 4, one for 5 to 9, and a"
#           - "A 3 has nothing in common with a 0 that"
#           - 'DATASET = "mnist"  # or "fashion_mnist", whose halves are clothes, and shoes and bags'
#           - "import group_labels, groups, load"
#           - "HALVES = groups(DATASET)"
#           - "but in section 7 there will be gaps between them"
#         - - "one expert for even digits, one for odd ones, and a"
#           - "A 3 has nothing in common with a 1 that"
#           - 'DATASET = "mnist"'
#           - "import group_labels, load"
#           - 'HALVES = {"even": (0, 2, 4, 6, 8), "odd": (1, 3, 5, 7, 9)}'
#           - "but there are gaps between them"
#         - - "one expert for 0, 1, 2, 3 and 9, one for the others, and a"
#           - "A 3 has nothing in common with a 1 that"
#           - 'DATASET = "mnist"'
#           - "import group_labels, load"
#           - 'HALVES = {"outer": (0, 1, 2, 3, 9), "inner": (4, 5, 6, 7, 8)}'
#           - "but there are gaps between them"
# ---

# %% [markdown]
# # Lab 07: digits in two halves
#
# Animals and vehicles look different: that is why a hierarchy of experts may help with photographs.
# Digits have no such border. We draw one all the same: one expert for 0 to 4, one for 5 to 9, and a
# gate in front that tells the halves apart. A 3 has nothing in common with a 0 that it does not
# share with an 8. Does a hierarchy along such a line help?
#
# You go the whole way from nothing: base network, experts, gates, mixture, all trained here.
#
# **After this lab you can**
#
# - build a hierarchy of two levels over frozen experts, and recompute its answer by hand;
# - prove which weights a training moves and which it does not;
# - say where a hierarchy's errors come from, and why the first gate matters so much;
# - judge whether a split of the classes is a good one, before you train along it.
#
# **Time:** 5 minutes of computing on two CPU cores; two hours with the exercises.
#
# **Builds on:** lab 01 (experts for groups of classes, a gate that weighs them class by class).
#
# **How it works.** There are six exercises, worth 14 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab07.hierarchy.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on. The five questions at the end, worth 12 marks, your lecturer
# reads. Where it says **Guess first**, write down what you expect; the lab shows it beside what
# comes out. Guesses are not marked.

# %%
import itertools
import os
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops
from sklearn.metrics import confusion_matrix

from moe_keras import plots
from moe_keras.data import group_labels, groups, load
from moe_keras.evaluation import mean_interval, paired_interval
from moe_keras.experts import ClassSubset, FrozenExpert
from moe_keras.gates import PerClassGate
from moe_keras.mixtures import Combine
from moe_keras.training import (
    AugmentedImages,
    FrozenOutputs,
    RouterLog,
    TriangularSchedule,
    assemble,
)
from moe_labs.exercises import Guesses, lab07, summary

DATASET = "mnist"  # or "fashion_mnist", whose halves are clothes, and shoes and bags
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
BUILD = Path("../../build") if Path("../source").is_dir() else Path("../build")
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab
guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
own = group_probabilities = blame = moved_weights = hierarchy = errors_across = None

# %% [markdown]
# ## 1 The data, in four parts
#
# Handwritten digits, 28 by 28 pixels. Of the 60,000 training images, 50,000 train the networks. The
# other 10,000 they never see, and we cut these in two: the first 5,000 train the gates of the
# second level, which must learn how good the networks are on *new* images; on the other 5,000 we
# make our choices. The 10,000 test images wait for section 8.

# %% tags=["nbval-ignore-output"]
digits = load(DATASET, validation=10_000, subset=0.2 if QUICK else None)
print(digits)
half = len(digits.y_validation) // 2
x_gates, y_gates = digits.x_validation[:half], digits.y_validation[:half]
x_choice, y_choice = digits.x_validation[half:], digits.y_validation[half:]
print(f"{len(y_gates):,} images for the gates, {len(y_choice):,} for choices")

# %% tags=["nbval-ignore-output"]
HALVES = groups(DATASET)
NAMES = list(HALVES)
shown = [np.flatnonzero(digits.y_train == c)[0] for ids in HALVES.values() for c in ids]
plots.image_grid(
    digits.x_train[shown],
    [digits.class_names[digits.y_train[i]] for i in shown],
    f"One image of each class: {', then '.join(NAMES)}",
    source=digits.label,
)

# %% [markdown]
# ## 2 The base
#
# A small network for all ten classes. Its recipe is that of the labs before: images shifted by up
# to two pixels, and a learning rate that rises quickly and then falls in a straight line. We train
# everything three times, from different seeds: what differs from seed to seed is luck.


# %%
def block(filters, size, pool):
    """A convolution with pooling or without, normalised, then ReLU: a list of layers."""
    return [
        layers.Conv2D(filters, size, use_bias=False),
        *([layers.MaxPooling2D()] if pool else []),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


def build(name, num_classes, seed):
    """A small CNN, images (B, 28, 28, 1) to probabilities (B, num_classes), not yet trained."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 127.5, offset=-1.0),
            *block(16, 5, pool=True),
            *block(32, 5, pool=True),
            *block(64, 3, pool=False),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(num_classes, activation="softmax"),
        ],
        name=name,
    )


EPOCHS, BATCH, RATE = 2, 128, 0.004
curves, images_shown = {}, {}
(BUILD / "curves").mkdir(parents=True, exist_ok=True)


def train(network, seed, images, labels, validation, epochs):
    """Train a network, and keep its curves and how many images it was shown."""
    name = network.name
    batches = AugmentedImages(
        images, labels, BATCH, shift=2, mirror=digits.mirror_allowed, seed=seed
    )
    network.compile(
        keras.optimizers.Adam(TriangularSchedule(RATE, epochs * len(batches))),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=8,  # the same steps, but quicker: eight at each call
    )
    log = keras.callbacks.CSVLogger(BUILD / "curves" / f"07_{name}_seed{seed}.csv")
    history = network.fit(
        batches,
        epochs=epochs,
        validation_data=validation,
        validation_batch_size=500,
        callbacks=[log],
        verbose=0,
    )
    curves[name, seed] = history.history
    images_shown[name] = epochs * len(images)
    print(f"{name}, seed {seed}: {history.history['val_accuracy'][-1]:.2%} on validation")
    return network


print("parameters:", f"{build('base', 10, seed=0).count_params():,}")

# %% tags=["nbval-ignore-output"]
choice = (x_choice, y_choice)
bases = {
    seed: train(build("base", 10, seed), seed, digits.x_train, digits.y_train, choice, EPOCHS)
    for seed in SEEDS
}

# %% [markdown]
# Which digits does the base confuse? We count on all 10,000 held-out images, of all bases, and
# leave out the diagonal: these are the errors alone.


# %% tags=["nbval-ignore-output"]
def said_by(network, images):
    return network.predict(images, batch_size=500, verbose=0)


counts = sum(
    confusion_matrix(
        digits.y_validation, said_by(base, digits.x_validation).argmax(axis=1), labels=range(10)
    )
    for base in bases.values()
)
plots.heatmap(
    counts - np.diag(np.diag(counts)),
    digits.class_names,
    digits.class_names,
    f"Errors of {len(SEEDS)} bases, {len(digits.y_validation):,} held-out images each",
    source=digits.label,
    row_label="true class",
    column_label="predicted class",
    form="{:.0f}",
)

# %% [markdown]
# Keep this picture in mind. Section 7 asks it whether our line between the halves is a good one.
#
# **Guess first.** Which share of these errors crosses the line, so that true and predicted class
# lie in different halves? (Not marked.)

# %%
guess["errors that cross our line"] = None  # per cent, 0 to 100

# %% [markdown]
# ## 3 Two experts, and what they say of what they do not know
#
# Each expert learns one half, with images of that half alone, and numbers its classes from 0. Half
# of the images in twice as many epochs: an expert takes as many steps as the base.
#
# **Exercise 1 (2 marks).** Write `own`: of some images and labels, those whose label is in
# `class_ids`; and their labels renumbered, 0 for the first of the class ids, 1 for the second, and
# so on. The ids are in rising order, but in section 7 there will be gaps between them.

# %% exercise="own"


# %% tags=["nbval-ignore-output"]
def digits_in(class_ids):
    return "".join(map(str, class_ids))


def train_expert(class_ids, seed):
    """An expert for some of the classes, from nothing."""
    return train(
        build(f"expert-{digits_in(class_ids)}", len(class_ids), seed),
        seed,
        *own(digits.x_train, digits.y_train, class_ids),
        own(*choice, class_ids),
        2 * EPOCHS,  # of half the images: the base's number of steps
    )


experts = {(ids, seed): train_expert(ids, seed) for seed in SEEDS for ids in HALVES.values()}

# %% [markdown]
# On its own half, is an expert better than the base? To be fair, the base may choose within the
# half only, as the expert does. The last column is the difference in accuracy with its paired 95 %
# interval: where that holds 0, these images cannot tell the two apart.

# %% tags=["nbval-ignore-output"]
rows = {}
for name, ids in HALVES.items():
    images, labels = own(*choice, ids)
    for seed in SEEDS:
        by_expert = said_by(experts[ids, seed], images).argmax(axis=1) == labels
        by_base = said_by(bases[seed], images)[:, list(ids)].argmax(axis=1) == labels
        better = [100 * value for value in paired_interval(by_expert, by_base)]
        rows[f"{name}, seed {seed}"] = {
            "images": f"{len(labels):,}",
            "errors of its expert": int((~by_expert).sum()),
            "errors of the base": int((~by_base).sum()),
            "expert minus base, points": "{:+.2f} [{:+.2f}, {:+.2f}]".format(*better),
        }
pd.DataFrame(rows).T

# %% [markdown]
# And what does an expert say of a digit that it has never seen? It must answer, and it cannot say
# "neither". Its **confidence** is the probability of the class that it names.
#
# **Guess first.** How sure is an expert, on average, of a digit of the other half? (Not marked.)

# %%
guess["confidence in digits never seen"] = (
    None  # 0.2 is an even spread over five classes, 1 is sure
)

# %% tags=["nbval-ignore-output"]
confidence = {"its own half": [], "the other half": []}
for (ids, _), expert in experts.items():
    highest = said_by(expert, x_choice).max(axis=1).clip(0, 1)  # rounding can make it 1.0000001
    mine = np.isin(y_choice, ids)
    confidence["its own half"].append(highest[mine])
    confidence["the other half"].append(highest[~mine])
confidence = {name: np.concatenate(parts) for name, parts in confidence.items()}
foreign = confidence["the other half"]
print(f"digits of the other half, mean confidence: {foreign.mean():.2f}")
print(f"more than 0.9 sure of a digit of the other half: {(foreign > 0.9).mean():.0%}")
guess.compare("confidence in digits never seen", f"{foreign.mean():.2f}")
plots.histogram(
    confidence,
    "How sure the experts are, all seeds",
    source=digits.label,
    label="probability of the class that the expert names",
)

# %% tags=["nbval-ignore-output"]
low, high = HALVES.values()
foreign_images = np.isin(y_choice, high)
called = said_by(experts[low, 0], x_choice[foreign_images]).argmax(axis=1)
plots.confusion_matrix(
    confusion_matrix(y_choice[foreign_images], np.array(low)[called], labels=range(10))[
        np.ix_(high, low)
    ],
    [digits.class_names[c] for c in high],
    f"What the {NAMES[0]} expert calls the other half, seed 0",
    source=digits.label,
    columns=[digits.class_names[c] for c in low],
)

# %% [markdown]
# It names what looks most alike, and its probability says how alike *among the classes it knows*,
# not whether it knows the thing at all. Could we do without a gate, and believe the expert that is
# surer? Try it:

# %% tags=["nbval-ignore-output"]
surer = []
for seed in SEEDS:
    said = [said_by(experts[ids, seed], x_choice) for ids in (low, high)]
    high_is_surer = said[1].max(axis=1) > said[0].max(axis=1)
    named = [np.array(ids)[s.argmax(axis=1)] for ids, s in zip((low, high), said, strict=True)]
    surer.append(100 * (np.where(high_is_surer, *named[::-1]) == y_choice).mean())
    print(f"seed {seed}, the surer expert answers: {surer[-1]:.2f} % right")

# %% [markdown]
# Compare with the base in section 2. An expert is mostly less sure of a digit that it never saw,
# and that alone finds the right expert for all but a few images in a hundred. But the base does
# better: too often an expert is sure of what it never saw. Something that has seen both halves
# should know better whom to ask.
#
# ## 4 The first gate
#
# We already have a first gate for free: the base knows how probable each digit is. How probable is
# the half, then?
#
# **Exercise 2 (2 marks).** Write `group_probabilities`: from class probabilities (B, C) and a list
# of groups, each a tuple of class ids, to the groups' probabilities (B, number of groups).

# %% exercise="group_probabilities"

# %% [markdown]
# The rival: a network of its own with two classes, which begins with the filters of the base and
# trains for one epoch. Which of the two is the better gate? This is a choice, so we make it on the
# images for choices, by a rule that we write down before we look: **we take the gate that sends
# more images to their half, on the mean of the seeds, for both lines that this lab will draw.**
#
# **Guess first.** Which gate will that be? (Not marked.)

# %%
guess["the better first gate"] = None  # "the base's sums" or "a network of its own"


# %% tags=["nbval-ignore-output"]
GATE_EPOCHS = 1


def train_gate(halves, seed):
    """A network that tells the halves apart, with the base's filters and its own last layer."""
    network = build(f"gate-{digits_in(halves[0])}", len(halves), seed)
    for own_layer, base_layer in zip(network.layers[:-1], bases[seed].layers[:-1], strict=True):
        own_layer.set_weights(base_layer.get_weights())
    labels, validation = group_labels(digits.y_train, halves), group_labels(y_choice, halves)
    return train(network, seed, digits.x_train, labels, (x_choice, validation), epochs=GATE_EPOCHS)


halves = list(HALVES.values())
gate_networks = {seed: train_gate(halves, seed) for seed in SEEDS}

# %% tags=["nbval-ignore-output"]
SUMS, NETWORK = "the base's sums", "a network of its own"
half_of = group_labels(y_choice, HALVES)
first = {
    seed: {
        SUMS: np.asarray(group_probabilities(said_by(bases[seed], x_choice), halves)),
        NETWORK: said_by(gate_networks[seed], x_choice),
    }
    for seed in SEEDS
}
gate_right = {
    name: [100 * (first[seed][name].argmax(axis=1) == half_of).mean() for seed in SEEDS]
    for name in (SUMS, NETWORK)
}
gate_kind = max(gate_right, key=lambda name: np.mean(gate_right[name]))
guess.compare("the better first gate", gate_kind)
pd.DataFrame(gate_right, index=[f"seed {seed}" for seed in SEEDS]).T.round(2)

# %% [markdown]
# One image in 5,000 is 0.02 %. The better one is our first gate from here on. Where it is the sums,
# it must become a Keras layer too: a last layer on top of the base, never trained, whose kernel has
# a 1 where a class belongs to a half.


# %% tags=["nbval-ignore-output"]
def sums_of(base, halves):
    """The base, and a layer that adds up its classes half by half."""
    add_up = layers.Dense(len(halves), use_bias=False, trainable=False, name="add_up")
    network = keras.Sequential([keras.Input((28, 28, 1)), base, add_up], name="base-sums")
    add_up.set_weights([np.eye(len(halves))[group_labels(np.arange(10), halves)]])  # (10, 2)
    return network


def first_gate(halves, seed, network=None):
    """The gate of the kind chosen above, for two halves; a network is trained if need be."""
    if gate_kind == SUMS:
        return sums_of(bases[seed], halves)
    return network or train_gate(halves, seed)


gates = {seed: first_gate(halves, seed, gate_networks[seed]) for seed in SEEDS}
same_gate = np.allclose(said_by(gates[0], x_choice), first[0][gate_kind], atol=1e-5)
print(f"the first gate: {gate_kind}; the layer says what the table rests on: {same_gate}")

# %% [markdown]
# With the first gate and the two experts alone we have a **switch**: the gate chooses a half, and
# that half's expert has the last word. There are two ways to lose an image.
#
# **Exercise 3 (2 marks).** Write `blame`: the share of images that are lost at the gate, for it
# sends them to the wrong half; and the share that reach the right half, whose expert then errs.
# `halves_of` is the true half of each image, 0 or 1; `expert_right` says whether the expert of the
# *true* half names the right digit.

# %% exercise="blame"


# %% tags=["nbval-ignore-output"]
def right_in_own_half(halves, seed, images, labels):
    """Whether the expert of each image's own half names its class."""
    right = np.zeros(len(labels), bool)
    for ids in halves:
        mine = np.isin(labels, ids)
        named = said_by(experts[ids, seed], images[mine]).argmax(axis=1)
        right[mine] = np.array(ids)[named] == labels[mine]
    return right


def images_lost(gate_says, halves, seed):
    """How many images for choices a switch loses: at its gate, and by its experts."""
    right = right_in_own_half(halves, seed, *choice)
    shares = blame(gate_says, group_labels(y_choice, halves), right)
    return [round(len(y_choice) * share) for share in shares]


lost = {
    kind: {seed: images_lost(first[seed][kind], halves, seed) for seed in SEEDS}
    for kind in (SUMS, NETWORK)
}
base_errors = {
    seed: int((said_by(bases[seed], x_choice).argmax(axis=1) != y_choice).sum()) for seed in SEEDS
}
pd.DataFrame(
    {
        f"{kind}, seed {seed}": {
            "lost at the gate": at_gate,
            "lost by the expert": by_expert,
            "difference": f"{at_gate - by_expert:+d}",
            "of luck": f"+-{2 * np.sqrt(at_gate + by_expert):.0f}",
            "switch, all errors": at_gate + by_expert,
            "base, all errors": base_errors[seed],
        }
        for kind, counts_of in lost.items()
        for seed, (at_gate, by_expert) in counts_of.items()
    }
).T

# %% [markdown]
# All are numbers of images. Two counts that are equal but for luck differ by less than $2
# \sqrt{a+b}$ in 19 of 20 cases; that is the column "of luck". Only a larger difference says that
# gate or experts lose more.
#
# Either way, what the gate sends to the wrong half is lost for good: the best expert cannot name a
# digit that is not among its classes. A switch's errors are those of its gate and those of its
# experts together. So the gate must be better than the whole is to be. With animals and vehicles
# that is easy. Here, to know whether something is a 4 or a 9, it must know its digits.
#
# ## 5 The second level
#
# So let nobody have the last word. Within each half $g$, a gate of the **second level** weighs the
# base against the half's expert, for each class $c$; the first gate weighs the halves:
#
# $$y_c = \sum_g p_g \left( w_{gc}\, b_c + (1 - w_{gc})\, e_{gc} \right).$$
#
# Here $b$ is what the base says, $e_g$ what the expert of half $g$ says (0 for classes of the other
# half), $p$ the first gate. Only the $w_{gc}$ are still to be learnt. Their gates see what base and
# experts say, 30 numbers. First gate, base and experts are **frozen**.


# %%
def second_level():
    """A model from what gate, base and experts say, (B, 2) and three times (B, 10), to (B, 10)."""
    sizes = {"gate_says": 2, "base_says": 10, "low_says": 10, "high_says": 10}
    said = [keras.Input((size,), name=name) for name, size in sizes.items()]
    first, base, *of_experts = said
    seen = layers.Concatenate()([base, *of_experts])  # (B, 30)
    within = []
    for name, expert in zip(("low", "high"), of_experts, strict=True):
        gate = PerClassGate(num_classes=10, num_experts=2, name=f"weights_{name}")
        within.append(Combine()(gate(seen)["probabilities"], [base, expert]))
    return keras.Model(said, Combine()(first, within), name="second_level")


def members(gate, base, halves, seed):
    """The four frozen members of a hierarchy, in the order in which `second_level` takes them."""
    of_halves = [
        ClassSubset(FrozenExpert(experts[ids, seed]), ids, 10, name=f"expert_{name}")
        for name, ids in zip(("low", "high"), halves, strict=True)
    ]
    return [FrozenExpert(gate, name="first_gate"), FrozenExpert(base, name="base"), *of_halves]


# %% [markdown]
# `assemble` puts members and second level together: one model, images in, answer out.

# %% tags=["nbval-ignore-output"]
trained_members = {seed: members(gates[seed], bases[seed], halves, seed) for seed in SEEDS}
whole = assemble(trained_members[0], second_level(), input_shape=(28, 28, 1))
total, free = whole.count_params(), sum(int(np.prod(v.shape)) for v in whole.trainable_variables)
print(f"parameters: {total:,}, of which fit could move {free:,}")

# %% [markdown]
# "Could move". Does `fit` keep to it? A network that counts as frozen may still move: batch
# normalisation keeps running means, which are no trainable weights, and which every training step
# may update.
#
# **Exercise 4 (3 marks).** Write `moved_weights`: call `train()`, and return the paths
# (`weight.path`) of all weights of the model that are not the same afterwards.

# %% exercise="moved_weights"


# %%
def compiled(model):
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


few = (x_gates[:500], y_gates[:500])
moved = moved_weights(compiled(whole), lambda: whole.fit(*few, batch_size=250, verbose=0))
print(f"weights in the model: {len(whole.weights)}")
print(f"moved: {len(moved)}, all in", " and ".join(sorted({path.split("/")[0] for path in moved})))

# %% [markdown]
# The members have proven frozen: they say the same of the same image, epoch after epoch. So
# ask them **once**. `FrozenOutputs` runs a frozen network over the images and keeps what it says;
# the second level trains on that, in seconds. It trains on the 5,000 images that no network has
# learnt from. On training images the experts hardly err, and the gates would learn to trust them
# blindly.
#
# The figure below shows an expert's mean weight over all ten classes, also over the five that it
# does not know and for which it always says 0. So it shows how the gates move, not yet whom they
# believe: for that, wait for the heat map behind exercise 5.

# %% tags=["nbval-ignore-output"]
outputs = FrozenOutputs(BUILD / "frozen-outputs", verbose=0)


def train_second_level(frozen, seed, line, watch=False):
    """The second level over some frozen members, and how much its gates trusted the experts.

    To watch takes more time than to train, so we do it for one seed.
    """
    keras.utils.set_random_seed(seed)
    said, said_of_choice = ([outputs(member, x) for member in frozen] for x in (x_gates, x_choice))
    head = compiled(second_level())
    seen = keras.Input((30,))
    logs = [
        RouterLog(
            keras.Model(seen, head.get_layer(f"weights_{name}")(seen)),
            np.concatenate(said_of_choice[1:], axis=-1),
        )
        for name in ("low", "high")
        if watch
    ]
    file = BUILD / "curves" / f"07_second-level-{line}_seed{seed}"
    history = head.fit(
        said,
        y_gates,
        batch_size=250,
        epochs=20,
        validation_data=(said_of_choice, y_choice),
        validation_batch_size=500,
        callbacks=[keras.callbacks.CSVLogger(f"{file}.csv"), *logs],
        verbose=0,
    )
    for name, log in zip(("low", "high"), logs, strict=False):
        log.save(f"{file}_weights-{name}.csv")
    curves[f"second level, {line}", seed] = history.history
    return head, logs


started = time.perf_counter()
heads, router_logs = {}, {}
for seed in SEEDS:
    heads[seed], router_logs[seed] = train_second_level(
        trained_members[seed], seed, digits_in(low), watch=seed == 0
    )
print(f"second level trained, {len(SEEDS)} seeds: {time.perf_counter() - started:.0f} seconds")
plots.lines(
    {
        f"{name} expert": (log.steps, np.array(log.shares)[:, 1])
        for name, log in zip(NAMES, router_logs[0], strict=True)
    },
    "How much the second level believes the experts, seed 0",
    source=digits.label,
    x_label="batch",
    y_label="mean weight of the expert",
    reference=0.5,
)

# %%
hierarchies = {
    seed: assemble(trained_members[seed], heads[seed], input_shape=(28, 28, 1)) for seed in SEEDS
}

# %% tags=["nbval-ignore-output"]
display(plots.model_graph(hierarchies[0], "The hierarchy", source=digits.label, depth=1))
plots.model_graph(heads[0], "Its second level", source=digits.label)

# %% [markdown]
# **Exercise 5 (3 marks).** Trust no model that you cannot recompute. Write `hierarchy`, the formula
# above, in NumPy. `weights` is a list with the second level's weights for each half, of shape (B,
# 10, 2); in the last axis the base comes first, then the expert.

# %% exercise="hierarchy"


# %%
def weights_of(head, said):
    """What the second level's gates give for each half: two arrays (B, 10, 2)."""
    seen = np.concatenate(said[1:], axis=-1)
    both = [head.get_layer(f"weights_{name}")(seen) for name in ("low", "high")]
    return [ops.convert_to_numpy(given["probabilities"]) for given in both]


said_of_choice = [outputs(member, x_choice) for member in trained_members[0]]
weights = weights_of(heads[0], said_of_choice)
by_hand = hierarchy(said_of_choice[0], weights, said_of_choice[1], said_of_choice[2:])
predicted = said_by(hierarchies[0], x_choice)
by_hand_agrees = np.allclose(by_hand, predicted, atol=1e-5)
sums_to_one = all(np.allclose(w.sum(axis=-1), 1, atol=1e-5) for w in weights)
print("weights of one half, 1 image:", weights[0][:1].shape)
print("your formula agrees with predict:", by_hand_agrees)

# %% [markdown]
# Note the axis: each class's two weights sum to 1. With one softmax over all classes and experts
# together, the classes would compete with each other for weight, whatever the experts say.
#
# Whom does the second level believe? For images of each class, the mean weights of that class, in
# the half where it belongs:

# %% tags=["nbval-ignore-output"]
half_of_class = group_labels(np.arange(10), HALVES)
plots.heatmap(
    [weights[half_of_class[c]][y_choice == c, c].mean(axis=0) for c in range(10)],
    digits.class_names,
    ["base", "expert"],
    "Weights of the second level, seed 0",
    source=digits.label,
)

# %% [markdown]
# ## 6 The way of an image
#
# Below, the images to whose true class the base gives least, most of them its errors, and how they
# flow: by the first gate to a half, then to base and experts. The numbers at the first gate are its
# weights; those at the end say which part of the named class's probability comes from whom. An
# expert that does not know this class has no part in it.

# %% tags=["nbval-ignore-output"]
named = predicted.argmax(axis=1)
base_named = said_of_choice[1].argmax(axis=1)
rows = np.arange(len(y_choice))
chosen = said_of_choice[1][rows, y_choice].argsort()[:8]
of_halves = [said_of_choice[0][:, g, None] * weights[g][rows, named] for g in range(2)]  # (B, 2)
base_says, *experts_say = [said[rows, named] for said in said_of_choice[1:]]
parts = [of_half[:, 1] * says for of_half, says in zip(of_halves, experts_say, strict=True)]
parts = np.stack([(of_halves[0] + of_halves[1])[:, 0] * base_says, *parts])  # (3, B)
shares = parts / parts.sum(axis=0)
plots.flow(
    x_choice[chosen],
    {
        "first gate": (NAMES, said_of_choice[0][chosen]),
        "who is heard": (["base", *(f"{name} expert" for name in NAMES)], shares.T[chosen]),
    },
    [
        f"{digits.class_names[y_choice[i]]}, base says {digits.class_names[base_named[i]]}"
        for i in chosen
    ],
    "The base's hardest images, in the hierarchy of seed 0",
    source=digits.label,
    answers=[digits.class_names[named[i]] for i in chosen],
)

# %% [markdown]
# ## 7 Was it a good line to draw?
#
# Experts can only put right what is confused *within* a half. What is confused *across* is up to
# the first gate. Look at the errors of the bases in section 2: of which kind are they?
#
# **Exercise 6 (2 marks).** Write `errors_across`: given counts (true classes, predicted classes)
# and a group of classes, how many errors cross the border between the group and the rest, in
# either direction?

# %% exercise="errors_across"

# %% [markdown]
# There are only 126 ways to cut ten classes in five and five. Try them all, on the held-out images.
# On average over all cuts, 5/9 of the errors cross, whatever the errors are: a pair of classes is
# cut by 70 of the 126. So a line drawn without a look at the digits is to be expected near 0.56,
# and a good line lies to the left. Where is ours?

# %% tags=["nbval-ignore-output"]
all_errors = max(1, counts.sum() - np.trace(counts))
splits = [(0, *four) for four in itertools.combinations(range(1, 10), 4)]
crossing = {ids: errors_across(counts, ids) / all_errors for ids in splits}
ours = errors_across(counts, low) / all_errors
best = min(crossing, key=crossing.get)
best_halves = [best, tuple(c for c in range(10) if c not in best)]
mean_of_all = np.mean(list(crossing.values()))
our_line, best_line = " | ".join(NAMES), " | ".join(digits_in(ids) for ids in best_halves)
fewer = sum(share < ours for share in crossing.values())
print(
    f"errors that cross {our_line}: {ours:.0%} of {all_errors}; on average over all: {mean_of_all:.0%}"
)
print(f"splits with fewer: {fewer} of {len(splits)}")
print(f"fewest, {crossing[best]:.0%}: {best_line}")
guess.compare("errors that cross our line", f"{ours:.0%}")
plots.histogram(
    {f"all {len(splits)} splits": list(crossing.values())},
    "Which share of the bases' errors cross the border",
    source=digits.label,
    label="share of errors that cross",
    marks={our_line: ours, best_line: crossing[best]},
)

# %% [markdown]
# And the pairs of digits that are confused most often: which line separates them?

# %% tags=["nbval-ignore-output"]
both_ways = np.triu(counts + counts.T, 1)
hardest = np.argwhere(both_ways)
hardest = hardest[np.argsort(-both_ways[tuple(hardest.T)], kind="stable")][:8]
pd.DataFrame(
    {
        f"{digits.class_names[a]} and {digits.class_names[b]}": {
            "errors": both_ways[a, b],
            **{
                line: "cut" if (a in ids) != (b in ids) else "within a half"
                for line, ids in ((our_line, low), (best_line, best))
            },
        }
        for a, b in hardest
    }
).T

# %% [markdown]
# A pair that is cut is the first gate's task; a pair within a half is left to base and expert. Read
# the histogram and the table for our line: is it a bad one, or one like most others? Nobody asked
# the digits when it was drawn. So let the errors draw a line instead, the one with the fewest
# crossings, and train a second hierarchy along it, in the same way. The bases are the same.
#
# One warning. The least of 126 numbers is partly luck: on other images, expect more errors to cross
# that line. Section 8 counts again.

# %% tags=["nbval-ignore-output"]
rival_members, lost_along_best = {}, {}
for seed in SEEDS:
    for ids in best_halves:
        experts[ids, seed] = train_expert(ids, seed)
    gate = first_gate(best_halves, seed)
    lost_along_best[seed] = images_lost(said_by(gate, x_choice), best_halves, seed)
    rival_members[seed] = members(gate, bases[seed], best_halves, seed)
rival_heads = {
    seed: train_second_level(rival_members[seed], seed, digits_in(best))[0] for seed in SEEDS
}

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        f"{line}, seed {seed}": {"lost at the gate": at_gate, "lost by the expert": by_expert}
        for line, counts_of in ((our_line, lost[gate_kind]), (best_line, lost_along_best))
        for seed, (at_gate, by_expert) in counts_of.items()
    }
).T

# %% [markdown]
# The numbers are images that a switch loses, as in section 4, along either line. These images
# helped to choose the better line, so its gate is likely to look better here than on new ones.
#
# And a rival without experts: the base itself, trained on, until it has been shown as many images
# as all members of the hierarchy together. (The second level is not counted: its 20 epochs show it
# 5,000 images more, whose labels this rival never gets.) The figure shows who learnt how much from
# how many images; the experts have an easier task, five classes.

# %% tags=["nbval-ignore-output"]
member_names = [
    *([f"gate-{digits_in(low)}"] if gate_kind == NETWORK else []),
    *(f"expert-{digits_in(ids)}" for ids in halves),
]
more = round(sum(images_shown[name] for name in member_names) / len(digits.x_train))
trained_on = {}
for seed in SEEDS:
    network = build("base-trained-on", 10, seed)
    network.set_weights(bases[seed].get_weights())
    trained_on[seed] = train(network, seed, digits.x_train, digits.y_train, choice, epochs=more)


def errors_over_images(name, before=0):
    """Images shown so far, in thousands, and the errors on validation, in per cent."""
    right_share = np.array(curves[name, 0]["val_accuracy"])
    shown_so_far = images_shown[name] * np.arange(1, len(right_share) + 1) / len(right_share)
    return (before + shown_so_far) / 1000, 100 * (1 - right_share)


plots.lines(
    {
        "base": errors_over_images("base"),
        "base, trained on": errors_over_images("base-trained-on", images_shown["base"]),
        **{name: errors_over_images(name) for name in member_names},
    },
    "How the networks learnt, seed 0",
    source=digits.label,
    x_label="images shown, thousands",
    y_label="errors on validation, %",
)

# %% [markdown]
# ## 8 The test, once
#
# Seven answers to each test image. One rival needs no further training here: the plain **mean of
# two bases** of different seeds, without experts and without gates. Its three pairs share their
# bases, each base is in two of them, so its three values are not independent, as an interval over
# seeds takes them to be, and its intervals are likely too narrow.
#
# In the table, "images shown" counts what base, experts and a gate of its own were trained on. What
# the second level was shown, 20 times 5,000 images, comes on top.
#
# **Guess first.** Which of the seven will be the best? (Not marked.)

# %%
guess["the best on test images"] = None
# "base", "base, trained on", "mean of two bases", "switch", "switch, better line", "hierarchy" or
# "hierarchy, better line"

# %% tags=["nbval-ignore-output"]
y = digits.y_test
test = {}


def switch(said):
    """The answer (B, 10) of the expert whose half the first gate chooses."""
    return sum((said[0].argmax(axis=1) == g)[:, None] * said[2 + g] for g in range(2))


for seed in SEEDS:
    said = [outputs(member, digits.x_test) for member in trained_members[seed]]
    rival_said = [outputs(member, digits.x_test) for member in rival_members[seed]]
    other = outputs(trained_members[SEEDS[(seed + 1) % len(SEEDS)]][1], digits.x_test)
    test[seed] = {
        "base": said[1],
        "base, trained on": said_by(trained_on[seed], digits.x_test),
        "mean of two bases": (said[1] + other) / 2,
        "switch": switch(said),
        "switch, better line": switch(rival_said),
        "hierarchy": heads[seed].predict(said, batch_size=500, verbose=0),
        "hierarchy, better line": rival_heads[seed].predict(rival_said, batch_size=500, verbose=0),
    }
right = {name: {seed: test[seed][name].argmax(axis=1) == y for seed in SEEDS} for name in test[0]}
accuracy = {
    name: mean_interval([100 * right[name][seed].mean() for seed in SEEDS]) for name in right
}
one = bases[0].count_params()
sizes = [member.count_params() for member in trained_members[0]]
whole_count = hierarchies[0].count_params()
base_images = images_shown["base"]
all_images = base_images + sum(images_shown[name] for name in member_names)
asked = 3 if gate_kind == SUMS else 4  # sums are no network of their own
costs = {  # parameters, networks asked for an image, images shown in training
    "base": (one, 1, base_images),
    "base, trained on": (one, 1, base_images + images_shown["base-trained-on"]),
    "mean of two bases": (2 * one, 2, 2 * base_images),
    "switch": (sum(sizes) - one, 2, all_images),  # gate and two experts; the gate began as a base
    "switch, better line": (sum(sizes) - one, 2, all_images),
    "hierarchy": (whole_count, asked, all_images),
    "hierarchy, better line": (whole_count, asked, all_images),
}
guess.compare("the best on test images", max(accuracy, key=lambda name: accuracy[name].mean))
pd.DataFrame(
    {
        name: {
            "test accuracy (95 % interval)": "{:.2f} % [{:.2f}, {:.2f}]".format(*accuracy[name]),
            "parameters": f"{costs[name][0]:,}",
            "networks asked": costs[name][1],
            "images shown": f"{costs[name][2]:,}",
        }
        for name in accuracy
    }
).T

# %% tags=["nbval-ignore-output"]
plots.intervals(
    accuracy,
    f"Test accuracy, mean of {len(SEEDS)} seeds",
    source=digits.label,
    label="per cent, with 95 % interval over seeds",
)

# %% [markdown]
# Now the differences, seed by seed, on the same images. The intervals are paired bootstrap
# intervals: they say how much hangs on the choice of these 10,000 images.

# %% tags=["nbval-ignore-output"]
gains = {
    f"over {name}, seed {seed}": [
        100 * value for value in paired_interval(right["hierarchy"][seed], right[name][seed])
    ]
    for name in ("base", "base, trained on", "mean of two bases", "hierarchy, better line")
    for seed in SEEDS
}
plots.intervals(
    gains,
    "Gain of the hierarchy",
    source=digits.label,
    label="percentage points, with 95 % interval over images",
    reference=0,
)

# %% tags=["figures", "nbval-ignore-output"]
print(f"data: {digits.label}, {len(y):,} test images")
for name, (mean, low_end, high_end) in accuracy.items():
    print(f"{name}: {mean:.2f} % [{low_end:.2f}, {high_end:.2f}]")
for name, values in gate_right.items():
    print(f"first gate, {name}, on held-out images: {np.mean(values):.2f} %")
switches = {**lost, f"{gate_kind}, better line": lost_along_best}
for name, counts_of in switches.items():
    at_gate, by_expert = (sum(pair[place] for pair in counts_of.values()) for place in (0, 1))
    print(f"switch by {name}, held-out images lost: {at_gate} at the gate, {by_expert} by experts")
print(f"the first gate is {gate_kind}")
print(f"confidence in digits of the other half: {foreign.mean():.2f}")
print(f"without a gate, the surer expert answers: {np.mean(surer):.2f} %")
of_test = sum(
    confusion_matrix(y, test[seed]["base"].argmax(axis=1), labels=range(10)) for seed in SEEDS
)
test_errors = max(1, of_test.sum() - np.trace(of_test))
for line, ids in ((our_line, low), (best_line, best)):
    held_out, again = (
        errors_across(counts, ids) / all_errors,
        errors_across(of_test, ids) / test_errors,
    )
    print(f"errors that cross {line}: {held_out:.0%} of the held-out, {again:.0%} of the test's")
print(f"splits with fewer crossings than {our_line}: {fewer} of {len(splits)}")
print(f"parameters: {one:,} and {whole_count:,}")

# %% tags=["verdicts"]
half_right = np.mean(list(gate_right.values())) / 100
print("the first gate's polarity fits the labels:", bool(half_right > 0.8))
print("each class's weights sum to 1:", sums_to_one)
print("the formula by hand agrees with predict:", by_hand_agrees)
free_paths = [v.path for v in whole.trainable_variables]
print("the second level's gates moved, and nothing else:", sorted(moved) == sorted(free_paths))
now = said_by(bases[0], x_choice)
print("the base has not moved:", np.allclose(now, said_of_choice[1], atol=1e-6))
print("the layer of sums, or the network, is the gate of the table:", bool(same_gate))
no_errors = counts.sum() == np.trace(counts)
print("5/9 of the errors cross on average:", bool(no_errors or abs(mean_of_all - 5 / 9) < 1e-9))
print("experts are more sure than not of what they never saw:", bool(foreign.mean() > 0.5))
beaten = np.mean([right["hierarchy"][s].mean() - right["base"][s].mean() for s in SEEDS])
print("the hierarchy is no worse than its base, within half a point:", bool(beaten > -0.005))

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Does the hierarchy beat its base? Would that show that dividing the digits helps?
# Compare with the base trained on and with the mean of two bases, and with their costs.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-helps", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# A little, by about a tenth of a point; the interval over images lies above 0 for some seeds, not
# for all. That does not show that dividing helps. The
# hierarchy asks three or four networks instead of one, they were shown three times as many images,
# and the second level 5,000 more, twenty times. The fair rivals have the same resources, or fewer:
# the base trained on has as many images as base and experts, in one network; the mean of two bases
# has two opinions with fewer images, without experts or gates. Only a gain over these, with an
# interval above 0, could be owed to the division of the digits, and there is none. The
# hierarchy is about a tenth of a point *below* the base trained on, with each of the three seeds:
# none of these intervals shows it alone, though seeds that agree can show it together. The mean of
# two bases comes out ahead as well, but its values are not independent.
# More training alone, or a second opinion alone, brings at least as much. (Judge by the student's
# own intervals.)

# %% [markdown]
# **B (3 marks).** Is the switch, without the second level, better than the base? Where does it lose
# its images, at the gate or by the experts, and what of that is more than luck? How does it change
# along the better line, and what does not change? What was different with animals and vehicles?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-line", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# Perhaps a little; we print no interval of the difference over the seeds, so we leave it open.
# With the sums as gate no seed shows a difference between gate and experts beyond luck; a network
# of its own loses more at the gate in two seeds of three. Over half of the base's errors cross the
# line, as on average over all lines, and to send such an image to the right half a gate must know
# its digits: it has the base's task, and the sums *are* the base. Along the better line the gate
# loses about half as many, but of images that helped to choose the line; on the test images about a
# third fewer of the base's errors cross it. And the pairs that look alike still look alike; now
# most of them are the experts' task, who lose more than the gate, beyond luck, in two seeds of
# three. The errors move from the gate to the experts, and the sum of both hardly changes. With
# animals and vehicles (lab 01) few errors cross, the gate is right far more often than the base,
# and the experts do the hard part. (Judge by the student's own figures.)

# %% [markdown]
# **C (2 marks).** An expert is 99 % sure that a 7 is a 2. It has never seen a 7. What does its
# probability mean, and what not? What could one change in the training of the experts so that they
# can say "neither"?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-sure", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# A softmax over five classes divides a whole among them: it says which of the five is likeliest if
# it is one of the five. It cannot say that it is none. One could give each expert a sixth class,
# "other half", and train it on images of that half as well. But then it sees all images, costs as
# much as a base, and is its own gate.

# %% [markdown]
# **D (2 marks).** A colleague trains the second level on the 50,000 training images: "ten times as
# much data". What goes wrong, and how would it show? And why may the better line of section 7 be
# chosen by the errors on held-out images, but not by those on the test images?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-held-out", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# On images that they were trained on, base and experts are nearly always right and sure of it, so
# the gates see hardly an error to learn from, and learn how good each network is at remembering,
# not how good it is. It would show as a loss that is much lower on training images than on new
# ones. The line is a choice, like a learning rate: made on the test images, the test result would
# be that of the line that happened to suit these 10,000, and too good for any others.

# %% [markdown]
# **E (2 marks).** A colleague runs the program below on the images for choices.

# %% tags=["nbval-ignore-output"]
answers = np.empty_like(y_choice)
for ids in halves:
    mine = np.isin(y_choice, ids)
    answers[mine] = np.array(ids)[said_by(experts[ids, 0], x_choice[mine]).argmax(axis=1)]
by_base = said_by(bases[0], x_choice).argmax(axis=1)
print(f"two experts {np.mean(answers == y_choice):.2%}, base {np.mean(by_base == y_choice):.2%}")
print("Conclusion: two experts, each for five digits, read better than one network for ten.")

# %% [markdown]
# The program runs. What is wrong with its conclusion, and which line would you change?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# `mine = np.isin(y_choice, ids)` sends each image to its half by its *label*. In use there is none:
# the first gate must choose, and its errors are missing here. The base has no such help, it chooses
# among all ten. So the program measures two easier tasks against a harder one (1 mark). Either let
# the gate choose, `mine = first[0][gate_kind].argmax(axis=1) == g`, with `g` the number of the
# half: that gives the switch. Or give the base the same help, as the table in section 3 does (1
# mark).

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab07)

# %% [markdown]
# ## To read on
#
# - Jordan and Jacobs (1994), *Hierarchical mixtures of experts and the EM algorithm*, Neural
#   Computation 6: gates above gates, trained together with their experts.
# - Hinton, Vinyals and Dean (2015), *Distilling the knowledge in a neural network*, section 5:
#   specialists for groups of classes that are often confused, on top of one generalist.
# - Nguyen, Yosinski and Clune (2015), *Deep neural networks are easily fooled*: how sure a network
#   can be of what it has never seen.
# - LeCun, Bottou, Bengio and Haffner (1998), *Gradient-based learning applied to document
#   recognition*: the digits.
