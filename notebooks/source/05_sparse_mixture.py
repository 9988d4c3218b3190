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
#     outcomes: route each image to k of E experts and run only those; watch routing collapse, and
#       cure it in three ways; say what capacity drops and what sparse computing saves
#     serves:
#       - [route, run_chosen, question-zeros, question-fault]
#       - [add_noise, balance, question-collapse, question-experiment]
#       - [dropped_share, question-choice]
#     variant:
#       # Which images are held back.
#       seed:
#         - "subset=0.2 if QUICK else None)"
#         - "subset=0.2 if QUICK else None, seed=1)"
#         - "subset=0.2 if QUICK else None, seed=2)"
#         - "subset=0.2 if QUICK else None, seed=3)"
# ---

# %% [markdown]
# # Lab 05: the sparse mixture
#
# Large language models hold hundreds of experts and ask a handful of them for each word. The
# network grows, its cost does not. In this lab you build such a mixture for digits: 8 experts, 2 of
# them for each image. It is easy to write one that only looks sparse: run all, multiply by zero.
# Yours will really run two. And it is easy to train one in which a few experts do everything. You
# will watch that happen, and cure it.
#
# **After this lab you can**
#
# - write top-k routing, sparse computing and a load-balancing loss;
# - show that a mixture is sparse, by counting and by the clock;
# - recognise a collapsed router, and name three cures;
# - say what an expert's capacity is, and what is lost where it ends.
#
# **Time:** 4 minutes of computing on two CPU cores; two hours with the exercises.
#
# **Builds on:** lab 04 (the softmax gate and the mixture's sum).
#
# **How it works.** There are five exercises, worth 12 marks, and five questions, worth 12. An
# exercise is a function with a `TODO`; the cell below it checks your answer by calling it. Stuck?
# Run, say, `lab05.route.hint()` in a new cell, up to three times. If an answer is missing or wrong,
# the lab goes on with a reference answer, so you can always run on. Here and there you are asked
# to guess first. Guesses are not marked; they show you what surprised you.

# %%
import os
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from ipywidgets import IntSlider, interact
from keras import layers, ops

from moe_keras import losses, plots
from moe_keras.data import load
from moe_keras.evaluation import mean_interval
from moe_keras.experts import StackedMLP
from moe_keras.gates import BiasBalancedGate, Gate, NoisyTopKGate, SoftmaxGate, TopKGate
from moe_keras.metrics import ExpertLoad
from moe_keras.mixtures import CapacityDispatcher, DenseMoE, SparseMoE
from moe_keras.training import AugmentedImages, RouterLog, TriangularSchedule
from moe_labs.exercises import Guesses, lab05, summary

DATASET = "mnist"  # or "fashion_mnist"
# Automatic tests set this to see the same steps on fewer images.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
CURVES = Path("../../build/curves") if Path("../source").is_dir() else Path("../build/curves")
CURVES.mkdir(parents=True, exist_ok=True)
NUM_EXPERTS, TOP_K = 8, 2

keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab

guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
route = run_chosen = add_noise = balance = dropped_share = None

# %% tags=["nbval-ignore-output"]
digits = load(DATASET, subset=0.2 if QUICK else None)
print(digits)

# %% [markdown]
# As always, choices are made on the validation images, and the test images wait for the end.
#
# ## 1 Routing
#
# The gate gives a logit for each expert. The softmax makes probabilities of them, and the k experts
# with the largest ones are asked. Their weights are their probabilities, divided by their sum:
#
# $$p = \text{softmax}(a), \qquad i_1, \dots, i_k = \text{the } k \text{ largest of } p, \qquad
# w_j = \frac{p_{i_j}}{\sum_l p_{i_l}}.$$
#
# For $k = 1$ we do not divide: the weight is $p_{i_1}$ itself. You will see why below.
#
# **Exercise 1 (3 marks).** Write `route` with `keras.ops`, for it will run in training. It returns
# the indices (B, k), the best expert first, and the weights (B, k).

# %% exercise="route"

# %% [markdown]
# **Softmax before or after the choice?** Some papers choose k logits first and take the softmax of
# these alone. For $k > 1$ that is the same, since the common denominator cancels. For $k = 1$ it is
# not: the softmax of a single number is always 1 (Keras warns of it below, and rightly). What does
# that do to the gate?

# %%
logits = tf.constant([[0.5, 2.0, 1.0], [1.0, 0.0, 0.5]])
said = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 5.0]], "float32")  # one number from each expert


def route_after(logits, k):
    """Softmax after the choice."""
    best, indices = ops.top_k(logits, k)
    return indices, ops.softmax(best)


for k in (2, 1):
    same = np.allclose(route(logits, k)[1], route_after(logits, k)[1], atol=1e-6)
    print(f"k = {k}: both give the same weights: {same}")
    for name, way in {"before": route, "after": route_after}.items():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            indices, weights = way(logits, k)
            answer = ops.sum(weights * ops.take_along_axis(said, indices, axis=-1))
        learns = np.abs(tape.gradient(answer, logits)).max() > 1e-6
        print(f"k = {k}, softmax {name} the choice: the gate learns: {learns}")

