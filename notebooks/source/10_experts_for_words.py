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
#     outcomes: put experts into a small language model; route each token to its own expert and keep
#       all of them busy; see what an expert of a language model is an expert for, and what it is
#       worth
#     serves:
#       - [windows, causal_attention, block]
#       - [route, new_bias, question-bias]
#       - [bits_per_byte, question-experts, question-worth, question-fault]
#     variant:
#       # Which modules are held out.
#       seed:
#         - "FIRST_HELD_OUT = 0"
#         - "FIRST_HELD_OUT = 1"
#         - "FIRST_HELD_OUT = 2"
#         - "FIRST_HELD_OUT = 3"
# ---

# %% [markdown]
# # Lab 10: experts for words
#
# The largest language models of today are sparse mixtures: in each block, every token, a word or a
# piece of one, goes to a few experts of many. Here you build a very small one. It reads Python
# code, byte by byte, and learns to foretell the next byte. Every machine with Python has the text:
# the source of Python's own standard library.
#
# **After this lab you can**
#
# - write the parts of a decoder: causal attention, residuals, and experts in place of the
#   feed-forward layer;
# - route tokens, and keep the experts busy without a loss, by a bias;
# - show what the experts of a language model divide among themselves, and what they gain.
#
# **Time:** 6 minutes of computing on two CPU cores; two hours with the exercises.
#
# **Builds on:** lab 05 (top-k routing, balance). You should have heard of attention; the cells
# below say what is needed.
#
# **How it works.** There are six exercises, worth 14 marks. Each is a function with a `TODO`; the
# cell below it checks your answer by calling it. Stuck? Run, say, `lab10.route.hint()` in a new
# cell, up to three times. If an answer is missing or wrong, the lab goes on with a reference
# answer, so you can always run on. The four questions at the end, worth 9 marks, your lecturer
# reads. Where it says **Guess first**, write down what you expect; the lab shows it beside what
# comes out. Guesses are not marked.

# %%
import io
import keyword
import os
import platform
import sysconfig
import tokenize
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops

from moe_keras import plots
from moe_keras.evaluation import mean_interval
from moe_keras.experts import StackedMLP
from moe_keras.gates import Gate, TopKGate
from moe_keras.mixtures import SparseMoE
from moe_keras.training import TriangularSchedule
from moe_labs.exercises import Guesses, lab10, summary

# Automatic tests set this to see the same steps on less text.
QUICK = os.environ.get("MOE_KERAS_LAB") == "quick"
SEEDS = (0,) if QUICK else (0, 1, 2)
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")  # its hints on speed are not for this lab
guess = Guesses()

# The exercises; each is None, not attempted, until its cell has run.
windows = causal_attention = block = route = new_bias = bits_per_byte = None

# %% [markdown]
# ## 1 The text
#
# We read the modules below, each in one file. Every sixth is held out for validation, and the one
# after it for the test: whole files. Some of their lines stand in the training files too, mostly
# common ones such as `import os`. Other versions of Python have slightly other texts, and so slightly
# other figures.
#
# You may read texts of your own: set `FOLDER` to a folder of `.py` or `.txt` files.

# %% tags=["nbval-ignore-output"]
FOLDER = None  # or Path("my_texts")
FIRST_HELD_OUT = 0
MODULES = """
argparse ast base64 bdb bisect calendar cmd codecs collections/__init__ configparser contextlib copy
csv dataclasses datetime decimal difflib dis doctest enum fileinput fnmatch fractions ftplib
functools getopt gettext glob gzip hashlib heapq hmac html/parser http/client http/server inspect
ipaddress json/decoder json/encoder locale logging/__init__ mailbox mimetypes netrc numbers operator
optparse pathlib pdb pickle pickletools platform plistlib poplib posixpath pprint profile pstats
queue random reprlib sched selectors shelve shlex shutil smtplib socket socketserver ssl statistics
string subprocess tarfile tempfile textwrap threading timeit tokenize trace traceback types typing
unittest/case unittest/mock urllib/parse urllib/request uuid warnings wave weakref webbrowser
xmlrpc/client zipapp
"""


