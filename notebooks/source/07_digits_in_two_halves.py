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
#       - [blame, question-helps, question-sure]
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
#           - "4 and 9, 3 and 5, 2 and 7,"
#           - "1 and 7. The experts never see the hard pairs; the gate gets them all."
#           - "0-4 and 5-9, such as 4 and 9 or 3 and 5"
#         - - "one expert for even digits, one for odd ones, and a"
#           - "A 3 has nothing in common with a 1 that"
#           - 'DATASET = "mnist"'
#           - "import group_labels, load"
#           - 'HALVES = {"even": (0, 2, 4, 6, 8), "odd": (1, 3, 5, 7, 9)}'
#           - "but there are gaps between them"
#           - "4 and 9, 3 and 8, 2 and 7,"
#           - "5 and 6. The experts see few of the hard pairs; the gate gets most of them."
#           - "even and odd, such as 4 and 9 or 3 and 8"
#         - - "one expert for 0, 1, 2, 3 and 9, one for the others, and a"
#           - "A 3 has nothing in common with a 1 that"
#           - 'DATASET = "mnist"'
#           - "import group_labels, load"
#           - 'HALVES = {"outer": (0, 1, 2, 3, 9), "inner": (4, 5, 6, 7, 8)}'
#           - "but there are gaps between them"
#           - "4 and 9, 3 and 5, 2 and 7,"
#           - "3 and 8. The experts see few of the hard pairs; the gate gets most of them."
#           - "outer and inner digits, such as 4 and 9 or 3 and 5"
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
# answer, so you can always run on.

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
from moe_keras.checks import lab07, summary
from moe_keras.data import group_labels, groups, load
from moe_keras.experts import ClassSubset, FrozenExpert
from moe_keras.gates import PerClassGate
from moe_keras.inspection import mean_interval, paired_interval
from moe_keras.mixtures import Combine
from moe_keras.training import AugmentedImages, FrozenOutputs, RouterLog, Triangle, assemble

DATASET = "mnist"  # or "fashion_mnist", whose halves are clothes, and shoes and bags
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
BUILD = Path("../../build") if Path("../source").is_dir() else Path("../build")
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab

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
# A small network for all ten classes. Its recipe is that of the labs before: images shifted by up to
# two pixels, and a learning rate that rises quickly and then falls in a straight line. We train
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


EPOCHS, BATCH, RATE = 3, 128, 0.004
curves, images_shown = {}, {}
(BUILD / "curves").mkdir(parents=True, exist_ok=True)


def train(network, seed, images, labels, validation, epochs):
    """Train a network, and keep its curves and how many images it was shown."""
    name = network.name
    batches = AugmentedImages(
        images, labels, BATCH, shift=2, mirror=DATASET == "fashion_mnist", seed=seed
    )
    network.compile(
        keras.optimizers.Adam(Triangle(RATE, epochs * len(batches))),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
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
# What does it take for what? We count on all 10,000 held-out images, of all bases, and leave out
# the diagonal: these are the errors alone.


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
# Keep this picture in mind. It will tell us in section 7 what is wrong with our two halves.
#
# ## 3 Two experts, and what they say of what they do not know
#
# Each expert learns one half, with images of that half alone, and numbers its classes from 0.
#
# **Exercise 1 (2 marks).** Write `own`: of some images and labels, those whose label is in
# `class_ids`; and their labels renumbered, 0 for the first of the class ids, 1 for the second, and
# so on. The ids are in rising order, but in section 7 there will be gaps between them.


# %% nbgrader={"grade": false, "grade_id": "own", "locked": false, "schema_version": 3, "solution": true, "task": false}
def own(images, labels, class_ids):
    """The images of some classes, and their labels as places in class_ids: two arrays."""
    ### BEGIN SOLUTION
    keep = np.isin(labels, class_ids)
    return images[keep], np.searchsorted(class_ids, labels[keep])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-own", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
own = lab07.own.check(own)
### BEGIN HIDDEN TESTS
lab07.own.require()
### END HIDDEN TESTS


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
        EPOCHS,
    )


