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
#     outcomes: decide which expert is for which label and teach it to the gate; spot a guidance that
#       guides nothing; train without and use without labels; record a training and read it with pandas
#     serves:
#       - [assignment_matrix, guidance, pull, question-cost, question-anneal, question-design]
#       - [wanted, question-unseen]
#       - [training_model, question-leak]
#       - [routed, question-fault]
#     variant:
#       pairs:
#         - - "0 and 1, that one 2 and 3."
#           - "two labels, in order."
#           - "PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]"
#           - "in order:"
#           - "by the plan in order"
#           - "the pairs in order make no more sense: nothing about 2 and 3 asks for a"
#           - "the expert for 0 and 1 would"
#         - - "0 and 5, that one 1 and 6."
#           - "two labels that are five apart."
#           - "PAIRS = [(0, 5), (1, 6), (2, 7), (3, 8), (4, 9)]"
#           - "five apart:"
#           - "by the plan of labels five apart"
#           - "the pairs five apart make no more sense: nothing about 1 and 6 asks for a"
#           - "the expert for 0 and 5 would"
#         - - "0 and 9, that one 1 and 8."
#           - "two labels that sum to 9."
#           - "PAIRS = [(0, 9), (1, 8), (2, 7), (3, 6), (4, 5)]"
#           - "sum 9:"
#           - "by the plan of sum 9"
#           - "the pairs of sum 9 make no more sense: nothing about 1 and 8 asks for a"
#           - "the expert for 0 and 9 would"
# ---

# %% [markdown]
# # Lab 08: the guided mixture
#
# In the labs before, the gate found out by itself which expert to ask. What each expert is *for*,
# nobody had said, and nobody could say afterwards. But perhaps you want to say it: this expert
# reads 0 and 1, that one 2 and 3. Then you know whom to ask for what, whom to replace, and whom to
# blame. **Guidance** teaches the gate your plan, by labels, while the mixture trains. In use there
# are no labels, and the gate has to find the way from the image alone.
#
# **After this lab you can**
#
# - write a plan of labels and experts as a matrix, and teach it to a gate by a loss;
# - spot a guidance that guides nothing, and prove it;
# - wire a model that is trained with labels and used without;
# - record a training in a run folder and read it with pandas;
# - say what guidance costs, what it buys, and what stays when it ends.
#
# **Time:** 3 minutes of computing on two CPU cores; 90 minutes with the exercises.
#
# **Builds on:** lab 04 (the softmax gate, the mixture's sum, the way back to the gate).
#
# **How it works.** There are six exercises, worth 14 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab08.wanted.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on. The six questions at the end, worth 15 marks, your lecturer
# reads; one of them is an experiment of your own. Where it says **Guess first**, write down what
# you expect; the lab shows it beside what comes out. Guesses are not marked.

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
from moe_keras.data import load
from moe_keras.evaluation import mean_interval
from moe_keras.gates import LabelGuidedGate, SoftmaxGate
from moe_keras.losses import guidance_loss, mutual_information
from moe_keras.mixtures import Combine, DenseMoE
from moe_keras.runs import RunRecorder
from moe_keras.training import TriangularSchedule
from moe_labs.exercises import Guesses, lab08, summary

DATASET = "mnist"  # or "fashion_mnist"
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
BUILD = Path("../../build") if Path("../source").is_dir() else Path("../build")
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab
guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
assignment_matrix = wanted = guidance = pull = training_model = routed = None

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

# %% exercise="assignment_matrix"

# %% [markdown]
# ## 2 What an image wants: spot the mistake
#
# In training we know each image's label, and with $M$ which experts it should go to: its row of
# $M$, divided by the row's sum, so that it is a share for each expert. Below is such a function. A
# mixture trains with it, and reads digits well.


# %%
def base_rate(labels, matrix):
    """What each image wants of each expert: labels (B,), matrix (C, E), shares (B, E)."""
    rows = ops.take(matrix, labels, axis=0)  # (B, E)
    share = ops.mean(rows, axis=0, keepdims=True)  # (1, E)
    return ops.ones_like(rows) * share


some = np.arange(NUM_LABELS)
print(np.round(base_rate(some, assignment_matrix(PAIRS)), 2))

