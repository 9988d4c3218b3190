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
#     outcomes: write a soft mixture over the patches of an image; see what a slot looks at; walk from
#       soft to hard by temperature; prove that with one token nothing soft is left
#     serves:
#       - [fill_slots, combine, question-price, question-compare, question-fault]
#       - [dispatch_weights]
#       - [question-temperature]
#       - [one_token, question-one-token]
#     variant:
#       # Which images are held back.
#       seed:
#         - "subset=0.2 if QUICK else None)"
#         - "subset=0.2 if QUICK else None, seed=1)"
#         - "subset=0.2 if QUICK else None, seed=2)"
#         - "subset=0.2 if QUICK else None, seed=3)"
#       one-token:
#         - ["8 experts and 4 slots", "The four slots of each", "same thing four times", "32 runs where 8 do"]
#         - ["6 experts and 3 slots", "The three slots of each", "same thing three times", "18 runs where 6 do"]
#         - ["10 experts and 5 slots", "The five slots of each", "same thing five times", "50 runs where 10 do"]
# ---

# %% [markdown]
# # Lab 06: the soft mixture
#
# A dense mixture runs all experts on everything, which is expensive. A sparse one chooses: cheap,
# but a choice has no gradient, experts starve, and tokens are dropped. In 2023 four researchers
# found a way between. Do not choose among the tokens, *mix* them. Each expert gets a few
# **slots**, and each slot is a weighted mean of all tokens. The experts work on the slots only.
#
# **After this lab you can**
#
# - write dispatch weights, slots and combine, and say over what each softmax runs;
# - see in pictures what a slot looks at;
# - explain what temperature does, and how a soft mixture becomes a hard one;
# - prove that with a single token a soft mixture is just a dense one;
# - compare dense, sparse and soft at equal parameters and at equal cost.
#
# **Time:** 5 minutes of computing on two CPU cores; 90 minutes with the exercises.
#
# **Builds on:** lab 04 (the softmax gate and the mixture's sum) and lab 05 (sparse routing).
#
# **How it works.** There are four exercises, worth 10 marks, and five questions, worth 11. An
# exercise is a function with a `TODO`; the cell below it checks your answer by calling it. Stuck?
# Run, say, `lab06.combine.hint()` in a new cell, up to three times. If an answer is missing or
# wrong, the lab goes on with a reference answer, so you can always run on. Here and there you are
# asked to guess first. Guesses are not marked; they show you what surprised you.

# %%
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from ipywidgets import SelectionSlider, interact
from keras import layers, ops

from moe_keras import plots
from moe_keras.data import load
from moe_keras.evaluation import mean_interval
from moe_keras.experts import StackedMLP
from moe_keras.gates import SlotGate, SoftmaxGate, TopKGate
from moe_keras.mixtures import DenseMoE, SoftMoE, SparseMoE
from moe_keras.training import AugmentedImages, RouterLog, TriangularSchedule
from moe_labs.exercises import Guesses, lab06, summary

DATASET = "mnist"  # or "fashion_mnist"
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
CURVES = Path("../../build/curves") if Path("../source").is_dir() else Path("../build/curves")
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab

guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
dispatch_weights = fill_slots = combine = one_token = None

# %% [markdown]
# ## 1 An image as tokens
#
# Handwritten digits, 28 by 28 pixels. From the 60,000 training images we hold back 5,000 for
# validation: all choices are made on them. The 10,000 test images wait for section 7.

# %% tags=["nbval-ignore-output"]
digits = load(DATASET, subset=0.2 if QUICK else None)
print(digits)

# %% [markdown]
# A soft mixture needs something to mix: a row of **tokens**, vectors of equal length. We cut each
# image into 16 **patches** of 7 by 7 pixels, numbered like the words on a page. Each patch is a
# token of 49 numbers.

# %%
TOKENS, SIDE = 16, 7


def to_patches(images):
    """Images (B, 28, 28, 1) as patches (B, 16, 49), each row by row."""
    grid = ops.reshape(images, (-1, 4, SIDE, 4, SIDE))
    return ops.reshape(ops.transpose(grid, (0, 1, 3, 2, 4)), (-1, TOKENS, SIDE * SIDE))


print("3 images as patches:", tuple(to_patches(digits.x_train[:3]).shape))

