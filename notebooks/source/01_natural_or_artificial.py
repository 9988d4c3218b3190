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
#     minutes: 6
#     outcomes: define and train CNNs; combine them with gates and wrappers of your own; compare a
#       mixture with a plain CNN, honestly
#     serves:
#       - [build_cnn]
#       - [to_group, spread, mixture, hard_switch, freeze, ImportanceGate, assemble]
#       - [paired_interval, judge, question-improved, question-worth, question-noise, question-fault]
#     variant:
#       seed: ["SEED = 0", "SEED = 1", "SEED = 2", "SEED = 3"]
#       # Which group is 0. The baseline's and the mixture's figures stay much the same.
#       polarity:
#         - - '== "quick"'
#           - "to 7) becomes 0, artificial"
#           - "labels 0, 1, 8, 9) becomes 1."
#           - "0 for natural labels, 1 for artificial ones"
#           - "np.isin(labels, ARTIFICIAL)"
#           - "0 natural, 1 artificial."
#           - '["natural", "artificial"]'
#           - "Column 0 of the gate should be large for a frog"
#           - "column 1 for a truck"
#           - 'natural (column 0):", bool(frogs[0]'
#           - 'artificial (column 1):", bool(trucks[1]'
#           - "gate[:, 1:], natural, artificial"
#           - "[natural_validation, artificial_validation]"
#           - "both[:1, 0], both[:1, 1]"
#           - "[natural_expert, artificial_expert]"
#         - - "== \"quick\"\nlab01.number_groups(\"artificial\", \"natural\")"
#           - "to 7) becomes 1, artificial"
#           - "labels 0, 1, 8, 9) becomes 0."
#           - "1 for natural labels, 0 for artificial ones"
#           - "np.isin(labels, NATURAL)"
#           - "0 artificial, 1 natural."
#           - '["artificial", "natural"]'
#           - "Column 1 of the gate should be large for a frog"
#           - "column 0 for a truck"
#           - 'natural (column 1):", bool(frogs[1]'
#           - 'artificial (column 0):", bool(trucks[0]'
#           - "gate[:, 1:], artificial, natural"
#           - "[artificial_validation, natural_validation]"
#           - "both[:1, 1], both[:1, 0]"
#           - "[artificial_expert, natural_expert]"
#       noise:
#         - ["58.9 % for the mixture, 58.1 %", "about 58 %", "0.58 \\cdot 0.42", "= 1.6$", "0.8 points"]
#         - ["66.7 % for the mixture, 65.8 %", "about 66 %", "0.66 \\cdot 0.34", "= 1.5$", "0.9 points"]
#         - ["71.6 % for the mixture, 70.6 %", "about 71 %", "0.71 \\cdot 0.29", "= 1.4$", "1.0 points"]
# ---

# %% [markdown]
# # Lab 01: natural or artificial?
#
# A frog and a fire engine have little in common. Should one network learn both? In this lab you
# train one network for animals, one for vehicles, and a **gate** that knows which of the two to
# ask. Together they make a **mixture of experts**. Then you find out, honestly, whether it was
# worth the trouble.
#
# **After this lab you can**
#
# - define and train convolutional networks (CNNs) in Keras;
# - use layers and wrappers to combine networks into a mixture with a gate of your own;
# - compare a mixture with a plain CNN: accuracy with its uncertainty, parameters, time.
#
# **Time:** 6 minutes of computing on two CPU cores; two and a half hours with the exercises.
#
# **Builds on:** Python, NumPy, and a first acquaintance with Keras (`Sequential`, `fit`). What else you
# need of Keras stands on half a page below.
#
# **How it works.** There are ten exercises, worth 20 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab01.mixture.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on. Four questions at the end, worth 10 marks, are read by your
# lecturer: 30 marks in all.
#
# Where it says **guess first**, replace `None` before you run on; later the lab shows guess and
# outcome side by side. Guesses are not marked. A surprise is worth more than a hit.
#
# **Handing in.** Run all cells from the top, save, and hand in this file under its own name, in the
# way that your lecturer has told you.

# %%
import os
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops
from sklearn.metrics import confusion_matrix

from moe_keras import plots
from moe_keras.data import groups, load, locate
from moe_keras.evaluation import paired_interval as package_interval
from moe_keras.experts import ClassSubset, FrozenExpert
from moe_keras.gates import GroupGate, PerClassGate
from moe_keras.mixtures import Combine, DenseMoE
from moe_keras.training import AugmentedImages
from moe_labs.exercises import Guesses, lab01, summary

SEED = 0
CLASS_IDS = groups("cifar10")  # the class ids of natural and of artificial
NATURAL, ARTIFICIAL = CLASS_IDS.values()
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
keras.utils.set_random_seed(SEED)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab
guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
build_cnn = to_group = spread = mixture = hard_switch = freeze = ImportanceGate = assemble = None
paired_interval = judge = None

