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
#       - [paired_interval, judge, question-improved, question-worth, question-noise]
#     variant:
#       seed: ["SEED = 0", "SEED = 1", "SEED = 2", "SEED = 3"]
#       # Which group is 0. The baseline's and the mixture's figures stay much the same.
#       polarity:
#         - - '== "quick"'
#           - "to 7) becomes 0, artificial"
#           - "labels 0, 1, 8, 9) becomes 1."
#           - "0 for natural labels, 1 for artificial ones"
#           - "np.isin(labels, CIFAR10_ARTIFICIAL)"
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
#           - "np.isin(labels, CIFAR10_NATURAL)"
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
# **Time:** 6 minutes of computing on two CPU cores; two hours with the exercises.
#
# **Builds on:** Python, NumPy, and a first acquaintance with Keras (`Sequential`, `fit`).
#
# **How it works.** There are ten exercises, worth 20 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab01.mixture.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on.

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
from moe_keras.checks import lab01, summary
from moe_keras.data import CIFAR10_ARTIFICIAL, CIFAR10_NATURAL, load, locate
from moe_keras.experts import ClassSubset, FrozenExpert
from moe_keras.gates import GroupGate, PerClassGate
from moe_keras.inspection import paired_interval as package_interval
from moe_keras.mixtures import Combine, DenseMoE
from moe_keras.training import AugmentedImages

SEED = 0
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
keras.utils.set_random_seed(SEED)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab

# The exercises; each is None, not attempted, until its cell has run.
build_cnn = to_group = spread = mixture = hard_switch = freeze = ImportanceGate = assemble = None
paired_interval = judge = None

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


# %% nbgrader={"grade": false, "grade_id": "build_cnn", "locked": false, "schema_version": 3, "solution": true, "task": false}
def build_cnn(num_classes):
    """A CNN from images (B, 32, 32, 3), pixel values 0 to 255, to probabilities (B, num_classes)."""
    ### BEGIN SOLUTION
    chain = [keras.Input((32, 32, 3)), layers.Rescaling(1 / 63.75, offset=-2.0)]
    chain.append(layers.Conv2D(24, 2, activation="relu"))
    for filters in (32, 64, 128):
        chain += block(filters)
    chain += [layers.GlobalMaxPooling2D(), layers.Dense(num_classes, activation="softmax")]
    return keras.Sequential(chain)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-build_cnn", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
build_cnn = lab01.build_cnn.check(build_cnn)
### BEGIN HIDDEN TESTS
lab01.build_cnn.require()
### END HIDDEN TESTS

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

# %% [markdown]
# Look at the blocks: animals are mistaken for other animals, vehicles for other vehicles, seldom
# one for the other. That is the reason to split the problem.
#
# ## 3 Two groups, two experts
#
# **Exercise 2 (1 mark).** Write `to_group`: natural (bird, cat, deer, dog, frog, horse: labels 2
# to 7) becomes 0, artificial (airplane, automobile, ship, truck: labels 0, 1, 8, 9) becomes 1.
# Keep this polarity in mind. A published lab trained its gate with natural as 0 and then read
# column 0 as *artificial*; it never noticed.


# %% nbgrader={"grade": false, "grade_id": "to_group", "locked": false, "schema_version": 3, "solution": true, "task": false}
def to_group(labels):
    """0 for natural labels, 1 for artificial ones, in an array of the same shape."""
    ### BEGIN SOLUTION
    return np.isin(labels, CIFAR10_ARTIFICIAL).astype("int32")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-to_group", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
to_group = lab01.to_group.check(to_group)
### BEGIN HIDDEN TESTS
lab01.to_group.require()
### END HIDDEN TESTS

# %% [markdown]
# Each expert sees the images of its own group only, and numbers its classes from 0. It begins with
# the filters that the baseline has learnt; only its last layer starts from nothing. That saves
# most of the training time.


# %%
def specialist(num_classes):
    """A new CNN with the baseline's filters and a fresh last layer."""
    model = build_cnn(num_classes)
    for new, old in zip(model.layers[:-1], baseline_cnn.layers[:-1], strict=True):
        new.set_weights(old.get_weights())
    return model


def only(class_ids, images, labels):
    """The images of some classes, their labels renumbered 0, 1, ... in the order of class_ids."""
    keep = np.isin(labels, class_ids)
    return images[keep], np.searchsorted(class_ids, labels[keep])


