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
#     outcomes: write a dense mixture and its gradient by hand; train it so that experts cooperate
#       or compete; find out which of the two makes specialists
#     serves:
#       - [mix, gate_gradient, question-same]
#       - [cooperative, competitive, responsibilities]
#       - [routing_table, question-specialists, question-worth]
#     variant:
#       # Which images are held back.
#       seed:
#         - "subset=0.2 if QUICK else None)"
#         - "subset=0.2 if QUICK else None, seed=1)"
#         - "subset=0.2 if QUICK else None, seed=2)"
#         - "subset=0.2 if QUICK else None, seed=3)"
# ---

# %% [markdown]
# # Lab 04: the dense mixture
#
# Eight small networks look at every digit. A **gate** says how much each of them counts. Nobody
# tells the networks who should learn what. Will they share out the digits among themselves? In
# 1991 four researchers found that it depends on the loss, and on a detail of it: do you judge the
# experts' common answer, or each expert's own?
#
# **After this lab you can**
#
# - write a mixture with a softmax gate, and the path of its gradient, by hand;
# - explain why one loss makes experts cooperate and another makes them compete;
# - read from a routing table whether experts have become specialists.
#
# **Time:** 5 minutes of computing on two CPU cores; 90 minutes with the exercises.
#
# **Builds on:** softmax, the chain rule, and a first acquaintance with Keras.
#
# **How it works.** There are six exercises, worth 14 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab04.mix.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on.

# %%
import functools
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops

from moe_keras import losses, plots
from moe_keras.checks import lab04, summary
from moe_keras.data import load
from moe_keras.experts import StackedMLP
from moe_keras.gates import SoftmaxGate
from moe_keras.inspection import mean_interval
from moe_keras.mixtures import DenseMoE
from moe_keras.training import AugmentedImages, RouterLog, Triangle

DATASET = "mnist"  # or "fashion_mnist"
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
CURVES = Path("../../build/curves") if Path("../source").is_dir() else Path("../build/curves")
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab

# The exercises; each is None, not attempted, until its cell has run.
mix = gate_gradient = cooperative = competitive = responsibilities = routing_table = None

# %% [markdown]
# ## 1 The data
#
# Handwritten digits, 28 by 28 pixels. From the 60,000 training images we hold back 5,000 for
# validation: all choices are made on them. The 10,000 test images wait for section 6.

# %% tags=["nbval-ignore-output"]
digits = load(DATASET, subset=0.2 if QUICK else None)
print(digits)

# %% tags=["nbval-ignore-output"]
chosen = [np.flatnonzero(digits.y_train == label)[i] for i in range(2) for label in range(10)]
plots.image_grid(
    digits.x_train[chosen],
    [digits.class_names[digits.y_train[i]] for i in chosen],
    "Two images of each class",
    source=digits.label,
)

# %% [markdown]
# ## 2 The mixture
#
# For an image $x$ the gate gives a number $a_e$ for each expert $e$, its **logit**. The softmax
# makes weights of them, positive and with sum 1. The mixture is the weighted sum of what the
# experts say:
#
# $$w_e = \frac{e^{a_e}}{\sum_j e^{a_j}}, \qquad y = \sum_e w_e\, o_e.$$
#
# It is called **dense** because every expert works on every image.
#
# **Exercise 1 (2 marks).** Write `mix` with `keras.ops` (`ops` for short). The logits have shape
# (B, E), images by experts; the outputs (B, E, C), with C numbers from each expert.


# %% nbgrader={"grade": false, "grade_id": "mix", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mix(logits, outputs):
    """The mixture (B, C) of outputs (B, E, C), weighed by the softmax of logits (B, E)."""
    ### BEGIN SOLUTION
    weights = ops.softmax(logits)
    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-mix", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
mix = lab04.mix.check(mix)
### BEGIN HIDDEN TESTS
lab04.mix.require()
### END HIDDEN TESTS

# %% [markdown]
# The package's layer `DenseMoE` does the same with any list of experts, and with a stack of equal
# ones. Does it agree with you?