# %% [markdown]
# ## 0 Half a page of Keras
#
# **Logits.** The last layer of a classifier gives one number for each class, of any size and sign:
# the logits $z$. A **softmax** makes probabilities of them, $p_c = e^{z_c} / \sum_j e^{z_j}$: positive,
# with sum 1. The same number added to all logits changes nothing; only differences count.
#
# **A layer of your own** is a class. Its `__init__` makes the weights and the layers that it needs, its
# `call` says what it does to a tensor. Keras finds the weights, and `fit` trains them.
#
# **A gradient tape** records what is computed from a variable, and then tells how the result would
# change with it. That number, the gradient, is what training goes by. If there is no path from the
# variable to the result, it is `None`.
#
# All three, in a dozen lines. (Keras's guide
# [Making new layers and models](https://keras.io/guides/making_new_layers_and_models_via_subclassing/)
# has more.)


# %%
class Scale(layers.Layer):
    """Multiplies what comes in by one number, which can be trained."""

    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        return self.factor * inputs


logits = ops.convert_to_tensor([[2.0, 0.0, -1.0]])
scale = Scale()
with tf.GradientTape() as tape:
    loss = ops.sum(scale(logits) ** 2)  # factor^2 (4 + 0 + 1)
print("softmax of the logits:", ops.convert_to_numpy(ops.softmax(logits)).round(2))
print("with 5 added to each: ", ops.convert_to_numpy(ops.softmax(logits + 5)).round(2))
print("gradient, 2 * factor * 5:", float(tape.gradient(loss, scale.factor.value)))

# %% [markdown]
# ## 1 The data
#
# CIFAR-10 holds 60,000 colour photographs of 32 by 32 pixels, in ten classes. 10,000 of them are
# the **test set**. We do not look at it before section 9: whoever chooses a network by its test
# score has trained on the test set, in a way. From the other 50,000 we hold back 10,000 as a
# **validation set**: no network learns from them, so they show how good a network is on new
# images; later they train the gate.

# %% tags=["nbval-ignore-output"]
# A fifth of the images is enough for a quick test, and a third of the stand-in for a short lab.
stand_in = locate("cifar10").source == "stand-in"
subset = 0.2 if QUICK else 0.3 if stand_in else None
cifar = load("cifar10", validation=10_000, subset=subset, seed=SEED)
print(cifar)

# %% tags=["nbval-ignore-output"]
parts = {"training": cifar.y_train, "validation": cifar.y_validation, "test": cifar.y_test}
plots.label_balance(
    {part: np.bincount(labels, minlength=10) for part, labels in parts.items()},
    cifar.class_names,
    "Label balance",
    source=cifar.label,
)

# %% [markdown]
# Every class has the same number of images, so accuracy is a fair measure: guessing gives 10 %.

# %% tags=["nbval-ignore-output"]
chosen = [np.flatnonzero(cifar.y_train == label)[i] for i in range(2) for label in range(10)]
plots.image_grid(
    cifar.x_train[chosen],
    [cifar.class_names[cifar.y_train[i]] for i in chosen],
    "Two images of each class",
    source=cifar.label,
)

# %% [markdown]
# ## 2 A baseline CNN
#
# What we want to beat: one CNN for all ten classes.
#
# A network of this kind is a chain of blocks. One block is given: convolutions find patterns,
# pooling halves the image, batch normalisation keeps the numbers in range.


# %%
def block(filters):
    """Two 3x3 convolutions with pooling in between, each normalised, then ReLU: a list of layers."""
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        layers.MaxPooling2D(),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


# %% [markdown]
# **Exercise 1 (3 marks).** Write `build_cnn`. It takes images with pixel values 0 to 255, scales
# them itself (layer `Rescaling`), goes through three blocks or so, takes the largest value of each
# filter (`GlobalMaxPooling2D`) and ends in a softmax over `num_classes`. Stay below a million
# parameters.

# %% exercise="build_cnn"

# %% [markdown]
# The recipe that trains it is given. It mirrors and shifts the images at random, so that the
# network never sees quite the same image twice, and it uses stochastic gradient descent with
# momentum. The learning rate rises during the first quarter of the steps and then falls to zero:
# big steps first, small ones to settle.

# %%
histories, seconds, images_seen = {}, {}, {}


def train(name, model, images, labels, validation, epochs, learning_rate):
    """Train a classifier, and note its curves, its time and how many images it was shown."""
    batches = AugmentedImages(images, labels, batch_size=128, seed=SEED)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 4, warmup_target=learning_rate, warmup_steps=steps // 4
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    history = model.fit(batches, epochs=epochs, validation_data=validation, verbose=2)
    seconds[name] = time.perf_counter() - started
    histories[name] = history.history
    images_seen[name] = epochs * len(images)
    return model


# %% tags=["nbval-ignore-output"]
BASELINE_EPOCHS, EXPERT_EPOCHS, GATE_EPOCHS = 2, 2, 1
some = (cifar.x_validation[:2000], cifar.y_validation[:2000])  # enough to watch the training

baseline_cnn = train(
    "baseline",
    build_cnn(10),
    cifar.x_train,
    cifar.y_train,
    some,
    BASELINE_EPOCHS,
    learning_rate=0.2,
)

# %% [markdown]
# Where does it go wrong? In a **confusion matrix** each row is a true class, each column a
# predicted one. What is right lies on the diagonal.
#
# **Guess first.** Six classes are animals, four are vehicles. If errors knew nothing of that, about 53
# in 100 would take an animal for a vehicle, or a vehicle for an animal. How many do? (Not marked.)