# %% tags=["nbval-ignore-output"]
one = digits.x_train[:1]
plots.image_grid(
    ops.convert_to_numpy(to_patches(one)).reshape(TOKENS, SIDE, SIDE, 1),
    [f"token {t}" for t in range(TOKENS)],
    f"An image of class {digits.class_names[digits.y_train[0]]}, cut into 16 tokens",
    source=digits.label,
    columns=4,
)

# %% [markdown]
# ## 2 Dispatch, answer, combine
#
# The gate gives a score to each pair of token and slot, the **logits** $a_{tes}$: token $t$, slot
# $s$ of expert $e$. With T tokens, E experts and S slots each, their shape is (B, T, E, S). The
# same logits are used twice. First, to fill the slots. The weights of *one slot* sum to 1 over the
# **tokens**:
#
# $$d_{tes} = \frac{e^{a_{tes}}}{\sum_{t'} e^{a_{t'es}}}, \qquad z_{es} = \sum_t d_{tes}\, x_t.$$
#
# All four exercises are parts of a network. So write them with `keras.ops` (`ops` for short), on
# which gradients can go back. Logits may be in the hundreds: `ops.softmax` copes, `ops.exp` does
# not.
#
# **Exercise 1 (2 marks).** Write `dispatch_weights`, $d$.

# %% exercise="dispatch_weights"

# %% [markdown]
# **Exercise 2 (2 marks).** Write `fill_slots`, $z$: tokens of shape (B, T, D) become slots of
# shape (B, E, S, D). `ops.einsum` says such sums in one line. For example,
# `ops.einsum("be,bec->bc", w, o)` is the mixture of lab 04: the letter that is missing behind the
# arrow is summed over.

# %% exercise="fill_slots"

# %% [markdown]
# Each expert answers its own slots: $o_{es} = E_e(z_{es})$. That is all the experts do. Their cost
# grows with the number of slots, E times S, however many tokens there are.
#
# Then the answers go back to the tokens, by the second use of the logits. The weights of *one
# token* sum to 1 over **all slots of all experts**:
#
# $$c_{tes} = \frac{e^{a_{tes}}}{\sum_{e'} \sum_{s'} e^{a_{te's'}}}, \qquad
# y_t = \sum_e \sum_s c_{tes}\, o_{es}.$$
#
# **Exercise 3 (3 marks).** Write `combine`, from logits and answers to $y$.

# %% exercise="combine"

# %% [markdown]
# The package's layer `SoftMoE` does the same. Does it agree with you? Its gate makes the logits
# from how alike a token and a slot's own learned vector are: the cosine of the angle between them,
# times a learned number.

# %%
tokens = np.random.default_rng(0).normal(size=(5, TOKENS, 12)).astype("float32")
gate, stack = (
    SlotGate(num_experts=3, slots=2),
    StackedMLP(num_experts=3, intermediate_dim=6, units=4),
)
layer = SoftMoE(stack, gate)
mixed = layer(tokens)
logits = gate(tokens)["logits"]
slots = fill_slots(dispatch_weights(logits), tokens)
answers = ops.stack([expert(slots[:, e]) for e, expert in enumerate(stack)], axis=1)
agrees = np.allclose(mixed, combine(logits, answers), atol=1e-5)
print("logits:", tuple(logits.shape), "slots:", tuple(slots.shape), "answers:", tuple(mixed.shape))
print("the layer agrees with your functions:", agrees)

# %% [markdown]
# One thing is new. In a dense or sparse mixture each token is treated by itself. Here every slot
# holds something of every token. Change the first token, and see whose answers change.

# %%
changed = tokens.copy()
changed[:, 0] += 1
dense = DenseMoE(stack, SoftmaxGate(num_experts=3))
moved = {
    name: int(np.any(~np.isclose(mixture(tokens), mixture(changed), atol=1e-6), axis=(0, 2)).sum())
    for name, mixture in {"dense": dense, "soft": layer}.items()
}
print("tokens whose answer changed, dense:", moved["dense"])
print("tokens whose answer changed, soft:", moved["soft"])

