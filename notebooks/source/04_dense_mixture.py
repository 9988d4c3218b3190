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
#       or compete; measure whether experts have become specialists, and what that is worth
#     serves:
#       - [mix, gate_gradient, question-same]
#       - [cooperative, competitive, responsibilities]
#       - [routing_table, question-specialists, question-worth, question-fault]
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
# tells the networks who should learn what. Will they share out the digits among themselves? Four
# researchers wrote in 1991 that it depends on the loss, and on a detail of it: do you judge the
# experts' common answer, or each expert's own? You will train with both losses, and measure.
#
# **After this lab you can**
#
# - write a mixture with a softmax gate, and the path of its gradient, by hand;
# - explain why one loss makes experts cooperate and another makes them compete;
# - measure from a routing table whether experts have become specialists.
#
# **Time:** 5 minutes of computing on two CPU cores; 90 minutes with the exercises.
#
# **Builds on:** softmax, the chain rule, and a first acquaintance with Keras.
#
# **How it works.** There are six exercises, worth 14 marks, and four questions, worth 9. An
# exercise is a function with a `TODO`; the cell below it checks your answer by calling it. Stuck?
# Run, say, `lab04.mix.hint()` in a new cell, up to three times. If an answer is missing or wrong,
# the lab goes on with a reference answer, so you can always run on. Here and there you are asked
# to guess first. Guesses are not marked; they show you what surprised you.

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
from moe_keras.data import load
from moe_keras.evaluation import mean_interval
from moe_keras.experts import StackedMLP
from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures import DenseMoE
from moe_keras.training import AugmentedImages, RouterLog, TriangularSchedule
from moe_labs.exercises import Guesses, lab04, summary

DATASET = "mnist"  # or "fashion_mnist"
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
CURVES = Path("../../build/curves") if Path("../source").is_dir() else Path("../build/curves")
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab

guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
mix = gate_gradient = cooperative = competitive = responsibilities = routing_table = None

# %% [markdown]
# ## 1 See it first
#
# The smallest mixture that there is: two experts, each a straight line, and a gate. The curve that
# they should learn has a kink at $x = 0.2$, so one line cannot do. The gate says for each $x$ how
# much each line counts; the mixture is the weighted sum. Eight numbers are learned: slope and
# height of two lines, and the same of the gate's two outputs. Section 5 explains both losses.

# %%
KINK, STEPS = 0.2, (0, 30, 100, 600)
x = np.linspace(-1, 1, 81, dtype="float32")
curve = np.where(x < KINK, 0.6 * (KINK - x), 1.4 * (x - KINK)).astype("float32")
toy_inputs = np.stack([x, np.ones_like(x)], axis=1)  # times (slope, height) gives a line


def train_toy(loss, noise):
    """What two lines and their gate look like, at each of STEPS."""
    start = np.random.default_rng(0).normal(0, 0.3, (2, 2, 2)).astype("float32")
    line_weights, gate_weights = tf.Variable(start[0]), tf.Variable(start[1])
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build([line_weights, gate_weights])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            outputs = toy_inputs @ line_weights / noise  # in units of the noise
            outputs = [outputs[:, :1], outputs[:, 1:]]
            value = loss(toy_inputs @ gate_weights, outputs, curve[:, None] / noise)
        gradients = tape.gradient(value, [line_weights, gate_weights])
        optimizer.apply(gradients, [line_weights, gate_weights])

    looks = {}
    for number in range(STEPS[-1] + 1):
        if number in STEPS:
            toy_weights = ops.convert_to_numpy(ops.softmax(toy_inputs @ gate_weights))
            looks[number] = toy_inputs @ line_weights.numpy(), toy_weights
        step()
    return looks


def hands_over(weights):
    """The x at which the gate goes from one expert to the other, or None."""
    ahead = weights[:, 0] > weights[:, 1]
    changes = np.flatnonzero(ahead[1:] != ahead[:-1])
    return float(x[changes[0] : changes[0] + 2].mean()) if len(changes) else None