# %% [markdown]
# The labels went in, rows of the matrix were taken, and each row of the answer sums to 1. What is
# wrong?
#
# **Exercise 2 (2 marks).** Write `wanted` as it should be. Mind labels with several experts: an
# image of theirs wants the same share of each.

# %% exercise="wanted"

# %% [markdown]
# The function above gives each image the **base rate**, the share of all images that an expert
# should get. That is true of the images together, and says nothing of any one. How much do the
# wanted shares tell about the label? The mutual information measures it: 0 if they tell nothing,
# $\ln 5 = 1.609$ if they name one of five groups.

# %%
matrix = assignment_matrix(PAIRS)
told = {
    name: float(mutual_information(function(some, matrix), some, NUM_LABELS))
    for name, function in {"wanted": wanted, "base rate": base_rate}.items()
}
print("wanted, in nats:", round(told["wanted"], 3))
print("base rate, in nats:", round(abs(told["base rate"]), 3))

# %% [markdown]
# ## 3 The guidance loss
#
# The gate gives logits $a_e$ and probabilities $p = \text{softmax}(a)$. Guidance is a second loss,
# beside that of the class. It is the cross-entropy between what the image wants, $t$, and what the
# gate says, averaged over the batch:
#
# $$L_\text{guide} = \frac{1}{B} \sum_b \Big( - \sum_e t_{be} \ln p_{be} \Big).$$
#
# **Exercise 3 (2 marks).** Write `guidance` with `keras.ops`, for the gate learns by it. Logits may
# lie hundreds apart. Then a $p$ is 0 in a computer and has no logarithm; `ops.log_softmax` copes.

# %% exercise="guidance"

# %% [markdown]
# What does it do to the gate? Take one image, with its own loss $-\sum_e t_e \ln p_e$, and ask how
# it pulls at the logits: $\partial L / \partial a_e$. The softmax makes it short.
#
# **Exercise 4 (2 marks).** Work it out on paper, then write `pull`, without automatic
# differentiation. Again logits may be large: `ops.softmax` copes, `ops.exp` does not.

# %% exercise="pull"

# %%
logits = tf.constant(np.random.default_rng(1).normal(size=(10, NUM_EXPERTS)).astype("float32"))
wishes = ops.cast(wanted(some, matrix), "float32")
with tf.GradientTape() as tape:
    tape.watch(logits)
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
at_rest = np.abs(pull(even, ops.cast(base_rate(some, matrix), "float32"))).max()
print("largest pull on a gate that says 0.2, base rate:", round(float(at_rest), 3))
print(
    "largest pull on a gate that says 0.2, wanted:",
    round(float(np.abs(pull(even, wishes)).max()), 3),
)

# %% [markdown]
# ## 4 Trained with labels, used without
#
# The network: two convolutions that find features, then a dense mixture of five small experts, with
# a gate that sees the same features. The package's `LabelGuidedGate` wraps any gate. Called as
# `gate(features)` it is that gate. Called as `gate(features, labels)` it gives *the same weights*,
# and adds the guidance loss in training, times its `guidance_weight`.
#
# Why not let the labels choose the expert in training, by a mask? Because the gate would never
# learn to find it, and the experts would be trained for a routing that they never meet in use.
#
# So we need two models around one set of layers: an **inference model**, from images to the class's
# probabilities, and a **training model**, which takes labels too.
#
# **Exercise 5 (3 marks).** Write `training_model`. You get the symbolic images, their features and
# the mixture. `mixture.gate` is its gate, `mixture.experts` the list of its experts, and
# `Combine()(weights, said)` makes the mixture's sum from weights (B, E) and the list of the
# experts' answers.

# %% exercise="training_model"


# %%
def build(matrix, guidance_weight):
    """The two models: (training, inference)."""
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
    mixture = DenseMoE(experts, LabelGuidedGate(gate, matrix, guidance_weight), name="mixture")
    inference = keras.Model(images, mixture(features))
    return training_model(images, features, mixture), inference