# %%
guess["per cent of errors between animals and vehicles"] = None  # a number from 0 to 100


# %% tags=["nbval-ignore-output"]
def confusion(probabilities, labels, num_classes=10):
    """Count true classes (rows) against predicted ones (columns)."""
    return confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(num_classes))


baseline_validation = baseline_cnn.predict(cifar.x_validation, batch_size=500, verbose=0)
plots.confusion_matrix(
    confusion(baseline_validation, cifar.y_validation),
    cifar.class_names,
    "Baseline, validation images",
    source=cifar.label,
)

# %% tags=["nbval-ignore-output"]
errors = confusion(baseline_validation, cifar.y_validation)
np.fill_diagonal(errors, 0)
vehicle = np.isin(range(10), CLASS_IDS["artificial"])
across = errors[vehicle][:, ~vehicle].sum() + errors[~vehicle][:, vehicle].sum()
# Of the nine wrong classes six are of the other group for a vehicle, four for an animal.
by_chance = (errors.sum(axis=1) * np.where(vehicle, 6 / 9, 4 / 9)).sum() / errors.sum()
guess.compare(
    "per cent of errors between animals and vehicles", f"{100 * across / errors.sum():.0f}"
)
print(f"with each wrong class alike it would be {by_chance:.0%}")

# %% [markdown]
# The smaller the share beside that of chance, the more do animals look like animals and vehicles like
# vehicles to the baseline. That is the reason to split the problem: whoever has to tell a cat from a
# dog should not have to think of lorries.
#
# ## 3 Two groups, two experts
#
# **Exercise 2 (1 mark).** Write `to_group`: natural (bird, cat, deer, dog, frog, horse: labels 2
# to 7) becomes 0, artificial (airplane, automobile, ship, truck: labels 0, 1, 8, 9) becomes 1.
# Keep this polarity in mind. If a gate is trained with one polarity and read with the other, no error
# message says so; section 5 shows what it costs.

# %% exercise="to_group"

# %% [markdown]
# Each expert sees the images of its own group only, and numbers its classes from 0. It begins with
# the filters that the baseline has learnt; only its last layer starts from nothing. That saves
# most of the training time.


# %%
def specialist(num_classes):
    """A new CNN with the baseline's filters and a fresh last layer."""
    model = build_cnn(num_classes)
    for new, old in zip(model.weights, baseline_cnn.weights, strict=True):
        if new.shape == old.shape:  # all but the last layer's
            new.assign(old)
    return model


def only(class_ids, images, labels):
    """The images of some classes, their labels renumbered 0, 1, ... in the order of class_ids."""
    keep = np.isin(labels, class_ids)
    return images[keep], np.searchsorted(class_ids, labels[keep])


# %% tags=["nbval-ignore-output"]
experts = {}
for name, class_ids in CLASS_IDS.items():
    print(f"--- {name} expert, {len(class_ids)} classes")
    experts[name] = train(
        name,
        specialist(len(class_ids)),
        *only(class_ids, cifar.x_train, cifar.y_train),
        only(class_ids, *some),
        EXPERT_EPOCHS,
        learning_rate=0.1,
    )

# %% [markdown]
# On its own classes, how does each expert do, and how does the baseline do on the same images, if
# we let it choose among these classes only?

# %% tags=["nbval-ignore-output"]
rows = []
for name, class_ids in CLASS_IDS.items():
    images, labels = only(class_ids, cifar.x_validation, cifar.y_validation)
    expert_says = experts[name].predict(images, batch_size=500, verbose=0)
    baseline_says = baseline_cnn.predict(images, batch_size=500, verbose=0)[:, list(class_ids)]
    rows.append(
        [name]
        + [f"{(says.argmax(axis=1) == labels).mean():.1%}" for says in (expert_says, baseline_says)]
    )
    names = [cifar.class_names[i] for i in class_ids]
    display(
        plots.confusion_matrix(
            confusion(expert_says, labels, len(class_ids)),
            names,
            f"{name.capitalize()} expert, its own classes, validation images",
            source=cifar.label,
        )
    )
columns = [f"validation, {cifar.label}", "its expert", "baseline, choosing within the group"]
pd.DataFrame(rows, columns=columns).set_index(columns[0])

# %% [markdown]
# But what does an expert say to an image of the other group? It has to answer, and it cannot say
# "neither". To see that on all ten classes, its answer must be written in ten columns.
#
# **Guess first.** How sure is the natural expert, which has never seen a vehicle, when it is shown one:
# how large is its largest probability, on average? (Not marked.)

# %%
guess["how sure the natural expert is of a vehicle"] = None  # a number from 0 to 1

# %% [markdown]
# **Exercise 3 (2 marks).** Write `spread`: put the probabilities of a few classes into an array
# for all `num_classes`, with zeros for the classes that the expert does not know. `class_ids` says
# which column each one belongs in.

# %% exercise="spread"