def draw_toy(look, title):
    """The curve, both lines and their mixture; dotted, where the gate hands over."""
    toy_lines, toy_weights = look
    at = hands_over(toy_weights)
    where = "the gate hands over nowhere" if at is None else f"the gate hands over at {at:.2f}"
    picture = plots.lines(
        {
            "the curve": (x, curve),
            "expert 0": (x, toy_lines[:, 0]),
            "expert 1": (x, toy_lines[:, 1]),
            "mixture": (x, (toy_weights * toy_lines).sum(axis=1)),
        },
        f"{title}: {where}",
        source="a curve with a kink",
        x_label="x",
        y_label="y",
    )
    picture.figure.set_size_inches(7, 2.5)
    axes = picture.figure.axes[0]
    axes.set_ylim(-0.6, 1.2)
    if at is not None:
        axes.axvline(at, linestyle=":", color="#555555")
    return picture


toy = {
    "cooperative": train_toy(losses.cooperative_loss, noise=1),
    "competitive": train_toy(losses.mixture_nll, noise=0.1),
}
for number in STEPS:
    display(draw_toy(toy["competitive"][number], f"Competitive, after {number} steps"))

# %% [markdown]
# Follow the two experts down the page. At first neither of them fits anything, and the gate hardly
# tells them apart. Then each takes the side to which its slope leans. The place where the gate
# hands over first moves off, then to the kink. The gate itself turns round at first, and then becomes
# steeper:

# %%
plots.lines(
    {f"step {n}": (x, toy_weights[:, 0]) for n, (_, toy_weights) in toy["competitive"].items()},
    "The gate's weight for expert 0",
    source="a curve with a kink",
    x_label="x",
    y_label="weight",
    reference=0.5,
)

# %% [markdown]
# And the other loss, from the same start?

# %%
draw_toy(toy["cooperative"][STEPS[-1]], f"Cooperative, after {STEPS[-1]} steps")