experts = {(ids, seed): train_expert(ids, seed) for seed in SEEDS for ids in HALVES.values()}

# %% [markdown]
# On its own half, is an expert better than the base? To be fair, the base may choose within the
# half only, as the expert does.

# %% tags=["nbval-ignore-output"]
rows = {}
for name, ids in HALVES.items():
    images, labels = own(*choice, ids)
    rows[name] = {
        "its expert": mean_interval(
            [100 * (said_by(experts[ids, s], images).argmax(1) == labels).mean() for s in SEEDS]
        ),
        "base, choosing within the half": mean_interval(
            [
                100 * (said_by(bases[s], images)[:, list(ids)].argmax(1) == labels).mean()
                for s in SEEDS
            ]
        ),
    }
pd.DataFrame(rows).T.map(lambda i: f"{i.mean:.2f} % [{i.low:.2f}, {i.high:.2f}]")

# %% [markdown]
# And what does an expert say of a digit that it has never seen? It must answer, and it cannot say
# "neither". Its **confidence** is the probability of the class that it names.

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
# Far below the base. Only something that has seen both halves can tell whom to ask.
#
# ## 4 The first gate
#
# A first gate is to be had for nothing: the base knows how probable each digit is. How probable is
# the half, then?
#
# **Exercise 2 (2 marks).** Write `group_probabilities`: from class probabilities (B, C) and a list
# of groups, each a tuple of class ids, to the groups' probabilities (B, number of groups).