# %% [markdown]
# ## 2 Really run k experts
#
# **Exercise 2 (3 marks).** Write `run_chosen` with NumPy. For each expert, find the images that
# chose it, run it on those and *no others*, each once, and add its answers, times their weights, to
# the right images. An expert that nobody chose must not be called at all. The experts are functions
# from images (n, D) to answers (n, D).

# %% exercise="run_chosen"

# %% [markdown]
# The package's `SparseMoE` does it inside a network: it sorts the choices by expert, hands each
# expert its slice, and takes the answers back. Do not believe it, count. This expert notes how
# many rows it gets.


# %%
class Counted(layers.Layer):
    """An expert that notes how many images each call brings."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)
        self.rows = []

    def call(self, images):
        self.rows.append(images.shape[0])
        return self.dense(images)


vectors = np.random.default_rng(0).normal(size=(1000, 16)).astype("float32")
counted = [Counted() for _ in range(NUM_EXPERTS)]
gate = TopKGate(NUM_EXPERTS, top_k=TOP_K, seed=0)
sparse, dense = SparseMoE(counted, gate), SparseMoE(counted, gate, dispatch="dense")
rows_run, outputs = {}, {}
for name, mixture in {"run the chosen": sparse, "run all, times zero": dense}.items():
    mixture(vectors[:1])  # builds it; not counted
    for expert in counted:
        expert.rows.clear()
    outputs[name] = ops.convert_to_numpy(mixture(vectors))
    rows_run[name] = sum(sum(expert.rows) for expert in counted)
    print(f"{name}: the experts saw {rows_run[name]:,} rows for 1,000 images")
same_answers = np.allclose(outputs["run the chosen"], outputs["run all, times zero"], atol=1e-5)
print("both give the same answers:", same_answers)

# %% [markdown]
# The same answers for a quarter of the work. Does the clock agree? More and more experts, always
# two for an image:


# %% tags=["nbval-ignore-output"]
def seconds_for(mixture, images):
    """The best of five runs over a batch, in seconds."""
    run = tf.function(mixture)
    run(images)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        run(images)
        times.append(time.perf_counter() - started)
    return min(times)


pixels = np.random.default_rng(0).normal(size=(2048, 784)).astype("float32")
counts, clock = (4, 8, 16, 32), {"dense": [], "sparse, k = 2": []}
for num_experts in counts:
    for name in clock:
        experts = StackedMLP(num_experts, intermediate_dim=128, units=10)
        if name == "dense":
            mixture = DenseMoE(experts, SoftmaxGate(num_experts))
        else:
            mixture = SparseMoE(experts, TopKGate(num_experts, top_k=TOP_K))
        clock[name].append(1000 * seconds_for(mixture, pixels))
plots.lines(
    {name: (counts, times) for name, times in clock.items()},
    "Time for 2,048 images",
    source="random numbers",
    x_label="number of experts E",
    y_label="milliseconds",
)

# %% [markdown]
# The dense line grows with E. The sparse one hardly does.
#
# ## 3 Noise, and the balance of the load
#
# A gate that always asks its favourites never learns what the others could do. **Noisy top-k**
# adds noise to the logits in training, and learns how much:
#
# $$a_e = (x W)_e + \varepsilon_e \cdot \text{softplus}\big((x W_\text{noise})_e\big),
# \qquad \varepsilon_e \sim N(0, 1).$$
#
# **Exercise 3 (1 mark).** Write `add_noise` with `keras.ops`, for a gradient must reach `raw`.
# `clean` is $x W$, `raw` is $x W_\text{noise}$, `drawn` holds the $\varepsilon$; all have shape
# (B, E). Numbers in `raw` may be large: `ops.softplus` copes, $\ln(1 + e^x)$ written out does not.

# %% exercise="add_noise"

# %% [markdown]
# How much noise changes a choice? We take the logits of the gate of section 2, add your noise, and
# look at each image's best expert before and after.

# %% tags=["nbval-ignore-output"]
clean = gate(vectors)["logits"]
drawn = np.random.default_rng(1).normal(size=clean.shape).astype("float32")
favourite, moved = route(clean, 1)[0], {}
for raw in (-10, -4, -2, 0, 2, 4, 20):
    noisy = add_noise(clean, raw * ops.ones_like(clean), drawn)
    moved[raw] = np.mean(route(noisy, 1)[0] != favourite)
    print(f"raw = {raw}, size {np.log1p(np.exp(raw)):.3g}: {moved[raw]:.0%} have another favourite")
print("the more noise, the more choices change:", bool(np.all(np.diff(list(moved.values())) > 0)))

# %% [markdown]
# With little noise nearly every image keeps its favourite. With much noise the choice comes close
# to a lottery, in which seven of eight images go elsewhere. A gate whose logits lie far apart
# needs more noise before it tries another expert; that is why the size is learned.
#
# Noise alone is not enough, as you will see. The **load-balancing loss** of the Switch Transformer
# looks at a whole batch. Let $f_e$ be the share of all $B k$ choices that fell on expert $e$, and
# $P_e$ its mean probability over the batch:
#
# $$L_\text{balance} = E \sum_e f_e P_e.$$
#
# It is 1 when the load is even. Counts have no gradient, so it is $P$ that learns: it goes down
# where $f$ is large.
#
# **Exercise 4 (3 marks).** Write `balance` with `keras.ops`. It must work inside a network, where
# the number of images is not known: use `ops.mean`, and `ops.one_hot` for counting.

# %% exercise="balance"

# %% [markdown]
# Out of your routing and your loss we make a gate:


# %%
class SwitchGate(Gate):
    """Top-k routing with a load-balancing loss: exercises 1 and 4 as a layer."""

    def __init__(self, num_experts, top_k, coefficient, **kwargs):
        super().__init__(**kwargs)
        self.top_k, self.coefficient = top_k, coefficient
        self.dense = layers.Dense(num_experts, use_bias=False)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs, training=None):
        logits = self.dense(inputs)
        probabilities = ops.softmax(logits)
        indices, weights = route(logits, self.top_k)
        if training:
            self.add_loss(self.coefficient * balance(probabilities, indices))
        return {
            "logits": logits,
            "probabilities": probabilities,
            "indices": indices,
            "weights": weights,
        }


even = np.full((8, 4), 0.25, "float32")
print("even routing:", float(balance(even, np.arange(8)[:, None] % 4)))
print(
    "one expert gets everything:",
    float(balance(np.eye(4, dtype="float32")[[0] * 8], np.zeros((8, 1), "int32"))),
)
agrees = np.allclose(
    balance(even, np.arange(8)[:, None] % 3),
    losses.load_balancing_loss(even, np.arange(8)[:, None] % 3),
)
print("the package's loss agrees:", agrees)

# %% [markdown]
# ## 4 Collapse, and three cures
#
# One network, four gates. As in language models, the mixture sits behind a layer that everybody
# passes: it makes 256 features of the 784 pixels. The gate and the experts, 8 networks with 128
# hidden units each, see the features. Only the gate differs:
#
# - **no balancing**: noisy top-k, and nothing else;
# - **importance and load**: noisy top-k with the two losses of Shazeer et al. (2017), which punish
#   experts for differing in total weight and in number of images;
# - **Switch**: your gate;
# - **bias**: no loss at all. After each batch, the busy experts get a handicap in the choice, the
#   idle ones a bonus (Wang et al. 2024).
#
# For comparison there is a dense mixture of the same experts. `RouterLog` asks the gate about the
# same 1,000 validation images all the while, and writes down how the choices are spread.

# %%
FEATURES, HIDDEN = 256, 128
EPOCHS, BATCH, RATE = 6, 128, 0.003


def noisy_gate(coefficient, k=TOP_K):
    """Makes a noisy top-k gate; the coefficient is that of both losses."""
    return lambda: NoisyTopKGate(NUM_EXPERTS, k, importance_loss=coefficient, load_loss=coefficient)


gates = {
    "no balancing": noisy_gate(0),
    "importance and load": noisy_gate(0.1),
    "Switch": lambda: SwitchGate(NUM_EXPERTS, TOP_K, coefficient=0.1),
    "bias": lambda: BiasBalancedGate(NUM_EXPERTS, TOP_K, update_rate=0.005),
    "dense": lambda: SoftmaxGate(NUM_EXPERTS),
}


def build(make_gate, features=FEATURES, hidden=HIDDEN):
    """A classifier with such a gate, and its parts."""
    images = keras.Input((28, 28, 1), name="images")
    seen = layers.Flatten(name="pixels")(layers.Rescaling(1 / 255, name="scale")(images))
    seen = layers.Dense(features, activation="relu", name="features")(seen)
    # The experts before the gate: with one seed they start from the same weights, whatever gate.
    experts = StackedMLP(NUM_EXPERTS, hidden, units=10, name="experts")
    experts.build(seen.shape)
    gate = make_gate()
    mixture = DenseMoE if isinstance(gate, SoftmaxGate) else SparseMoE
    mixture = mixture(experts, gate, name="mixture")
    return {
        "network": keras.Model(images, mixture(seen)),
        "mixture": mixture,
        "features": keras.Model(images, seen),
        "router": keras.Model(images, gate(seen)),
    }


def train(name, make_gate, seed, epochs=EPOCHS, **sizes):
    """Train a mixture and write its curves; returns its parts and what was noted."""
    keras.utils.set_random_seed(seed)
    batches = AugmentedImages(
        digits.x_train, digits.y_train, BATCH, shift=1, mirror=False, seed=seed
    )
    parts = build(make_gate, **sizes)
    network = parts["network"]
    network.compile(
        keras.optimizers.Adam(TriangularSchedule(RATE, epochs * len(batches))),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=8,  # the same steps, but quicker: eight at each call
    )
    log = RouterLog(parts["router"], digits.x_validation[:1000], every=len(batches) // 5)
    file = f"05_{name.replace(' ', '_')}_seed{seed}"
    history = network.fit(
        batches,
        epochs=epochs,
        validation_data=(digits.x_validation, digits.y_validation),
        validation_batch_size=500,
        callbacks=[log, keras.callbacks.CSVLogger(CURVES / f"{file}.csv")],
        verbose=0,
    )
    log.save(CURVES / f"{file}_load.csv")
    accuracy = 100 * history.history["val_accuracy"][-1]
    print(f"{name}, seed {seed}: {accuracy:.2f} % on validation")
    return {**parts, "log": log, "accuracy": accuracy}


# %%
plots.model_graph(
    build(gates["Switch"])["network"],
    "The gate picks two of eight experts",
    source="no data: untrained",
)

# %% [markdown]
# The left column is run from top to bottom. Its last row, the 256 features, is what goes on to gate
# and experts.
#
# **Guess first.** Without balancing, how many of the eight experts will have no work (less than 1 %
# of the choices)? And what does that cost: how many percentage points of validation accuracy does
# the balanced network have more? (Not marked.)

# %%
guess["experts without work, no balancing"] = None  # a number from 0 to 8
guess["points that collapse costs"] = None  # a number

# %% tags=["nbval-ignore-output"]
COMPARED = ("no balancing", "importance and load", "dense")  # with every seed
trained = {
    (name, seed): train(name, make_gate, seed)
    for name, make_gate in gates.items()
    for seed in (SEEDS if name in COMPARED else SEEDS[:1])
}

# %% tags=["nbval-ignore-output"]
for name in ("no balancing", "importance and load", "Switch", "bias"):
    log = trained[name, 0]["log"]
    display(
        plots.lines(
            {f"expert {e}": (log.steps, np.array(log.shares)[:, e]) for e in range(NUM_EXPERTS)},
            f"Share of the choices by expert, {name}, seed 0",
            source=digits.label,
            x_label="training step",
            y_label="share of all choices",
            reference=1 / NUM_EXPERTS,
        )
    )

# %% [markdown]
# The noisy gate starts with all logits equal. `RouterLog` asks it without noise, and a tie goes to
# the experts with the smallest numbers: hence the two halves at step 0. In training the noise
# spreads the first choices. Without balancing, whoever is chosen learns, and whoever learns is
# chosen more often. Some experts end with less than 1 % of the choices, even if they had more early
# on: they are parameters that hardly any image uses. An even load is at the dashed line. The
# largest possible share is $1/k$, one half: an expert that every image chooses.


# %% tags=["nbval-ignore-output"]
def load_of(indices):
    """The fraction of all choices that fell on each expert, (E,)."""
    load = ExpertLoad(NUM_EXPERTS)
    load.update_state(indices)
    return ops.convert_to_numpy(load.result())


def largest_load(router):
    """The busiest expert's load over the mean load, on all validation images."""
    indices = router.predict(digits.x_validation, batch_size=500, verbose=0)["indices"]
    return NUM_EXPERTS * load_of(indices).max()