# %% [markdown]
# ## 3 One token: nothing soft is left
#
# What if a sample is one single token, say a whole image as one vector? The dispatch softmax runs
# over one number: $d = e^a / e^a = 1$. So every slot is the token itself, $z_{es} = x$, and all S
# slots of an expert give the same answer $E_e(x)$. What remains of the sum?
#
# $$y = \sum_e \sum_s c_{es}\, E_e(x) = \sum_e w_e\, E_e(x), \qquad w_e = \text{?}$$
#
# **Exercise 4 (3 marks).** Prove it by writing it: `one_token`, without slots and without dispatch,
# from the logits of the only token, (B, E, S), and what each expert says of it, (B, E, F).

# %% exercise="one_token"

# %% [markdown]
# Now on the layers. `DenseMoE` takes the same experts and the same gate, and weighs with what the
# gate calls `"probabilities"`: the combine weights, summed over each expert's slots. Keras may warn
# you here that a softmax over an axis of size 1 is always 1. It has seen through it.

# %%
vectors = tokens[:, :1]  # five samples of one token
said = gate(vectors)
outputs = ops.stack([expert(vectors[:, 0]) for expert in stack], axis=1)
soft_answer, dense_answer = layer(vectors), DenseMoE(stack, gate)(vectors)
weights_are_one = np.allclose(said["dispatch"], 1, atol=1e-6)
collapses = np.allclose(soft_answer, dense_answer, atol=1e-5) and np.allclose(
    soft_answer[:, 0], one_token(said["logits"][:, 0], outputs), atol=1e-5
)
print("with one token every dispatch weight is 1:", weights_are_one)
print("with one token soft is the dense mixture:", collapses)
differs = not np.allclose(mixed, DenseMoE(stack, gate)(tokens), atol=1e-3)
print("with 16 tokens it is something else:", differs)

# %% [markdown]
# So a "soft mixture" over whole images, one vector each, is soft in name only, and it pays for all
# experts. Whoever reports one has measured a dense mixture.
#
# ## 4 Train it
#
# The network: each patch becomes a vector of 64 numbers, by one matrix for all patches plus a
# learned vector for each **place** (else the network could not tell the top of the image from its
# bottom). Then the mixture, with what went in added to what comes out, and two plain layers that
# say the class. The mixture can be of five kinds, with everything else the same:
#
# - **soft**: 8 experts with 2 slots each, so 16 slots for 16 tokens;
# - **sparse**: each token goes to one expert of 8, with the balance loss of lab 05;
# - **dense**: each token goes to all 8;
# - **thin dense**: the same with experts of 10 hidden units in place of 64;
# - **one**: a single expert for all tokens, with 88 hidden units, and no gate.
#
# Why 10 and 88? With these, the last two cost what the soft mixture costs, *all* of it. The experts
# are not all: logits, slots and combining are products of matrices too, and section 7 counts them.
#
# The slots' logits are divided by a **temperature** of 0.1. A cosine lies between -1 and 1, and
# over 16 tokens the softmax of such small numbers is nearly flat: without the temperature each slot
# would at first be nearly the plain mean of the image, and all slots nearly the same. (The learned
# number, which begins at 1, might grow; we train none without.) Section 6 turns this temperature.

# %%
NUM_EXPERTS, SLOTS, FEATURES = 8, 2, 64
HIDDEN = {"soft": 64, "sparse": 64, "dense": 64, "thin dense": 10, "one": 88}  # units an expert
TEMPERATURE = 0.1


def mixture_of(kind, temperature=TEMPERATURE):
    """The layer in the middle, (B, T, D) to (B, T, D)."""
    width = HIDDEN[kind]
    if kind == "one":
        return keras.Sequential([layers.Dense(width, activation="relu"), layers.Dense(FEATURES)])
    experts = StackedMLP(NUM_EXPERTS, width)
    if kind == "soft":
        gate = SlotGate(NUM_EXPERTS, SLOTS, temperature=temperature)
        return SoftMoE(experts, gate, name="mixture")
    if kind == "sparse":
        gate = TopKGate(NUM_EXPERTS, top_k=1, balance_loss=0.01)
        return SparseMoE(experts, gate, name="mixture")
    return DenseMoE(experts, SoftmaxGate(NUM_EXPERTS), name="mixture")