def read_texts():
    """Each file's name and its text: letters outside ASCII become question marks."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = {name: library / f"{name}.py" for name in MODULES.split()}
    if FOLDER is not None:
        files = {path.stem: path for path in sorted(Path(FOLDER).glob("*")) if path.is_file()}
    return {
        name: path.read_text("utf-8").encode("ascii", "replace")
        for name, path in files.items()
        if path.is_file()  # some versions of Python have a module as a folder
    }


texts = {name: np.frombuffer(text, "uint8") for name, text in read_texts().items()}
SOURCE = f"standard library of Python {platform.python_version()}"
names = list(texts)
validation = names[FIRST_HELD_OUT::6]
test = names[FIRST_HELD_OUT + 1 :: 6]
kept = [name for name in names if name not in {*validation, *test}]
training_text = np.concatenate([texts[name] for name in kept])
print(f"training: {len(kept)} files, {len(training_text):,} bytes")
for what, held_out in {"validation": validation, "test": test}.items():
    print(f"{what}: {len(held_out)} files, {sum(len(texts[name]) for name in held_out):,} bytes")
print(bytes(training_text[:200]).decode())

# %% [markdown]
# The network gets windows of 64 bytes, and for each byte of a window it must give the probability of
# every byte that could come next. So the targets are the same text, one byte further on.
#
# **Exercise 1 (2 marks).** Write `windows`: inputs and targets, both of shape (N, length), for
# windows of a text that begin at `starts`.

# %% exercise="windows"

# %%
inputs, targets = windows(texts[names[0]], np.array([0, 10]), 12)
for row in range(2):
    print(repr(bytes(inputs[row].tolist())), "->", repr(bytes(targets[row].tolist())))

# %% [markdown]
# ## 2 A decoder
#
# **Attention** is how a token looks at others. Each token $t$ makes a query $q_t$, a key $k_t$ and a
# value $v_t$ of its features. It compares its query with the keys of the tokens up to itself, and
# takes a weighted sum of their values:
#
# $$y_t = \sum_{s \le t} a_{ts}\, v_s, \qquad
# a_{ts} = \frac{e^{q_t \cdot k_s / \sqrt D}}{\sum_{r \le t} e^{q_t \cdot k_r / \sqrt D}}.$$
#
# It is **causal**: nothing that comes after $t$ has a part in it. Otherwise the network could copy
# the byte that it should foretell.
#
# **Exercise 2 (3 marks).** Write `causal_attention` with `keras.ops`; queries, keys and values have
# shape (B, T, D).

# %% exercise="causal_attention"

# %% [markdown]
# A **block** has two parts, attention and a feed-forward layer, each of which sees its input
# normalised. What a part gives is *added* to what was there, a **residual**: a part only has to
# say what should change.
#
# $$x \leftarrow x + \text{attend}(\text{norm}_1(x)), \qquad x \leftarrow x + \text{feed}(\text{norm}_2(x)).$$
#
# **Exercise 3 (2 marks).** Write `block`.

# %% exercise="block"

# %% [markdown]
# Here is the whole network. At the door each byte gets features, its place in the window is added,
# and a convolution over four bytes joins it with the three before it: a cheap way to see beginnings
# of words. Then come two blocks. Attention has four heads, which are four small attentions side by
# side. What stands at `feed` is what this lab is about.

# %%
LENGTH, FEATURES, HEADS, BLOCKS, BYTES = 64, 64, 4, 2, 128


class Attention(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inward = layers.Dense(3 * FEATURES, use_bias=False)
        self.outward = layers.Dense(FEATURES, use_bias=False)

    def build(self, shape):
        self.inward.build(shape)
        self.outward.build(shape)

    def call(self, x):
        length = x.shape[1]
        # Heads are put beside the batch: each is an attention of its own.
        x = ops.reshape(self.inward(x), (-1, length, 3, HEADS, FEATURES // HEADS))
        x = ops.reshape(ops.transpose(x, (2, 0, 3, 1, 4)), (3, -1, length, FEATURES // HEADS))
        y = causal_attention(x[0], x[1], x[2])
        y = ops.transpose(ops.reshape(y, (-1, HEADS, length, FEATURES // HEADS)), (0, 2, 1, 3))
        return self.outward(ops.reshape(y, (-1, length, FEATURES)))


class Block(layers.Layer):
    def __init__(self, feed, **kwargs):
        super().__init__(**kwargs)
        self.norm_1, self.norm_2 = layers.LayerNormalization(), layers.LayerNormalization()
        self.attend, self.feed = Attention(), feed

    def build(self, shape):
        for part in (self.norm_1, self.norm_2, self.attend, self.feed):
            part.build(shape)

    def call(self, x):
        return block(x, self.norm_1, self.attend, self.norm_2, self.feed)

    def experts_of(self, x):
        """Which expert each token of x goes to first, (B, T)."""
        seen = self.norm_2(x + self.attend(self.norm_1(x)))
        return self.feed.route(seen)["indices"][..., 0]


class Door(layers.Layer):
    """Bytes (B, T) to features (B, T, D)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.letters = layers.Embedding(BYTES, FEATURES)
        self.places = layers.Embedding(LENGTH, FEATURES)
        self.join = layers.Conv1D(FEATURES, 4, padding="causal")

    def build(self, shape):
        self.letters.build(shape)
        self.places.build(shape)
        self.join.build((None, None, FEATURES))

    def call(self, x):
        features = self.letters(x) + self.places(ops.arange(x.shape[1]))
        return features + self.join(features)


