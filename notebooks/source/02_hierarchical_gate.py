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
#     outcomes: build a hierarchical mixture over frozen networks; follow one image through all of its
#       decisions; train gates on kept answers, and find out what learning bought; tell what a mixture
#       repairs and what it breaks
#     serves:
#       - [two_views, group_weights, second_level]
#       - [hierarchical_sum, hard_gate]
#       - [learning_gain, question-train-on, question-seeing, question-fault]
#       - [repaired_and_broken, question-gain, question-fair]
# ---

# %% [markdown]
# # Lab 02: the hierarchical gate
#
# Four networks have been trained for you, and will not learn any more: one that knows all ten
# classes, one for animals, one for vehicles, and one that only tells animals from vehicles. Each
# knows something that the others do not. You put them together in two levels: a first gate chooses
# between the groups, and a second one decides, class by class, whom to believe.
#
# **After this lab you can**
#
# - build a hierarchical mixture over frozen networks;
# - follow one image through all its decisions, and recompute the answer by hand;
# - train gates on answers that were asked for once, and say what learning bought;
# - tell what a mixture repairs, and what it breaks.
#
# **Time:** 3 minutes of computing on two CPU cores, under two when you run it again; two hours with
# the exercises.
#
# **Builds on:** lab 01 (gates, experts, the weighted sum, paired intervals).
#
# **How it works.** There are seven exercises, worth 17 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab02.hard_gate.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on. Five questions at the end, worth 12 marks, are read by your
# lecturer: 29 marks in all.
#
# Where it says **guess first**, replace `None` by a number before you run on; later the lab shows
# guess and outcome side by side. Guesses are not marked. A surprise is worth more than a hit.
#
# **Handing in.** Run all cells from the top, save, and hand in this file under its own name, in the
# way that your lecturer has told you.

# %%
import os
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops
from sklearn.datasets import load_sample_image

from moe_keras import plots
from moe_keras.data import groups, load
from moe_keras.evaluation import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    paired_interval,
    with_temperature,
)
from moe_keras.experts import ClassSubset, Expert, pretrained_card, pretrained_vgg
from moe_keras.gates import GroupGate, PerClassGate
from moe_keras.mixtures import Combine, DenseMoE
from moe_keras.routing import explain
from moe_keras.training import FrozenOutputs, assemble
from moe_labs.exercises import Guesses, lab02, summary

# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
BUILD = Path("../../build") if Path("../source").is_dir() else Path("../build")
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab
guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
two_views = group_weights = second_level = hierarchical_sum = hard_gate = None
learning_gain = repaired_and_broken = None

# %% [markdown]
# ## 1 Four frozen networks
#
# All four are of the same kind, a **VGG**: blocks of 3 by 3 convolutions with pooling, no shortcuts.
# None has seen a validation image or a test image. All choices of this lab are made on the
# validation images; the test images wait for section 8.

# %% tags=["nbval-ignore-output"]
cifar = load("cifar10", subset=0.1 if QUICK else None)
GROUPS = groups("cifar10")  # natural: birds to horses; artificial: aeroplanes, cars, ships, trucks
NETWORKS = ("base", *GROUPS, "group-gate")
networks = {name: pretrained_vgg(name, cifar.key) for name in NETWORKS}
print(cifar)

cards = {name: pretrained_card(name, cifar.key) for name in NETWORKS}
pd.DataFrame(
    {
        name: {
            "classes": len(card["classes"]),
            "parameters": f"{card['parameters']:,}",
            "epochs": card["epochs"],
            "minutes of training": card["minutes"],
            "validation accuracy, its own classes": f"{card['accuracy']['validation']['one view']:.2%}",
        }
        for name, card in cards.items()
    }
).T

# %% [markdown]
# What does one of them look like inside? Each box is a layer, with the shape of what it gives and the
# number of its parameters.

# %% tags=["nbval-ignore-output"]
plots.model_graph(networks["base"].layer, "The base, layer by layer", source=cifar.label)

# %% [markdown]
# ## 2 Ask twice, keep the answers
#
# A cat seen in a mirror is a cat. But the network may give the two pictures different probabilities,
# and the mean of two opinions is often better than one. We shall judge every model in this lab in this
# way, by **two views**, and report the single view beside it.
#
# **Exercise 1 (2 marks).** Write `two_views`. `ask` is any function from images to probabilities; it
# may keep what it returns, so do not change that in place.

# %% exercise="two_views"

# %% [markdown]
# Frozen networks give the same output for an image each time, so we compute it once and keep it.
# `FrozenOutputs` keeps the answers in a folder, under a fingerprint of network and images: a
# changed network or image can never meet an old answer.
#
# The two experts know some of the classes only. `ClassSubset` writes their answers into ten columns,
# with 0 for the classes that they do not know.

# %% tags=["nbval-ignore-output"]
base, gate_network = networks["base"], networks["group-gate"]
experts = {
    group: ClassSubset(networks[group], class_ids, 10, name=f"{group}_expert")
    for group, class_ids in GROUPS.items()
}
kept = FrozenOutputs(BUILD / "frozen-outputs", verbose=0)


def everyone(images):
    """What gate network (B, 2), base, natural and artificial expert (B, 10) say about images."""
    return [kept(network, images) for network in (gate_network, base, *experts.values())]


y = cifar.y_validation
for again in ("first", "second"):
    started = time.perf_counter()
    view = everyone(cifar.x_validation)
    mirror_view = everyone(cifar.x_validation[:, :, ::-1])
    print(f"{again} time: {time.perf_counter() - started:.1f} seconds")

# %% [markdown]
# **Guess first.** On images that it was trained on, the base is right nearly always. How sure is it
# there: how large is its largest probability, on average? (Not marked.)

# %%
guess["how sure the base is on training images"] = None  # a number from 0 to 1