# %% tags=["nbval-ignore-output"]
natural_validation = spread(
    experts["natural"].predict(cifar.x_validation, batch_size=500, verbose=0), NATURAL, 10
)
artificial_validation = spread(
    experts["artificial"].predict(cifar.x_validation, batch_size=500, verbose=0),
    ARTIFICIAL,
    10,
)
for name, says in {"Natural": natural_validation, "Artificial": artificial_validation}.items():
    display(
        plots.confusion_matrix(
            confusion(says, cifar.y_validation),
            cifar.class_names,
            f"{name} expert, all validation images",
            source=cifar.label,
        )
    )

# %% tags=["nbval-ignore-output"]
of_vehicles = np.isin(cifar.y_validation, CLASS_IDS["artificial"])
sure = natural_validation.max(axis=1)
guess.compare("how sure the natural expert is of a vehicle", f"{sure[of_vehicles].mean():.2f}")
print(f"how sure it is of an animal: {sure[~of_vehicles].mean():.2f}")

# %% [markdown]
# Outside its group an expert is always wrong, and it does not say "I do not know". Somebody has to
# decide whom to ask.
#
# ## 4 A gate that tells the groups apart
#
# The gate is a CNN too, with two classes: 0 natural, 1 artificial.

# %% tags=["nbval-ignore-output"]
gate_cnn = train(
    "group gate",
    specialist(2),
    cifar.x_train,
    to_group(cifar.y_train),
    (some[0], to_group(some[1])),
    GATE_EPOCHS,
    learning_rate=0.1,
)
gate_validation = gate_cnn.predict(cifar.x_validation, batch_size=500, verbose=0)
plots.confusion_matrix(
    confusion(gate_validation, to_group(cifar.y_validation), 2),
    ["natural", "artificial"],
    "Group gate, validation images",
    source=cifar.label,
)

# %% [markdown]
# Never trust a polarity that you have not tested. Column 0 of the gate should be large for a frog,
# column 1 for a truck:

# %%
frogs = gate_validation[cifar.y_validation == cifar.class_names.index("frog")].mean(axis=0)
trucks = gate_validation[cifar.y_validation == cifar.class_names.index("truck")].mean(axis=0)
print("frogs are natural (column 0):", bool(frogs[0] > 0.5))
print("trucks are artificial (column 1):", bool(trucks[1] > 0.5))

# %% [markdown]
# ## 5 Putting them together
#
# With gate weights $g_e(x)$ and experts' outputs $f_e(x)$ the **mixture** is
#
# $$y(x) = \sum_e g_e(x)\, f_e(x).$$
#
# **Exercise 4 (2 marks).** Write `mixture` with `keras.ops` (`ops` for short). The weights have
# shape (B, E), images by experts; the outputs (B, E, C). A gradient must reach the weights.

# %% exercise="mixture"

# %% [markdown]
# A **soft** mixture listens to everybody a little. A **hard** one asks exactly one expert.
#
# **Exercise 5 (2 marks).** Write `hard_switch`, with `ops` too: each image gets the natural expert's
# answer if the gate finds it more likely natural, else the artificial expert's. Mind the polarity.

# %% exercise="hard_switch"

# %% [markdown]
# **Guess first.** What does a gate cost that is read with the wrong polarity: how many per cent of the
# images does the mixture still get right? (Not marked.)

# %%
guess["per cent right with the polarity inverted"] = None  # a number from 0 to 100

# %% tags=["nbval-ignore-output"]
both = np.stack([natural_validation, artificial_validation], axis=1)  # (B, E, C)
answers = {
    "soft": mixture(gate_validation, both),
    "hard": hard_switch(gate_validation, natural_validation, artificial_validation),
    "soft, polarity inverted": mixture(gate_validation[:, ::-1].copy(), both),
}
shares = {
    name: (np.asarray(says).argmax(axis=1) == cifar.y_validation).mean()
    for name, says in answers.items()
}
for name, share in shares.items():
    print(f"{name}: {share:.1%} right")
guess.compare(
    "per cent right with the polarity inverted", f"{100 * shares['soft, polarity inverted']:.0f}"
)

# %% [markdown]
# The last line is what an inverted gate costs: less is right than by guessing, since a wrong expert
# cannot even name the true class. Between soft and hard the difference is small; section 9 looks at it
# with an interval. They differ in something else: can the gate *learn* through them? To learn, it needs
# the gradient of the loss.

# %%
truth = ops.one_hot([3], 10)  # a cat
natural_cat, artificial_cat = both[:1, 0], both[:1, 1]
for name, combine in {
    "soft": lambda gate: mixture(gate, both[:1]),
    "hard": lambda gate: hard_switch(gate, natural_cat, artificial_cat),
}.items():
    gate = tf.Variable([[0.6, 0.4]])
    with tf.GradientTape() as tape:
        loss = keras.losses.mean_squared_error(truth, combine(gate))
    print(f"{name}: the gate receives a gradient: {tape.gradient(loss, gate) is not None}")