def build(make_feed):
    """A network, windows (B, T) to logits (B, T, 128), with two blocks around new `feed` layers."""
    window = keras.Input((LENGTH,), dtype="int32")
    x = Door()(window)
    for _ in range(BLOCKS):
        x = Block(make_feed())(x)
    return keras.Model(window, layers.Dense(BYTES)(layers.LayerNormalization()(x)))


def feed_forward(hidden):
    """The usual feed-forward layer: a hidden layer, and back to the features."""
    return keras.Sequential([layers.Dense(hidden, activation="relu"), layers.Dense(FEATURES)])


# %% [markdown]
# Does it look ahead? Change the last byte of a window. The logits of the bytes before must stay.

# %%
network = build(lambda: feed_forward(32))
one, other = np.full((2, 1, LENGTH), 65, "int32")
other[0, -1] = 66
before, after = (network.predict(window, verbose=0)[0] for window in (one, other))
looks_back = np.allclose(before[:-1], after[:-1], atol=1e-5) and not np.allclose(before, after)
print("no token looks ahead:", looks_back)

# %% [markdown]
# ## 3 Experts instead of one feed-forward layer
#
# A gate gives each token a logit for each expert. As in lab 05, the softmax makes probabilities $p$
# of them, and the $k$ best experts are asked. But "best" gets a small correction here, a **bias**
# $b_e$ for each expert:
#
# $$i_1, \dots, i_k = \text{the } k \text{ largest of } p + b, \qquad
# w_j = \frac{p_{i_j}}{\sum_l p_{i_l}} \quad (k = 1: w_1 = p_{i_1}).$$
#
# The bias decides *who is asked*. It has no part in the weights.
#
# **Exercise 4 (3 marks).** Write `route` for logits of shape (B, T, E).

# %% exercise="route"

# %% [markdown]
# The bias is not trained. After each batch, count how often each expert was chosen. Who was chosen
# more often than the mean gets a lower bias, who was chosen less often a higher one, always by the
# same small step:
#
# $$b_e \leftarrow b_e + \text{rate} \cdot \text{sign}(\bar c - c_e).$$
#
# Wang and others proposed it in 2024; DeepSeek-V3 balances its 256 experts so.
#
# **Exercise 5 (2 marks).** Write `new_bias`; `indices` have shape (B, T, k).

# %% exercise="new_bias"

# %% [markdown]
# Your two functions make a gate. The mixture around it is the package's `SparseMoE`: it runs each
# expert on the tokens that chose it. One more expert is **shared**: every token passes it, so that
# the others need not all learn what every token needs.

# %%
NUM_EXPERTS, TOP_K, HIDDEN, RATE = 8, 1, 128, 0.003


class BiasGate(Gate):
    def __init__(self, num_experts, k, **kwargs):
        super().__init__(**kwargs)
        self.num_experts, self.k = num_experts, k
        self.dense = layers.Dense(num_experts, use_bias=False, dtype=self.dtype_policy)

    def build(self, shape):
        self.dense.build(shape)
        self.bias = self.add_weight(
            shape=(self.num_experts,), initializer="zeros", trainable=False, name="bias"
        )

    def call(self, x, training=None):
        logits = self.dense(x)
        indices, weights = route(logits, ops.convert_to_tensor(self.bias), self.k)
        if training:
            self.bias.assign(new_bias(ops.convert_to_tensor(self.bias), indices, RATE))
        return {
            "logits": logits,
            "probabilities": ops.softmax(logits),
            "indices": indices,
            "weights": weights,
        }