# %% nbgrader={"grade": false, "grade_id": "group_probabilities", "locked": false, "schema_version": 3, "solution": true, "task": false}
def group_probabilities(said, groups):
    """How probable each group of classes is, (B, groups), given the classes' probabilities (B, C)."""
    ### BEGIN SOLUTION
    return np.stack([said[:, list(ids)].sum(axis=1) for ids in groups], axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-group_probabilities", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
group_probabilities = lab07.group_probabilities.check(group_probabilities)
### BEGIN HIDDEN TESTS
lab07.group_probabilities.require()
### END HIDDEN TESTS

# %% [markdown]
# The rival: a network of its own with two classes, which begins with the filters of the base and
# trains for one epoch. Which of the two is the better gate? This is a choice, so we make it on the
# images for choices.


# %% tags=["nbval-ignore-output"]
GATE_EPOCHS = 1


def train_gate(halves, seed):
    """A network that tells the halves apart, with the base's filters and a last layer of its own."""
    network = build(f"gate-{digits_in(halves[0])}", len(halves), seed)
    for own_layer, base_layer in zip(network.layers[:-1], bases[seed].layers[:-1], strict=True):
        own_layer.set_weights(base_layer.get_weights())
    labels, validation = group_labels(digits.y_train, halves), group_labels(y_choice, halves)
    return train(network, seed, digits.x_train, labels, (x_choice, validation), epochs=GATE_EPOCHS)


halves = list(HALVES.values())
gates = {seed: train_gate(halves, seed) for seed in SEEDS}

# %% tags=["nbval-ignore-output"]
half_of = group_labels(y_choice, HALVES)
first = {
    seed: {
        "the base's sums": group_probabilities(said_by(bases[seed], x_choice), halves),
        "a network of its own": said_by(gates[seed], x_choice),
    }
    for seed in SEEDS
}
gate_right = {
    name: [100 * (first[seed][name].argmax(axis=1) == half_of).mean() for seed in SEEDS]
    for name in first[0]
}
pd.DataFrame(gate_right, index=[f"seed {seed}" for seed in SEEDS]).T.round(2)

# %% [markdown]
# On 5,000 images one image is 0.02 %. The base's sums are ahead by some images if they come out
# larger here. We take the network of its own all the same, as lab 02 does: it is a second opinion,
# while the sums only repeat what the base says. What that costs, you see in the switch below.
#
# With the first gate and the two experts alone we have a **switch**: the gate chooses a half, and
# that half's expert has the last word. There are two ways to lose an image.
#
# **Exercise 3 (2 marks).** Write `blame`: the share of images that are lost at the gate, for it
# sends them to the wrong half; and the share that reach the right half, whose expert then errs.
# `halves_of` is the true half of each image, 0 or 1; `expert_right` says whether the expert of the
# *true* half names the right digit.


# %% nbgrader={"grade": false, "grade_id": "blame", "locked": false, "schema_version": 3, "solution": true, "task": false}
def blame(first, halves_of, expert_right):
    """Two shares of all images: lost at the gate, lost by the expert.

    first: array (N, 2), probabilities of the halves; halves_of: (N,); expert_right: (N,) of bool.
    """
    ### BEGIN SOLUTION
    reaches = first.argmax(axis=1) == halves_of
    return np.mean(~reaches), np.mean(reaches & ~expert_right)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-blame", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
blame = lab07.blame.check(blame)
### BEGIN HIDDEN TESTS
lab07.blame.require()
### END HIDDEN TESTS


# %% tags=["nbval-ignore-output"]
def right_in_own_half(halves, seed, images, labels):
    """Whether the expert of each image's own half names its class."""
    right = np.zeros(len(labels), bool)
    for ids in halves:
        mine = np.isin(labels, ids)
        named = said_by(experts[ids, seed], images[mine]).argmax(axis=1)
        right[mine] = np.array(ids)[named] == labels[mine]
    return right


lost = {
    seed: blame(
        first[seed]["a network of its own"],
        half_of,
        right_in_own_half(halves, seed, *choice),
    )
    for seed in SEEDS
}
base_error = {
    seed: 100 * (said_by(bases[seed], x_choice).argmax(axis=1) != y_choice).mean() for seed in SEEDS
}
pd.DataFrame(
    {
        f"seed {seed}": {
            "lost at the gate": 100 * at_gate,
            "lost by the expert": 100 * by_expert,
            "switch, all errors": 100 * (at_gate + by_expert),
            "base, all errors": base_error[seed],
        }
        for seed, (at_gate, by_expert) in lost.items()
    }
).T.round(2).add_suffix(", %")

# %% [markdown]
# The gate loses more than the experts do, and what it sends to the wrong half is lost for good: the
# best expert cannot name a digit that is not among its classes. So the gate must be nearly as good
# as the whole system. With animals and vehicles that is easy. Here, to know whether something is a
# 4 or a 9, it must know its digits.
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
# experts say, 30 numbers. All four networks are **frozen**.


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
    """The four frozen networks of a hierarchy, in the order in which `second_level` takes them."""
    of_halves = [
        ClassSubset(FrozenExpert(experts[ids, seed]), ids, 10, name=f"expert_{name}")
        for name, ids in zip(("low", "high"), halves, strict=True)
    ]
    return [FrozenExpert(gate, name="first_gate"), FrozenExpert(base, name="base"), *of_halves]


# %% [markdown]
# `assemble` puts members and second level together: one model, images in, answer out.

# %%
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


# %% nbgrader={"grade": false, "grade_id": "moved_weights", "locked": false, "schema_version": 3, "solution": true, "task": false}
def moved_weights(model, train):
    """The paths of those of model.weights that a call of train() changes: a list of str."""
    ### BEGIN SOLUTION
    before = model.get_weights()
    train()
    changes = zip(model.weights, before, model.get_weights(), strict=True)
    return [weight.path for weight, old, new in changes if not np.array_equal(old, new)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-moved_weights", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
moved_weights = lab07.moved_weights.check(moved_weights)
### BEGIN HIDDEN TESTS
lab07.moved_weights.require()
### END HIDDEN TESTS


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
# The four networks have proven frozen: they say the same of the same image, epoch after epoch. So
# ask them **once**. `FrozenOutputs` runs a frozen network over the images and keeps what it says;
# the second level trains on that, in seconds. It trains on the 5,000 images that no network has
# learnt from. On training images the experts hardly err, and the gates would learn to trust them
# blindly.

# %% tags=["nbval-ignore-output"]
outputs = FrozenOutputs(BUILD / "frozen-outputs", verbose=0)


def train_second_level(frozen, seed, line):
    """The second level over some frozen members, and how much its gates trusted the experts."""
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
    for name, log in zip(("low", "high"), logs, strict=True):
        log.save(f"{file}_weights-{name}.csv")
    curves[f"second level, {line}", seed] = history.history
    return head, logs


started = time.perf_counter()
heads, router_logs = {}, {}
for seed in SEEDS:
    heads[seed], router_logs[seed] = train_second_level(trained_members[seed], seed, digits_in(low))
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


# %% nbgrader={"grade": false, "grade_id": "hierarchy", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hierarchy(first, weights, base, of_experts):
    """The mixture (B, C), by hand.

    first: (B, 2); weights: for each half (B, C, 2); base: (B, C); of_experts: for each half (B, C).
    """
    ### BEGIN SOLUTION
    total = 0
    for g, expert in enumerate(of_experts):
        within = weights[g][..., 0] * base + weights[g][..., 1] * expert
        total = total + first[:, g, None] * within
    return total
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-hierarchy", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
hierarchy = lab07.hierarchy.check(hierarchy)
### BEGIN HIDDEN TESTS
lab07.hierarchy.require()
### END HIDDEN TESTS


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
# Note the axis: each class's two weights sum to 1. A published notebook took one softmax over all
# classes and experts together; then the classes compete with each other for weight, whatever the
# experts say.
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
# flow: by the first gate to a half, then to base and experts. The numbers are the weights, for the
# class that the hierarchy names.

# %% tags=["nbval-ignore-output"]
named = predicted.argmax(axis=1)
base_named = said_of_choice[1].argmax(axis=1)
rows = np.arange(len(y_choice))
chosen = said_of_choice[1][rows, y_choice].argsort()[:8]
of_halves = [said_of_choice[0][:, g, None] * weights[g][rows, named] for g in range(2)]
shares = np.stack([of_halves[0][:, 0] + of_halves[1][:, 0], of_halves[0][:, 1], of_halves[1][:, 1]])
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


# %% nbgrader={"grade": false, "grade_id": "errors_across", "locked": false, "schema_version": 3, "solution": true, "task": false}
def errors_across(counts, group):
    """How many images of the group are taken for others, and of others for the group: a number."""
    ### BEGIN SOLUTION
    inside = np.isin(np.arange(len(counts)), group)
    return counts[inside][:, ~inside].sum() + counts[~inside][:, inside].sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-errors_across", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
errors_across = lab07.errors_across.check(errors_across)
### BEGIN HIDDEN TESTS
lab07.errors_across.require()
### END HIDDEN TESTS

# %% [markdown]
# There are only 126 ways to cut ten classes in five and five. Try them all, on the held-out images.

# %% tags=["nbval-ignore-output"]
all_errors = max(1, counts.sum() - np.trace(counts))
splits = [(0, *four) for four in itertools.combinations(range(1, 10), 4)]
crossing = {ids: errors_across(counts, ids) / all_errors for ids in splits}
ours = errors_across(counts, low) / all_errors
best = min(crossing, key=crossing.get)
best_halves = [best, tuple(c for c in range(10) if c not in best)]
print(f"errors that cross {' | '.join(NAMES)}: {ours:.0%} of {all_errors}")
print(f"splits with fewer: {sum(share < ours for share in crossing.values())} of {len(splits)}")
print(f"fewest, {crossing[best]:.0%}:", " | ".join(digits_in(ids) for ids in best_halves))
plots.histogram(
    {f"{len(splits)} splits": list(crossing.values())},
    "Which share of the bases' errors cross the border",
    source=digits.label,
    label=f"share of errors that cross ({' | '.join(NAMES)}: {ours:.2f})",
)

# %% [markdown]
# On real digits, our line runs right between the pairs that look alike: 4 and 9, 3 and 5, 2 and 7,
# 1 and 7. The experts never see the hard pairs; the gate gets them all. So let the errors draw the
# line instead, and train a second hierarchy along it, in the same way. The bases are the same.

# %% tags=["nbval-ignore-output"]
rival_members = {}
for seed in SEEDS:
    for ids in best_halves:
        experts[ids, seed] = train_expert(ids, seed)
    gate = train_gate(best_halves, seed)
    rival_members[seed] = members(gate, bases[seed], best_halves, seed)
rival_heads = {
    seed: train_second_level(rival_members[seed], seed, digits_in(best))[0] for seed in SEEDS
}

# %% [markdown]
# And a rival without experts: the base itself, trained on, until it has been shown as many images
# as all four members of the hierarchy together.

# %% tags=["nbval-ignore-output"]
member_names = [
    f"gate-{digits_in(low)}",
    *(f"expert-{digits_in(ids)}" for ids in halves),
]
more = round(sum(images_shown[name] for name in member_names) / len(digits.x_train))
trained_on = {}
for seed in SEEDS:
    network = build("base-trained-on", 10, seed)
    network.set_weights(bases[seed].get_weights())
    trained_on[seed] = train(network, seed, digits.x_train, digits.y_train, choice, epochs=more)
plots.training_curves(
    {name: curves[name, 0] for name in ("base", *member_names, "base-trained-on")},
    "How the networks learnt, seed 0",
    source=digits.label,
)

# %% [markdown]
# ## 8 The test, once
#
# Six answers to each test image. One rival costs no training: the plain **mean of two bases** of
# different seeds, without experts and without gates.

# %% tags=["nbval-ignore-output"]
y = digits.y_test
test = {}
for seed in SEEDS:
    said = [outputs(member, digits.x_test) for member in trained_members[seed]]
    rival_said = [outputs(member, digits.x_test) for member in rival_members[seed]]
    other = outputs(trained_members[SEEDS[(seed + 1) % len(SEEDS)]][1], digits.x_test)
    test[seed] = {
        "base": said[1],
        "base, trained on": said_by(trained_on[seed], digits.x_test),
        "mean of two bases": (said[1] + other) / 2,
        "switch": sum((said[0].argmax(axis=1) == g)[:, None] * said[2 + g] for g in range(2)),
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
costs = {  # parameters, networks asked for an image, images shown in training
    "base": (one, 1, base_images),
    "base, trained on": (one, 1, base_images + images_shown["base-trained-on"]),
    "mean of two bases": (2 * one, 2, 2 * base_images),
    "switch": (sum(sizes) - one, 2, all_images),  # the gate began as a base
    "hierarchy": (whole_count, 4, all_images),
    "hierarchy, better line": (whole_count, 4, all_images),
}
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
print(f"switch, lost at the gate: {100 * np.mean([a for a, _ in lost.values()]):.2f} %")
print(f"switch, lost by the expert: {100 * np.mean([b for _, b in lost.values()]):.2f} %")
print(f"confidence in digits of the other half: {foreign.mean():.2f}")
print(f"without a gate, the surer expert answers: {np.mean(surer):.2f} %")
print(f"errors of the bases that cross {' | '.join(NAMES)}: {ours:.0%}")
print(f"errors that cross the better line: {crossing[best]:.0%}")
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
# Not by itself. The hierarchy asks four networks instead of one; they were shown more than twice as
# many images, and several opinions are nearly always better than one. The fair rivals have the same
# means: the base trained on has the same images in one network, the mean of two bases has two
# opinions at half the cost, without experts or gates. Only a gain over these, with an interval above
# 0, would be owed to the division of the digits. Where the intervals hold 0, or the sign changes
# from seed to seed, what helped is more training and more opinions.

# %% [markdown]
# **B (3 marks).** Why is the switch, without the second level, no better than the base, though its
# experts hardly err on their own half? How does that change along the better line, and what does
# not change? What was different with animals and vehicles?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-line", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# More errors of the switch are lost at the gate than by the experts. Most errors of a base cross
# the line between 0-4 and 5-9, such as 4 and 9 or 3 and 5, and to send these to the right half a
# gate must know its digits: it has the base's task, and does it about as well as the base. Along the better line fewer
# errors cross, so less is lost at the gate. But the pairs that look alike still look alike; now they
# are the experts' task, and errors move from the gate to the experts. With animals and vehicles few
# errors cross, the gate is right far more often than the base, and the experts do the hard part.

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