loads = {name: largest_load(trained[name, 0]["router"]) for name in gates if name != "dense"}
idle = {
    name: int((trained[name, 0]["log"].shares[-1] < 0.01).sum())
    for name in gates
    if name != "dense"
}
pd.DataFrame(
    {
        "largest load / mean load": {name: f"{load:.2f}" for name, load in loads.items()},
        "experts without work (below 1 %)": idle,
        "validation accuracy": {name: f"{trained[name, 0]['accuracy']:.2f} %" for name in gates},
    }
).reindex(gates)

# %% tags=["nbval-ignore-output"]
for name in ("no balancing", "importance and load"):
    chosen = trained[name, 0]["router"].predict(digits.x_validation, batch_size=500, verbose=0)[
        "indices"
    ]
    by_label = [load_of(chosen[digits.y_validation == label]) for label in range(10)]
    display(
        plots.heatmap(
            by_label,
            digits.class_names,
            [f"expert {e}" for e in range(NUM_EXPERTS)],
            f"Share of each label's choices, {name}, validation images",
            source=digits.label,
            row_label="label",
        )
    )

# %% [markdown]
# And the accuracy? Networks of one seed start from the same features and experts and see the same
# batches, so we may take the difference seed by seed.


# %% tags=["nbval-ignore-output"]
def gap_between(runs, one, other):
    """Mean and interval over the seeds of one accuracy minus the other, in points."""
    return mean_interval([runs[one, s]["accuracy"] - runs[other, s]["accuracy"] for s in SEEDS])