# %% tags=["nbval-ignore-output"]
base_alone = {
    "base, one view": view[1],
    "base, two views": two_views(lambda images: kept(base, images), cifar.x_validation),
}
for name, probabilities in base_alone.items():
    print(f"{name}: {(probabilities.argmax(axis=1) == y).mean():.2%} of the validation images")

seen = kept(base, cifar.x_train[:2000])
print(
    f"base, one view: {(seen.argmax(axis=1) == cifar.y_train[:2000]).mean():.2%} of 2,000 training images"
)
print(
    f"how sure it is: {seen.max(axis=1).mean():.2f} there, {view[1].max(axis=1).mean():.2f} on validation"
)
guess.compare("how sure the base is on training images", f"{seen.max(axis=1).mean():.2f}")

# %% [markdown]
# Why does a network that is nearly always right not say so? It was trained with **label smoothing**:
# the right answer that it was shown gives 0.82 to the true class and 0.02 to each of the nine others.
# Who learns to say 0.82 does not say 1. All four networks are shy in this way. It does not change
# which class is the largest; but take none of their numbers at their word before lab 03, which
# corrects them.
#
# Now compare training and validation images. On CIFAR-10 the network is more often right on those that
# it was trained on, and surer, than it will ever be on new ones. A gate that learnt on training images
# would learn whom to believe *about images that they all know by heart*. So the gates of this lab
# learn on validation images.
#
# ## 3 The first gate
#
# There are two ways to know whether an image is natural or artificial. Ask the gate network, which was
# trained for nothing else. Or ask the base: an image is natural if it is a bird, or a cat, or a deer,
# and so on. The ten classes exclude each other, so their probabilities add up.
#
# **Exercise 2 (2 marks).** Write `group_weights`. Column 0 belongs to the first group, natural. Mind
# the polarity: a gate with swapped columns sends every image to the wrong expert.

# %% exercise="group_weights"

# %% tags=["nbval-ignore-output"]
group_of = np.isin(y, GROUPS["artificial"]).astype(int)  # natural is 0, artificial is 1
by_base = group_weights(view[1], list(GROUPS.values()))
first_gates = {
    "gate network": view[0],
    "base's sums": by_base,
    "mean of both": (view[0] + by_base) / 2,
}
pd.DataFrame(
    {
        name: {
            "right about the group": f"{(weights.argmax(axis=1) == group_of).mean():.2%}",
            "weight of the true group": f"{weights[np.arange(len(y)), group_of].mean():.3f}",
        }
        for name, weights in first_gates.items()
    }
).T

# %% [markdown]
# The layer `GroupGate` does what you wrote, for any classifier, and normalises. Never trust a polarity
# that you have not tested:

# %%
layer_says = GroupGate(layers.Identity(), groups=list(GROUPS.values()))(view[1])["probabilities"]
frogs, trucks = (y == cifar.class_names.index(name) for name in ("frog", "truck"))
print("the layer agrees with you:", np.allclose(layer_says, by_base, atol=1e-5))
print("frogs are natural (column 0):", bool(view[0][frogs, 0].mean() > 0.5))
print("trucks are artificial (column 1):", bool(view[0][trucks, 1].mean() > 0.5))

# %% [markdown]
# ## 4 The second level: whom to believe about what?
#
# Say the first gate has no doubt: natural. Now there are two who know natural images, the base and the
# natural expert, and neither need be better at every class. So each class gets weights of its own. The
# gate gives two logits for each class, one for the base and one for the expert, and a softmax makes
# **importances** of them, so that a class's two weights sum to 1.
#
# **Exercise 3 (2 marks).** Write `second_level` with `keras.ops` (`ops` for short), from `ops.exp` and
# sums. Logits of 1000 must do no harm, though $e^{1000}$ is too large for a computer; and the gradient
# must pass, for the gate learns through it.

# %% exercise="second_level"

# %% [markdown]
# Suppose that one takes *one* softmax over all classes and experts together, over 20 numbers whose sum
# is 1. What is wrong with that? Give both logits of one class, cat, the same bonus of 2. It says
# nothing about whom to believe. How many validation images are called cats before, and after?
#
# **Guess first.** One in ten validation images is a cat. How many per cent are called cat after the
# bonus, with one softmax over everything? (Not marked.)

# %%
guess["per cent of images called cat"] = None  # a number from 0 to 100

# %% tags=["nbval-ignore-output"]
CAT = cifar.class_names.index("cat")
even = np.zeros((1, 10, 2), "float32")
bonus = even.copy()
bonus[:, CAT] = 2
pair = np.stack([view[1], view[2]], axis=-1)  # base and natural expert, (B, C, 2)
softmaxes = {
    "over the experts, class by class": second_level,
    "one over all classes and experts": lambda logits: ops.softmax(logits, axis=(1, 2)),
}
cats, cat_weights = {}, {}
for name, softmax in softmaxes.items():
    weights = [ops.convert_to_numpy(softmax(logits)) for logits in (even, bonus)]
    cats[name] = [((w * pair).sum(axis=-1).argmax(axis=1) == CAT).sum() for w in weights]
    cat_weights[name] = [w[0, CAT].sum() for w in weights]
guess.compare("per cent of images called cat", f"{100 * cats[name][1] / len(y):.0f}")
pd.DataFrame(
    {
        name: {
            "a cat's weights sum to": "{:.2f}, then {:.2f}".format(*cat_weights[name]),
            "images called cat": "{}, then {}".format(*cats[name]),
        }
        for name in softmaxes
    }
).T

# %% [markdown]
# With one softmax for all, classes compete for weight: a class can win because its *weights* are large,
# whatever the experts say. What calls itself importance has become a hidden opinion about the image.
#
# Now the whole: group $g$'s mixture, weighed by the first gate,
#
# $$y_c(x) = \sum_g g_g(x) \sum_e w_{gce}(x)\, f_{gec}(x).$$
#
# The experts $e$ of group $g$ are the base and that group's own expert. A class's weights sum to 1 over
# the experts. But the ten answers $y_c$ need *not* sum to 1: two classes may each believe the expert
# that finds them likely, or each the other. So $y_c$ is a **score**. Its largest class is the answer;
# who wants probabilities divides the scores by their sum.
#
# **Exercise 4 (3 marks).** Write `hierarchical_sum` with NumPy. `np.einsum` says it in one line:
# `np.einsum("be,bec->bc", w, f)` is the mixture of lab 01, with a sum over the letter that is missing
# behind the arrow.