def sparse(gate=None):
    """Eight experts of 128 hidden units, one for each token, and a shared one."""
    return SparseMoE(
        StackedMLP(NUM_EXPERTS, HIDDEN),
        gate or BiasGate(NUM_EXPERTS, TOP_K),
        shared_experts=[feed_forward(HIDDEN)],
    )


# %% [markdown]
# The rivals: a feed-forward layer of 256 units computes as much for a token as the shared expert and
# one of the eight. One of 1,152 units has as many parameters as all nine.

# %%
KINDS = {
    "dense, same cost": lambda: feed_forward(2 * HIDDEN),
    "dense, same parameters": lambda: feed_forward((NUM_EXPERTS + 1) * HIDDEN),
    "sparse, 1 of 8 and a shared one": sparse,
}
multiplications = {
    "dense, same cost": 2 * FEATURES * 2 * HIDDEN,
    "dense, same parameters": 2 * FEATURES * (NUM_EXPERTS + 1) * HIDDEN,
    "sparse, 1 of 8 and a shared one": 2 * FEATURES * 2 * HIDDEN + FEATURES * NUM_EXPERTS,
}
pd.DataFrame(
    {
        name: {
            "parameters of the network": build(make_feed).count_params(),
            "multiplications of a token in one feed-forward layer": multiplications[name],
        }
        for name, make_feed in KINDS.items()
    }
).T

# %% [markdown]
# ## 4 Bits
#
# How good is a network that foretells? Count how many **bits** its probabilities would need to
# store the text: $-\log_2 p$ for a byte that got the probability $p$. A byte that was certain costs
# nothing, and 8 bits is what a byte takes in a file.
#
# **Exercise 6 (2 marks).** Write `bits_per_byte`, the mean over all bytes.

# %% exercise="bits_per_byte"

# %%
STEPS, BATCH, RATE_OF_ADAM = (40, 16, 0.01) if QUICK else (600, 32, 0.01)


def batches(steps, seed):
    """Windows that begin anywhere in the training text, BATCH for each step."""
    starts = np.random.default_rng(seed).integers(
        len(training_text) - LENGTH - 1, size=steps * BATCH
    )
    return windows(training_text, starts, LENGTH)