def build(kind, temperature=TEMPERATURE):
    """The network, images to logits of the classes."""
    images = keras.Input((28, 28, 1))
    patches = to_patches(layers.Rescaling(1 / 255)(images))
    # One matrix for all patches; the bias, one for each token and feature, holds the places.
    embedding = layers.EinsumDense(
        "btp,pd->btd",
        output_shape=(TOKENS, FEATURES),
        bias_axes="td",
        activation="relu",
        bias_initializer=keras.initializers.RandomNormal(stddev=0.02),
    )
    tokens = embedding(patches)
    mixed = mixture_of(kind, temperature)(layers.LayerNormalization()(tokens))
    hidden = layers.Dense(128, activation="relu")(layers.Flatten()(tokens + mixed))
    return keras.Model(images, layers.Dense(10)(hidden))


def gate_of(network):
    """The gate of a network: images to a dict of weights."""
    mixture = network.get_layer("mixture")
    return keras.Model(network.input, mixture.gate(mixture.input))


network = build("soft")
print("parameters:", f"{network.count_params():,}")
print("logits of 3 images:", tuple(network(digits.x_train[:3]).shape))

# %% [markdown]
# The recipe is that of labs 04 and 05: images shifted by up to a pixel, Adam, and a learning rate
# that rises for a quarter of the time and then falls nearly to zero. `CSVLogger` writes the
# curves of training and validation to a file, and `RouterLog` how much each expert gets of 1,000
# validation images while the network learns. We train all five kinds now; four of them wait for
# section 7.