# %%
toy_misses = {}
for name, looks in toy.items():
    toy_lines, toy_weights = looks[STEPS[-1]]
    trusted = np.take_along_axis(toy_lines, toy_weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    toy_misses[name] = np.abs(trusted - curve).max()
    mixed_by = np.abs((toy_weights * toy_lines).sum(axis=1) - curve).max()
    print(
        f"{name}: the mixture misses by {mixed_by:.2f} at most,",
        f"the more trusted line by {toy_misses[name]:.2f}",
    )

# %% [markdown]
# Here too the experts take a side each. But the mixture needs both around the kink, and the line
# that is trusted more need not lie on the curve by itself: the other one makes up for it. Keep
# this picture in mind. Now the same with images, eight experts, and ten digits to share out.
#
# ## 2 The data
#
# Handwritten digits, 28 by 28 pixels. From the 60,000 training images we hold back 5,000 for
# validation: all choices are made on them. The 10,000 test images wait for section 8.

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
# ## 3 The mixture
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

# %% exercise="mix"

# %% [markdown]
# The package's layer `DenseMoE` does the same with any list of experts, and with a stack of equal
# ones. Does it agree with you?

# %%
vectors = np.random.default_rng(0).normal(size=(5, 12)).astype("float32")
gate, stack = SoftmaxGate(num_experts=3), StackedMLP(num_experts=3, intermediate_dim=6, units=4)
mixture = DenseMoE(stack, gate)(vectors)
said = ops.stack([expert(vectors) for expert in stack], axis=1)  # (B, E, C)
by_hand = mix(gate(vectors)["logits"], said)
print("shape of the mixture:", tuple(mixture.shape))
print("the layer agrees with mix:", np.allclose(mixture, by_hand, atol=1e-5))

# %% [markdown]
# ## 4 The way back to the gate
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

# %% exercise="gate_gradient"

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
# ## 5 Together or against each other?
#
# The target $d$ is a one-hot vector: 1 for the right class, 0 for the others. The **cooperative**
# loss judges the common answer:
#
# $$L_\text{coop} = \Big\| d - \sum_e w_e\, o_e \Big\|^2.$$
#
# **Exercise 3 (2 marks).** Write it, one number for each image.

# %% exercise="cooperative"

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

# %% exercise="competitive"

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

# %% exercise="responsibilities"

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
# ## 6 Train both
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
    images = keras.Input((28, 28, 1), name="images")
    pixels = layers.Flatten(name="pixels")(layers.Rescaling(1 / 255, name="scale")(images))
    gate_hidden = layers.Dense(GATE_HIDDEN, activation="relu", name="gate_hidden")(pixels)
    logits = layers.Dense(NUM_EXPERTS, name="gate_logits")(gate_hidden)
    hidden = layers.Dense(NUM_EXPERTS * HIDDEN, activation="relu", name="experts_hidden")(pixels)
    hidden = layers.Reshape((NUM_EXPERTS, HIDDEN), name="by_expert")(hidden)
    # Letters as shapes: b images, e experts, h hidden units, c classes. Each expert has its own c.
    answer = layers.EinsumDense(
        "beh,ehc->bec", (NUM_EXPERTS, 10), bias_axes="ec", name="experts_outputs"
    )
    column = layers.Reshape((NUM_EXPERTS, 1), name="as_a_column")(logits)
    both = layers.Concatenate(name="hand_over")([column, answer(hidden)])
    network = keras.Model(images, both)
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

# %%
plots.model_graph(network, "The gate above, eight experts below", source="no data: untrained")

# %% [markdown]
# **Guess first.** After training we ask the gate about validation images. Call a digit *owned* if
# one expert has more than 0.8 of the weight, on average over the images of that digit. How many
# of the ten digits are owned with the cooperative loss, how many with the competitive one? And
# one competitive expert, asked alone about *all* images: on how many per cent is it right? Last,
# which loss is better on the test images, or can three seeds not tell? (Not marked.)

# %%
guess["digits owned, cooperative"] = None  # a number from 0 to 10
guess["digits owned, competitive"] = None  # a number from 0 to 10
guess["one competitive expert alone"] = None  # a number from 0 to 100
guess["better on the test images"] = None  # "cooperative", "competitive" or "cannot tell"

# %% [markdown]
# The recipe: images shifted by up to a pixel, Adam, and a learning rate that rises for a quarter
# of the time and then falls nearly to zero. `CSVLogger` writes the curves of training and
# validation to a file, and `RouterLog` asks the gate about the same 1,000 validation images again
# and again and writes down how much weight each expert gets. At the end of each epoch we keep the
# gate's weights on these images, for section 7.

# %% tags=["nbval-ignore-output"]
EPOCHS, BATCH = 10, 128
CURVES.mkdir(parents=True, exist_ok=True)
histories, networks, gates, logs, by_epoch = {}, {}, {}, {}, {}
probe, probe_labels = digits.x_validation[:1000], digits.y_validation[:1000]
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
        network.compile(
            keras.optimizers.Adam(TriangularSchedule(0.003, EPOCHS * len(batches))),
            on_network(loss),
            metrics=[accuracy_metric],
            steps_per_execution=8,  # the same steps, but quicker: eight at each call
        )
        log = RouterLog(gate, probe, every=len(batches) // 4)
        kept = by_epoch[name, seed] = []

        def keep_weights(epoch, _, gate=gate, kept=kept):
            kept.append(gate.predict(probe, batch_size=500, verbose=0)["probabilities"])

        file = CURVES / f"04_{name}_seed{seed}.csv"
        history = network.fit(
            batches,
            epochs=EPOCHS,
            validation_data=(digits.x_validation, digits.y_validation),
            validation_batch_size=500,
            callbacks=[
                log,
                keras.callbacks.CSVLogger(file),
                keras.callbacks.LambdaCallback(on_epoch_end=keep_weights),
            ],
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
# ## 7 Who does what?
#
# **Exercise 6 (2 marks).** Write `routing_table` with NumPy: for each label the mean of the gate's
# weights over the images with that label. Labels are rows, experts columns. A label without images
# gives a row of zeros.

# %% exercise="routing_table"


# %% tags=["nbval-ignore-output"]
def weights_of(gate):
    """The gate's weights on all validation images, (N, E)."""
    return gate.predict(digits.x_validation, batch_size=500, verbose=0)["probabilities"]


weights = {key: weights_of(gate) for key, gate in gates.items()}
tables = {key: routing_table(w, digits.y_validation, 10) for key, w in weights.items()}
for name in objectives:
    display(
        plots.heatmap(
            tables[name, 0],
            digits.class_names,
            [f"expert {e}" for e in range(NUM_EXPERTS)],
            f"Mean weight of each expert, {name}, seed 0, validation images",
            source=digits.label,
            row_label="label",
        )
    )

# %% [markdown]
# A **specialist** shows as a dark cell in a row that is white elsewhere: its digits go to it and to
# nobody else. Count the dark cells in *both* maps before you read on, and the columns without any.

# %% tags=["nbval-ignore-output"]
owned = {key: int((table.max(axis=1) > 0.8).sum()) for key, table in tables.items()}
for name in objectives:
    counts = ", ".join(str(owned[name, seed]) for seed in SEEDS)
    guess.compare(f"digits owned, {name}", f"{counts} (seeds {', '.join(map(str, SEEDS))})")

# %% [markdown]
# To say it with numbers, take the table for probabilities: draw a digit, each as likely as the
# others, then an expert with the weights in its row. The entropy $H$ of such a draw says how many
# possibilities there *really* are: $e^H$ is the **effective number**, 3 for three equally likely
# ones, and nearer to 1 the more one of them has. Three such numbers describe the table:
#
# - $e^{H(\text{expert} \mid \text{label})}$: how many **experts a digit has**. One is best.
# - $e^{H(\text{label} \mid \text{expert})}$: how many **digits an expert has**.
# - $e^{H(\text{expert})}$: how many **experts are in use**.
#
# The often used **mutual information** of label and expert, $H(\text{expert}) - H(\text{expert}
# \mid \text{label})$, mixes two of them: it is large if a digit has few experts *and* if many
# experts are in use. With ten equally frequent digits and eight experts it cannot exceed 2.03:
# six experts with one digit, two with two.


# %% tags=["nbval-ignore-output"]
def entropy(probabilities):
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum()


def describe(table):
    """The effective numbers of a routing table, all labels equally frequent."""
    joint = table / table.sum()  # p(label, expert)
    both, of_labels, of_experts = map(entropy, (joint, joint.sum(axis=1), joint.sum(axis=0)))
    return {
        "experts a digit has": np.exp(both - of_labels),
        "digits an expert has": np.exp(both - of_experts),
        "experts in use": np.exp(of_experts),
        "mutual information": of_labels + of_experts - both,
    }


described = {key: describe(table) for key, table in tables.items()}
measures = list(described["cooperative", 0])
measured = {
    name: {m: mean_interval([described[name, seed][m] for seed in SEEDS]) for m in measures}
    for name in objectives
}
untrained = routing_table(weights_of(build()[1]), digits.y_validation, 10)
best_possible = np.eye(NUM_EXPERTS)[np.arange(10) % NUM_EXPERTS]  # two experts with two digits
rows = {"untrained gate": {m: f"{v:.2f}" for m, v in describe(untrained).items()}}
for name in objectives:
    rows[name] = {m: "{:.2f} [{:.2f}, {:.2f}]".format(*v) for m, v in measured[name].items()}
rows["largest mutual information"] = {m: f"{v:.2f}" for m, v in describe(best_possible).items()}
pd.DataFrame(rows).T

# %% [markdown]
# The intervals are Student's, over three seeds. They know nothing of what is possible, and their
# ends may lie beyond it. The last row is the table with the largest mutual information; another
# table may have more experts in use, so it is not the best possible in each column.
#
# When did that happen? The number of experts a digit has on 1,000 images, after each epoch, one line
# for each seed:

# %% tags=["nbval-ignore-output"]
picture = plots.lines(
    {
        f"{name}, seed {seed}": (
            range(1, EPOCHS + 1),
            [
                describe(routing_table(w, probe_labels, 10))["experts a digit has"]
                for w in by_epoch[name, seed]
            ],
        )
        for name, seed in by_epoch
    },
    "Experts a digit has, epoch by epoch",
    source=digits.label,
    x_label="epoch",
    y_label="effective number, of 8",
    reference=1,
)
picture.figure.axes[0].xaxis.get_major_locator().set_params(integer=True)
picture

# %% tags=["nbval-ignore-output"]
for name in objectives:
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
# The gate is one thing, what the experts can do another. Ask each expert alone: about the images
# for which the gate trusts it most, and about all the others.

# %% tags=["nbval-ignore-output"]
alone = {}
for (name, seed), network in networks.items():
    outputs = network.predict(digits.x_validation, batch_size=500, verbose=0)[..., 1:]
    right = outputs.argmax(axis=-1) == digits.y_validation[:, None]  # (N, E)
    trusts = np.eye(NUM_EXPERTS, dtype=bool)[weights[name, seed].argmax(axis=1)]
    alone[name, seed] = {
        "its own images": 100 * right[trusts].mean(),
        "all others": 100 * right[~trusts].mean(),
        "all images": 100 * right.mean(),
    }
alone_rows = {
    name: {
        where: "{:.1f} % [{:.1f}, {:.1f}]".format(
            *mean_interval([alone[name, seed][where] for seed in SEEDS])
        )
        for where in alone[name, 0]
    }
    for name in objectives
}
of_all = np.mean([alone["competitive", seed]["all images"] for seed in SEEDS])
guess.compare("one competitive expert alone", f"{of_all:.1f} %")
pd.DataFrame(alone_rows).T

# %% [markdown]
# What do the figures say?
#
# - **How far.** With competition a digit has hardly more than one expert. Cooperation goes the same
#   way, but takes longer: its curves still fall clearly when those of competition are nearly level.
#   Trained on all 55,000 images, it too ends with most digits owned. This is one length of
#   training, at whose end the learning rate is nearly zero. What more epochs would do, it does not
#   show.
# - **Why at all.** Nobody asks it of the cooperative experts. But one that has little weight on a
#   digit learns little of that digit, since $w_e$ stands in its gradient. So a gate that is good
#   at telling digits apart shares them out with this loss too.
# - **What the others can do.** Here the losses differ most. A competitive expert is nearly useless
#   outside its own images, and that is as it should be: nobody judges it there. A cooperative one
#   knows many of the others' images, for it had to help with them.
#
# The mutual information alone would have hidden this. It also counts the experts in use, and with
# cooperation these are fewer in the mean of these three runs.
#
# ## 8 The test, once

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

# %% tags=["nbval-ignore-output"]
gap = mean_interval(
    [test_accuracy["cooperative", s] - test_accuracy["competitive", s] for s in SEEDS]
)
better = "cooperative" if gap.low > 0 else "competitive" if gap.high < 0 else "cannot tell"
guess.compare("better on the test images", better if len(SEEDS) > 1 else "cannot tell, one seed")
print("cooperative minus competitive, same seeds: {:+.2f} [{:+.2f}, {:+.2f}] points".format(*gap))

# %% tags=["figures", "nbval-ignore-output"]
print(f"data: {digits.label}, {len(digits.y_test):,} test images")
for name, (mean, low, high) in intervals.items():
    print(f"{name}: {mean:.2f} % [{low:.2f}, {high:.2f}]")
    for measure, (mean, low, high) in measured[name].items():
        print(f"{name}, {measure}: {mean:.2f} [{low:.2f}, {high:.2f}]")
print(f"mutual information, largest possible: {describe(best_possible)['mutual information']:.2f}")
print(f"parameters: {networks['cooperative', 0].count_params():,}")

# %% tags=["verdicts"]
sums = [w.sum(axis=1) for w in weights.values()]
print("each image's weights sum to 1:", np.allclose(sums, 1, atol=1e-5))
print("the gradient by hand is right:", gradient_agrees and gate_foretells)
print(
    "in the toy the gate hands over at the kink:",
    abs(hands_over(toy["competitive"][STEPS[-1]][1]) - KINK) < 0.1,
)
print(
    "with competition a digit has fewer than two experts, with every seed:",
    all(described["competitive", s]["experts a digit has"] < 2 for s in SEEDS),
)
print(
    "with competition a digit has fewer experts, with every seed:",
    all(
        described["competitive", s]["experts a digit has"]
        < described["cooperative", s]["experts a digit has"]
        for s in SEEDS
    ),
)
print(
    "competitive experts know less of others' images, with every seed:",
    all(
        alone["competitive", s]["all others"] < alone["cooperative", s]["all others"] for s in SEEDS
    ),
)

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Does the cooperative loss make specialists too? Judge by the heat maps and the
# three effective numbers, name what differs between the losses in your run, and explain both by
# the two gradients of section 5.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-specialists", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# On all images yes: by the maps most digits are owned, and by the numbers a digit has far fewer
# experts than eight, only later and not as few as with competition. What both losses share: an
# expert learns in proportion to $w_e$ or $h_e$, so one with little weight on a digit learns little
# of it, and the gate gives it less still. What differs: the competitive gradient is the expert's
# own error times its responsibility, so whoever is a little better at a digit gets more of it at
# once, and the others are left alone: outside their digits they know next to nothing. In the
# cooperative one all share the error $d - y$; when one changes, the others make up for it. Only
# $w_e$ sets them apart, so sharing out takes longer, and experts keep something of the others'
# digits. (Any conclusion that the student's own figures carry gets full marks; one that rests on
# the mutual information alone does not: it also counts how many experts are in use.)

# %% [markdown]
# **B (2 marks).** Two experts that give the same answers: what does the gate learn about them? Use
# the formula of exercise 2. Why does it matter that experts start with different random weights?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-same", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# If all experts say the same, $o_e - y = 0$ and the gate gets no gradient. Two equal ones among
# others get gradients in proportion to their weights, and nothing tells them apart. If all of them
# started with the same weights and equal gate weights, they would get the same gradients and stay
# the same for ever.

# %% [markdown]
# **C (2 marks).** Compare the two test accuracies by the interval of their difference, seed by
# seed. A colleague says: "Specialists are better, so competition must win." What do your figures
# say?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-worth", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Specialisation is a way to share out the work, not a gain by itself. Each specialist sees only a
# part of the images, and a mistake of the gate cannot be put right by an expert that never learnt
# the digit. The interval of the difference, seed by seed, decides: if it holds 0, three seeds cannot
# tell which loss is better. So it was in the stored run: cooperative minus competitive +0.01
# [-0.22, +0.23] points, cannot tell.

# %% [markdown]
# A colleague wants to know what holds the competitive mixture back, its gate or its experts.

# %% tags=["nbval-ignore-output"]
outputs = networks["competitive", 0].predict(digits.x_validation, batch_size=500, verbose=0)
mixed = ops.convert_to_numpy(mix(outputs[..., 0], outputs[..., 1:])).argmax(axis=1)
right = outputs[..., 1:].argmax(axis=-1) == digits.y_validation[:, None]  # (N, E)
print(f"the mixture is right on {(mixed == digits.y_validation).mean():.2%} of the images")
print(f"its experts are right on {right.any(axis=1).mean():.2%}")
print("So the experts know nearly everything. Only the gate must become better.")

# %% [markdown]
# **D (2 marks).** This program runs. What is wrong with its conclusion, and which line would you
# change?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# `right.any(axis=1)` picks, for each image, an expert that is right, and it needs the label for
# that. Experts that always say the same digit, without a look at the image, would do as well:
# eight of them, with eight different digits, are "right" on 80 % of the images, ten on all. So
# the number says that the experts' answers differ, not that they know. An expert must be chosen
# without the label: put `right[np.arange(len(right)), outputs[..., 0].argmax(axis=1)].mean()`
# there, the expert that the gate trusts most, as in section 7. A gate that chose as well as `any`
# would have to know the digit already.

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