def held_out_windows(name, most=64):
    """Windows of a held-out file, spread over it, none over another."""
    text = texts[name]
    starts = np.arange(0, len(text) - LENGTH - 1, LENGTH)
    return windows(text, starts[:: max(1, len(starts) // most)][:most], LENGTH)


def bits_of(network, names):
    """Bits per byte of each of these files, as an array."""
    held_out = [held_out_windows(name) for name in names]
    logits = network.predict(np.concatenate([x for x, _ in held_out]), batch_size=256, verbose=0)
    ends = np.cumsum([len(x) for x, _ in held_out])[:-1]
    pieces = zip(np.split(logits, ends), held_out, strict=True)
    return np.array([float(bits_per_byte(piece, y)) for piece, (_, y) in pieces])


def train(network, steps, seed, rate=RATE_OF_ADAM):
    """Train a network on new windows, and give it back."""
    network.compile(
        keras.optimizers.Adam(TriangularSchedule(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=5,
    )
    x, y = batches(steps, seed)
    network.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    return network


counts = np.bincount(training_text, minlength=BYTES) + 1
by_frequency = np.log(counts / counts.sum())
x, y = held_out_windows(validation[0])
alike = np.broadcast_to(by_frequency, (*y.shape, BYTES)).astype("float32")
print(f"bits per byte of a network that knows nothing: {bits_per_byte(0 * alike, y):.2f}")
print(f"of one that knows how frequent each byte is: {bits_per_byte(alike, y):.2f}")

# %% [markdown]
# ## 5 Who is busy?
#
# **Guess first.** A gate that nobody balances: what share of the tokens goes to the busiest of the
# eight experts of the first block? An even share is 12.5 %.

# %%
guess["share of the busiest expert, nobody balances"] = None  # per cent, from 12.5 to 100

# %% [markdown]
# **Guess first.** The next cell also trains the three networks of section 3, each for as many steps,
# and prints their bits. Which needs the fewest on validation? Section 7 looks at it more closely.

# %%
guess["fewest bits"] = None  # "dense, same cost", "dense, same parameters" or "sparse"

# %% tags=["nbval-ignore-output"]
validation_windows = np.concatenate([held_out_windows(name)[0] for name in validation])


def experts_of(network, x, number=0):
    """The first expert of each token, in one of the network's blocks: (N, T)."""
    block_layer = [layer for layer in network.layers if isinstance(layer, Block)][number]
    inward = keras.Model(network.input, block_layer.input)
    return ops.convert_to_numpy(block_layer.experts_of(inward.predict(x, verbose=0)))


def load_of(network):
    """What share of the validation text each expert of the first block takes."""
    experts = experts_of(network, validation_windows[::3])
    return np.bincount(experts.ravel(), minlength=NUM_EXPERTS) / experts.size


trained, bits = {}, {}
gates = {
    "nobody balances": lambda: TopKGate(NUM_EXPERTS, top_k=TOP_K),
    "a loss balances": lambda: TopKGate(NUM_EXPERTS, top_k=TOP_K, balance_loss=0.01),
}
for name, make_gate in gates.items():
    keras.utils.set_random_seed(0)
    trained[name] = train(build(lambda make_gate=make_gate: sparse(make_gate())), STEPS, seed=0)
for name, make_feed in KINDS.items():
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        trained[name, seed] = train(build(make_feed), STEPS, seed)
        bits[name, seed] = bits_of(trained[name, seed], validation)
        print(f"{name}, seed {seed}: {bits[name, seed].mean():.3f} bits per byte on validation")
trained["a bias balances"] = trained["sparse, 1 of 8 and a shared one", 0]

# %% tags=["nbval-ignore-output"]
balances = ("nobody balances", "a loss balances", "a bias balances")
load = {name: load_of(trained[name]) for name in balances}
busiest = {name: f"{share.max():.0%}" for name, share in load.items()}
display(
    plots.heatmap(
        np.stack([load[name] for name in balances]),
        balances,
        [f"expert {e}" for e in range(NUM_EXPERTS)],
        "Share of the validation text that each expert takes, first block, seed 0",
        source=SOURCE,
        form="{:.0%}",
    )
)
for name in balances:
    print(f"{name}: {bits_of(trained[name], validation).mean():.3f} bits per byte")
guess.compare("share of the busiest expert, nobody balances", busiest["nobody balances"])

# %% [markdown]
# Compare the three rows, and then the three numbers below them: how even the shares are is one
# question, how well the network foretells another. One seed each, so small differences say little.
#
# ## 6 What is an expert an expert for?
#
# **Guess first.** Name one kind of bytes that you expect to find at one expert, nearly all of them:
# blanks, digits, letters of keywords, ...

# %%
guess["kind of bytes with the most loyal expert"] = None  # "blanks", "digits", "keywords", ...

# %% [markdown]
# The picture shows a piece of a held-out file. The color of each byte, and the small number below
# it, say which expert of the first block took it.

# %% tags=["nbval-ignore-output"]
mixture = trained["a bias balances"]


def in_color(network, name, rows=14, start=0, number=0):
    """A piece of a file, each byte on the color of its expert."""
    x, _ = windows(texts[name], start + LENGTH * np.arange(rows), LENGTH)
    experts = experts_of(network, x, number)
    shown = ["".join(chr(b) if b >= 32 else " " for b in row) for row in x]
    return plots.colored_text(
        shown,
        experts,
        [f"expert {e}" for e in range(NUM_EXPERTS)],
        f"Which expert takes which byte of {name}, block {number + 1} (line ends shown as blanks)",
        source=SOURCE,
    )


in_color(mixture, validation[1], start=2048)

# %% [markdown]
# Python itself can tell what each byte is part of: its module `tokenize` cuts code into keywords,
# names, numbers, strings and so on.

# %% tags=["nbval-ignore-output"]
PARTS = ["blanks", "keywords", "names", "digits", "strings", "comments", "operators"]


def parts_of(text):
    """For each byte of some code, what it is part of: a number of PARTS."""
    code = bytes(text).decode("ascii")
    begins = np.cumsum([0, *(len(line) for line in io.StringIO(code))])
    parts = np.zeros(len(code), int)  # what no token covers is blank
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "NAME":
            part = "keywords" if keyword.iskeyword(token.string) else "names"
        elif kind.startswith("FSTRING"):  # since Python 3.12
            part = "strings"
        else:
            part = {"NUMBER": "digits", "STRING": "strings", "COMMENT": "comments"}.get(
                kind, "operators" if kind == "OP" else "blanks"
            )
        begin, end = (begins[min(r, len(begins)) - 1] + c for r, c in (token.start, token.end))
        parts[begin:end] = PARTS.index(part)
    return parts


def counts_of_parts(network, names, number=0):
    """Table (parts, experts): how many bytes of each part an expert takes."""
    table = np.zeros((len(PARTS), NUM_EXPERTS), int)
    for name in names:
        starts = np.arange(0, len(texts[name]) - LENGTH, LENGTH)
        starts = starts[:: max(1, len(starts) // 64)][:64]  # spread over the file
        x, _ = windows(texts[name], starts, LENGTH)
        parts = parts_of(texts[name])[starts[:, None] + np.arange(LENGTH)]
        np.add.at(table, (parts.ravel(), experts_of(network, x, number).ravel()), 1)
    return table


def shares(counts, axis):
    """Counts as shares of their sum over an axis; where nothing was counted, 0."""
    return counts / np.maximum(counts.sum(axis=axis, keepdims=True), 1)


try:
    tables = [counts_of_parts(mixture, validation, number) for number in range(BLOCKS)]
except (tokenize.TokenError, SyntaxError, IndexError):
    tables = []  # a text of yours that is no Python code
for number, table in enumerate(tables):
    display(
        plots.heatmap(
            shares(table, axis=1),
            [f"{part} ({n:,})" for part, n in zip(PARTS, table.sum(axis=1), strict=True)],
            [f"expert {e}" for e in range(NUM_EXPERTS)],
            f"Share of the bytes of each kind that an expert takes, block {number + 1}",
            source=SOURCE,
            row_label="kind (bytes)",
            form="{:.0%}",
        )
    )
if tables:
    by_kind = shares(tables[0], axis=1)
    loyal = int(by_kind.max(axis=1).argmax())
    guess.compare(
        "kind of bytes with the most loyal expert",
        f"{PARTS[loyal]}, {by_kind[loyal].max():.0%} of them at one expert of block 1",
    )

# %% [markdown]
# A cell near 100 % says that nearly all bytes of a kind go to one expert. It does not say that the
# expert has little else to do: some kinds are rare. So turn the question round: what are the bytes
# that an expert takes?

# %% tags=["nbval-ignore-output"]
if tables:
    display(
        plots.heatmap(
            shares(tables[0], axis=0).T,
            [f"expert {e} ({n:,})" for e, n in enumerate(tables[0].sum(axis=0))],
            PARTS,
            "What an expert's bytes are, block 1",
            source=SOURCE,
            row_label="expert (bytes)",
            form="{:.0%}",
        )
    )

# %% [markdown]
# Is an expert of one kind alone? Then its row has a cell near 100 %. And do the rows of the first
# picture for keywords and for names differ? Both are made of the same letters. Whether there is a
# topic, neither picture can show.
#
# ## 7 Is it worth it?
#
# Three networks, trained for as many steps: here is what you guessed in section 5.

# %% tags=["nbval-ignore-output"]
mean_bits = {name: mean_interval([bits[name, seed].mean() for seed in SEEDS]) for name in KINDS}
display(
    plots.intervals(
        mean_bits,
        f"Validation, mean of {len(SEEDS)} seeds: fewer bits are better",
        source=SOURCE,
        label="bits per byte, with 95 % interval",
    )
)
first, second = sorted(KINDS, key=lambda name: mean_bits[name].mean)[:2]
ahead = mean_interval([bits[second, s].mean() - bits[first, s].mean() for s in SEEDS])
print(f"{second} minus {first}, seed by seed: {ahead.mean:.3f} [{ahead.low:.3f}, {ahead.high:.3f}]")
guess.compare(
    "fewest bits",
    first if ahead.low > 0 else f"{first}, but too near to {second} to tell",
)

# %% [markdown]
# ## 8 From one feed-forward layer to experts
#
# Large mixtures are often not trained from nothing. **Upcycling** takes a trained dense network and
# copies its feed-forward layer into each of several experts (Komatsuzaki and others, 2022). With
# $k = 2$ the weights of a token sum to 1, and all experts say the same: at the start the new network
# gives exactly what the old one gave. Only then do the experts part ways. The rival is the dense
# network itself, trained on for as many steps.

# %% tags=["nbval-ignore-output"]
COPIES, MORE_STEPS = 4, STEPS // 3


def upcycled(dense_network):
    """A network with COPIES of each feed-forward layer as experts, two for each token."""
    network = build(lambda: SparseMoE(StackedMLP(COPIES, 2 * HIDDEN), BiasGate(COPIES, 2)))
    for old, new in zip(dense_network.layers, network.layers, strict=True):
        if not isinstance(new, Block):
            new.set_weights(old.get_weights())
            continue
        for part in ("norm_1", "norm_2", "attend"):
            getattr(new, part).set_weights(getattr(old, part).get_weights())
        names = ("kernel_1", "bias_1", "kernel_2", "bias_2")
        for name, value in zip(names, old.feed.get_weights(), strict=True):
            variable = getattr(new.feed.experts, name)
            variable.assign(np.broadcast_to(value, (COPIES, *value.shape)).reshape(variable.shape))
    return network


dense = trained["dense, same cost", 0]
grown = upcycled(dense)
x = validation_windows[:50]
starts_equal = np.allclose(grown.predict(x, verbose=0), dense.predict(x, verbose=0), atol=1e-3)
print("the upcycled network starts with the dense one's outputs:", starts_equal)

# %% tags=["nbval-ignore-output"]
rival = build(KINDS["dense, same cost"])
rival.set_weights(dense.get_weights())
at_first = bits_of(dense, validation).mean()
grown_on = {}
for name, network in {"experts from copies": grown, "the dense one, trained on": rival}.items():
    grown_on[name] = bits_of(train(network, MORE_STEPS, seed=10, rate=RATE_OF_ADAM / 3), validation)
    print(f"{name}: {at_first:.3f} -> {grown_on[name].mean():.3f} bits per byte on validation")
difference = mean_interval(grown_on["the dense one, trained on"] - grown_on["experts from copies"])
print(
    f"saved by the copies: {difference.mean:.3f} [{difference.low:.3f}, {difference.high:.3f}], "
    f"interval over {len(validation)} files, one training each"
)

# %% [markdown]
# The copies have more weights to learn with, and cost a token twice as much in the feed-forward
# layers.
#
# ## 9 Let it write
#
# Give the network a beginning, draw the next byte from its probabilities, add it, and so on.
# Dividing the logits by a **temperature** below 1 makes likely bytes likelier.

# %% tags=["nbval-ignore-output"]


def write(network, beginning, length=300, temperature=0.6, seed=0):
    """Text that the network writes after a beginning."""
    rng = np.random.default_rng(seed)
    foretell = tf.function(network)
    text = list(beginning.encode("ascii"))
    for _ in range(length):
        seen = text[-LENGTH:]
        window = np.zeros((1, LENGTH), "int32")  # what comes after the text has no part in it
        window[0, : len(seen)] = seen
        logits = np.asarray(foretell(window))[0, len(seen) - 1].astype("float64") / temperature
        powers = np.exp(logits - logits.max())
        text.append(int(rng.choice(BYTES, p=powers / powers.sum())))
    return bytes(text).decode("ascii")


print(write(mixture, "def read", length=30 if QUICK else 300))

# %% [markdown]
# It has learned the look of Python: indents, keywords, brackets, names that sound like names. It has
# no idea what the code does.
#
# ## 10 The test, once

# %% tags=["nbval-ignore-output"]
test_bits = {key: bits_of(trained[key], test) for key in bits}
by_file = {name: np.mean([test_bits[name, seed] for seed in SEEDS], axis=0) for name in KINDS}
saved = {
    f"against {name}": mean_interval(by_file[name] - by_file["sparse, 1 of 8 and a shared one"])
    for name in ("dense, same cost", "dense, same parameters")
}
plots.intervals(
    saved,
    f"Bits per byte that the sparse network saves, {len(test)} test files",
    source=SOURCE,
    label="bits per byte, 95 % interval over files",
    reference=0,
)

# %% tags=["figures", "nbval-ignore-output"]
print(f"data: {SOURCE}, {len(test)} test files")
for name in KINDS:
    mean, low, high = mean_interval([test_bits[name, seed].mean() for seed in SEEDS])
    print(f"{name}: {mean:.3f} bits per byte [{low:.3f}, {high:.3f}]")
for name, (mean, low, high) in saved.items():
    print(f"saved {name}: {mean:.3f} [{low:.3f}, {high:.3f}]")
for name in balances:
    print(f"share of the busiest expert, {name}: {busiest[name]}")
print(f"saved by upcycling: {difference.mean:.3f} [{difference.low:.3f}, {difference.high:.3f}]")

# %% tags=["verdicts"]
print("no token looks ahead:", looks_back)
print("the upcycled network starts with the dense one's outputs:", starts_equal)
print(
    "a bias keeps the busiest expert below the one that nobody balances:",
    bool(load["a bias balances"].max() < load["nobody balances"].max()),
)

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, with figures from your own run. Your lecturer reads them.
#
# **A (3 marks).** What are the experts experts for? Name two cells of the tables of section 6 that
# support you, and one that does not.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-experts", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# As in the stored run; other runs give other figures. In block 1 nearly all digits go to expert 5,
# and nearly half of the blanks to expert 0, whose bytes are 86 % blanks: that one is an expert for
# blanks. But expert 5 is none for digits: they are 1 % of its bytes, as they are rare. Names,
# keywords, strings and comments are spread over at least six experts each. In block 2 not even
# digits are at one expert. Whether there are topics, no table shows.

# %% [markdown]
# **B (2 marks).** Why does the bias decide who is asked, and has no part in the weights? What would
# happen to the output, and to the gradients, if it had?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-bias", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Its task is to spread tokens, not to say how good an expert is for one. In the weights it would
# change the output at each step for a reason that has nothing to do with the text, and the network
# would learn against it. So the gradients stay those of the task alone, unlike with a balance loss,
# which pulls the gate away from what is best for the text.

# %% [markdown]
# **C (2 marks).** Is the sparse network better than both rivals? Say for each what was equal and what
# was not, and read the intervals.

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-worth", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Against the dense one of equal cost the parameters are not equal: the sparse one has more, and if
# the interval lies above 0, it makes use of them at the same number of multiplications. Against the
# one of equal parameters the cost is not equal: that one multiplies more than four times as much in
# its feed-forward layers. All saw the same text for as many steps. An interval that spans 0 does not
# tell which is better. The files' interval leaves out what another seed changes; the interval of
# three seeds shows it. So in the stored run: over the test files the sparse one saves 0.012
# [0.003, 0.020] against the one of equal parameters, but seed by seed, on validation, 0.005
# [-0.058, 0.069]. Three seeds cannot tell these two apart.

# %% [markdown]
# **D (2 marks).** A colleague's network foretells better than all of ours after a third of the
# training. The program runs. What is wrong with the conclusion, and which line would you change?

# %% tags=["nbval-ignore-output"]
keras.utils.set_random_seed(0)
window = keras.Input((LENGTH,), dtype="int32")
x = Door()(window)
for _ in range(BLOCKS):
    seen = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(HEADS, FEATURES // HEADS)(seen, seen)
    x = x + feed_forward(2 * HIDDEN)(layers.LayerNormalization()(x))
colleague = keras.Model(window, layers.Dense(BYTES)(layers.LayerNormalization()(x)))
found = bits_of(train(colleague, STEPS // 3, seed=0), validation).mean()
print(f"the colleague's network: {found:.3f} bits per byte on validation")

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-fault", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# The attention is not causal: each token sees the next one, which is its target, so the network need
# only copy. `(seen, seen, use_causal_mask=True)` mends it. Section 2's test, which changes the last
# byte, would have shown it, and so would letting it write: there is nothing to copy from then.

# %% [markdown]
# ## Your progress
#
# What the checks say so far. Run the cell again after a change.

# %%
summary(lab10)

# %% [markdown]
# ## To read on
#
# - Vaswani et al. (2017), *Attention is all you need*: the decoder.
# - Fedus, Zoph and Shazeer (2021), *Switch Transformers*: one expert for each token.
# - Dai et al. (2024), *DeepSeekMoE*: many small experts, and shared ones.
# - Wang et al. (2024), *Auxiliary-loss-free load balancing strategy for mixture-of-experts*: the
#   bias.
# - Komatsuzaki et al. (2022), *Sparse upcycling*: experts from a dense network.
# - Jiang et al. (2024), *Mixtral of experts*, section 5: what experts of a large model divide among
#   themselves.