# %% tags=["nbval-ignore-output"]
EPOCHS, BATCH = 3, 128
KINDS = ("soft", "sparse", "dense", "thin dense", "one")
CURVES.mkdir(parents=True, exist_ok=True)
networks, histories = {}, {}
for kind in KINDS:
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        batches = AugmentedImages(
            digits.x_train, digits.y_train, BATCH, shift=1, mirror=False, seed=seed
        )
        network = build(kind)
        network.compile(
            keras.optimizers.Adam(TriangularSchedule(0.003, EPOCHS * len(batches))),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=8,  # the same steps, but quicker: eight at each call
        )
        file = CURVES / f"06_{kind.replace(' ', '_')}_seed{seed}"
        callbacks = [keras.callbacks.CSVLogger(f"{file}.csv")]
        if kind != "one":
            probe = digits.x_validation[:1000]
            callbacks.append(RouterLog(gate_of(network), probe, every=len(batches) // 2))
        history = network.fit(
            batches,
            epochs=EPOCHS,
            validation_data=(digits.x_validation, digits.y_validation),
            validation_batch_size=500,
            callbacks=callbacks,
            verbose=0,
        )
        for log in callbacks[1:]:
            log.save(f"{file}_weights.csv")
        networks[kind, seed], histories[kind, seed] = network, history.history
        print(f"{kind}, seed {seed}: {history.history['val_accuracy'][-1]:.2%} on validation")

# %% tags=["nbval-ignore-output"]
plots.training_curves(
    {kind: histories[kind, 0] for kind in ("soft", "sparse")},
    "Soft and sparse while they learn, seed 0",
    source=digits.label,
)

# %% [markdown]
# ## 5 What does a slot look like?
#
# **Guess first.** Of how many of the 16 tokens is a trained slot mixed, really? At how many per
# cent will the network be right if we make it hard afterwards, each slot holding one token alone?
# What do logits, slots and combining cost, in per cent of what the soft mixture's experts cost?
# (Not marked.)

# %%
guess["tokens a slot looks at, of 16"] = None  # a number from 1 to 16
guess["validation accuracy, made hard"] = None  # a number from 0 to 100
guess["cost beside the experts, soft"] = None  # per cent of the experts' cost

# %% [markdown]
# A slot has 16 dispatch weights, one for each patch. Paint each patch with its weight, white for
# the slot's largest weight, and you see what the slot looks at. Below: four digits, and the first
# slot of each expert.

# %% tags=["nbval-ignore-output"]
shown = np.array([np.flatnonzero(digits.y_validation == label)[0] for label in (0, 1, 4, 7)])


def painted(weights):
    """Weights (..., T) as images (..., 28, 28, 1): each patch in the grey of its weight."""
    grey = np.uint8(np.round(255 * weights / weights.max(axis=-1, keepdims=True)))
    grid = grey.reshape(*weights.shape[:-1], 4, 4, 1)
    return grid.repeat(SIDE, axis=-3).repeat(SIDE, axis=-2)


def slot_pictures(gate, title, experts=range(NUM_EXPERTS)):
    images = digits.x_validation[shown]
    weights = ops.convert_to_numpy(gate(images)["dispatch"])[..., 0]  # (N, T, E): first slots
    slots = painted(weights.transpose(0, 2, 1))[:, list(experts)]
    rows = np.concatenate([images[:, None], slots], axis=1)  # (N, 1 + experts, 28, 28, 1)
    titles = ["image", *(f"expert {e}" for e in experts)] * len(shown)
    return plots.image_grid(
        rows.reshape(-1, 28, 28, 1), titles, title, source=digits.label, columns=1 + len(experts)
    )


gates = {seed: gate_of(networks["soft", seed]) for seed in SEEDS}
slot_pictures(gates[0], "Dispatch weights of each expert's first slot, seed 0")

# %% [markdown]
# How many tokens does a slot *really* look at? Not 16 if one of them has nearly all the weight.
# The **effective number** is $e^{H}$ with the entropy $H = -\sum_t d_t \ln d_t$: 16 for equal
# weights, 1 if one token has all. The same for a token: of how many slots does its answer
# consist?

# %% tags=["nbval-ignore-output"]


def effective_number(weights, axis):
    """exp(entropy) of weights that sum to 1 over an axis (or axes), averaged over the rest."""
    weights = ops.convert_to_numpy(weights).astype("float64")
    return np.exp(-(weights * np.log(weights + 1e-30)).sum(axis=axis)).mean()


probe = digits.x_validation[:500]
rows, looks_at = {}, []
for seed in SEEDS:
    said = gates[seed].predict(probe, batch_size=500, verbose=0)
    by_image = said["dispatch"].std(axis=0).mean() / said["dispatch"].mean()
    looks_at.append(effective_number(said["dispatch"], 1))
    rows[f"seed {seed}"] = {
        "tokens a slot looks at, of 16": looks_at[-1],
        "slots a token hears, of 16": effective_number(said["combine"], (2, 3)),
        "how far a weight moves from image to image": by_image,
    }
guess.compare("tokens a slot looks at, of 16", f"{np.mean(looks_at):.1f}")
pd.DataFrame(rows).T.round(2)

# %% [markdown]
# The last column is the standard deviation over images, relative to the mean weight: if it were
# 0, a slot would look at the same places whatever the image shows.
#
# ## 6 Temperature: the road from soft to hard
#
# Both softmaxes see the logits divided by the temperature. A low one makes large differences of
# small ones: each slot takes one token alone. A high one makes all weights equal: all slots are the
# same plain mean. We take the trained network and only turn the temperature, from a thousandth to
# ten. It was trained at 0.1. In the table, a token is in no slot if the largest of its dispatch
# weights is below 0.01.

# %% tags=["nbval-ignore-output"]
TEMPERATURES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 10)
turned, roads = {}, {}
for seed in SEEDS:
    for temperature in TEMPERATURES:
        network = build("soft", temperature)
        network.set_weights(networks["soft", seed].get_weights())
        gate = gate_of(network)
        guesses = network.predict(digits.x_validation, batch_size=500, verbose=0).argmax(axis=1)
        said = gate.predict(probe, batch_size=500, verbose=0)
        turned[seed, temperature] = gate
        roads[seed, temperature] = {
            "accuracy": 100 * (guesses == digits.y_validation).mean(),
            "tokens": effective_number(said["dispatch"], 1),
            "slots": effective_number(said["combine"], (2, 3)),
            "unseen": 100 * (said["dispatch"].max(axis=(2, 3)) < 0.01).mean(),
        }
road = {
    name: np.array([np.mean([roads[s, t][name] for s in SEEDS]) for t in TEMPERATURES])
    for name in ("accuracy", "tokens", "slots", "unseen")
}
guess.compare("validation accuracy, made hard", f"{road['accuracy'][0]:.1f} %")
pd.DataFrame(
    {
        "temperature": TEMPERATURES,
        "validation accuracy": [f"{a:.2f} %" for a in road["accuracy"]],
        "tokens a slot looks at": road["tokens"].round(1),
        "slots a token hears": road["slots"].round(1),
        "tokens in no slot": [f"{u:.1f} %" for u in road["unseen"]],
    }
).set_index("temperature")

# %% tags=["nbval-ignore-output"]
picture = plots.lines(
    {
        "tokens a slot looks at": (TEMPERATURES, road["tokens"]),
        "slots a token hears": (TEMPERATURES, road["slots"]),
    },
    f"From hard to soft, mean of {len(SEEDS)} seeds",
    source=digits.label,
    x_label="temperature",
    y_label="effective number, of 16",
    reference=TOKENS,
)
picture.figure.axes[0].set_xscale("log")
picture

# %% tags=["nbval-ignore-output"]
picture = plots.lines(
    {"soft mixture": (TEMPERATURES, road["accuracy"])},
    f"Trained at 0.1, then turned, mean of {len(SEEDS)} seeds",
    source=digits.label,
    x_label="temperature",
    y_label="validation accuracy, per cent",
)
lowest, highest = road["accuracy"].min(), road["accuracy"].max()
picture.figure.axes[0].set(xscale="log", ylim=(lowest - 1, highest + 1))
picture


# %% tags=["nbval-ignore-output"]
def slots_at(temperature):
    return slot_pictures(turned[0, temperature], f"The same slots at temperature {temperature}")


for temperature in (0.001, 0.03, 1):
    display(slots_at(temperature))

# %% [markdown]
# Walk the road yourself. (The slider needs a running notebook; on paper, the three pictures above
# must do.)

# %% tags=["nbval-ignore-output"]
_ = interact(slots_at, temperature=SelectionSlider(options=TEMPERATURES, value=TEMPERATURE))

# %% [markdown]
# At the cold end we have a hard mixture: each slot holds one patch, each patch listens to one slot,
# and patches that no slot took get an answer that knows nothing of them. That is **dropping**, as
# with a sparse mixture's capacity. At the warm end all experts see one and the same mean, and every
# token gets the same answer: all that is left of the mixture is one sum for the whole image.
#
# ## 7 Dense, sparse, soft: the test, once
#
# Now the kinds side by side, by two measures. At **equal parameters**: soft, sparse and dense
# hold the same eight experts. At **equal cost**: here one has to count everything. With T tokens
# of D features, E experts with H hidden units and S slots each, one image takes these
# multiplications:
#
# | | experts | logits | into the experts | back to the tokens |
# | --- | --- | --- | --- | --- |
# | soft | E S · 2 D H | T D E S | T D E S | T D E S |
# | sparse, k = 1 | T · 2 D H | T D E | none: tokens are handed on | T D |
# | dense | T E · 2 D H | T D E | none | T D E |
# | one | T · 2 D H | none | none | none |
#
# Softmax and cosine (a few for each token and each weight), and what it costs to move numbers
# about, are left out.

# %% tags=["nbval-ignore-output"]
in_experts = {kind: TOKENS * 2 * FEATURES * HIDDEN[kind] for kind in KINDS}  # a run for each token
in_experts["soft"] = NUM_EXPERTS * SLOTS * 2 * FEATURES * HIDDEN["soft"]  # a run for each slot
for kind in ("dense", "thin dense"):
    in_experts[kind] *= NUM_EXPERTS
routing = dict.fromkeys(("dense", "thin dense"), 2 * TOKENS * FEATURES * NUM_EXPERTS)
routing["soft"] = 3 * TOKENS * FEATURES * NUM_EXPERTS * SLOTS  # logits, slots, combine
routing["sparse"] = TOKENS * FEATURES * NUM_EXPERTS + TOKENS * FEATURES
routing["one"] = 0
cost = {kind: in_experts[kind] + routing[kind] for kind in KINDS}
beside = 100 * routing["soft"] / in_experts["soft"]
guess.compare("cost beside the experts, soft", f"{beside:.0f} %")
pd.DataFrame(
    {
        kind: {
            "in experts": f"{in_experts[kind]:,}",
            "beside them": f"{routing[kind]:,}",
            "in all": f"{cost[kind]:,}",
            "in all, of soft": f"{cost[kind] / cost['soft']:.0%}",
        }
        for kind in KINDS
    }
).T

# %% [markdown]
# So *thin dense* and *one* cost exactly what soft costs: that is what you can have at this price
# without slots. Sparse costs less than soft though its experts cost the same; if it does as well,
# it does so for less. Dense costs several times as much. Now the test images, once.

# %% tags=["nbval-ignore-output"]
test_accuracy = {}
for key, network in networks.items():
    guesses = network.predict(digits.x_test, batch_size=500, verbose=0).argmax(axis=1)
    test_accuracy[key] = 100 * (guesses == digits.y_test).mean()
results = {kind: mean_interval([test_accuracy[kind, seed] for seed in SEEDS]) for kind in KINDS}
minus_soft = {
    kind: mean_interval([test_accuracy[kind, s] - test_accuracy["soft", s] for s in SEEDS])
    for kind in KINDS[1:]
}
in_points = "{:+.2f} [{:+.2f}, {:+.2f}]"
parameters = {kind: networks[kind, 0].count_params() for kind in KINDS}
pd.DataFrame(
    {
        kind: {
            "parameters": f"{parameters[kind]:,}",
            "multiplications, one image": f"{cost[kind]:,}",
            "test accuracy (95 % interval)": "{:.2f} % [{:.2f}, {:.2f}]".format(*results[kind]),
            "points minus soft, seed by seed": in_points.format(*minus_soft[kind])
            if kind != "soft"
            else "",
        }
        for kind in KINDS
    }
).T

# %% [markdown]
# The last column compares networks of one seed, which saw the same batches. Only where its interval
# leaves out 0 do three seeds tell a kind from soft.

# %% tags=["nbval-ignore-output"]
for title, kinds in {
    "At equal parameters": ("soft", "sparse", "dense"),
    "At the cost of soft (sparse: less)": ("soft", "sparse", "thin dense", "one"),
}.items():
    display(
        plots.intervals(
            {kind: results[kind] for kind in kinds},
            f"{title}: test accuracy, mean of {len(SEEDS)} seeds",
            source=digits.label,
            label="per cent, with 95 % interval",
        )
    )

# %% tags=["figures", "nbval-ignore-output"]
print(f"data: {digits.label}, {len(digits.y_test):,} test images")
for kind, (mean, low, high) in results.items():
    print(f"{kind}: {mean:.2f} % [{low:.2f}, {high:.2f}]")
    if kind != "soft":
        print(f"{kind} minus soft, seed by seed: {in_points.format(*minus_soft[kind])}")
    print(f"{kind}, parameters: {parameters[kind]:,}")
    print(f"{kind}, multiplications: {cost[kind]:,}, of these {in_experts[kind]:,} in experts")
at = dict(zip(TEMPERATURES, range(len(TEMPERATURES)), strict=True))
print(f"tokens a slot looks at, of 16: {road['tokens'][at[TEMPERATURE]]:.1f}")
for temperature in (0.001, TEMPERATURE, 10):
    print(f"validation at temperature {temperature}: {road['accuracy'][at[temperature]]:.2f} %")

# %% tags=["verdicts"]
print("with one token soft is the dense mixture:", weights_are_one and collapses)
print("with 16 tokens each answer hears of all tokens:", moved == {"dense": 1, "soft": TOKENS})
print("trained slots are no plain means (under 14 of 16 tokens):", max(looks_at) < 14)
print("the colder, the fewer tokens in a slot:", bool(np.all(np.diff(road["tokens"]) > 0)))
print("cold slots hold one token:", bool(road["tokens"][0] < 2))
print("hot slots hold all alike:", bool(road["tokens"][-1] > 15.5))
print(
    "soft, sparse and dense have equally many parameters, within 1 %:",
    max(parameters[k] for k in KINDS[:3]) < 1.01 * min(parameters[k] for k in KINDS[:3]),
)
print(
    "with logits, slots and combining, thin dense and one cost what soft costs:",
    cost["soft"] == cost["thin dense"] == cost["one"],
)
print("sparse costs less:", cost["sparse"] < cost["soft"])

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** A colleague classifies images with a frozen network that gives one vector for
# each image. On these vectors she trains a "soft MoE with 8 experts and 4 slots" and finds it as
# good as a dense mixture. What do you tell her about her result, and about her cost?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-one-token", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# One vector a sample is one token. The dispatch softmax over one number is 1, every slot is the
# vector itself, and the sum is a dense mixture whose weights are the combine weights summed over
# each expert's slots. So she compared a dense mixture with a dense mixture. The four slots of each
# expert compute the same thing four times: she pays for 32 runs where 8 do. She needs tokens, say
# the vectors of the image's regions before pooling.

# %% [markdown]
# **B (2 marks).** Nothing in a soft mixture is chosen. Why can no expert starve as in lab 05, and
# why does it need no balance loss? What is the price: could you use it to write a text from left to
# right, where each word may only depend on those before it?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-price", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Each expert always runs on its S slots, and all weights are above 0, so each expert and each
# weight has a gradient at every step. The load is even by construction. The price: every slot
# mixes all tokens, those that come later too, so each answer depends on the future. In section 2
# a change of one token moved the answers of all.

# %% [markdown]
# **C (2 marks).** What happens to accuracy on either side of temperature 0.1, and why? Would a
# network that was *trained* at temperature 0.001 do as badly there?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-temperature", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# It falls on both sides, for the experts see slots unlike those they learned from: single patches
# on the cold side, the plain mean on the warm side. A network trained cold would know its slots
# better than one that is turned cold afterwards. But its weights are close to 0 or 1, where a
# softmax has almost no gradient, so its gate would hardly learn; and it would still drop tokens.
# One would have to try it.

# %% [markdown]
# **D (2 marks).** Compare the five kinds at equal parameters and at equal cost. Which differences
# are larger than their intervals? Is a digit a task that needs a mixture at all?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-compare", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# At equal parameters, dense pays about six times the cost of soft: eight times in the experts,
# and less beside them. In our run it is the better of the two: seed by seed it is ahead by +0.24
# [+0.16, +0.31] points, although the intervals of the two means overlap, as seeds differ more
# than the kinds do. At the cost of soft, one expert without a gate holds about a sixth of the
# experts' parameters, and is ahead of soft as well, by +0.21 [+0.13, +0.28]. For thin dense and
# sparse the interval of the difference holds 0: three seeds leave open which is better. One small
# expert lies among the others, so a digit does not need a mixture: what comes after the mixture
# sees all patches and puts much right. Mixtures may pay where there is more to learn than one
# network of that cost can hold. (Judge by the student's own intervals.)

# %% [markdown]
# A colleague has one vector for each image, and has read section 3: one token is not enough. So she
# takes the images of a *batch* as the tokens: 128 of them, mixed into 16 slots.

# %% tags=["nbval-ignore-output"]
keras.utils.set_random_seed(0)
images = keras.Input((28, 28, 1))
vectors = layers.Dense(FEATURES, activation="relu")(layers.Flatten()(images / 255))  # (B, D)
gate = SlotGate(NUM_EXPERTS, SLOTS, temperature=TEMPERATURE)
tokens = ops.expand_dims(vectors, 0)  # (1, B, D): the batch is one row of tokens
mixed = ops.squeeze(SoftMoE(StackedMLP(NUM_EXPERTS, 64), gate)(tokens), 0)
network = keras.Model(images, layers.Dense(10)(vectors + mixed))
network.compile(
    keras.optimizers.Adam(0.003),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
network.fit(digits.x_train[:10_000], digits.y_train[:10_000], batch_size=128, epochs=2, verbose=0)
_, right = network.evaluate(digits.x_validation, digits.y_validation, batch_size=128, verbose=0)
print(f"validation accuracy: {right:.1%}, from 16 runs of an expert for 128 images")
print("So a soft mixture classifies vectors for an eighth of what one expert would cost.")

# %% [markdown]
# **E (2 marks).** This program runs. What is wrong with its conclusion, and which line would you
# change? Try what the network says of one image by itself, and in two different batches.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The softmax over the tokens now runs over the batch: every slot is a mean of all images in it, so
# what the network says of an image depends on which others happen to be there. In another batch
# the same image gets another answer; alone, the mixture is the dense one of section 3, with all its
# cost. Accuracy on full validation batches hides it. The fault is `ops.expand_dims(vectors, 0)`:
# tokens must come from one image, as the patches do. (`ops.expand_dims(vectors, 1)` gives an image
# one token: honest, but dense.) So nothing is saved. And the accuracy says little of the mixture:
# `vectors`, added to it, may do without.

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab06)

# %% [markdown]
# ## To read on
#
# - Puigcerver, Riquelme, Mustafa and Houlsby (2023), *From sparse to soft mixtures of experts*: the
#   soft mixture, slots, and the comparison at scale.
# - Shazeer et al. (2017), *Outrageously large neural networks*: the sparse mixture.
# - Zhou et al. (2022), *Mixture-of-experts with expert choice routing*: experts choose tokens; what
#   a cold soft mixture comes close to.
# - Dosovitskiy et al. (2020), *An image is worth 16x16 words*: patches as tokens.