# %% exercise="hierarchical_sum"

# %% [markdown]
# ## 5 Train the gates
#
# The same in layers: `PerClassGate` gives the logits and takes your softmax, `Combine` takes the
# weighted sums. The inputs of this model, the **head**, are not images but what the four networks say
# about them. Nothing else can be trained in it but the two second-level gates.
#
# What may a second-level gate see? We try two kinds. One is **constant**: it sees nothing and learns a
# number for each class, so it believes the same experts whatever the image. The other **sees** what
# its two experts say, 20 numbers. And we try the three first gates of section 3.
#
# And what shall the gates learn to make small? Cross-entropy, as usual, or the mean squared error to
# the right answer, 1 for the true class and 0 for the others: the **Brier score**. Both are least for
# the true probabilities. But cross-entropy takes logarithms, so a few images whose true class gets
# next to nothing can count more than all others together. In the Brier score no image can count for
# more than a little. (The mse gates are trained on the scores as they are. Keras's cross-entropy
# divides them by their sum first. All Brier scores below are of probabilities, that is, after division
# by the sum.)


# %%
def gate_sees(kind, base_says, expert_says):
    """The input of a second-level gate."""
    if kind == "constant":
        return ops.zeros_like(base_says[:, :1])  # one number, always 0
    return ops.concatenate([base_says, expert_says], axis=-1)


def first_level(kind, gate_says, base_says):
    """The weights (B, 2) of the two groups."""
    network = GroupGate(layers.Identity(), name="gate_network")(gate_says)["probabilities"]
    sums = GroupGate(layers.Identity(), groups=list(GROUPS.values()), name="sums_of_base")(
        base_says
    )
    choices = {
        "gate network": network,
        "base's sums": sums["probabilities"],
        "mean of both": layers.Average()([network, sums["probabilities"]]),
    }
    return choices[kind]


def build_head(first_kind, second_kind):
    """The head, and a model of the same inputs that tells its weights."""
    gate_says = keras.Input((2,), name="gate_says")
    base_says = keras.Input((10,), name="base_says")
    experts_say = [keras.Input((10,), name=f"{group}_says") for group in GROUPS]
    first = first_level(first_kind, gate_says, base_says)
    second, mixed = [], []
    for group, expert_says in zip(GROUPS, experts_say, strict=True):
        gate = PerClassGate(num_classes=10, num_experts=2, name=f"{group}_gate")
        weights = gate(gate_sees(second_kind, base_says, expert_says))["probabilities"]
        second.append(weights)
        mixed.append(Combine(name=f"{group}_mixture")(weights, [base_says, expert_says]))
    inputs = [gate_says, base_says, *experts_say]
    head = keras.Model(inputs, Combine(name="mixture")(first, mixed), name="head")
    return head, keras.Model(inputs, [first, ops.stack(second, axis=1)])


# %% [markdown]
# Half of the validation images train the gates, each with its mirror image. The other half is held
# out: it shows which gates to choose, by images that they have not learnt from.