def idle_experts(run):
    return int((run["log"].shares[-1] < 0.01).sum())


idle_by_seed = [idle_experts(trained["no balancing", seed]) for seed in SEEDS]
guess.compare("experts without work, no balancing", ", ".join(map(str, idle_by_seed)))
cost = gap_between(trained, "importance and load", "no balancing")
in_points = "{:+.2f} [{:+.2f}, {:+.2f}]"
guess.compare("points that collapse costs", in_points.format(*cost))

# %% [markdown]
# Not much, if anything: look whether the interval holds 0. Digits are easy, and all experts share
# 256 features. If it holds 0, the experts that still work are enough, so far as three seeds can
# tell. The upper end of the interval is the cost that they do not rule out.
#
# When could collapse cost something? Perhaps when the experts that are left cannot hold what there
# is to learn. Take 32 shared features in place of 256, give each expert two hidden units in place
# of 128, ask one expert for each image, and train for two epochs in place of six. **Guess first.**
# How many points does collapse cost now? (Not marked.)

# %%
guess["points that collapse costs small experts"] = None  # a number

# %% tags=["nbval-ignore-output"]
SMALL = {"features": 32, "hidden": 2, "epochs": 2}
small = {
    (name, seed): train(f"{name}, small", noisy_gate(coefficient, k=1), seed, **SMALL)
    for name, coefficient in {"no balancing": 0, "importance and load": 0.1}.items()
    for seed in SEEDS
}
cost_if_small = gap_between(small, "importance and load", "no balancing")
guess.compare("points that collapse costs small experts", in_points.format(*cost_if_small))
plots.intervals(
    {"k = 2, 128 hidden units": cost, "k = 1, 2 hidden units": cost_if_small},
    f"Validation accuracy, balanced minus collapsed, {len(SEEDS)} seeds",
    source=digits.label,
    label="percentage points, with 95 % interval",
    reference=0,
)

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        f"{name}, seed {seed}": {
            "experts without work": str(idle_experts(run)),
            "largest load / mean load": f"{largest_load(run['router']):.2f}",
            "validation accuracy": f"{run['accuracy']:.2f} %",
        }
        for (name, seed), run in small.items()
    }
).T