# %% [markdown]
# A hard switch passes nothing back: a gate that is trained through it learns nothing. Keras stops with
# an error if nothing else can learn; if the experts learn too, it only warns.
#
# ## 6 Freeze what is finished
#
# Baseline, experts and gate are trained. From here on only the weights of the mixture may learn.
# Otherwise the baseline would get better (or worse) while we try to beat it, and the comparison
# would be worth nothing.
#
# **Exercise 6 (2 marks).** Write `freeze`. The result, a Keras layer or model, must give the same
# answers as the expert, and neither its weights nor its answers may change, *also while the
# network around it is trained*. The package has a layer for that.

# %% exercise="freeze"

# %% [markdown]
# Now the package's layers do what you have just written by hand: `ClassSubset` is your `spread`,
# `GroupGate` makes a gate of a classifier, and `DenseMoE` is your `mixture`. We call this first
# mixture the **switch**.

# %%
baseline = freeze(baseline_cnn)
natural_expert = ClassSubset(freeze(experts["natural"]), NATURAL, 10)
artificial_expert = ClassSubset(freeze(experts["artificial"]), ARTIFICIAL, 10)
switch = DenseMoE([natural_expert, artificial_expert], gate=GroupGate(freeze(gate_cnn)))

few = cifar.x_validation[:8]
by_hand = ops.convert_to_numpy(mixture(gate_validation[:8], both[:8]))
print("the layers give what the formula gives:", np.allclose(switch(few), by_hand, atol=1e-5))
print("output shape for 8 images:", tuple(switch(few).shape))

# %% tags=["nbval-ignore-output"]
plots.model_graph(switch, "The switch: a gate and two experts", source=cifar.label, depth=1)

# %% [markdown]
# ## 7 How important is whom, for which class?
#
# The baseline has seen all images, so it may know some classes better than an expert does, and two
# opinions are often better than one. So we mix again: baseline and switch. This time each
# **class** gets weights of its own:
#
# $$y_c(x) = \sum_e w_{c,e}(x)\, f_{e,c}(x), \qquad \sum_e w_{c,e}(x) = 1 \text{ for each class } c.$$
#
# **Exercise 7 (3 marks).** Write the layer `ImportanceGate`: from features (B, D) to weights (B,
# num_classes, num_experts). For each class the weights are positive and sum to 1 *over the
# experts*. One softmax over everything is a likely mistake: all classes then share one sum, and a
# class with a small share can hardly win, whatever the experts say of it.

# %% exercise="ImportanceGate"

# %% [markdown]
# The package's `PerClassGate` is the same layer, ready to be saved and loaded. It returns a
# dictionary with the `"logits"` and the `"probabilities"`, so that nobody takes one for the other.
# Our gate looks at what the baseline and the switch say about an image: 20 numbers.
#
# **Exercise 8 (2 marks).** Write `assemble`: the gate sees what the two say, joined to one vector,
# and the layer `Combine` takes the weighted sum. `said` is a list of two tensors (B, 10).

# %% exercise="assemble"

# %% [markdown]
# The experts are frozen, so they give the same output for an image each time. It is enough to compute
# it **once** and to train the gate on these outputs, which takes seconds instead of minutes.
#
# And on which images? Not on the training images: there the networks are surer than they will ever
# be on new ones, and the gate would learn to trust them too much. We take the 10,000 that were
# held back.

# %% tags=["nbval-ignore-output"]
said_validation = [
    baseline_validation,
    np.asarray(mixture(gate_validation, both)),
]
importance = PerClassGate(num_classes=10, num_experts=2)
said_inputs = [keras.Input((10,)), keras.Input((10,))]
gate_trainer = keras.Model(said_inputs, assemble(importance, said_inputs))
gate_trainer.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
started = time.perf_counter()
gate_trainer.fit(said_validation, cifar.y_validation, batch_size=250, epochs=20, verbose=0)
seconds["importance gate"] = time.perf_counter() - started
# Shown to the networks once; the gate itself saw their answers 20 times.
images_seen["importance gate"] = len(cifar.y_validation)
print(f"gate trained in {seconds['importance gate']:.1f} seconds")
plots.training_curves(histories, "How the four networks learnt", source=cifar.label)

# %% [markdown]
# Whom does the gate listen to? For the images of each class, the mean weights of that class:

# %% tags=["nbval-ignore-output"]
weights = importance(np.concatenate(said_validation, axis=-1))["probabilities"]
weights = ops.convert_to_numpy(weights)  # (images, classes, experts)
of_true_class = weights[np.arange(len(weights)), cifar.y_validation]
plots.heatmap(
    [of_true_class[cifar.y_validation == label].mean(axis=0) for label in range(10)],
    cifar.class_names,
    ["baseline", "switch"],
    "Importance of baseline and switch, validation images",
    source=cifar.label,
)

# %% [markdown]
# ## 8 One model, images in, answer out
#
# The same three lines of `assemble` now stand on the real networks. What `fit` could still train
# in the whole mixture is the importance gate alone: 20 inputs times 20 outputs, and 20 biases.

# %%
images = keras.Input((32, 32, 3))
moe = keras.Model(images, assemble(importance, [baseline(images), switch(images)]), name="moe")

by_hand = gate_trainer.predict([part[:100] for part in said_validation], verbose=0)
assembled = moe.predict(cifar.x_validation[:100], verbose=0)
print("trainable parameters:", sum(int(np.prod(v.shape)) for v in moe.trainable_variables))
print("output shape for 100 images:", assembled.shape)
print(
    "assembled model equals the gate on stored answers:", np.allclose(assembled, by_hand, atol=1e-5)
)