training, inference = build(matrix, guidance_weight=0.5)
images, labels = digits.x_validation[:100], digits.y_validation[:100]
answer = inference(images)
same = all(
    np.allclose(answer, training([images, told_labels]), atol=1e-6)
    for told_labels in (labels, 9 - labels)
)
print("parameters:", f"{inference.count_params():,}")
print("the same answer without labels, with the right and with wrong ones:", same)

# %% [markdown]
# ## 5 Train, and write it down
#
# Five kinds, the same in all but the guidance, with the learning rate of lab 04, which rises and
# then falls to zero:
#
# - **dense**: no guidance, the gate learns from the class's loss alone;
# - **guided**: by the plan in order;
# - **random pairs**: by the plan that pairs labels at random;
# - **annealed**: by the plan in order, but the weight of the guidance falls to 0 in the first half;
# - **base rate**: by the mistake of section 2, which wants 0.2 of every expert for every label.
#
# **Guess first.** No label is on the images in use. How many of them go to an expert of their label
# when the plan paired the labels at random? And when the guidance ended halfway? (Not marked.)

# %%
guess["to their expert, random pairs"] = None  # per cent of test images, 0 to 100
guess["to their expert, annealed"] = None
guess["accuracy, random pairs minus dense"] = None  # points

# %% [markdown]
# A `RunRecorder` in `fit` leaves a **run folder**: configuration, models, tables, figures, and a
# page `report.html` for your browser. It looks at a fixed sample of the validation images after
# each epoch, and before the first. `moe-keras train guided` on the command line writes the same
# folder.

# %% tags=["nbval-ignore-output"]
EPOCHS, BATCH, GUIDANCE_WEIGHT = 4, 128, 0.5
PLANS = {
    "dense": (PAIRS, 0.0),
    "guided": (PAIRS, GUIDANCE_WEIGHT),
    "random pairs": (RANDOM_PAIRS, GUIDANCE_WEIGHT),
    "annealed": (PAIRS, GUIDANCE_WEIGHT),
    "base rate": (PAIRS, GUIDANCE_WEIGHT),
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
        self.gate.guidance_weight.assign(GUIDANCE_WEIGHT * max(0, 1 - epoch / self.epochs))


def folder_of(kind):
    return RUNS / kind.replace(" ", "_")


def compiled(model, epochs):
    """The model with the optimizer of this lab."""
    rate = TriangularSchedule(0.004, epochs * math.ceil(len(digits.x_train) / BATCH))
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=8,  # the same steps, but quicker: eight at each call
    )
    return model