# %% [markdown]
# Eight small experts, of which few are used, are a small network. The table says how many had no
# work, and which network is ahead with each seed. The interval may hold 0 even if the balanced one
# always is: with three seeds it is wide. Features, experts, k and epochs have all changed. So which
# of them makes collapse costly is not shown.
#
# Collapse wastes memory: idle experts are kept, and not used. It may cost accuracy too. How much
# depends on the network and its training.
#
# ## 5 Capacity
#
# On accelerators every expert gets the same amount of memory beforehand: a fixed number of slots,
#
# $$S = \Big\lceil \text{capacity factor} \cdot \frac{B k}{E} \Big\rceil.$$
#
# A choice that finds no slot left is **dropped**: the image does without that expert.
#
# **Exercise 5 (2 marks).** Write `dropped_share` with NumPy: the share of all choices that are
# dropped if every expert takes at most `slots`.

# %% exercise="dropped_share"

# %% [markdown]
# **Guess first.** At capacity factor 1 there are just as many slots as choices. The collapsed
# router fills those of two or three experts, and all other choices are dropped. The collapsed
# network was right on nearly all validation images. On how many per cent will it still be? (Not
# marked.)

# %%
guess["collapsed, capacity factor 1"] = None  # a number from 0 to 100

# %% tags=["nbval-ignore-output"]
batch = digits.x_validation[:500]
factors, dropped = (0.5, 1.0, 1.25, 1.5, 2.0, 4.0), {}
for name in ("no balancing", "importance and load"):
    indices = ops.convert_to_numpy(trained[name, 0]["router"](batch)["indices"])
    slots = [int(np.ceil(factor * indices.size / NUM_EXPERTS)) for factor in factors]
    dropped[name] = [100 * dropped_share(indices, NUM_EXPERTS, s) for s in slots]
plots.lines(
    {name: (factors, values) for name, values in dropped.items()},
    "Dropped choices, 500 validation images",
    source=digits.label,
    x_label="capacity factor",
    y_label="per cent of the choices",
)

# %% [markdown]
# To drop nothing, a collapsed router needs about three times the memory of a balanced one. The
# other way to compute (`dispatch="grouped"`, which `SparseMoE` uses by itself) hands each expert
# exactly the images that chose it. It drops nothing, whatever the load. What does dropping cost
# in accuracy?


# %%
def remixed(name, seed=0, **how):
    """The trained network with its mixture put together in another way, and the new mixture."""
    parts = trained[name, seed]
    other = SparseMoE(parts["mixture"].experts, **{"gate": parts["mixture"].gate, **how})
    return keras.Model(parts["features"].input, other(parts["features"].output)), other


def kept(name, mixture):
    """Which choices of 500 validation images an expert answers."""
    features = trained[name, 0]["features"].predict(batch, verbose=0)
    return ops.convert_to_numpy(mixture.route(features)["kept"])