# %% tags=["nbval-ignore-output"]
FIRST_KINDS, SECOND_KINDS = ("gate network", "base's sums", "mean of both"), ("constant", "sees")
EPOCHS, BATCH = 20, 250
shuffled = np.random.default_rng(0).permutation(len(y))
fitted, held_out = np.sort(shuffled[: len(y) // 2]), np.sort(shuffled[len(y) // 2 :])


def both_views(which):
    """What everyone says of these validation images and their mirror images; one-hot labels."""
    said = [np.concatenate([a[which], b[which]]) for a, b in zip(view, mirror_view, strict=True)]
    return said, np.eye(10)[np.concatenate([y[which], y[which]])]


def train_head(first_kind, second_kind, which, watch=None, loss="mse"):
    keras.utils.set_random_seed(0)
    head, weights = build_head(first_kind, second_kind)
    head.compile(keras.optimizers.Adam(0.02), loss)
    said, labels = both_views(which)
    history = head.fit(
        said, labels, BATCH, EPOCHS, validation_data=watch, validation_batch_size=5000, verbose=0
    )
    return head, weights, history.history


def ask(head):
    """The head with the four networks before it, as a function of images."""
    return lambda images: head.predict(everyone(images), batch_size=1000, verbose=0)


def as_probabilities(scores):
    """Scores (B, C) divided by their sum over the classes."""
    return scores / scores.sum(axis=1, keepdims=True)


def judged(says, trainable=0):
    """A row of the table: how good these scores are on either half of the validation images."""
    correct = says.argmax(axis=1) == y
    return {
        "trainable parameters": trainable,
        "Brier score, held out": f"{held_out_brier(says):.4f}",
        "accuracy, held out": f"{correct[held_out].mean():.2%}",
        "accuracy, fitted": f"{correct[fitted].mean():.2%}",
    }


def brier(probabilities, labels):
    """The squared error of each image's probabilities: (B,)."""
    return np.square(probabilities - np.eye(10)[labels]).sum(axis=1)


def held_out_brier(says):
    return brier(as_probabilities(says), y)[held_out].mean()


def even_head(first_kind):
    """The head with gates that have learnt nothing: their logits are 0, all importances 0.5."""
    head, _ = build_head(first_kind, "constant")
    for variable in head.trainable_variables:
        variable.assign(ops.zeros_like(variable))
    return head


rows, histories, scores = {}, {}, {}
rows["base alone", "-", "-"] = judged(base_alone["base, two views"])
for kind in FIRST_KINDS:
    rows[kind, "all 0.5", "-"] = judged(two_views(ask(even_head(kind)), cifar.x_validation))
candidates = [(first, second, "mse") for first in FIRST_KINDS for second in SECOND_KINDS]
candidates += [("mean of both", kind, "categorical_crossentropy") for kind in SECOND_KINDS]
started = time.perf_counter()
for kinds in candidates:
    *pair, loss = kinds
    head, _, histories[kinds] = train_head(*pair, fitted, both_views(held_out), loss)
    size = sum(int(np.prod(v.shape)) for v in head.trainable_variables)
    says = two_views(ask(head), cifar.x_validation)
    rows[kinds], scores[kinds] = judged(says, size), held_out_brier(says)
gate_epoch = (time.perf_counter() - started) / (EPOCHS * len(candidates))
pd.DataFrame(rows).T.rename_axis(["first gate", "second-level gates", "loss"])

# %% [markdown]
# Read the table down its columns. The rows `base alone` and `all 0.5` have learnt from neither
# half. Yet their two accuracies may differ: the halves are drawn by lot, and one can be easier. So
# a held-out accuracy above the fitted one is no miracle here.
#
# Has a gate learnt its images by heart? Compare it with `all 0.5` under the same first gate: it
# should then gain more on the fitted half than on the other. But one image in 2,500 is 0.04 points.
# From differences of a few images the table cannot tell.
#
# Which loss gives the better (smaller) Brier score? In our run on CIFAR-10 it is cross-entropy,
# both for constant gates and for gates that see. There the constant mse gates come out worse than
# the base alone.
#
# The figure shows the loss of the two mse gates under `mean of both`. Its numbers are smaller than
# the table's: the loss is a mean over ten classes, of raw scores; the table's Brier score is a sum
# over them, of probabilities. In the legend, training means the fitted half, validation the
# held-out half.

# %% tags=["nbval-ignore-output"]
plots.training_curves(
    {kind: histories["mean of both", kind, "mse"] for kind in SECOND_KINDS},
    "Squared error of the gates",
    source=cifar.label,
    metric="loss",
)

# %% [markdown]
# We take the gates with the best (smallest) Brier score on the held-out half, and train them once
# more, now on all validation images.

# %% tags=["nbval-ignore-output"]
FIRST, SECOND, LOSS = min(scores, key=scores.get)
head, weights_of_head, _ = train_head(FIRST, SECOND, np.arange(len(y)), loss=LOSS)
print(f"first gate: {FIRST}; second-level gates: {SECOND}; loss: {LOSS}")
plots.model_graph(head, "The head: what the networks say in, the answer out", source=cifar.label)

# %% [markdown]
# What have the gates learnt? For each class, the importance of base and expert, as a mean over all
# validation images. (Nine in ten of these are of other classes. A gate that sees can trust the expert
# where it finds a cat, and the base elsewhere; section 6 looks at one image.)

# %% tags=["nbval-ignore-output"]
first, second = weights_of_head.predict(view, batch_size=1000, verbose=0)
for g, (group, class_ids) in enumerate(GROUPS.items()):
    display(
        plots.heatmap(
            second[:, g, list(class_ids)].mean(axis=0),
            [cifar.class_names[i] for i in class_ids],
            ["base", f"{group} expert"],
            f"Whom to believe, {group}",
            source=cifar.label,
        )
    )

# %% [markdown]
# ## 6 One image, all decisions
#
# The four networks and the head, joined to one model: an image in, an answer out.

# %%
moe = assemble([gate_network, base, *experts.values()], head)
moe.name = "hierarchical_mixture"
gates = {id(v) for v in head.trainable_variables}
only_gates = {id(v) for v in moe.trainable_variables} == gates
print("output shape for 3 images:", moe.predict(cifar.x_validation[:3], verbose=0).shape)
print("all that can be trained are the second-level gates:", only_gates)

# %% tags=["nbval-ignore-output"]
plots.model_graph(moe, "The whole, with four closed boxes", source=cifar.label, depth=1)

# %% [markdown]
# And the same as a tree of mixtures, with `DenseMoE` in `DenseMoE`: it says the same, and here one sees
# the two levels. (It asks the base more than once, so it is slower.)

# %%
images = keras.Input((32, 32, 3), name="images")


def branch(group):
    """A group's mixture: base and expert, weighed by its gate."""
    expert = experts[group]
    gate_input = gate_sees(SECOND, base(images), expert(images))
    gate = keras.Model(
        images, head.get_layer(f"{group}_gate")(gate_input), name=f"{group}_importance"
    )
    pair = [Expert(base, name="base"), Expert(expert, name=f"{group}_expert")]
    return DenseMoE(pair, gate, name=f"{group}_branch")


first_gate = keras.Model(
    images, first_level(FIRST, gate_network(images), base(images)), name="first_gate"
)
tree = keras.Model(
    images, DenseMoE([branch(group) for group in GROUPS], first_gate, name="tree")(images)
)

# %% tags=["nbval-ignore-output"]
plots.model_graph(tree, "The tree, opened", source=cifar.label, depth=3)

# %% [markdown]
# Now one cat, the one about which mixture and base disagree most.

# %% tags=["nbval-ignore-output"]
said_all = np.stack(
    [np.stack([view[1], expert_says], axis=-1) for expert_says in view[2:]], axis=1
)  # (B, G, C, E)
answers = hierarchical_sum(first, second, said_all)
disagreement = np.abs(answers - view[1])[:, CAT] * (y == CAT)
one = int(disagreement.argmax())
plots.routing(
    cifar.x_validation[[one]],
    first[[one]],
    list(GROUPS),
    [
        f"a cat\nbase: {cifar.class_names[view[1][one].argmax()]}\nmixture: {cifar.class_names[answers[one].argmax()]}"
    ],
    "The first gate",
    source=cifar.label,
)

# %% tags=["nbval-ignore-output"]
plots.heatmap(
    [second[one, 0, :, 0], second[one, 0, :, 1], second[one, 1, :, 0], second[one, 1, :, 1]],
    ["natural: base", "natural: expert", "artificial: base", "artificial: expert"],
    cifar.class_names,
    "Importances for this cat",
    source=cifar.label,
)

# %% tags=["nbval-ignore-output"]
plots.heatmap(
    [view[1][one], view[2][one], view[3][one], answers[one]],
    ["base", "natural expert", "artificial expert", "mixture (scores)"],
    cifar.class_names,
    "What everyone says of this cat",
    source=cifar.label,
)

# %% [markdown]
# Does the last row sum to 1? The mixture's scores need not; divided by their sum they are
# probabilities. The next cell prints the sum.
#
# By hand, for the class cat: natural's weight times (base's importance times what it says, plus the
# expert's importance times what it says), plus the same for artificial, whose expert says 0 of cats.

# %% tags=["nbval-ignore-output"]
for g, group in enumerate(GROUPS):
    (w_base, w_expert), (f_base, f_expert) = second[one, g, CAT], said_all[one, g, CAT]
    print(
        f"{group}: {first[one, g]:.4f} * ({w_base:.4f} * {f_base:.4f} + {w_expert:.4f} * {f_expert:.4f})"
    )
print(f"score of the class cat: {answers[one, CAT]:.6f}")
print(f"predict: {moe.predict(cifar.x_validation[[one]], verbose=0)[0, CAT]:.6f}")
total = answers[one].sum()
print(f"sum of all ten scores: {total:.2f}; probability of cat: {answers[one, CAT] / total:.2f}")
sums = answers.sum(axis=1)
print(f"sums over all validation images: {sums.min():.2f} to {sums.max():.2f}")

# %%
some = cifar.x_validation[:100]
started = time.perf_counter()
moe_says = moe.predict(some, batch_size=100, verbose=0)
seconds_an_image = (time.perf_counter() - started) / len(some)
tree_says = tree.predict(some, batch_size=100, verbose=0)
head_says = head.predict(view, batch_size=1000, verbose=0)
by_hand_is_predict = np.allclose(answers[:100], moe_says, atol=1e-5)
print("by hand it is what predict says, for 100 images:", by_hand_is_predict)
print("and for all validation images:", np.allclose(answers, head_says, atol=1e-5))
print("the tree says the same:", np.allclose(tree_says, moe_says, atol=1e-5))

# %% [markdown]
# ## 7 Soft or hard?
#
# The first gate is **soft**: a little of the vehicles' expert is heard about every cat. A **hard** one
# listens to the heaviest group alone. Then the other group's expert need not run at all.
#
# **Exercise 5 (2 marks).** Write `hard_gate`: 1 for the heaviest group, 0 for the others.

# %% exercise="hard_gate"

# %% tags=["nbval-ignore-output"]
hard_answers = hierarchical_sum(hard_gate(first), second, said_all)
print(f"soft, one view: {(answers.argmax(axis=1) == y).mean():.2%} of the validation images")
print(f"hard, one view: {(hard_answers.argmax(axis=1) == y).mean():.2%}")
print(
    f"images with another answer: {(answers.argmax(axis=1) != hard_answers.argmax(axis=1)).sum()} of {len(y):,}"
)
doubtful = np.sort(np.argsort(np.abs(first[:, 0] - 0.5))[:8])
plots.routing(
    cifar.x_validation[doubtful],
    first[doubtful],
    list(GROUPS),
    [
        f"{cifar.class_names[y[i]]}\nsoft: {cifar.class_names[answers[i].argmax()]}"
        f"\nhard: {cifar.class_names[hard_answers[i].argmax()]}"
        for i in doubtful
    ],
    "Where the first gate is least sure",
    source=cifar.label,
)

# %% [markdown]
# ## 8 The test, once
#
# All is chosen. Now the test images, which neither the networks nor the gates have seen. A mixture is
# given a chance without any learning, too: all importances 0.5, as a plain mean of base and expert in
# each group.
#
# **Guess first.** How many percentage points of accuracy do the learnt importances add to those that
# are all 0.5? And of 10 images that the mixture repairs, how many does it break elsewhere? (Not marked.)

# %%
guess["points that learning adds"] = None  # a number, such as 0.5
guess["images broken for 10 repaired"] = None  # a number

# %% tags=["nbval-ignore-output"]
y_validation, y = y, cifar.y_test
started = time.perf_counter()
test_views = [everyone(images) for images in (cifar.x_test, cifar.x_test[:, :, ::-1])]
seconds_asked = time.perf_counter() - started


def mixtures(said):
    """What the base and the mixtures answer: nothing learnt, hard, and soft as trained."""
    first, second = weights_of_head.predict(said, batch_size=1000, verbose=0)
    pairs = np.stack(
        [np.stack([said[1], expert_says], axis=-1) for expert_says in said[2:]], axis=1
    )
    return {
        "base": said[1],
        "mixture, all importances 0.5": hierarchical_sum(first, np.full_like(second, 0.5), pairs),
        "mixture, hard first gate": hierarchical_sum(hard_gate(first), second, pairs),
        "mixture": hierarchical_sum(first, second, pairs),
    }


def mean_of(views):
    """Probabilities from two views, each scores by name."""
    one, other = views
    return {name: as_probabilities((one[name] + other[name]) / 2) for name in one}


views = [mixtures(said) for said in test_views]
one_view, two = views[0], mean_of(views)
right = {name: p.argmax(axis=1) == y for name, p in two.items()}
right_one = {name: p.argmax(axis=1) == y for name, p in one_view.items()}
on_validation = mean_of([mixtures(said) for said in (view, mirror_view)])
tempered = {
    name: with_temperature(p, fit_temperature(on_validation[name], y_validation))
    for name, p in two.items()
}
pd.DataFrame(
    {
        name: {
            "two views": f"{right[name].mean():.2%}",
            "one view": f"{right_one[name].mean():.2%}",
            "NLL": f"{negative_log_likelihood(two[name], y):.3f}",
            "calibration error": f"{expected_calibration_error(two[name], y):.3f}",
            "NLL at its best temperature": f"{negative_log_likelihood(tempered[name], y):.3f}",
            "parameters": f"{(base if name == 'base' else moe).count_params():,}",
        }
        for name in two
    }
).T

# %% [markdown]
# NLL is the **negative log-likelihood**, the mean surprise at the true class: small is good. The
# **calibration error** sorts the images by how sure the model is, into 15 bins, and takes the mean
# distance in a bin between how sure it is and how often it is right: 0 is best. The columns NLL and
# calibration error show shyness more than anything else. The last column but one shows what is left
# when each model gets one number more, a temperature fitted on the validation images (lab 03
# explains it).

# %% tags=["nbval-ignore-output"]
gains = {
    f"{name}, {number}": [100 * v for v in paired_interval(of[name], of["base"])]
    for number, of in (("two views", right), ("one view", right_one))
    for name in ("mixture", "mixture, hard first gate", "mixture, all importances 0.5")
}
plots.intervals(
    gains,
    "Gain over the base",
    source=cifar.label,
    label="percentage points, with 95 % interval",
    reference=0,
)

# %% [markdown]
# A gain over the base has two parts: more opinions are heard, and the gates have learnt about whom.
# With all importances 0.5 there is the first part alone. So what did learning buy?
#
# **Exercise 6 (3 marks).** Write `learning_gain`: the accuracy of the learnt mixture minus that of the
# one that has learnt nothing, with the ends of its 95 % interval. Both answered the same images, so
# take the standard error of the differences, image by image, as in lab 01.

# %% exercise="learning_gain"

# %% tags=["nbval-ignore-output"]
LEARNT, EVEN = "mixture", "mixture, all importances 0.5"
bought = {
    f"learnt over all 0.5, {number}": [100 * v for v in learning_gain(of[LEARNT], of[EVEN], y)]
    for number, of in (("two views", two), ("one view", one_view))
}
bought["all 0.5 over the base, two views"] = gains[f"{EVEN}, two views"]
guess.compare(
    "points that learning adds",
    "{:+.2f} [{:+.2f}, {:+.2f}]".format(*bought["learnt over all 0.5, two views"]),
)
plots.intervals(
    bought,
    "What learning the importances bought, and what was there without it",
    source=cifar.label,
    label="percentage points, with 95 % interval",
    reference=0,
)

# %% tags=["nbval-ignore-output"]
saved = {}
for name, of in {"as they are": two, "at their best temperature": tempered}.items():
    difference = brier(of[EVEN], y) - brier(of[LEARNT], y)
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(y))
    saved[name] = (difference.mean(), difference.mean() - margin, difference.mean() + margin)
    print("{}: Brier score lower by {:.4f} [{:.4f}, {:.4f}]".format(name, *saved[name]))

# %% [markdown]
# An interval that holds 0 says: on these test images nobody can tell whether learning has bought any
# accuracy. That is not the same as nothing. The gates were trained for a small loss, so look at the
# probabilities as well. The first line compares them as they are; in the second each mixture has its
# best temperature, so that being less shy no longer counts. What the first line gains and the second
# does not, one number can buy, without any gate; and where the second is below 0, a plain mean at one
# temperature is the better one.

# %% tags=["nbval-ignore-output"]
test_first = {"gate network": (test_views[0][0] + test_views[1][0]) / 2}
test_first["base's sums"] = group_weights(two["base"], list(GROUPS.values()))
test_first["mean of both"] = (test_first["gate network"] + test_first["base's sums"]) / 2
test_group = np.isin(y, GROUPS["artificial"]).astype(int)
first_right = {name: (w.argmax(axis=1) == test_group).mean() for name, w in test_first.items()}
own = {}
for position, (group, class_ids) in enumerate(GROUPS.items()):
    keep = np.isin(y, class_ids)
    expert_says = sum(said[2 + position] for said in test_views)[keep]
    within = two["base"][keep][:, list(class_ids)].argmax(axis=1)
    own[group] = {
        "its expert": f"{(expert_says.argmax(axis=1) == y[keep]).mean():.2%}",
        "base, choosing within the group": f"{(np.array(class_ids)[within] == y[keep]).mean():.2%}",
    }
pd.DataFrame(own).T

# %% [markdown]
# Compare the two columns. Where an expert is hardly better than the base on its own classes, it can
# still help: if the two make different mistakes, two opinions are often better than one.
#
# ## 9 What it repairs, and what it breaks
#
# A gain does not mean that some images are better and none is worse.
#
# **Exercise 7 (3 marks).** Write `repaired_and_broken`: the numbers of the images that were wrong
# before and are right afterwards, and of those that were right and are wrong.

# %% exercise="repaired_and_broken"

# %% tags=["nbval-ignore-output"]
base_answer, answer = two["base"].argmax(axis=1), two["mixture"].argmax(axis=1)
repaired, broken = repaired_and_broken(base_answer, answer, y)
print(f"{len(repaired)} repaired, {len(broken)} broken of {len(y):,}")
guess.compare("images broken for 10 repaired", f"{10 * len(broken) / max(1, len(repaired)):.1f}")
names = cifar.class_names
for title, which in {"Repaired by the mixture": repaired, "Broken by the mixture": broken}.items():
    if len(which):
        shown = which[:: max(1, len(which) // 10)][:10]
        display(
            plots.image_grid(
                cifar.x_test[shown],
                [f"{names[y[i]]}\n{names[base_answer[i]]} ->\n{names[answer[i]]}" for i in shown],
                f"{title} (first line: what it is)",
                source=cifar.label,
                columns=5,
            )
        )

# %% tags=["nbval-ignore-output"]
plots.heatmap(
    np.stack([np.bincount(y[which], minlength=10) for which in (repaired, broken)]),
    ["repaired", "broken"],
    names,
    "Images repaired and broken, by class",
    source=cifar.label,
    form="{:.0f}",
)

# %% [markdown]
# Who is it that speaks? For the class that the mixture says, each of the three, base, natural expert
# and artificial expert, has contributed a part: first gate times importance times what it says. Some
# images on their way, through the first gate to whom the answer owes most:

# %% tags=["nbval-ignore-output"]
said = [(a + b) / 2 for a, b in zip(*test_views, strict=True)]
first, second = weights_of_head.predict(said, batch_size=1000, verbose=0)


def parts(i):
    """What base, natural and artificial expert contribute to the answer on image i, sum 1."""
    c = answer[i]
    heard = first[i][:, None] * second[i, :, c]  # (G, E)
    told = [heard[:, 0].sum() * said[1][i, c]]
    told += [heard[g, 1] * said[2 + g][i, c] for g in range(2)]
    return np.array(told) / sum(told)


travellers = [*repaired[:4], *broken[:3], *np.argsort(np.abs(first[:, 0] - 0.5))[:3]]
for label in (1, 6):  # an automobile and a frog, as they should be
    travellers += list(np.flatnonzero(right["mixture"] & (y == label))[:1])
travellers = list(dict.fromkeys(travellers))
plots.flow(
    cifar.x_test[travellers],
    {
        "first gate": (list(GROUPS), first[travellers]),
        "the answer owes most to": (
            ["base", "natural expert", "artificial expert"],
            np.stack([parts(i) for i in travellers]),
        ),
    },
    [names[y[i]] for i in travellers],
    "Images on their way to the experts",
    source=cifar.label,
    answers=[
        f"{names[answer[i]]}, {'right' if right['mixture'][i] else 'wrong'}" for i in travellers
    ],
)

# %% [markdown]
# ## 10 Two photographs
#
# The test images are small squares of the same kind as the training images. What about a photograph
# from elsewhere? scikit-learn carries two of them, a temple and a flower. We cut a square from the
# middle and shrink it to 32 by 32 pixels, smoothed first (**antialiasing**), else every 13th pixel
# would stand for all.

# %% tags=["nbval-ignore-output"]


def square(name, size=32):
    """The middle of a sample photograph as an image (size, size, 3)."""
    photo = load_sample_image(name)
    side = min(photo.shape[:2])
    top, left = ((n - side) // 2 for n in photo.shape[:2])
    middle = photo[top : top + side, left : left + side].astype("float32")
    small = ops.image.resize(middle, (size, size), antialias=True)
    return np.clip(np.round(ops.convert_to_numpy(small)), 0, 255).astype("uint8")


photos = np.stack([square("china.jpg"), square("flower.jpg")])
photo_first, _ = weights_of_head.predict(everyone(photos), verbose=0)
photo_says = as_probabilities(moe.predict(photos, verbose=0))
plots.routing(
    photos,
    photo_first,
    list(GROUPS),
    [
        f"{what}\nmixture: {names[p.argmax()]}\nprobability {p.max():.2f}"
        for what, p in zip(("a temple", "a flower"), photo_says, strict=True)
    ],
    "Two photographs at the gate",
    source=f"two sample photographs; networks: {cifar.label}",
)

# %% [markdown]
# `explain` follows one input through all the mixtures of a model. Of the tree it tells the first gate's
# choice, and then, class by class (here called token), each branch's importances.
#
# - *logit*: the gate's number before its softmax; empty where a gate gives none.
# - *choice*: the order of the experts in this row's softmax; 1 has the largest weight.
# - *load*: an expert's weights, summed over all tokens of its mixture.
# - *answer*: what a branch says; "length" is the root of the sum of its ten squared scores, given where
#   these do not sum to 1.

# %% tags=["nbval-ignore-output"]
explanation = explain(tree, photos[1:], tokens=10)
display(explanation)
explanation.plot(0, source=f"a sample photograph; networks: {cifar.label}")

# %% [markdown]
# There is no class for a temple or a flower, and none called "nothing of the kind". A mixture of
# experts cannot know what no expert knows.
#
# The figures of this run, and what must hold in every run:

# %% tags=["figures", "nbval-ignore-output"]
gain = paired_interval(right["mixture"], right["base"])
print(f"data: {cifar.label}, {len(y):,} test images, two views")
print(f"first gate: {FIRST}; second level: {SECOND}; loss: {LOSS}")
for name in right:
    print(f"{name}: {right[name].mean():.2%} (one view {right_one[name].mean():.2%})")
print(f"gain: {100 * gain.difference:+.2f} points [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]")
for name, share in first_right.items():
    print(f"right about the group, {name}: {share:.2%}")
for name, values in bought.items():
    print("{}: {:+.2f} points [{:+.2f}, {:+.2f}]".format(name, *values))
for name, values in saved.items():
    print("Brier score saved, {}: {:.4f} [{:.4f}, {:.4f}]".format(name, *values))
for name in right:
    print(f"NLL at its best temperature, {name}: {negative_log_likelihood(tempered[name], y):.3f}")
print(f"repaired and broken: {len(repaired)} and {len(broken)}")
print(
    f"calibration error, base and mixture: {expected_calibration_error(two['base'], y):.3f}, {expected_calibration_error(two['mixture'], y):.3f}"
)
network_epoch = seconds_an_image * 2 * len(fitted)
print(
    f"seconds for an epoch of gate training: {gate_epoch:.2f}; with the networks: {network_epoch:.0f}"
)

# %% tags=["verdicts"]
per_class, joint = cats.values()
print(
    "frogs are natural, trucks artificial:",
    bool(view[0][frogs, 0].mean() > 0.5 and view[0][trucks, 1].mean() > 0.5),
)
print("each class's importances sum to 1:", np.allclose(second.sum(axis=-1), 1, atol=1e-5))
print("the scores of some image do not sum to 1:", bool(np.abs(sums - 1).max() > 0.01))
print(
    "learning bought what is in the table:",
    bool(
        np.isclose(
            bought["learnt over all 0.5, two views"][0],
            100 * (right[LEARNT].mean() - right[EVEN].mean()),
            atol=1e-3,
        )
    ),
)
print("a bonus for both experts of a class changes nothing:", bool(per_class[0] == per_class[1]))
print("with one softmax for all, it calls more images cats:", bool(joint[1] > joint[0]))
print("only the second-level gates can be trained:", only_gates)
print("by hand it is what predict says:", by_hand_is_predict)
print("the tree of mixtures says the same:", np.allclose(tree_says, moe_says, atol=1e-5))
print(
    "a hard gate listens to one group alone:",
    bool(np.all(np.sort(hard_gate(first), axis=1) == [0, 1])),
)
gained = right["mixture"].sum() - right["base"].sum()
print(
    "the gain is what is repaired less what is broken:", bool(gained == len(repaired) - len(broken))
)
asked_anew = base.layer.predict(cifar.x_validation[:100], verbose=0)
print("the frozen networks have not moved:", np.allclose(asked_anew, view[1][:100], atol=1e-5))

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Give the mixture's gain over the base with its interval. How many images does it
# repair for each one that it breaks? What did learning the importances buy, and what could explain the
# rest of the gain?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-gain", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# +0.54 points, between 0.26 and 0.82: the interval lies above 0. The gain is the difference of two
# numbers: 131 images are repaired and 77 are broken, 1.7 for each one. Most of it (+0.46 of +0.54) is
# there without learnt importances. Whether learning adds any accuracy cannot be told: +0.08, between
# -0.08 and 0.24. Different mistakes of base and experts would explain the rest; no figure here measures
# them. Learning made the probabilities less shy. But at their best temperature those of all 0.5 are
# even a little better: their Brier score is lower by 0.0010, between 0.0001 and 0.0019.

# %% [markdown]
# **B (3 marks).** A colleague trains the same second-level gates on the 45,000 training images: "Nine
# times as many examples!" Her mixture does worse on the test set. Why?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-train-on", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# The networks were trained on these images and know them nearly by heart: whatever they say there is
# right and sure. On such answers every expert looks perfect, and the gate learns little about who is
# to be believed on new images, or learns to trust the one that has learnt most by heart. Held-out
# images show the networks as they are. The gates have few parameters, so few images are enough.

# %% [markdown]
# **C (2 marks).** The gates that see 20 numbers have more parameters than the constant ones. What do
# the two curves of section 5 say? When would you prefer one to the other?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-seeing", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The curves: the squared error of the seeing gates is lower on both halves. In the table their
# probabilities have the lower Brier score, too (0.1005 against 0.1501, held out; mse, mean of
# both). The accuracies say less. Held out, the seeing gates have 95.52 %, the constant ones 95.60 %
# and all 0.5 95.64 %; fitted, 95.08, 94.72 and 94.96 %. Against all 0.5 these are differences of a
# few images in 2,500; the table cannot tell whether anything has been learnt by heart. For accuracy
# alone the simplest is enough, as far as one can tell. Where the probabilities matter, the gates
# that see beat the constant ones here, with either loss. With far fewer images to learn from, fewer
# parameters are the safer choice.

# %% [markdown]
# **D (2 marks).** Is the comparison with the base fair? What has the mixture had that the base has
# not, and with what would you compare it instead? (Lab 03 does it.)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fair", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The mixture has four times the base's parameters, its networks took much longer to train, and it runs
# four networks on each image. The gates have also learnt from validation images that the base never
# saw. A fair rival has the same means: one larger network, or several bases whose probabilities are
# averaged.

# %% [markdown]
# **E (2 marks).** Find the fault. A colleague has no patience with gradients. He tries importances at
# random and keeps the best. This program runs. What is wrong with its conclusion, and which line
# would you change?

# %% tags=["nbval-ignore-output"]
few = slice(0, 500)
first_few, pairs, labels = view[0][few], said_all[few], y_validation[few]


def accuracy_of(importances):
    mixed = hierarchical_sum(first_few, importances + np.zeros_like(pairs), pairs)
    return (mixed.argmax(axis=1) == labels).mean()


draw = np.random.default_rng(0)
tries = [draw.dirichlet([0.5, 0.5], size=(1, 2, 10)) for _ in range(300)]
best = max(tries, key=accuracy_of)
print(f"all importances 0.5: {accuracy_of(0.5):.1%} right")
print(f"the best of 300 random ones: {accuracy_of(best):.1%} right")
print("Conclusion: 300 throws of the dice find good importances, without any training.")

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The same 500 images choose the best of 300 and then judge it. The largest of 300 numbers that differ
# by luck is a lucky one, and its lead shows nothing that would be found again: the images have served
# as training images (1 mark). Choose on these 500 and judge on others, that is, in the last print of
# an accuracy take other images than in the line that finds the best (1 mark). On the other 4,500
# validation images the same importances reach 94.8 %, and all 0.5 reach 95.1 %.
# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab02)

# %% [markdown]
# ## To read on
#
# - Jordan and Jacobs (1994), *Hierarchical mixtures of experts and the EM algorithm*, Neural
#   Computation 6: gates above gates.
# - Jacobs, Jordan, Nowlan and Hinton (1991), *Adaptive mixtures of local experts*, Neural Computation
#   3: where gates and experts come from.
# - Simonyan and Zisserman (2015), *Very deep convolutional networks for large-scale image recognition*:
#   the VGG.
# - Wolpert (1992), *Stacked generalization*, Neural Networks 5: why what combines models must learn on
#   data that the models have not seen.
# - Brier (1950), *Verification of forecasts expressed in terms of probability*, Monthly Weather Review
#   78: the squared error of probabilities.
# - Guo, Pleiss, Sun and Weinberger (2017), *On calibration of modern neural networks*.