networks = {}
for kind, (groups, guidance_weight) in PLANS.items():
    plan = assignment_matrix(groups)
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        target = np.full_like(plan, 0.2) if kind == "base rate" else plan
        training, inference = build(target, guidance_weight)
        name = f"08_{kind.replace(' ', '_')}_seed{seed}.csv"
        callbacks = [keras.callbacks.CSVLogger(CURVES / name)]
        if kind == "annealed":
            callbacks.append(Anneal(inference.get_layer("mixture").gate, EPOCHS // 2))
        if seed == SEEDS[0]:
            callbacks.append(
                RunRecorder(
                    folder_of(kind),
                    digits.x_validation,
                    digits.y_validation,
                    config={"kind": kind, "seed": seed, "guidance_weight": guidance_weight},
                    class_names=digits.class_names,
                    assigned=plan,
                    source=digits.label,
                    keep=inference,
                )
            )
        history = (
            compiled(training, EPOCHS)
            .fit(
                [digits.x_train, digits.y_train],
                digits.y_train,
                batch_size=BATCH,
                epochs=EPOCHS,
                validation_data=([digits.x_validation, digits.y_validation], digits.y_validation),
                validation_batch_size=500,
                callbacks=callbacks,
                verbose=0,
            )
            .history
        )
        networks[kind, seed] = inference
        print(f"{kind}, seed {seed}: {history['val_accuracy'][-1]:.2%} on validation")

# %% [markdown]
# ## 6 Read a run folder
#
# What has been written?

# %%
folder = folder_of("guided")
print(*sorted(str(path.relative_to(folder)) for path in folder.glob("[!p]*/*")), sep="\n")
config = json.loads((folder / "config.json").read_text())
print("guidance:", config["guidance_weight"], "seed:", config["seed"])

# %% tags=["nbval-ignore-output"]
pd.read_csv(folder / "csv" / "metrics.csv").set_index("epoch").round(3).T

# %% [markdown]
# `load_e` is the share of images for which expert `e` is the heaviest, `routed` the share that goes
# to an expert of its label. `router_entropy` says how even an image's five weights are, on average:
# their entropy, 0 if one expert has all the weight, $\ln 5 = 1.61$ if all have the same. The tables
# of activations have a row for each image and expert: what the gate gave the expert, and whether
# the plan assigns the label to it.

# %% tags=["nbval-ignore-output"]
LAST = f"activations_validation_{EPOCHS:03d}.csv"
activations = pd.read_csv(folder / "csv" / LAST)
activations.head(10).round(5)

# %% [markdown]
# **Exercise 6 (3 marks).** Write `routed` with pandas: of the images in such a table, the share
# whose heaviest expert is one that the label is assigned to. The table may come in any order, such
# as `activations.sample(frac=1)`, which shuffles its index as well.

# %% exercise="routed"

# %% tags=["nbval-ignore-output"]
metrics = {kind: pd.read_csv(folder_of(kind) / "csv" / "metrics.csv") for kind in PLANS}
by_hand = {kind: routed(pd.read_csv(folder_of(kind) / "csv" / LAST)) for kind in PLANS}
recorded = {kind: float(metrics[kind]["routed"].iloc[-1]) for kind in PLANS}
routed_agrees = all(abs(by_hand[kind] - recorded[kind]) < 1e-6 for kind in PLANS)
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


def gate_of(network):
    return keras.Model(
        network.input, network.get_layer("mixture").gate(network.get_layer("mixture").input)
    )


keras.utils.set_random_seed(SEEDS[0])
_, untrained = build(matrix, GUIDANCE_WEIGHT)
weights = gate_of(untrained).predict(digits.x_validation, batch_size=500, verbose=0)
label_by_expert(weights["probabilities"], digits.y_validation, "Before training")

# %% tags=["nbval-ignore-output"]
gate_weights = {
    kind: as_matrix(pd.read_csv(folder_of(kind) / "csv" / LAST))
    for kind in ("dense", "guided", "random pairs", "base rate")
}
for kind, (weights, labels) in gate_weights.items():
    display(label_by_expert(weights, labels, f"After training, {kind}"))

# %% [markdown]
# The guided gate follows the plan, whether the plan makes sense or not. The dense one does not go
# by this plan. And the base rate? Look for a column that is dark for most labels: it says that one
# expert is the *heaviest* for most images, but not by how much. Look inside the images too: how
# much weight has the heaviest expert, and how even are an image's five weights (their entropy, at
# most $\ln 5 = 1.61$)?

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        kind: {
            "heaviest expert's weight in an image": weights.max(axis=1).mean(),
            "entropy of an image's weights": float(
                -(weights * np.log(np.maximum(weights, 1e-12))).sum(axis=1).mean()
            ),
            "largest mean weight of an expert": weights.mean(axis=0).max(),
            "images whose heaviest is the same expert": (
                np.bincount(weights.argmax(axis=1)).max() / len(weights)
            ),
        }
        for kind, (weights, _) in gate_weights.items()
    }
).T.round(2)

# %% [markdown]
# Read the row of the base rate with its heat map. The loss presses each image's weights together,
# and where they are nearly alike, "the heaviest" is decided by a hair and may be the same expert
# for most images. Even weights, a crowded column: two different things, and neither says that the
# labels mattered.
#
# Is the dense gate's split at least a fact about digits? Train it from other seeds, and see which
# expert most images of a label have as their heaviest:

# %% tags=["nbval-ignore-output"]
splits = {}
for seed in SEEDS:
    weights = gate_of(networks["dense", seed]).predict(digits.x_validation, verbose=0)
    heaviest = weights["probabilities"].argmax(axis=1)
    splits[f"dense, seed {seed}"] = [
        np.bincount(heaviest[digits.y_validation == c]).argmax() for c in range(NUM_LABELS)
    ]
pd.DataFrame(splits, index=[f"label {name}" for name in digits.class_names]).T