# %% tags=["nbval-ignore-output"]
rows = {}
for name in ("no balancing", "importance and load"):
    for label, how in {
        "grouped": {"dispatch": "grouped"},
        "capacity, factor 1": {"dispatch": CapacityDispatcher(1.0)},
    }.items():
        network, mixture = remixed(name, **how)
        guesses = network.predict(digits.x_validation, batch_size=500, verbose=0).argmax(axis=1)
        rows[f"{name}, {label}"] = {
            "dropped": f"{1 - kept(name, mixture).mean():.1%}",
            "validation accuracy": f"{(guesses == digits.y_validation).mean():.2%}",
        }
guess.compare(
    "collapsed, capacity factor 1",
    rows["no balancing, capacity, factor 1"]["validation accuracy"].replace("%", " %"),
)
pd.DataFrame(rows).T

# %%
indices = ops.convert_to_numpy(trained["no balancing", 0]["router"](batch)["indices"])
_, by_capacity = remixed("no balancing", dispatch=CapacityDispatcher(1.0))
_, grouped = remixed("no balancing", dispatch="grouped")
slots = int(np.ceil(indices.size / NUM_EXPERTS))
counted_right = np.isclose(
    1 - kept("no balancing", by_capacity).mean(), dropped_share(indices, NUM_EXPERTS, slots)
)
nothing_dropped = bool(kept("no balancing", grouped).all())
print("the layer drops what dropped_share says:", bool(counted_right))
print("grouped drops nothing:", nothing_dropped)

# %% [markdown]
# ## 6 How many experts?
#
# Nothing in a trained mixture fixes k. Take the balanced network, trained with two experts for an
# image, and ask one, three, or all eight.
#
# **Guess first.** Which k gives the best validation accuracy? (Not marked.)


# %%
guess["best k, trained with 2"] = None  # a number from 1 to 8


# %% tags=["nbval-ignore-output"]
def asking(k, seed=0):
    """The trained gate with another k."""
    gate = NoisyTopKGate(NUM_EXPERTS, k)
    gate.build((None, FEATURES))
    gate.set_weights(trained["importance and load", seed]["mixture"].gate.get_weights())
    return gate


numbers, by_number = range(1, NUM_EXPERTS + 1), np.zeros((len(SEEDS), NUM_EXPERTS))
for seed in SEEDS:
    for k in numbers:
        network, _ = remixed("importance and load", seed, gate=asking(k, seed))
        said = network.predict(digits.x_validation, batch_size=500, verbose=0).argmax(axis=1)
        by_number[seed, k - 1] = 100 * (said == digits.y_validation).mean()
best_k = int(by_number.mean(axis=0).argmax()) + 1
guess.compare("best k, trained with 2", best_k)
more = {k: mean_interval(by_number[:, k - 1] - by_number[:, TOP_K - 1]) for k in numbers}
plots.intervals(
    {f"k = {k}, {k / TOP_K:g} times the work": more[k] for k in numbers if k != TOP_K},
    f"Validation accuracy minus that of k = 2, {len(SEEDS)} seeds",
    source=digits.label,
    label="percentage points, with 95 % interval",
    reference=0,
)

# %% tags=["nbval-ignore-output"]
differ = [k for k in numbers if more[k].low > 0 or more[k].high < 0]
print("k whose interval leaves out 0:", ", ".join(map(str, differ)) or "none")

# %% tags=["nbval-ignore-output"]
shown = [np.flatnonzero(digits.y_validation == label)[0] for label in (0, 1, 4, 7, 9)]
shown_features = trained["importance and load", 0]["features"].predict(
    digits.x_validation[shown], verbose=0
)


def experts_asked(k):
    """Five images, and under each the weights of the k experts asked."""
    answer = asking(k)(shown_features)
    indices, weights = route(answer["logits"], k)
    weights = np.sum(ops.one_hot(indices, NUM_EXPERTS) * ops.expand_dims(weights, -1), axis=1)
    return plots.routing(
        digits.x_validation[shown],
        weights,
        [f"expert {e}" for e in range(NUM_EXPERTS)],
        [digits.class_names[digits.y_validation[i]] for i in shown],
        f"Who is asked, k = {k}",
        source=digits.label,
    )


experts_asked(TOP_K)

# %% [markdown]
# Move k. (The slider needs a running notebook; the picture above stands for k = 2.) Whom would one
# more expert add, and with what weight?

# %% tags=["nbval-ignore-output"]
_ = interact(experts_asked, k=IntSlider(TOP_K, min=2, max=NUM_EXPERTS))

# %% [markdown]
# The experts were trained in pairs. Asked alone, one lacks its partner. And nobody trained the
# third and fourth expert of an image to be asked together. Does either show in the figure and the
# line under it? Read it as prices: so many times the work for so many points. Where an interval holds 0, three seeds show
# neither a loss nor a gain. Then the best k above is only the largest of eight means.
#
# ## 7 Dense or sparse?
#
# The dense mixture runs eight experts for each image, the sparse one two. Is it as good? Three
# seeds each, and now, once, the test set.

