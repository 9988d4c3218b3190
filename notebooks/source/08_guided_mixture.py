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
#     minutes: 4
#     outcomes: decide which expert is for which label and teach it to the gate; spot a guidance that
#       guides nothing; train without and use without labels; record a training and read it with pandas
#     serves:
#       - [assignment_matrix, guidance, pull, question-cost, question-anneal]
#       - [wanted, question-unseen]
#       - [taught_model, question-leak]
#       - [routed]
#     variant:
#       pairs:
#         - - "0 and 1, that one 2 and 3."
#           - "two labels, in order."
#           - "PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]"
#           - "in order:"
#           - "by the plan in order"
#           - "the pairs in order, which make no more sense: nothing about 2 and 3 asks"
#           - "the expert for 0 and 1 would"
#         - - "0 and 5, that one 1 and 6."
#           - "two labels that are five apart."
#           - "PAIRS = [(0, 5), (1, 6), (2, 7), (3, 8), (4, 9)]"
#           - "five apart:"
#           - "by the plan of labels five apart"
#           - "the pairs five apart, which make no more sense: nothing about 1 and 6 asks"
#           - "the expert for 0 and 5 would"
#         - - "0 and 9, that one 1 and 8."
#           - "two labels that sum to 9."
#           - "PAIRS = [(0, 9), (1, 8), (2, 7), (3, 6), (4, 5)]"
#           - "sum 9:"
#           - "by the plan of sum 9"
#           - "the pairs of sum 9, which make no more sense: nothing about 1 and 8 asks"
#           - "the expert for 0 and 9 would"
# ---

# %% [markdown]
# # Lab 08: the guided mixture
#
# In the labs before, the gate found out by itself which expert to ask. What each expert is *for*,
# nobody had said, and nobody could say afterwards. But perhaps you want to say it: this expert reads
# 0 and 1, that one 2 and 3. Then you know whom to ask for what, whom to replace, and whom to blame.
# **Guidance** teaches the gate your plan, by labels, while the mixture trains. In use there are no
# labels, and the gate has to find the way from the image alone.
#
# **After this lab you can**
#
# - write a plan of labels and experts as a matrix, and teach it to a gate by a loss;
# - spot a guidance that guides nothing, and prove it;
# - wire a model that is taught with labels and used without;
# - record a training in a run folder and read it with pandas;
# - say what guidance costs, what it buys, and what stays when it ends.
#
# **Time:** 4 minutes of computing on two CPU cores; 90 minutes with the exercises.
#
# **Builds on:** lab 04 (the softmax gate, the mixture's sum, the way back to the gate).
#
# **How it works.** There are six exercises, worth 14 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab08.wanted.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on.

# %%
import json
import math
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops

from moe_keras import plots
from moe_keras.checks import lab08, summary
from moe_keras.data import load
from moe_keras.gates import LabelGuidedGate, SoftmaxGate
from moe_keras.inspection import mean_interval
from moe_keras.losses import guidance_loss, mutual_information
from moe_keras.mixtures import Combine, DenseMoE
from moe_keras.runs import RunRecorder
from moe_keras.training import Triangle

DATASET = "mnist"  # or "fashion_mnist"
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
BUILD = Path("../../build") if Path("../source").is_dir() else Path("../build")
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab

# The exercises; each is None, not attempted, until its cell has run.
assignment_matrix = wanted = guidance = pull = taught_model = routed = None

# %% [markdown]
# ## 1 A plan
#
# Handwritten digits again, half of them, to save time: fifteen networks are to be trained. All
# choices are made on the validation images; the test images wait for section 8.

# %% tags=["nbval-ignore-output"]
digits = load(DATASET, subset=0.2 if QUICK else 0.5)
print(digits)

# %% [markdown]
# Ten labels, five experts. The plan gives each expert two labels, in order. Another plan pairs them
# at random; it will serve us later.

# %%
PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
shuffled = np.random.default_rng(3).permutation(10)
RANDOM_PAIRS = [tuple(sorted(pair)) for pair in shuffled.reshape(5, 2).tolist()]
NUM_LABELS, NUM_EXPERTS = 10, len(PAIRS)
print("in order:", PAIRS)
print("at random:", RANDOM_PAIRS)