# %% [markdown]
# ## 7 What guidance buys: whom to blame
#
# Switch one expert off: its weight becomes 0, the others stay. Which labels suffer?
#
# **Guess first.** How many points of accuracy do an expert's own two labels lose without it? All,
# to 0 % right, or less, since the other four still answer? (Not marked.)

# %%
guess["points that an expert's own labels lose"] = None

# %% tags=["nbval-ignore-output"]


def inside(network):
    """Model from images to the gate's weights (B, E) and what each expert says (B, E, C)."""
    mixture = network.get_layer("mixture")
    said = ops.stack([expert(mixture.input) for expert in mixture.experts], axis=1)
    return keras.Model(network.input, [mixture.gate(mixture.input)["probabilities"], said])


def lost_without(network, expert):
    """Points of accuracy that each label loses on validation when an expert is switched off."""
    weights, said = inside(network).predict(digits.x_validation, batch_size=500, verbose=0)
    labels, right = digits.y_validation, []
    for kept in (np.ones(NUM_EXPERTS), np.arange(NUM_EXPERTS) != expert):
        answer = np.einsum("be,bec->bc", weights * kept, said)
        right.append(answer.argmax(axis=1) == labels)
    return np.array([100 * (right[0] - 1.0 * right[1])[labels == c].mean() for c in range(10)])


lost = {
    kind: np.array([lost_without(networks[kind, SEEDS[0]], e) for e in range(NUM_EXPERTS)])
    for kind in ("dense", "guided")
}
of_own = np.array([lost["guided"][e, list(labels)] for e, labels in enumerate(PAIRS)])
own = of_own.mean()
of_others = np.array([np.delete(lost["guided"][e], labels) for e, labels in enumerate(PAIRS)])
others, most_of_others = of_others.mean(), of_others.max()
guess.compare("points that an expert's own labels lose", f"{own:.0f}, guided, seed {SEEDS[0]}")
print(f"guided: an expert's own labels lose {round(of_own.min())} to {round(of_own.max())} points")
print(f"guided: other labels lose {others:.1f} points on average, {most_of_others:.1f} at most")
usual = splits[f"dense, seed {SEEDS[0]}"]  # where most images of each label go
of_usual = lost["dense"][usual, np.arange(NUM_LABELS)]
print("dense: without the expert that most of its images went to, a label loses ", end="")
print(f"{round(of_usual.min())} to {round(of_usual.max())} points")
for kind, values in lost.items():
    display(
        plots.heatmap(
            np.round(values) + 0.0,  # without the sign of -0
            [f"without expert {e}" for e in range(NUM_EXPERTS)],
            digits.class_names,
            f"Points of accuracy that a label loses, {kind}",
            source=digits.label,
            column_label="label",
            form="{:.0f}",
        )
    )

# %% [markdown]
# A number below 0 is a gain: the label is read better without the expert. In the guided mixture an
# expert's own two labels suffer without it. In the dense one some labels do and some hardly, though
# most of their images went there: compare the ranges printed above the figures. And in the guided
# one we knew beforehand which labels, from the plan alone. That is what guidance is for: a part
# that can be found, tested and replaced by itself. An expert's own labels need not fall to 0 %
# right: the others have learnt something of them too, perhaps from images that reached them with a
# small weight.
#
# ## 8 The test, once
#
# Accuracy, and the share of test images that go to an expert of their label, without any labels.
# Each kind is compared with dense, seed by seed.

# %% tags=["nbval-ignore-output"]
test = {}
for (kind, seed), network in networks.items():
    groups, _ = PLANS[kind]
    weights, said = inside(network).predict(digits.x_test, batch_size=500, verbose=0)
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
        [test[kind, seed]["accuracy"] - test["dense", seed]["accuracy"] for seed in SEEDS]
    )
    for kind in PLANS
    if kind != "dense"
}
for kind in ("random pairs", "annealed"):
    guess.compare(f"to their expert, {kind}", f"{results[kind]['routed'].mean:.1f} %")