# %%
vectors = np.random.default_rng(0).normal(size=(5, 12)).astype("float32")
gate, stack = SoftmaxGate(num_experts=3), StackedMLP(num_experts=3, hidden=6, units=4)
mixture = DenseMoE(stack, gate)(vectors)
said = ops.stack([expert(vectors) for expert in stack.unstacked()], axis=1)  # (B, E, C)
by_hand = mix(gate(vectors)["logits"], said)
print("shape of the mixture:", tuple(mixture.shape))
print("the layer agrees with mix:", np.allclose(mixture, by_hand, atol=1e-5))

# %% [markdown]
# ## 3 The way back to the gate
#
# How does the gate learn? Say that the loss $L$ would change by $g = \partial L / \partial y$ if
# the mixture's answer changed. Walk back, step by step.
#
# 1. From the answer to the weights: $\partial L / \partial w_e = g \cdot o_e$. An expert whose
#    answer points along $g$ makes the loss larger.
# 2. From the weights to the logits, through the softmax. A larger $a_e$ gives expert $e$ more
#    weight and takes it from all the others: $\partial w_j / \partial a_e = w_j (\delta_{je} -
#    w_e)$, with $\delta_{je} = 1$ if $j = e$, else 0.
#
# Put together, with $\sum_j w_j\, o_j = y$:
#
# $$\frac{\partial L}{\partial a_e} = \sum_j (g \cdot o_j)\, w_j (\delta_{je} - w_e)
# = w_e\; g \cdot (o_e - y).$$
#
# The gate compares each expert with the mixture. If the experts all say the same, it learns
# nothing. If an expert has almost no weight, the gate hardly learns anything about it either.
#
# **Exercise 2 (3 marks).** Write `gate_gradient`, without automatic differentiation. `upstream` is
# $g$, of shape (B, C).


# %% nbgrader={"grade": false, "grade_id": "gate_gradient", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gate_gradient(logits, outputs, upstream):
    """dL/dlogits (B, E), given dL/dmixture: upstream (B, C)."""
    ### BEGIN SOLUTION
    apart = outputs - ops.expand_dims(mix(logits, outputs), 1)  # o_e - y, (B, E, C)
    along = ops.sum(ops.expand_dims(upstream, 1) * apart, axis=-1)
    return ops.softmax(logits) * along
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-gate_gradient", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
gate_gradient = lab04.gate_gradient.check(gate_gradient)
### BEGIN HIDDEN TESTS
lab04.gate_gradient.require()
### END HIDDEN TESTS

# %%
logits = tf.Variable(np.random.default_rng(1).normal(size=(5, 3)).astype("float32"))
wanted = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0]]
with tf.GradientTape() as tape:
    mixed = mix(logits, said)
    loss = ops.sum(ops.square(wanted - mixed))
by_tensorflow = tape.gradient(loss, logits)
by_hand = gate_gradient(logits, said, 2 * (mixed - wanted))
gradient_agrees = np.allclose(by_hand, by_tensorflow, atol=1e-5)
print("gradient by hand and by TensorFlow agree:", gradient_agrees)

# %% [markdown]
# ## 4 Together or against each other?
#
# The target $d$ is a one-hot vector: 1 for the right class, 0 for the others. The **cooperative** loss
# judges the common answer:
#
# $$L_\text{coop} = \Big\| d - \sum_e w_e\, o_e \Big\|^2.$$
#
# **Exercise 3 (2 marks).** Write it, one number for each image.