# %% tags=["nbval-ignore-output"]
plots.model_graph(
    moe, "The whole mixture; inside the switch are three networks", source=cifar.label, depth=1
)

# %% [markdown]
# ## 9 Has it improved?
#
# Now, once, the test set. Three things have been built on top of each other: experts with a gate (the
# switch), the softness of the gate, the importances. Each of them is judged by itself.
#
# **Guess first.** What do the importances, sections 7 and 8, add to the switch? (Not marked.)

# %%
guess["the mixture against the switch alone"] = None  # "better", "worse" or "cannot tell"

# %% tags=["nbval-ignore-output"]
y = cifar.y_test
started = time.perf_counter()
baseline_test = baseline_cnn.predict(cifar.x_test, batch_size=500, verbose=0)
baseline_latency = (time.perf_counter() - started) / len(y)
started = time.perf_counter()
moe_test = moe.predict(cifar.x_test, batch_size=500, verbose=0)
moe_latency = (time.perf_counter() - started) / len(y)
gate_test = gate_cnn.predict(cifar.x_test, batch_size=500, verbose=0)
expert_test = {
    name: expert.predict(cifar.x_test, batch_size=500, verbose=0)
    for name, expert in experts.items()
}

spread_test = {name: spread(expert_test[name], ids, 10) for name, ids in CLASS_IDS.items()}
in_gate_order = [spread_test[name] for name in ["natural", "artificial"]]
switch_test = np.asarray(mixture(gate_test, np.stack(in_gate_order, axis=1)))
hard_test = np.asarray(hard_switch(gate_test, *spread_test.values()))
whole_test = {
    "Baseline": baseline_test,
    "Natural expert": spread_test["natural"],
    "Artificial expert": spread_test["artificial"],
    "Switch": switch_test,
    "Mixture": moe_test,
}
for name, says in whole_test.items():
    display(
        plots.confusion_matrix(
            confusion(says, y), cifar.class_names, f"{name}, whole test set", source=cifar.label
        )
    )

# %% tags=["nbval-ignore-output"]
for name, class_ids in CLASS_IDS.items():
    keep = np.isin(y, class_ids)
    own = confusion(expert_test[name][keep], np.searchsorted(class_ids, y[keep]), len(class_ids))
    title = f"{name.capitalize()} expert, its own classes, test images: {np.trace(own) / own.sum():.1%} right"
    display(
        plots.confusion_matrix(
            own, [cifar.class_names[i] for i in class_ids], title, source=cifar.label
        )
    )

# %% [markdown]
# The mixture's number is probably larger. Is it *really* better, or lucky with these 10,000
# images? Both models answered the same images, so look at the differences: on image $i$, $d_i =
# a_i - b_i$ is 1 if only model $a$ is right, -1 if only $b$ is, 0 otherwise. The gain is the mean
# of $d$, and its standard error is $s_d / \sqrt n$.
#
# **Exercise 9 (2 marks).** Write `paired_interval`: the difference of the two accuracies and the
# ends of its 95 % interval, 1.96 standard errors to each side.

# %% exercise="paired_interval"

# %% [markdown]
# **Exercise 10 (1 mark).** Write `judge`: from the ends of the interval to "better", "worse" or
# "cannot tell". An end at 0 belongs to the interval.

# %% exercise="judge"

# %% [markdown]
# How much does the number of test images matter? Watch the intervals: with a few hundred images a gain
# of a point or two is lost in them.

# %% tags=["nbval-ignore-output"]
moe_right, baseline_right = moe_test.argmax(axis=1) == y, baseline_test.argmax(axis=1) == y
gains = {}
for count in (200, 1000, len(y)):
    interval = paired_interval(moe_right[:count], baseline_right[:count])
    gains[f"{count:,} test images"] = [100 * value for value in interval]
    print(f"{count:,} images: {judge(*interval[1:])}")
plots.intervals(
    gains,
    "Gain of the mixture over the baseline",
    source=cifar.label,
    label="percentage points, with 95 % interval",
    reference=0,
)

# %% [markdown]
# And each part by itself? The switch against the baseline; soft against hard; then baseline and switch
# together, first as their plain mean, for which nothing is learnt, then weighed by the importances.

# %% tags=["nbval-ignore-output"]
mean_test = (baseline_test + switch_test) / 2
ways_right = {
    "baseline": baseline_right,
    "switch": switch_test.argmax(axis=1) == y,
    "hard switch": hard_test.argmax(axis=1) == y,
    "mean of baseline and switch": mean_test.argmax(axis=1) == y,
    "mixture": moe_right,
}
parts = {}
for one, other in (
    ("switch", "baseline"),
    ("switch", "hard switch"),
    ("mean of baseline and switch", "switch"),
    ("mixture", "switch"),
    ("mixture", "mean of baseline and switch"),
):
    interval = paired_interval(ways_right[one], ways_right[other])
    parts[f"{one}, over {other}"] = [100 * value for value in interval]
    print(f"{one}, over {other}: {judge(*interval[1:])}")