# %% tags=["nbval-ignore-output"]
right = {"dense, 8 of 8": [], "sparse, 2 of 8": []}
for label, name in zip(right, ("dense", "importance and load"), strict=True):
    for seed in SEEDS:
        said = trained[name, seed]["network"].predict(digits.x_test, batch_size=500, verbose=0)
        right[label].append(100 * (said.argmax(axis=1) == digits.y_test).mean())
results = {label: mean_interval(by_seed) for label, by_seed in right.items()}
dense_minus_sparse = mean_interval(np.subtract(*right.values()))
plots.intervals(
    results,
    f"Test accuracy, mean of {len(SEEDS)} seeds",
    source=digits.label,
    label="per cent, with 95 % interval",
)

# %% [markdown]
# These intervals say where each mean may lie. For the question which is better, take the difference
# seed by seed: it is printed below. If its interval holds 0, three seeds do not tell them apart.
#
# What does an image cost? We count the multiplications in the experts: 256 features times 128
# hidden units, then 128 times 10 classes.

# %% tags=["figures", "nbval-ignore-output"]
one_expert = FEATURES * HIDDEN + HIDDEN * 10
balanced_loads = [largest_load(trained["importance and load", seed]["router"]) for seed in SEEDS]
print(f"data: {digits.label}, {len(digits.y_test):,} test images")
for name, (mean, low, high) in results.items():
    print(f"{name}: {mean:.2f} % [{low:.2f}, {high:.2f}]")
print(f"dense minus sparse, seed by seed, points: {in_points.format(*dense_minus_sparse)}")
print(f"multiplications in experts: {NUM_EXPERTS * one_expert:,} and {TOP_K * one_expert:,}")
print(f"largest load over mean, without balancing: {loads['no balancing']:.2f}")
for name in ("importance and load", "Switch", "bias"):
    print(f"largest load over mean, {name}: {loads[name]:.2f}")
print(f"the same, importance and load, worst seed: {max(balanced_loads):.2f}")
print(f"collapse costs, points on validation: {in_points.format(*cost)}")
print(f"the same, small experts: {in_points.format(*cost_if_small)}")
small_gaps = [
    small["importance and load", s]["accuracy"] - small["no balancing", s]["accuracy"]
    for s in SEEDS
]
print(f"the same, small experts, the least of the seeds: {min(small_gaps):+.2f}")
print(f"k = 8 minus k = 2, points on validation: {in_points.format(*more[NUM_EXPERTS])}")
print(f"k = 1 minus k = 2, points on validation: {in_points.format(*more[1])}")

# %% tags=["verdicts"]
starts = []
for make_gate in gates.values():
    keras.utils.set_random_seed(0)
    starts.append(build(make_gate)["mixture"].experts.get_weights()[0])
print("with one seed all experts start alike:", all(np.array_equal(w, starts[0]) for w in starts))
print("the experts ran on k rows an image:", rows_run["run the chosen"] == TOP_K * 1000)
print("sparse gives what dense with zeros gives:", same_answers)
print("without balancing one expert gets over twice its share:", bool(loads["no balancing"] > 2))
small_loads = [largest_load(small["no balancing", seed]["router"]) for seed in SEEDS]
print(
    "so it does where experts are small, with every seed:",
    QUICK or min(small_loads) > 2,  # a quick run is too short to tell
)
print(
    "importance and load keep every load below 1.5 times the mean, with every seed:",
    max(balanced_loads) <= 1.5,
)
print(
    "each cure takes at least a third off the largest load:",
    all(loads[name] < loads["no balancing"] * 2 / 3 for name in ("Switch", "bias")),
)
print("grouped dispatch drops nothing:", nothing_dropped)

# %% [markdown]
# An expert may be any network. With convolutional ones, eight of them on feature maps that two
# convolutions make for all, and again two asked for each image, the same gate with the same two
# losses reaches 99.36 % [99.33, 99.39] on the test images (three seeds, largest load 1.13 times the
# mean). It is measured by `python -m benchmarks.cnn_experts`, in a checkout; the figures lie in
# `benchmarks/results/cnn_experts.csv`.
#
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** Why does a router without balancing collapse? Describe the circle, and say at
# which point each of the three cures breaks it.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-collapse", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# An expert that is chosen learns, one that is not does not. So the chosen ones become better, and
# the gate, which follows the loss, chooses them still more. The importance and load losses and
# Switch's loss make the gate pay for an uneven batch: they push the busy experts' probabilities
# down. The bias changes the choice only: idle experts are tried although their probability is
# smaller, and then learn.

# %% [markdown]
# **B (2 marks).** A colleague's "sparse" layer computes all experts and multiplies those not chosen
# by zero. Which of the experiments of this lab would show it? What is right about the layer, and
# what is lost?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-zeros", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Counting the rows that the experts see, or the clock against the number of experts. Its answers
# and gradients are right. But it costs E / k times too much, which is the whole point of a sparse
# mixture.