# %% tags=["nbval-ignore-output"]
experts = {}
for name, class_ids in {"natural": CIFAR10_NATURAL, "artificial": CIFAR10_ARTIFICIAL}.items():
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
for name, class_ids in {"natural": CIFAR10_NATURAL, "artificial": CIFAR10_ARTIFICIAL}.items():
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
# **Exercise 3 (2 marks).** Write `spread`: put the probabilities of a few classes into an array
# for all `num_classes`, with zeros for the classes that the expert does not know. `class_ids` says
# which column each one belongs in.


# %% nbgrader={"grade": false, "grade_id": "spread", "locked": false, "schema_version": 3, "solution": true, "task": false}
def spread(probabilities, class_ids, num_classes):
    """Probabilities (B, len(class_ids)) to (B, num_classes), zero for classes the expert does not know."""
    ### BEGIN SOLUTION
    wide = np.zeros((len(probabilities), num_classes), "float32")
    wide[:, list(class_ids)] = probabilities
    return wide
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-spread", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
spread = lab01.spread.check(spread)
### BEGIN HIDDEN TESTS
lab01.spread.require()
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
natural_validation = spread(
    experts["natural"].predict(cifar.x_validation, batch_size=500, verbose=0), CIFAR10_NATURAL, 10
)
artificial_validation = spread(
    experts["artificial"].predict(cifar.x_validation, batch_size=500, verbose=0),
    CIFAR10_ARTIFICIAL,
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

# %% [markdown]
# Outside its group an expert is confidently wrong. Somebody has to decide whom to ask.
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
# shape (B, E), images by experts; the outputs (B, E, C).


# %% nbgrader={"grade": false, "grade_id": "mixture", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mixture(weights, outputs):
    """The weighted sum of the experts: weights (B, E), outputs (B, E, C), result (B, C)."""
    ### BEGIN SOLUTION
    return ops.sum(ops.expand_dims(weights, -1) * outputs, axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-mixture", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
mixture = lab01.mixture.check(mixture)
### BEGIN HIDDEN TESTS
lab01.mixture.require()
### END HIDDEN TESTS

# %% [markdown]
# A **soft** mixture listens to everybody a little. A **hard** one asks exactly one expert.
#
# **Exercise 5 (2 marks).** Write `hard_switch`: each image gets the natural expert's answer if the
# gate finds it more likely natural, else the artificial expert's. Mind the polarity.


# %% nbgrader={"grade": false, "grade_id": "hard_switch", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hard_switch(gate, natural, artificial):
    """The likelier group's answer: gate (B, 2), natural and artificial (B, C), result (B, C)."""
    ### BEGIN SOLUTION
    return ops.where(gate[:, :1] > gate[:, 1:], natural, artificial)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-hard_switch", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
hard_switch = lab01.hard_switch.check(hard_switch)
### BEGIN HIDDEN TESTS
lab01.hard_switch.require()
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
both = np.stack([natural_validation, artificial_validation], axis=1)  # (B, E, C)
answers = {
    "soft": mixture(gate_validation, both),
    "hard": hard_switch(gate_validation, natural_validation, artificial_validation),
    "soft, polarity inverted": mixture(gate_validation[:, ::-1].copy(), both),
}
for name, says in answers.items():
    print(f"{name}: {(np.asarray(says).argmax(axis=1) == cifar.y_validation).mean():.1%} right")

# %% [markdown]
# The last line is what an inverted gate costs. Soft and hard hardly differ here. They differ in
# something else: can the gate *learn* through them? To learn, it needs the gradient of the loss.

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
# A hard switch passes nothing back. Whoever trains a gate through it trains nothing, and no error
# message says so.
#
# ## 6 Freeze what is finished
#
# Baseline, experts and gate are trained. From here on only the weights of the mixture may learn.
# Otherwise the baseline would get better (or worse) while we try to beat it, and the comparison
# would be worth nothing.
#
# **Exercise 6 (2 marks).** Write `freeze`. The result must give the same answers as the expert,
# and neither its weights nor its answers may change, *also while the network around it is
# trained*. The package has a layer for that.


# %% nbgrader={"grade": false, "grade_id": "freeze", "locked": false, "schema_version": 3, "solution": true, "task": false}
def freeze(expert):
    """The same expert, which no training can move."""
    ### BEGIN SOLUTION
    return FrozenExpert(expert)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-freeze", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
freeze = lab01.freeze.check(freeze)
### BEGIN HIDDEN TESTS
lab01.freeze.require()
### END HIDDEN TESTS

# %% [markdown]
# Now the package's layers do what you have just written by hand: `ClassSubset` is your `spread`,
# `GroupGate` makes a gate of a classifier, and `DenseMoE` is your `mixture`. We call this first
# mixture the **switch**.

# %%
baseline = freeze(baseline_cnn)
natural_expert = ClassSubset(freeze(experts["natural"]), CIFAR10_NATURAL, 10)
artificial_expert = ClassSubset(freeze(experts["artificial"]), CIFAR10_ARTIFICIAL, 10)
switch = DenseMoE([natural_expert, artificial_expert], gate=GroupGate(freeze(gate_cnn)))

few = cifar.x_validation[:8]
by_hand = ops.convert_to_numpy(mixture(gate_validation[:8], both[:8]))
print("the layers give what the formula gives:", np.allclose(switch(few), by_hand, atol=1e-5))
print("output shape for 8 images:", tuple(switch(few).shape))

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
# experts*. One softmax over everything is a mistake that has been published: all classes then
# share one sum, and a class with a small share can hardly win, whatever the experts say of it.


# %% nbgrader={"grade": false, "grade_id": "ImportanceGate", "locked": false, "schema_version": 3, "solution": true, "task": false}
class ImportanceGate(keras.layers.Layer):
    """Weights (B, num_classes, num_experts) from features (B, D); they sum to 1 over the experts."""

    def __init__(self, num_classes, num_experts, **kwargs):
        super().__init__(**kwargs)
        ### BEGIN SOLUTION
        self.dense = layers.Dense(num_classes * num_experts)
        self.reshape = layers.Reshape((num_classes, num_experts))
        ### END SOLUTION

    def call(self, features):
        ### BEGIN SOLUTION
        return ops.softmax(self.reshape(self.dense(features)), axis=-1)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-ImportanceGate", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
ImportanceGate = lab01.importance_gate.check(ImportanceGate)
### BEGIN HIDDEN TESTS
lab01.importance_gate.require()
### END HIDDEN TESTS

# %% [markdown]
# The package's `PerClassGate` is the same layer, ready to be saved and loaded. It returns a
# dictionary with the `"logits"` and the `"probabilities"`, so that nobody takes one for the other.
# Our gate looks at what the baseline and the switch say about an image: 20 numbers.
#
# **Exercise 8 (2 marks).** Write `assemble`: the gate sees what the two say, joined to one vector,
# and the layer `Combine` takes the weighted sum. `said` is a list of two tensors (B, 10).


# %% nbgrader={"grade": false, "grade_id": "assemble", "locked": false, "schema_version": 3, "solution": true, "task": false}
def assemble(gate, said):
    """The mixture (B, C) of what the experts said, a list of tensors (B, C), weighed by a PerClassGate."""
    ### BEGIN SOLUTION
    weights = gate(ops.concatenate(said, axis=-1))["probabilities"]
    return Combine()(weights, said)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-assemble", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assemble = lab01.assemble.check(assemble)
### BEGIN HIDDEN TESTS
lab01.assemble.require()
### END HIDDEN TESTS

# %% [markdown]
# The experts are frozen, so they always say the same about the same image. It is enough to ask
# them **once** and to train the gate on their answers, which takes seconds instead of minutes.
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
images_seen["importance gate"] = len(cifar.y_validation)  # each of them once
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

# %% [markdown]
# ## 9 Has it improved?
#
# Now, once, the test set.

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

whole_test = {
    "Baseline": baseline_test,
    "Natural expert": spread(expert_test["natural"], CIFAR10_NATURAL, 10),
    "Artificial expert": spread(expert_test["artificial"], CIFAR10_ARTIFICIAL, 10),
    "Mixture": moe_test,
}
for name, says in whole_test.items():
    display(
        plots.confusion_matrix(
            confusion(says, y), cifar.class_names, f"{name}, whole test set", source=cifar.label
        )
    )

# %% tags=["nbval-ignore-output"]
for name, class_ids in {"natural": CIFAR10_NATURAL, "artificial": CIFAR10_ARTIFICIAL}.items():
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


# %% nbgrader={"grade": false, "grade_id": "paired_interval", "locked": false, "schema_version": 3, "solution": true, "task": false}
def paired_interval(correct_a, correct_b):
    """(difference, low, high) of accuracy a minus accuracy b; two arrays (N,) of True and False."""
    ### BEGIN SOLUTION
    difference = correct_a.astype(float) - correct_b.astype(float)
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return difference.mean(), difference.mean() - margin, difference.mean() + margin
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-paired_interval", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
paired_interval = lab01.paired_interval.check(paired_interval)
### BEGIN HIDDEN TESTS
lab01.paired_interval.require()
### END HIDDEN TESTS

# %% [markdown]
# **Exercise 10 (1 mark).** Write `judge`: from the ends of the interval to "better", "worse" or
# "cannot tell".


# %% nbgrader={"grade": false, "grade_id": "judge", "locked": false, "schema_version": 3, "solution": true, "task": false}
def judge(low, high):
    """What an interval for a minus b says about a: "better", "worse" or "cannot tell"."""
    ### BEGIN SOLUTION
    if low > 0:
        return "better"
    return "worse" if high < 0 else "cannot tell"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-judge", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
judge = lab01.judge.check(judge)
### BEGIN HIDDEN TESTS
lab01.judge.require()
### END HIDDEN TESTS

# %% [markdown]
# How much does the number of test images matter? A lab that compares on a few hundred images may
# see a gain of a point, and may just as well not.

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
# The mixture has had an advantage: besides the baseline's training it was given that of two
# experts and a gate. So here is a rival: the baseline, trained on with what the others cost, in
# images shown. One network, no experts, no gates.

# %% tags=["nbval-ignore-output"]
mixture_seconds, mixture_images = sum(seconds.values()), sum(images_seen.values())
rival_epochs = round((mixture_images - images_seen["baseline"]) / len(cifar.x_train))
rival_cnn = build_cnn(10)  # a network of its own: the baseline itself is frozen by now
rival_cnn.set_weights(baseline_cnn.get_weights())
train("rival", rival_cnn, cifar.x_train, cifar.y_train, some, rival_epochs, learning_rate=0.1)
rival_right = rival_cnn.predict(cifar.x_test, batch_size=500, verbose=0).argmax(axis=1) == y

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        "test accuracy": [f"{r.mean():.2%}" for r in (baseline_right, moe_right, rival_right)],
        "parameters": [f"{m.count_params():,}" for m in (baseline_cnn, moe, rival_cnn)],
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

# %% [markdown]
# Compare the last two rows: the same effort, a quarter of the parameters. A gain over a baseline
# says little until you know what the baseline would have done with the same means.
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
print(f"baseline trained on: {rival_right.mean():.2%}")
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

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Has the mixture improved on the baseline? Give the gain with its interval, and
# say in plain words what the interval means.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-improved", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# Yes, if the interval lies above 0. The interval says: had we drawn another 10,000 test images,
# the gain would be expected in this range 95 times out of 100. It says nothing about another
# training run, with another seed: for that one would have to repeat the training.

# %% [markdown]
# **B (3 marks).** Is it worth the complexity and the time? Compare parameters, seconds and
# milliseconds an image. What would you have to train, with the same effort, to be sure that it is
# the *mixture* that helps, and not just more training and more parameters?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-worth", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# The mixture has four times the parameters, takes between two and four times as long to answer and
# more than twice as long to train. A fair rival gets the same means: the baseline trained on as
# many images (the last row of the table; on real CIFAR-10 it beats the mixture), one CNN with as
# many parameters, or two baselines averaged. Only a mixture that beats these owes its gain to the
# division of labour.

# %% [markdown]
# **C (2 marks).** A fellow student reports: "58.9 % for the mixture, 58.1 % for the baseline, on
# 1,000 test images: the mixture wins." What do you answer?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-noise", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The standard error of one accuracy of about 58 % on 1,000 images is $\sqrt{0.58 \cdot 0.42 /
# 1000} = 1.6$ points. Even if the two models agree on most images, 0.8 points are within one or so
# standard errors of the difference. We cannot tell; test on more images, and look at the paired
# differences.

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