guess.compare("the mixture against the switch alone", judge(*parts["mixture, over switch"][1:]))
plots.intervals(
    parts,
    "What each part adds",
    source=cifar.label,
    label="percentage points, with 95 % interval",
    reference=0,
)

# %% [markdown]
# Which images does the mixture put right, and which does it spoil? Below each image: to which
# expert the group gate sends it.

# %% tags=["nbval-ignore-output"]
for title, chosen in {
    "Put right by the mixture": moe_right & ~baseline_right,
    "Spoiled by the mixture": ~moe_right & baseline_right,
}.items():
    which = np.flatnonzero(chosen)[:8]
    display(
        plots.routing(
            cifar.x_test[which],
            gate_test[which],
            ["natural", "artificial"],
            [
                f"{cifar.class_names[y[i]]}\nbaseline: {cifar.class_names[baseline_test[i].argmax()]}"
                f"\nmixture: {cifar.class_names[moe_test[i].argmax()]}"
                for i in which
            ],
            title,
            source=cifar.label,
        )
    )

# %% [markdown]
# ## 10 Is it worth it?
#
# The mixture has had two advantages: besides the baseline's training it was given that of two experts
# and a gate, and the importances have learnt from the labels of the validation images. So here is a
# rival: the baseline, trained on with as many images as the others were shown, the validation images
# among them. One network, no experts, no gates.
#
# **Guess first.** The mixture against this rival? (Not marked.)

# %%
guess["the mixture against the baseline, trained on"] = None  # "better", "worse" or "cannot tell"

# %% tags=["nbval-ignore-output"]
mixture_seconds, mixture_images = sum(seconds.values()), sum(images_seen.values())
all_images = np.concatenate([cifar.x_validation, cifar.x_train])
all_labels = np.concatenate([cifar.y_validation, cifar.y_train])
to_show = mixture_images - images_seen["baseline"]
rival_epochs = -(-to_show // len(all_images))  # rounded up, each a little shorter then
shown = to_show // rival_epochs
rival_cnn = build_cnn(10)  # a network of its own: the baseline itself is frozen by now
rival_cnn.set_weights(baseline_cnn.get_weights())
# No validation images are left to watch it by.
train("rival", rival_cnn, all_images[:shown], all_labels[:shown], None, rival_epochs, 0.1)
rival_right = rival_cnn.predict(cifar.x_test, batch_size=500, verbose=0).argmax(axis=1) == y

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        "test accuracy": [f"{r.mean():.2%}" for r in (baseline_right, moe_right, rival_right)],
        "parameters": [f"{m.count_params():,}" for m in (baseline_cnn, moe, rival_cnn)],
        "images with labels": [
            f"{len(labels):,}" for labels in (cifar.y_train, all_labels, all_labels)
        ],
        "images shown": [
            f"{images:,}"
            for images in (
                images_seen["baseline"],
                mixture_images,
                images_seen["baseline"] + images_seen["rival"],
            )
        ],
        "training seconds": [
            f"{s:.0f}"
            for s in (
                seconds["baseline"],
                mixture_seconds,
                seconds["baseline"] + seconds["rival"],
            )
        ],
        "ms an image": [
            f"{1000 * t:.2f}" for t in (baseline_latency, moe_latency, baseline_latency)
        ],
    },
    index=pd.Index(["baseline", "mixture", "baseline, trained on"], name=f"test, {cifar.label}"),
)

# %% tags=["nbval-ignore-output"]
against_rival = paired_interval(moe_right, rival_right)
verdict = judge(*against_rival[1:])
guess.compare("the mixture against the baseline, trained on", verdict)
print("{:+.2f} points [{:+.2f}, {:+.2f}]".format(*(100 * value for value in against_rival)))

# %% [markdown]
# Compare the last two rows: as many images shown to the networks, from the same labels, and a
# quarter of the parameters. By the clock the two differ, as the table shows. A gain over a baseline
# says little until you know what the baseline would have done with as many images. (The interval
# speaks of these two trainings on other test images. Other seeds, or another learning rate for the
# rival, may give another result.)
#
# The figures of this run, and what must hold in every run:

# %% tags=["figures", "nbval-ignore-output"]
gain = package_interval(moe_right, baseline_right)
group_right = gate_test.argmax(axis=1) == to_group(y)
print(f"data: {cifar.label}, {len(y):,} test images")
print(f"baseline: {baseline_right.mean():.2%}")
print(f"group gate: {group_right.mean():.2%}")
print(f"mixture: {moe_right.mean():.2%}")
print(f"gain: {100 * gain.difference:+.2f} points [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]")
for name, right in ways_right.items():
    print(f"{name}, alone: {right.mean():.2%}")
for name, interval in parts.items():
    print("{}: {:+.2f} points [{:+.2f}, {:+.2f}]".format(name, *interval))
print(f"baseline trained on: {rival_right.mean():.2%}")
print(
    "mixture over baseline trained on: {:+.2f} points [{:+.2f}, {:+.2f}]".format(
        *(100 * value for value in against_rival)
    )
)
print(f"errors across the groups: {across / errors.sum():.0%}, by chance {by_chance:.0%}")
print(f"parameters: {baseline_cnn.count_params():,} and {moe.count_params():,}")
print(f"training seconds: {seconds['baseline']:.0f} and {mixture_seconds:.0f}")