guess.compare(
    "accuracy, random pairs minus dense",
    "{:+.2f} [{:+.2f}, {:+.2f}]".format(*costs["random pairs"]),
)
pd.DataFrame(
    {
        kind: {
            "test accuracy": f"{values['accuracy'].mean:.2f} %",
            "minus dense (95 % interval)": (
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
    f"Test accuracy minus that of dense, mean of {len(SEEDS)} seeds",
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
print(
    f"points that other labels lose without it, guided: {others:.1f}, {most_of_others:.1f} at most"
)
for kind, interval in costs.items():
    print("{}, accuracy minus dense: {:+.2f} [{:+.2f}, {:+.2f}]".format(kind, *interval))
at_end = metrics["annealed"]["routed"].iloc[EPOCHS // 2 - 1]
print(f"annealed, routed on validation when guidance ends: {100 * at_end:.1f} %")

# %% tags=["verdicts"]
routes = {kind: [test[kind, seed]["routed"] for seed in SEEDS] for kind in PLANS}
print("the wanted shares name the group:", abs(told["wanted"] - np.log(5)) < 1e-3)
print("the base rate tells nothing of the label:", abs(told["base rate"]) < 1e-3)
print("same answer with and without labels:", same)
print("routed agrees with the recorder:", routed_agrees)
print("guided goes by the plan (over 90 %):", min(routes["guided"]) > 90)
print("it goes by a random plan too (over 90 %):", min(routes["random pairs"]) > 90)
print("the base rate guides nothing (under 60 %):", max(routes["base rate"]) < 60)
print("dense does not go by this plan (under 60 %):", max(routes["dense"]) < 60)
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
# The means differ from dense by a few hundredths of a point, and the intervals reach some tenths to
# either side: three seeds cannot tell whether guidance costs a little, nothing, or helps a little,
# but a cost of a whole point would have shown. The same holds for the random pairs, and no wonder:
# the pairs in order make no more sense: nothing about 2 and 3 asks for a
# common expert. The gate has to recognise the digit either way, and with its small network it can. A plan
# costs more where the gate cannot find its groups, because it sees less than the experts do or
# because the groups cut through what looks alike (left and right halves of the same objects, say),
# and where experts have too few images of their own.

# %% [markdown]
# **B (2 marks).** When the guidance has been annealed away, nothing rewards the plan any more. Does
# the routing stay? Why, or why not?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-anneal", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# It stays. When the guidance ends, each expert reads its own digits best, so the class's loss
# itself now rewards asking the right one: sending a 7 to the expert for 0 and 1 would cost
# accuracy. The plan has become the best thing for the task. Guidance at the start decides which of
# many equally good splits is taken. After many more epochs the borders may blur, as experts learn
# from the few images that reach them with a small weight.

# %% [markdown]
# **C (2 marks).** Who trains with the base rate gets a good accuracy. Why does it not show the
# mistake? Name a figure or a number that would have shown it in the first epoch.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-unseen", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The accuracy does not depend on the guidance: dense is as good. And the base rate evens out each
# image's weights, which looks healthy. The heat map of labels and experts shows it at once, and so
# does the share of images that go to an expert of their label, about what chance gives. Even
# simpler: print what two images of different labels want.

# %% [markdown]
# **D (2 marks).** A colleague reports 99.9 % of images at the right expert. Her `fit` and her
# `evaluate` both hand the labels to the model, and its gate multiplies the weights by the label's
# row of the matrix. What does her number mean?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-leak", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Nothing about her gate: the labels did the routing, in training and in the test. Worse, the mask
# leaves an image to experts that know two digits, so the accuracy is helped by the label too. In
# use there are no labels, and the gate was never trained to do without. She must evaluate a model
# without labels, and should train one whose answer does not depend on them.

# %% [markdown]
# **E (4 marks): design an experiment.** Labels cost money, and cheap ones are wrong now and then.
# The plan needs labels for the gate only to say *which expert*. **How many of these may be wrong?**
# (Or take a question of your own that the function below can answer.) Write down *before you run*:
# what varies, and over which values; what stays the same; what you measure, on which images, with
# how many seeds; what you expect; and **what result would change your mind**. Then set up the
# second cell, run it, and say what came out.


# %%
def experiment(seed, wrong=0.0, guidance_weight=GUIDANCE_WEIGHT, plan=PAIRS, epochs=2):
    """Train a mixture and look at it on the validation images, without labels.

    Args:
        seed: of the network, and of which labels are wrong.
        wrong: share of the training images whose guidance gets a label at random, be it right or
            wrong. The label of the class, which the mixture learns to name, stays right.
        guidance_weight, plan, epochs: as in section 5.

    Returns:
        Share of images that go to an expert of their label, and accuracy, both in per cent.
    """
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    told = np.where(
        random.random(len(digits.y_train)) < wrong,
        random.integers(NUM_LABELS, size=len(digits.y_train)),
        digits.y_train,
    )
    matrix = assignment_matrix(plan)
    training, inference = build(matrix, guidance_weight)
    compiled(training, epochs).fit(
        [digits.x_train, told], digits.y_train, batch_size=BATCH, epochs=epochs, verbose=0
    )
    weights, said = inside(inference).predict(digits.x_validation, batch_size=500, verbose=0)
    named = np.einsum("be,bec->bc", weights, said).argmax(axis=1)
    labels = digits.y_validation
    routed_right = matrix[labels, weights.argmax(axis=1)]
    return 100 * routed_right.mean(), 100 * (named == labels).mean()


# %% [markdown]
# Your set-up. As it stands, it only shows how: two values and one seed say nothing about luck.

# %% tags=["nbval-ignore-output"]
VARIED, VALUES, TRIALS = "wrong", (0.0, 0.5), (0,)

found = {
    f"{VARIED} = {value}, seed {seed}": experiment(seed, **{VARIED: value})
    for value in VALUES
    for seed in TRIALS
}
pd.DataFrame(found, index=["to an expert of their label, %", "accuracy, %"]).T.round(2)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-design", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# *Design.* Varies: the share of labels drawn at random, 0, 0.5, 0.9 and 1. Stays: network, plan,
# weight of the guidance, epochs, the labels of the class, the images. Measured: images that go to
# an expert of their label, and accuracy, on validation images (the test is over), three seeds each,
# with the interval over seeds of the difference to 0. *Expectation:* at 0.5, an image's label is
# right in 55 of 100 cases, and any other expert is named in some 10 of 100: the cross-entropy is
# least where the gate says 0.6 for the right one and 0.1 for each other, so the right one stays the
# heaviest, and nearly all images still go there. The weights get softer, from which the accuracy
# need not suffer. Only at 1 do the labels say nothing. *Would change my mind:* a share below 90 %
# at 0.5 already, on all seeds; then the gate would learn the noise by heart, or two epochs are too
# few to average it out. *Outcome:* what the table shows, with its spread; one seed and two values
# decide nothing.
#
# Marking guide: one thing varies and what stays is named, the class's labels among it (1); the
# measure fits the question, on images that were not trained on, without labels (1); several seeds
# and an interval, or a reason for fewer (1); a result named in advance that would refute the
# expectation, and a conclusion that goes no further than the table (1). The outcome itself earns
# nothing.

# %% [markdown]
# **F (2 marks).** A colleague worries that the dense mixture neglects an expert, and runs this
# program.

# %% tags=["nbval-ignore-output"]
logits = gate_of(networks["dense", SEEDS[0]]).predict(digits.x_validation, verbose=0)["logits"]
weights = ops.softmax(logits, axis=0)  # (B, E)
load = ops.convert_to_numpy(ops.sum(weights, axis=0))
print("share of the weight, expert by expert:", np.round(load / load.sum(), 3))
print("Conclusion: all five experts are used equally. Nothing needs balancing.")

# %% [markdown]
# The program runs. What is wrong with its conclusion, and which line would you change?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# `ops.softmax(logits, axis=0)` goes over the images, not over the experts. Each *column* then sums
# to 1, so each expert has a fifth of the whole, whatever the gate says, even one that is never
# heard (1 mark). It must be `axis=-1`: then each image's weights sum to 1, and the mean over the
# images is the load, which the table in section 6 shows to be uneven (1 mark). A sum that can only
# come out one way measures nothing; two assertions, rows that sum to 1 and a load of other logits,
# would have shown it.

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