# %% [markdown]
# For computing we want a matrix: $M_{ce} = 1$ if label $c$ belongs to expert $e$, else 0. A row for
# each label, a column for each expert.
#
# **Exercise 1 (2 marks).** Write `assignment_matrix`, with NumPy. A label may belong to several
# experts, and every label from 0 up comes in some group.


# %% nbgrader={"grade": false, "grade_id": "assignment_matrix", "locked": false, "schema_version": 3, "solution": true, "task": false}
def assignment_matrix(groups):
    """Array (C, E) of 0 and 1; groups holds the labels of each expert."""
    ### BEGIN SOLUTION
    matrix = np.zeros((1 + max(map(max, groups)), len(groups)))
    for expert, labels in enumerate(groups):
        matrix[list(labels), expert] = 1
    return matrix
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-assignment_matrix", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assignment_matrix = lab08.assignment_matrix.check(assignment_matrix)
### BEGIN HIDDEN TESTS
lab08.assignment_matrix.require()
### END HIDDEN TESTS

# %% [markdown]
# ## 2 What an image wants: spot the mistake
#
# In training we know each image's label, and with $M$ which experts it should go to: its row of $M$,
# divided by the row's sum, so that it is a share for each expert. Below is such a function, made
# after a program that somebody has published. It trained, and its authors reported a guided mixture.


# %%
def published(labels, matrix):
    """What each image wants of each expert: labels (B,), matrix (C, E), shares (B, E)."""
    rows = ops.take(matrix, labels, axis=0)  # (B, E)
    share = ops.mean(rows, axis=0, keepdims=True)  # (1, E)
    return ops.ones_like(rows) * share


some = np.arange(NUM_LABELS)
print(np.round(published(some, assignment_matrix(PAIRS)), 2))

# %% [markdown]
# The labels went in, rows of the matrix were taken, and each row of the answer sums to 1. What is
# wrong?
#
# **Exercise 2 (2 marks).** Write `wanted` as it should be. Mind labels with several experts: an
# image of theirs wants the same share of each.