# %% tags=["verdicts"]
print(
    "each class's weights sum to 1 over the experts:",
    np.allclose(weights.sum(axis=-1), 1, atol=1e-5),
)
print("the gate's polarity fits the labels:", bool(group_right.mean() > 0.8))
baseline_now = baseline_cnn.predict(cifar.x_validation, batch_size=500, verbose=0)
print("the baseline has not moved:", np.array_equal(baseline_now, baseline_validation))
print("the mixture beats the baseline:", judge(gain.low, gain.high) == "better")
print(
    "fewer errors than by chance are between the groups:", bool(across < by_chance * errors.sum())
)
same_means = images_seen["baseline"] + images_seen["rival"], len(all_labels)
print(
    "the rival was shown as many images as the mixture, within one in a thousand:",
    bool(abs(same_means[0] / mixture_images - 1) < 0.001),
)
print("the validation images are among them:", bool(shown >= len(cifar.x_validation)))

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Has the mixture improved on the baseline? Give the gain with its interval, and
# say in plain words what the interval means. Which part of the gain is the switch's, which that of the
# importances?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-improved", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# Yes, if the interval lies above 0. Were test sets of 10,000 drawn again and again, about 95 in 100
# of the intervals made so would hold the gain on all such images. It says nothing about another
# training run, with another seed: for that one would have to repeat the training. The parts stand
# in the figure "What each part adds": the switch over the baseline, and the mixture over the
# switch. If the second interval holds 0, nobody can tell whether the importances have added
# anything, and if the plain mean of baseline and switch does as well, it is not what they learnt
# that helps.

# %% [markdown]
# **B (3 marks).** Is it worth the complexity and the time? Compare parameters, seconds and
# milliseconds an image. What would you have to train, with the same effort, to be sure that it is
# the *mixture* that helps, and not just more training and more parameters?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-worth", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# The mixture has four times the parameters and takes between two and four times as long to answer.
# Its networks were shown more than twice as many images in training. A fair rival gets the same
# means: the baseline trained on as many images (the last row of the table; on real CIFAR-10 it
# beats the mixture), one CNN with as many parameters, or two baselines averaged. Only a mixture
# that beats these owes its gain to the division of labour.

# %% [markdown]
# **C (2 marks).** A fellow student reports: "58.9 % for the mixture, 58.1 % for the baseline, on
# 1,000 test images: the mixture wins." What do you answer?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-noise", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The standard error of one accuracy of about 58 % on 1,000 images is $\sqrt{0.58 \cdot 0.42 /
# 1000} = 1.6$ points. Even if the two models agree on most images, 0.8 points are within one or so
# standard errors of the difference. We cannot tell; test on more images, and look at the paired
# differences.

# %% [markdown]
# **D (2 marks).** Find the fault in the training. Somebody builds the mixture of baseline and switch in
# one go and trains its importances on images. The program runs. Compare its baseline with that of
# section 2: what has happened, and which line would you change? (That the conclusion credits the
# importances with what the switch gains is another fault, and not asked for here.)

# %% tags=["nbval-ignore-output"]
my_baseline = build_cnn(10)
my_baseline.set_weights(baseline_cnn.get_weights())
pictures = keras.Input((32, 32, 3))
my_gate = PerClassGate(num_classes=10, num_experts=2)
my_mixture = keras.Model(pictures, assemble(my_gate, [my_baseline(pictures), switch(pictures)]))
my_mixture.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy")
images, labels = cifar.x_validation, cifar.y_validation
tenth = len(images) // 10
my_mixture.fit(images[:tenth], labels[:tenth], batch_size=50, verbose=0)
new_images, new_labels = images[tenth : 3 * tenth], labels[tenth : 3 * tenth]
for name, network in {"baseline": my_baseline, "mixture": my_mixture}.items():
    says = network.predict(new_images, batch_size=500, verbose=0)
    print(f"{name}: {(says.argmax(axis=1) == new_labels).mean():.1%} right")
print("Conclusion: so much do the importances gain over the baseline.")

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# `my_baseline` is not frozen. The fit trains it too, its weights and its batch statistics, so what is
# called baseline in the comparison is no longer the network of section 2, and what is called the gain
# of the importances is in part its damage (1 mark). Change the line of `my_mixture`: take
# `freeze(my_baseline)(pictures)`; then only the gate learns (1 mark).

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab01)

# %% [markdown]
# ## To read on
#
# - Jacobs, Jordan, Nowlan and Hinton (1991), *Adaptive mixtures of local experts*, Neural
#   Computation 3: where gates and experts come from.
# - Jordan and Jacobs (1994), *Hierarchical mixtures of experts and the EM algorithm*, Neural
#   Computation 6: gates above gates.
# - Krizhevsky (2009), *Learning multiple layers of features from tiny images*: the photographs.
# - Dietterich (1998), *Approximate statistical tests for comparing supervised classification
#   learning algorithms*, Neural Computation 10: when is a difference a difference?