# %% nbgrader={"grade": false, "grade_id": "cooperative", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cooperative(logits, outputs, targets):
    """Squared error of the mixture, (B,): logits (B, E), outputs (B, E, C), targets (B, C)."""
    ### BEGIN SOLUTION
    return ops.sum(ops.square(targets - mix(logits, outputs)), axis=-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-cooperative", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
cooperative = lab04.cooperative.check(cooperative)
### BEGIN HIDDEN TESTS
lab04.cooperative.require()
### END HIDDEN TESTS

# %% [markdown]
# The **competitive** loss takes the weights for probabilities: the gate draws *one* expert, and
# that expert answers, with normally distributed noise of standard deviation $\sigma$. How likely is
# the target then? The loss is minus the logarithm of that (without a constant):
#
# $$L_\text{comp} = -\log \sum_e w_e\; e^{-\| d - o_e \|^2 / 2 \sigma^2}.$$
#
# Each expert is now judged by its own answer.
#
# **Exercise 4 (3 marks).** Write it. Beware: $e^{-1000}$ is 0 in a computer, and $\log 0$ is not
# finite. Stay in logarithms: `ops.log_softmax`, `ops.logsumexp`.


# %% nbgrader={"grade": false, "grade_id": "competitive", "locked": false, "schema_version": 3, "solution": true, "task": false}
def competitive(logits, outputs, targets, sigma):
    """Negative log-likelihood of the targets, (B,): one expert answers, drawn by the gate."""
    ### BEGIN SOLUTION
    squares = ops.sum(ops.square(ops.expand_dims(targets, 1) - outputs), axis=-1)  # (B, E)
    return -ops.logsumexp(ops.log_softmax(logits) - squares / (2 * sigma**2), axis=-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-competitive", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
competitive = lab04.competitive.check(competitive)
### BEGIN HIDDEN TESTS
lab04.competitive.require()
### END HIDDEN TESTS

# %% [markdown]
# What does an *expert* learn from one image? Differentiate both losses by its output:
#
# $$\frac{\partial L_\text{coop}}{\partial o_e} = -2\, w_e\, (d - y), \qquad
# \frac{\partial L_\text{comp}}{\partial o_e} = -h_e\, (d - o_e) / \sigma^2.$$
#
# On the left, every expert is pushed by what *all of them together* get wrong: each has to make up
# for the others. On the right, each is pushed towards the target by its own error, and only as far
# as it is **responsible**:
#
# $$h_e = \frac{w_e\, e^{-\| d - o_e \|^2 / 2 \sigma^2}}{\sum_j w_j\, e^{-\| d - o_j \|^2 / 2 \sigma^2}}.$$
#
# Whoever is better at an image gets more of it, and becomes better still.
#
# **Exercise 5 (2 marks).** Write `responsibilities`.


# %% nbgrader={"grade": false, "grade_id": "responsibilities", "locked": false, "schema_version": 3, "solution": true, "task": false}
def responsibilities(logits, outputs, targets, sigma):
    """Each expert's share in the explanation of each target, (B, E), sum 1 over the experts."""
    ### BEGIN SOLUTION
    squares = ops.sum(ops.square(ops.expand_dims(targets, 1) - outputs), axis=-1)
    return ops.softmax(ops.log_softmax(logits) - squares / (2 * sigma**2))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-responsibilities", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
responsibilities = lab04.responsibilities.check(responsibilities)
### BEGIN HIDDEN TESTS
lab04.responsibilities.require()
### END HIDDEN TESTS

# %% [markdown]
# And the gate? With the competitive loss its gradient becomes very simple: $w_e - h_e$. The gate
# learns to foretell who will do well.

# %%
with tf.GradientTape() as tape:
    loss = ops.sum(competitive(logits, said, wanted, sigma=1))
foretells = ops.softmax(logits) - responsibilities(logits, said, wanted, sigma=1)
gate_foretells = np.allclose(tape.gradient(loss, logits), foretells, atol=1e-5)
print("the gate's gradient is w - h:", gate_foretells)
pieces = [said[:, e] for e in range(3)]
print(
    "the package's losses agree:",
    np.allclose(
        losses.cooperative_loss(logits, pieces, wanted), ops.mean(cooperative(logits, said, wanted))
    )
    and np.allclose(
        losses.mixture_nll(logits, pieces, wanted),
        ops.mean(competitive(logits, said, wanted, sigma=1)),
    ),
)

# %% [markdown]
# ## 5 Train both
#
# The same network for both losses: eight experts with 128 hidden units each, and a gate with a
# hidden layer of its own, of 256 units. The experts' first layers lie side by side in one matrix:
# one large product takes a computer less time than eight small ones. Then each expert goes on from
# its own 128 units.
#
# A loss function in Keras gets one tensor from the network. Ours needs the gate's logits *and* what
# each expert says, so the network hands over both: a column of logits before the C columns of
# outputs.

# %%
NUM_EXPERTS, HIDDEN, GATE_HIDDEN = 8, 128, 256
SIGMA = 0.25  # a quarter of the way from a wrong class to the right one


def build():
    """The network, images to (B, E, 1 + C), and its gate, images to a dict of weights."""
    images = keras.Input((28, 28, 1))
    pixels = layers.Flatten()(layers.Rescaling(1 / 255)(images))
    logits = layers.Dense(NUM_EXPERTS)(layers.Dense(GATE_HIDDEN, activation="relu")(pixels))
    hidden = layers.Dense(NUM_EXPERTS * HIDDEN, activation="relu")(pixels)
    hidden = layers.Reshape((NUM_EXPERTS, HIDDEN))(hidden)
    # Letters as shapes: b images, e experts, h hidden units, c classes. Each expert has its own c.
    answer = layers.EinsumDense("beh,ehc->bec", (NUM_EXPERTS, 10), bias_axes="ec")
    outputs = answer(hidden)
    network = keras.Model(images, ops.concatenate([ops.expand_dims(logits, -1), outputs], axis=-1))
    return network, keras.Model(images, {"probabilities": ops.softmax(logits)})


def on_network(loss):
    """A loss or metric for `fit`: takes labels and what the network hands over."""

    def for_fit(labels, handed_over):
        targets = ops.one_hot(ops.reshape(ops.cast(labels, "int32"), (-1,)), 10)
        return loss(handed_over[..., 0], handed_over[..., 1:], targets)

    return for_fit


def accuracy(logits, outputs, targets):
    return ops.equal(ops.argmax(mix(logits, outputs), axis=-1), ops.argmax(targets, axis=-1))


accuracy_metric = on_network(accuracy)
accuracy_metric.__name__ = "accuracy"
network, gate = build()
print("parameters:", f"{network.count_params():,}")
print("for 3 images the network hands over:", tuple(network(digits.x_train[:3]).shape))

# %% [markdown]
# The recipe: images shifted by up to a pixel, Adam, and a learning rate that rises for a quarter of
# the time and then falls nearly to zero. `CSVLogger` writes the curves of training and validation to a
# file, and `RouterLog` asks the gate about the same 1,000 validation images again and again and
# writes down how much weight each expert gets.

# %% tags=["nbval-ignore-output"]
EPOCHS, BATCH = 10, 128
CURVES.mkdir(parents=True, exist_ok=True)
histories, networks, gates, logs = {}, {}, {}, {}
objectives = {
    "cooperative": cooperative,
    "competitive": functools.partial(competitive, sigma=SIGMA),
}
for name, loss in objectives.items():
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        batches = AugmentedImages(
            digits.x_train, digits.y_train, BATCH, shift=1, mirror=False, seed=seed
        )
        network, gate = build()
        rate = Triangle(0.003, EPOCHS * len(batches))
        network.compile(keras.optimizers.Adam(rate), on_network(loss), metrics=[accuracy_metric])
        log = RouterLog(gate, digits.x_validation[:1000], every=len(batches) // 4)
        file = CURVES / f"04_{name}_seed{seed}.csv"
        history = network.fit(
            batches,
            epochs=EPOCHS,
            validation_data=(digits.x_validation, digits.y_validation),
            validation_batch_size=500,
            callbacks=[log, keras.callbacks.CSVLogger(file)],
            verbose=0,
        )
        log.save(CURVES / f"04_{name}_seed{seed}_weights.csv")
        networks[name, seed], gates[name, seed], logs[name, seed] = network, gate, log
        histories[name, seed] = history.history
        print(f"{name}, seed {seed}: {history.history['val_accuracy'][-1]:.2%} on validation")

# %% tags=["nbval-ignore-output"]
first = {name: histories[name, 0] for name in ("cooperative", "competitive")}
plots.training_curves(first, "Accuracy of the mixture, seed 0", source=digits.label)

# %% [markdown]
# Training accuracy is lower than validation accuracy at times: the training images are shifted, and
# it is the mean over an epoch in which the network still learnt.
#
# ## 6 Who does what?
#
# **Exercise 6 (2 marks).** Write `routing_table` with NumPy: for each label the mean of the gate's
# weights over the images with that label. Labels are rows, experts columns. A label without images
# gives a row of zeros.


# %% nbgrader={"grade": false, "grade_id": "routing_table", "locked": false, "schema_version": 3, "solution": true, "task": false}
def routing_table(weights, labels, num_classes):
    """Mean weight of each expert (columns) for each label (rows): weights (N, E), labels (N,)."""
    ### BEGIN SOLUTION
    table = np.zeros((num_classes, weights.shape[1]))
    for label in np.unique(labels):
        table[label] = weights[labels == label].mean(axis=0)
    return table
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-routing_table", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
routing_table = lab04.routing_table.check(routing_table)
### BEGIN HIDDEN TESTS
lab04.routing_table.require()
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
weights, tables, information = {}, {}, {}
for key, gate in gates.items():
    said = gate.predict(digits.x_validation, batch_size=500, verbose=0)
    weights[key] = said["probabilities"]
    tables[key] = routing_table(weights[key], digits.y_validation, 10)
    information[key] = float(losses.mutual_information(weights[key], digits.y_validation, 10))
for name in ("cooperative", "competitive"):
    display(
        plots.heatmap(
            tables[name, 0],
            digits.class_names,
            [f"expert {e}" for e in range(NUM_EXPERTS)],
            f"Mean weight of each expert, {name}, validation images",
            source=digits.label,
            row_label="label",
        )
    )

# %% [markdown]
# A **specialist** shows as a dark cell in a row that is white elsewhere: its digits go to it and to
# nobody else. One number for the whole table is the **mutual information** of label and expert: 0
# if the gate treats all digits alike, $\ln 8 = 2.08$ if the label alone decides who answers, and
# all eight are equally busy.

# %% tags=["nbval-ignore-output"]
rows = {}
for name in ("cooperative", "competitive"):
    w = np.concatenate([weights[name, seed] for seed in SEEDS])
    rows[name] = {
        "mutual information (nats)": np.mean([information[name, seed] for seed in SEEDS]),
        "largest weight, mean over images": w.max(axis=1).mean(),
        "experts in use (mean weight above 1 %)": np.mean(
            [(weights[name, seed].mean(axis=0) > 0.01).sum() for seed in SEEDS]
        ),
    }
pd.DataFrame(rows).T.round(2)

# %% tags=["nbval-ignore-output"]
for name in ("cooperative", "competitive"):
    log = logs[name, 0]
    display(
        plots.lines(
            {f"expert {e}": (log.steps, np.array(log.shares)[:, e]) for e in range(NUM_EXPERTS)},
            f"Mean weight of each expert while it learns, {name}, seed 0",
            source=digits.label,
            x_label="training step",
            y_label="mean weight",
            reference=1 / NUM_EXPERTS,
        )
    )

# %% [markdown]
# What is a specialist worth by itself? Ask each expert alone, about all validation images and about
# those for which the gate trusts it most.

# %% tags=["nbval-ignore-output"]
alone = {}
for name in ("cooperative", "competitive"):
    said = networks[name, 0].predict(digits.x_validation, batch_size=500, verbose=0)[..., 1:]
    right = said.argmax(axis=-1) == digits.y_validation[:, None]  # (N, E)
    trusted = weights[name, 0].argmax(axis=1)
    own = right[np.arange(len(trusted)), trusted]
    alone[name] = {
        "one expert alone, all images": right.mean(),
        "the most trusted expert": own.mean(),
    }
pd.DataFrame(alone).T.map("{:.1%}".format)

# %% [markdown]
# Experts are poor outside their own digits, and that is as it should be: the gate answers most of the
# question already. The competitive ones are made so by their loss. Nobody asked it of the
# cooperative ones. But an expert that the gate gives little weight on a digit learns little of that
# digit ($w_e$ stands in its gradient), so a gate that is good at telling digits apart shares them
# out, to a degree, with this loss too. The difference remains: larger shares of weight for the
# second and third expert, less poor experts, and more digits, or none at all, for a single one.
#
# ## 7 The test, once

# %% tags=["nbval-ignore-output"]
test_accuracy = {}
for key, network in networks.items():
    said = network.predict(digits.x_test, batch_size=500, verbose=0)
    mixed = ops.convert_to_numpy(mix(said[..., 0], said[..., 1:]))
    test_accuracy[key] = 100 * (mixed.argmax(axis=1) == digits.y_test).mean()
intervals = {
    name: mean_interval([test_accuracy[name, seed] for seed in SEEDS])
    for name in ("cooperative", "competitive")
}
plots.intervals(
    intervals,
    f"Test accuracy, mean of {len(SEEDS)} seeds",
    source=digits.label,
    label="per cent, with 95 % interval",
)

# %% tags=["figures", "nbval-ignore-output"]
print(f"data: {digits.label}, {len(digits.y_test):,} test images")
for name, (mean, low, high) in intervals.items():
    print(f"{name}: {mean:.2f} % [{low:.2f}, {high:.2f}]")
    print(f"{name}, label tells of expert: {rows[name]['mutual information (nats)']:.2f} nats")
print(f"parameters: {networks['cooperative', 0].count_params():,}")

# %% tags=["verdicts"]
sums = [w.sum(axis=1) for w in weights.values()]
print("each image's weights sum to 1:", np.allclose(sums, 1, atol=1e-5))
print("the gradient by hand is right:", gradient_agrees and gate_foretells)
print(
    "competition makes specialists, with every seed:",
    all(information["competitive", s] > information["cooperative", s] + 0.2 for s in SEEDS),
)

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Which loss makes specialists? Explain it by the two gradients of section 4.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-specialists", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# The competitive one: its label tells more of the expert, with every seed. Its gradient for an expert
# is the expert's own error times its responsibility, so an expert that is a little better at some
# digits gets more of them and becomes better still, while the others are left alone. In the
# cooperative loss all experts share one error, $d - y$: when one of them changes, the others have to
# change to make up for it. Only the factor $w_e$ sets them apart: where the gate is sure, its
# favourite gets nearly all of the gradient. So some sharing out happens here as well, but nothing in
# the loss drives it.

# %% [markdown]
# **B (2 marks).** Two experts that give the same answers: what does the gate learn about them? Use
# the formula of exercise 2. Why does it matter that experts start with different random weights?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-same", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# If all experts say the same, $o_e - y = 0$ and the gate gets no gradient. Two equal ones among
# others get gradients in proportion to their weights, and nothing tells them apart. If all of them
# started with the same weights and equal gate weights, they would get the same gradients and stay
# the same for ever.

# %% [markdown]
# **C (2 marks).** Compare the two test accuracies with their intervals. A colleague says:
# "Specialists are better, so competition must win." What do your figures say?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-worth", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Specialisation is a way to share out the work, not a gain by itself. Each specialist sees only a
# part of the images, and a mistake of the gate cannot be put right by an expert that never learnt
# the digit. If the intervals overlap, three seeds cannot tell which loss is better.

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab04)

# %% [markdown]
# ## To read on
#
# - Jacobs, Jordan, Nowlan and Hinton (1991), *Adaptive mixtures of local experts*, Neural
#   Computation 3: both losses, and why one of them makes specialists.
# - Jordan and Jacobs (1994), *Hierarchical mixtures of experts and the EM algorithm*, Neural
#   Computation 6: responsibilities as the E step.
# - Bishop (2006), *Pattern recognition and machine learning*, section 14.5: mixtures of experts in
#   a textbook.