# %% nbgrader={"grade": false, "grade_id": "wanted", "locked": false, "schema_version": 3, "solution": true, "task": false}
def wanted(labels, matrix):
    """What each image wants of each expert: labels (B,), matrix (C, E), shares (B, E)."""
    ### BEGIN SOLUTION
    rows = ops.take(matrix, labels, axis=0)
    return rows / ops.sum(rows, axis=1, keepdims=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-wanted", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
wanted = lab08.wanted.check(wanted)
### BEGIN HIDDEN TESTS
lab08.wanted.require()
### END HIDDEN TESTS

# %% [markdown]
# The published function gives each image the **base rate**, the share of all images that an expert
# should get. That is true of the images together, and says nothing of any one. How much do the
# wanted shares tell about the label? The mutual information measures it: 0 if they tell nothing,
# $\ln 5 = 1.609$ if they name one of five groups.

# %%
matrix = assignment_matrix(PAIRS)
told = {
    function.__name__: float(mutual_information(function(some, matrix), some, NUM_LABELS))
    for function in (wanted, published)
}
print("wanted, in nats:", round(told["wanted"], 3))
print("published, in nats:", round(abs(told["published"]), 3))

# %% [markdown]
# ## 3 The guidance loss
#
# The gate gives logits $a_e$ and probabilities $p = \text{softmax}(a)$. Guidance is a second loss,
# beside that of the class. It is the cross-entropy between what the image wants, $t$, and what the
# gate says, averaged over the batch:
#
# $$L_\text{guide} = \frac{1}{B} \sum_b \Big( - \sum_e t_{be} \ln p_{be} \Big).$$
#
# **Exercise 3 (2 marks).** Write `guidance`.


# %% nbgrader={"grade": false, "grade_id": "guidance", "locked": false, "schema_version": 3, "solution": true, "task": false}
def guidance(logits, wanted):
    """The guidance loss, one number: the gate's logits (B, E), what images want (B, E)."""
    ### BEGIN SOLUTION
    return ops.mean(-ops.sum(wanted * ops.log_softmax(logits), axis=-1))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-guidance", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
guidance = lab08.guidance.check(guidance)
### BEGIN HIDDEN TESTS
lab08.guidance.require()
### END HIDDEN TESTS

# %% [markdown]
# What does it do to the gate? Take one image, with its own loss $-\sum_e t_e \ln p_e$, and ask how
# it pulls at the logits: $\partial L / \partial a_e$. The softmax makes it short.
#
# **Exercise 4 (2 marks).** Work it out on paper, then write `pull`, without automatic
# differentiation.


# %% nbgrader={"grade": false, "grade_id": "pull", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pull(logits, wanted):
    """dL/dlogits (B, E) of each image's own loss, no mean over the batch."""
    ### BEGIN SOLUTION
    return ops.softmax(logits) - wanted
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-pull", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
pull = lab08.pull.check(pull)
### BEGIN HIDDEN TESTS
lab08.pull.require()
### END HIDDEN TESTS

# %%
logits = tf.Variable(np.random.default_rng(1).normal(size=(10, NUM_EXPERTS)).astype("float32"))
wishes = ops.cast(wanted(some, matrix), "float32")
with tf.GradientTape() as tape:
    loss = guidance(logits, wishes)
by_tensorflow = tape.gradient(loss, logits)
pull_agrees = np.allclose(pull(logits, wishes) / len(some), by_tensorflow, atol=1e-5)
loss_agrees = np.isclose(loss, guidance_loss(some, logits, matrix), atol=1e-5)
print("pull and TensorFlow's gradient agree:", pull_agrees)
print("guidance and the package's loss agree:", bool(loss_agrees))

# %% [markdown]
# The pull vanishes where the gate says what the image wants. Now put the base rate in. It pulls
# *every* image to the same point, 0.2 for each of five experts, and lets go there. A gate that
# treats all images alike is then as good as it can be.

# %%
even = ops.zeros((10, NUM_EXPERTS))  # a gate that says 0.2 everywhere
at_rest = np.abs(pull(even, ops.cast(published(some, matrix), "float32"))).max()
print("largest pull on a gate that says 0.2, published:", round(float(at_rest), 3))
print(
    "largest pull on a gate that says 0.2, wanted:",
    round(float(np.abs(pull(even, wishes)).max()), 3),
)

# %% [markdown]
# ## 4 Taught with labels, used without
#
# The network: two convolutions that find features, then a dense mixture of five small experts, with
# a gate that sees the same features. The package's `LabelGuidedGate` wraps any gate. Called as
# `gate(features)` it is that gate. Called as `gate(features, labels)` it gives *the same weights*,
# and adds the guidance loss in training, times its `guidance`.
#
# Why not let the labels choose the expert in training, by a mask? Because the gate would never
# learn to find it, and the experts would be trained for a routing that they never meet in use.
#
# So we need two models around one set of layers: `used`, from images to the class's probabilities,
# and `taught`, which takes labels too.
#
# **Exercise 5 (3 marks).** Write `taught_model`. You get the symbolic images, their features and
# the mixture. `mixture.gate` is its gate, `mixture.experts` the list of its experts, and
# `Combine()(weights, said)` makes the mixture's sum from weights (B, E) and the list of the experts'
# answers.


# %% nbgrader={"grade": false, "grade_id": "taught_model", "locked": false, "schema_version": 3, "solution": true, "task": false}
def taught_model(images, features, mixture):
    """keras.Model from [images, labels] to probabilities (B, C), which guides the gate."""
    ### BEGIN SOLUTION
    labels = keras.Input((), dtype="int32")
    weights = mixture.gate(features, labels)["probabilities"]
    said = [expert(features) for expert in mixture.experts]
    return keras.Model([images, labels], Combine()(weights, said))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-taught_model", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
taught_model = lab08.taught_model.check(taught_model)
### BEGIN HIDDEN TESTS
lab08.taught_model.require()
### END HIDDEN TESTS


# %%
def build(matrix, guidance):
    """The two models: (taught, used)."""
    images = keras.Input((28, 28, 1))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Conv2D(16, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    features = layers.Flatten()(x)
    experts = [
        keras.Sequential(
            [layers.Dense(32, activation="relu"), layers.Dense(NUM_LABELS, activation="softmax")],
            name=f"expert_{e}",
        )
        for e in range(NUM_EXPERTS)
    ]
    gate = keras.Sequential([layers.Dense(32, activation="relu"), SoftmaxGate(NUM_EXPERTS)])
    mixture = DenseMoE(experts, LabelGuidedGate(gate, matrix, guidance), name="mixture")
    used = keras.Model(images, mixture(features))
    return taught_model(images, features, mixture), used


taught, used = build(matrix, guidance=0.5)
images, labels = digits.x_validation[:100], digits.y_validation[:100]
answer = used(images)
same = all(
    np.allclose(answer, taught([images, told_labels]), atol=1e-6)
    for told_labels in (labels, 9 - labels)
)
print("parameters:", f"{used.count_params():,}")
print("the same answer without labels, with the right and with wrong ones:", same)

# %% [markdown]
# ## 5 Train, and write it down
#
# Five kinds, the same in all but the guidance, with the learning rate of lab 04, which rises and
# then falls to zero:
#
# - **basic**: no guidance, the gate learns from the class's loss alone;
# - **guided**: by the plan in order;
# - **random pairs**: by the plan that pairs labels at random;
# - **annealed**: by the plan in order, but the weight of the guidance falls to 0 in the first half;
# - **base rate**: by the published mistake, which wants 0.2 of every expert for every label.
#
# A `RunRecorder` in `fit` leaves a **run folder**: configuration, models, tables, figures, and a page
# `report.html` for your browser. It looks at a fixed sample of the validation images after each
# epoch, and before the first. `moe-keras train guided` on the command line writes the same folder.

# %% tags=["nbval-ignore-output"]
EPOCHS, BATCH, STRENGTH = 4, 128, 0.5
PLANS = {
    "basic": (PAIRS, 0.0),
    "guided": (PAIRS, STRENGTH),
    "random pairs": (RANDOM_PAIRS, STRENGTH),
    "annealed": (PAIRS, STRENGTH),
    "base rate": (PAIRS, STRENGTH),
}
RUNS, CURVES = BUILD / "runs" / "lab08", BUILD / "curves"
shutil.rmtree(RUNS, ignore_errors=True)
CURVES.mkdir(parents=True, exist_ok=True)


class Anneal(keras.callbacks.Callback):
    """The guidance falls to 0 along a line, a step each epoch."""

    def __init__(self, gate, epochs):
        super().__init__()
        self.gate, self.epochs = gate, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.gate.strength.assign(STRENGTH * max(0, 1 - epoch / self.epochs))


def folder_of(kind):
    return RUNS / kind.replace(" ", "_")


networks = {}
for kind, (groups, strength) in PLANS.items():
    plan = assignment_matrix(groups)
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        taught, used = build(np.full_like(plan, 0.2) if kind == "base rate" else plan, strength)
        taught.compile(
            keras.optimizers.Adam(Triangle(0.004, EPOCHS * math.ceil(len(digits.x_train) / BATCH))),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        name = f"08_{kind.replace(' ', '_')}_seed{seed}.csv"
        callbacks = [keras.callbacks.CSVLogger(CURVES / name)]
        if kind == "annealed":
            callbacks.append(Anneal(used.get_layer("mixture").gate, EPOCHS // 2))
        if seed == SEEDS[0]:
            callbacks.append(
                RunRecorder(
                    folder_of(kind),
                    digits.x_validation,
                    digits.y_validation,
                    config={"kind": kind, "seed": seed, "guidance": strength},
                    class_names=digits.class_names,
                    assigned=plan,
                    source=digits.label,
                    keep=used,
                )
            )
        history = taught.fit(
            [digits.x_train, digits.y_train],
            digits.y_train,
            batch_size=BATCH,
            epochs=EPOCHS,
            validation_data=([digits.x_validation, digits.y_validation], digits.y_validation),
            validation_batch_size=500,
            callbacks=callbacks,
            verbose=0,
        ).history
        networks[kind, seed] = used
        print(f"{kind}, seed {seed}: {history['val_accuracy'][-1]:.2%} on validation")

# %% [markdown]
# ## 6 Read a run folder
#
# What has been written?

# %%
folder = folder_of("guided")
print(*sorted(str(path.relative_to(folder)) for path in folder.glob("[!p]*/*")), sep="\n")
config = json.loads((folder / "config.json").read_text())
print("guidance:", config["guidance"], "seed:", config["seed"])

# %% tags=["nbval-ignore-output"]
pd.read_csv(folder / "csv" / "metrics.csv").set_index("epoch").round(3).T

# %% [markdown]
# `load_e` is the share of images for which expert `e` is the heaviest, `routed` the share that goes
# to an expert of its label. The tables of activations have a row for each image and expert: what
# the gate gave the expert, and whether the plan assigns the label to it.

# %% tags=["nbval-ignore-output"]
LAST = f"activations_validation_{EPOCHS:03d}.csv"
activations = pd.read_csv(folder / "csv" / LAST)
activations.head(10)

# %% [markdown]
# **Exercise 6 (3 marks).** Write `routed` with pandas: of the images in such a table, the share
# whose heaviest expert is one that the label is assigned to. The table may come in any order.


# %% nbgrader={"grade": false, "grade_id": "routed", "locked": false, "schema_version": 3, "solution": true, "task": false}
def routed(activations):
    """Share of images that go to an expert of their label, 0 to 1."""
    ### BEGIN SOLUTION
    heaviest = activations.loc[activations.groupby("sample")["weight"].idxmax()]
    return heaviest["assigned"].mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-routed", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
routed = lab08.routed.check(routed)
### BEGIN HIDDEN TESTS
lab08.routed.require()
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
metrics = {kind: pd.read_csv(folder_of(kind) / "csv" / "metrics.csv") for kind in PLANS}
by_hand = {kind: routed(pd.read_csv(folder_of(kind) / "csv" / LAST)) for kind in PLANS}
recorded = {kind: float(metrics[kind]["routed"].iloc[-1]) for kind in PLANS}
routed_agrees = all(abs(by_hand[kind] - recorded[kind]) < 1e-3 for kind in PLANS)
print("routed agrees with the recorder:", routed_agrees)
plots.lines(
    {kind: (table["epoch"].array, 100 * table["routed"].array) for kind, table in metrics.items()},
    f"Images that go to an expert of their label, seed {SEEDS[0]}",
    source=digits.label,
    x_label="epoch",
    y_label="per cent of validation images",
)

# %% [markdown]
# Now the picture that says most, label by expert: of the images of a label, which share has which
# expert as the heaviest? First before training, then after.

# %% tags=["nbval-ignore-output"]


def label_by_expert(weights, labels, title):
    """Heat map from weights (N, E) and labels (N,)."""
    shares = pd.crosstab(labels, weights.argmax(axis=1), normalize="index")
    shares = shares.reindex(columns=range(NUM_EXPERTS), fill_value=0)
    return plots.heatmap(
        shares.to_numpy(),
        digits.class_names,
        [f"expert {e}" for e in range(NUM_EXPERTS)],
        title,
        source=digits.label,
        row_label="label",
        form="{:.0%}",
    )


def as_matrix(activations):
    """Weights (N, E) and labels (N,) from a table of activations."""
    weights = activations.pivot(index="sample", columns="expert", values="weight")
    return weights.to_numpy(), activations.groupby("sample")["label"].first().to_numpy()


def gate_of(used):
    return keras.Model(used.input, used.get_layer("mixture").gate(used.get_layer("mixture").input))


keras.utils.set_random_seed(SEEDS[0])
_, untrained = build(matrix, STRENGTH)
weights = gate_of(untrained).predict(digits.x_validation, batch_size=500, verbose=0)
label_by_expert(weights["probabilities"], digits.y_validation, "Before training")

# %% tags=["nbval-ignore-output"]
for kind in ("basic", "guided", "random pairs", "base rate"):
    table = pd.read_csv(folder_of(kind) / "csv" / LAST)
    display(label_by_expert(*as_matrix(table), f"After training, {kind}"))

# %% [markdown]
# The basic gate splits the digits too, or leaves an expert without any; the split is its own, and
# another seed brings another one. The guided gate follows the plan, whether the plan makes sense or
# not. The base rate makes the weights more even, and teaches no label anything.
#
# ## 7 What guidance buys: whom to blame
#
# Switch one expert off: its weight becomes 0, the others stay. Which labels suffer?

# %% tags=["nbval-ignore-output"]


def inside(used):
    """Model from images to the gate's weights (B, E) and what each expert says (B, E, C)."""
    mixture = used.get_layer("mixture")
    said = ops.stack([expert(mixture.input) for expert in mixture.experts], axis=1)
    return keras.Model(used.input, [mixture.gate(mixture.input)["probabilities"], said])


def lost_without(used, expert):
    """Points of accuracy that each label loses on validation when an expert is switched off."""
    weights, said = inside(used).predict(digits.x_validation, batch_size=500, verbose=0)
    labels, right = digits.y_validation, []
    for kept in (np.ones(NUM_EXPERTS), np.arange(NUM_EXPERTS) != expert):
        answer = np.einsum("be,bec->bc", weights * kept, said)
        right.append(answer.argmax(axis=1) == labels)
    return np.array([100 * (right[0] - 1.0 * right[1])[labels == c].mean() for c in range(10)])


lost = {
    kind: np.array([lost_without(networks[kind, SEEDS[0]], e) for e in range(NUM_EXPERTS)])
    for kind in ("basic", "guided")
}
own = np.mean([lost["guided"][e, list(labels)] for e, labels in enumerate(PAIRS)])
others = np.mean([np.delete(lost["guided"][e], list(labels)) for e, labels in enumerate(PAIRS)])
for kind, values in lost.items():
    display(
        plots.heatmap(
            np.maximum(values, 0),
            [f"without expert {e}" for e in range(NUM_EXPERTS)],
            digits.class_names,
            f"Points of accuracy that a label loses, {kind}",
            source=digits.label,
            column_label="label",
            form="{:.0f}",
        )
    )

# %% [markdown]
# In both, the labels that went to an expert suffer without it. But in the guided mixture we knew
# beforehand which, from the plan alone, and no other label is touched. That is what guidance is for:
# a part that can be found, tested and replaced by itself. How much a label loses depends on what the
# other experts have picked up of it, from the few images that went astray in training.
#
# ## 8 The test, once
#
# Accuracy, and the share of test images that go to an expert of their label, without any labels.
# Each kind is compared with basic seed by seed.

# %% tags=["nbval-ignore-output"]
test = {}
for (kind, seed), used in networks.items():
    groups, _ = PLANS[kind]
    weights, said = inside(used).predict(digits.x_test, batch_size=500, verbose=0)
    guesses = np.einsum("be,bec->bc", weights, said).argmax(axis=1)
    goes_right = assignment_matrix(groups)[digits.y_test, weights.argmax(axis=1)]
    test[kind, seed] = {
        "accuracy": 100 * (guesses == digits.y_test).mean(),
        "routed": 100 * goes_right.mean(),
    }
results = {
    kind: {
        name: mean_interval([test[kind, seed][name] for seed in SEEDS])
        for name in ("accuracy", "routed")
    }
    for kind in PLANS
}
costs = {
    kind: mean_interval(
        [test[kind, seed]["accuracy"] - test["basic", seed]["accuracy"] for seed in SEEDS]
    )
    for kind in PLANS
    if kind != "basic"
}
pd.DataFrame(
    {
        kind: {
            "test accuracy": f"{values['accuracy'].mean:.2f} %",
            "less basic (95 % interval)": (
                "{:+.2f} [{:+.2f}, {:+.2f}]".format(*costs[kind]) if kind in costs else ""
            ),
            "to an expert of their label": "{:.1f} % [{:.1f}, {:.1f}]".format(*values["routed"]),
        }
        for kind, values in results.items()
    }
).T

# %% tags=["nbval-ignore-output"]
plots.intervals(
    costs,
    f"Test accuracy less that of basic, mean of {len(SEEDS)} seeds",
    source=digits.label,
    label="percentage points, with 95 % interval",
    reference=0,
)

# %% tags=["figures", "nbval-ignore-output"]
print(f"data: {digits.label}, {len(digits.y_test):,} test images")
for kind, values in results.items():
    print(f"{kind}, accuracy: {values['accuracy'].mean:.2f} %")
    print(f"{kind}, to an expert of their label: {values['routed'].mean:.1f} %")
print(f"points that an expert's own labels lose without it, guided: {own:.1f}")
print(f"points that other labels lose without it, guided: {others:.1f}")
for kind, interval in costs.items():
    print("{}, accuracy less basic: {:+.2f} [{:+.2f}, {:+.2f}]".format(kind, *interval))
at_end = metrics["annealed"]["routed"].iloc[EPOCHS // 2 - 1]
print(f"annealed, routed on validation when guidance ends: {100 * at_end:.1f} %")

# %% tags=["verdicts"]
routes = {kind: [test[kind, seed]["routed"] for seed in SEEDS] for kind in PLANS}
print("the wanted shares name the group:", abs(told["wanted"] - np.log(5)) < 1e-3)
print("the base rate tells nothing of the label:", abs(told["published"]) < 1e-3)
print("same answer with and without labels:", same)
print("guided goes by the plan (over 90 %):", min(routes["guided"]) > 90)
print("it goes by a random plan too (over 90 %):", min(routes["random pairs"]) > 90)
print("the base rate guides nothing (under 60 %):", max(routes["base rate"]) < 60)
print("basic has a plan of its own (under 60 %):", max(routes["basic"]) < 60)
print("annealed still goes by the plan (over 90 %):", min(routes["annealed"]) > 90)
print("guidance costs less than two points:", costs["guided"].mean > -2)
print("without an expert its own labels suffer, others do not:", bool(own > 15 and others < 3))

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Does guidance cost accuracy here? And a plan that makes no sense? Say what the
# intervals allow you to say. For what task would you expect a senseless plan to cost more?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-cost", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# The differences to basic are a few tenths of a point at most. An interval that holds 0 does not
# show that there is no difference, only that three seeds cannot tell. The random pairs cost about as
# much as the pairs in order, which make no more sense: nothing about 2 and 3 asks for a common
# expert. The gate has to recognise the digit either way, and with its small network it can. A plan
# costs more where the gate cannot find its groups, because it sees less than the experts do or
# because the groups cut through what looks alike (left and right halves of the same objects, say),
# and where experts have too few images of their own.

# %% [markdown]
# **B (2 marks).** When the guidance has been annealed away, nothing rewards the plan any more. Does
# the routing stay? Why, or why not?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-anneal", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# It stays. When the guidance ends, each expert knows only its own digits, so the class's loss
# itself now rewards asking the right one: sending a 7 to the expert for 0 and 1 would be a mistake.
# The plan has become the best thing for the task. Guidance at the start decides which of many
# equally good splits is taken. After many more epochs the borders may blur, as experts learn from
# the few images that reach them with a small weight.

# %% [markdown]
# **C (2 marks).** The published program's accuracy was good. Why did nobody see the mistake? Name
# a figure or a number that would have shown it in the first epoch.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-unseen", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The accuracy does not depend on the guidance: basic is as good. And the base rate evens out the
# experts' weights, which looks healthy. The heat map of labels and experts shows it at once, and so
# does the share of images that go to an expert of their label, about what chance gives. Even
# simpler: print what two images of different labels want.

# %% [markdown]
# **D (2 marks).** A colleague reports 99.9 % of images at the right expert. Her `fit` and her
# `evaluate` both hand the labels to the model, and its gate multiplies the weights by the label's
# row of the matrix. What does her number mean?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-leak", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Nothing about her gate: the labels did the routing, in training and in the test. Worse, the mask
# leaves an image to experts that know two digits, so the accuracy is helped by the label too. In
# use there are no labels, and the gate was never taught to do without. She must evaluate a model
# without labels, and should train one whose answer does not depend on them.

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab08)

# %% [markdown]
# ## To read on
#
# - Jacobs, Jordan, Nowlan and Hinton (1991), *Adaptive mixtures of local experts*: the gate finds
#   the split by itself.
# - Jordan and Jacobs (1994), *Hierarchical mixtures of experts and the EM algorithm*: the gate is
#   fitted by cross-entropy to who should answer.
# - Gururangan et al. (2022), *DEMix layers*: experts assigned to domains by hand, in language
#   models, that can be added and removed.