# %% [markdown]
# **C (2 marks).** Compare dense and sparse: accuracy with intervals, multiplications, parameters.
# When would you take which?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-choice", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Both have the same experts. The sparse mixture needs a quarter of the multiplications in them.
# Whether one is more accurate, the difference seed by seed tells: only if its interval leaves out 0,
# and then by so many hundredths of a point. That the two intervals of the means overlap says less.
# In the stored run it is +0.01 [-0.15, +0.18]: three seeds do not tell them apart.
# Where answering many images is what costs, sparse is the choice; where the network is small
# anyway, dense is simpler and needs no balancing.

# %% [markdown]
# A colleague measures how much faster the sparse mixture is.

# %% tags=["nbval-ignore-output"]
in_turn = {
    "dense": tf.function(
        DenseMoE(StackedMLP(NUM_EXPERTS, 128, units=10), SoftmaxGate(NUM_EXPERTS))
    ),
    "sparse": tf.function(
        SparseMoE(StackedMLP(NUM_EXPERTS, 128, units=10), TopKGate(NUM_EXPERTS, top_k=TOP_K))
    ),
}
print("the sparse mixture works, its answers have shape", tuple(in_turn["sparse"](pixels).shape))
took = {}
for name in ("dense", "sparse"):
    started = time.perf_counter()
    in_turn[name](pixels)
    took[name] = time.perf_counter() - started
print(f"dense {1000 * took['dense']:.0f} ms, sparse {1000 * took['sparse']:.0f} ms")
print(f"So sparse computing is {took['dense'] / took['sparse']:.0f} times as fast.")

# %% [markdown]
# **D (2 marks).** This program runs. What is wrong with its conclusion, and which line would you
# change? (How many times less work do two of eight experts have?)

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The first call of a `tf.function` traces the network and builds it; that takes far longer than
# to run it. The line that prints the shape has called the sparse mixture before the clock starts,
# the dense one pays for its tracing in its measured time. Two of eight experts are a quarter of
# the work, so a factor well above 4 should make one suspicious. Call both once before measuring
# (put `in_turn[name](pixels)` before `started = ...`), and take the best or the median of several
# runs, as `seconds_for` does in section 2.

# %% [markdown]
# **E (3 marks).** Design an experiment. How much balancing is enough? The coefficient 0.1 was
# chosen for you. Before you run anything, write down: what varies, what stays fixed, what you
# measure and on which images, and which result would make you change your mind about 0.1. Then
# run it in the next cell, with more seeds and epochs than there, and say in two sentences what
# came out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-experiment", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# One answer. *Varies*: the coefficient of both losses, 0, 0.001, 0.01, 0.1 and 1, nothing else.
# *Fixed*: images, network, k, epochs, learning rate, and the seeds 0, 1 and 2, so that each
# coefficient starts from the same weights and sees the same batches. *Measured*, on the
# validation images: largest load over mean load, and accuracy, each as a difference to 0.1 seed
# by seed, with its interval. *I would change my mind* if a smaller coefficient kept all loads
# below 1.5 with every seed and were more accurate by more than the interval, or if 1 were no less
# accurate than 0.1: then 0.1 is no special number. If 0.001 leaves experts idle and 1 costs
# accuracy, I keep 0.1.
#
# Marking: 1 for one thing that varies and all else fixed, the seeds too; 1 for a measure on
# validation (not test) images with several seeds and their spread; 1 for a result, named before the
# run, that would refute the expectation, and a conclusion that keeps to what came out. A small
# effect within its interval, called small, is worth as much as a large one.

# %% tags=["nbval-ignore-output"]
# Your experiment: change what varies, and what stays.
MY_COEFFICIENTS, MY_SEEDS = (0.001, 0.1), (0,)
MY_SETTING = {"features": 32, "hidden": 2, "epochs": 1}
mine = {}
for coefficient in MY_COEFFICIENTS:
    for seed in MY_SEEDS:
        make_gate = noisy_gate(coefficient, k=1)
        run = train(f"coefficient {coefficient}", make_gate, seed, **MY_SETTING)
        mine[f"{coefficient}, seed {seed}"] = {
            "largest load / mean load": f"{largest_load(run['router']):.2f}",
            "validation accuracy": f"{run['accuracy']:.2f} %",
        }
pd.DataFrame(mine).T

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab05)

# %% [markdown]
# ## To read on
#
# - Shazeer et al. (2017), *Outrageously large neural networks: the sparsely-gated
#   mixture-of-experts layer*: noisy top-k, importance and load.
# - Fedus, Zoph and Shazeer (2021), *Switch Transformers*: k = 1, the balance loss, capacity.
# - Lepikhin et al. (2020), *GShard*: capacity and dropped tokens on many machines.
# - Wang et al. (2024), *Auxiliary-loss-free load balancing strategy for mixture-of-experts*: the
#   bias.
# - Gale et al. (2022), *MegaBlocks*: sparse computing without dropping.
