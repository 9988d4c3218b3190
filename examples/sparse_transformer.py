"""
Title: A language model with sparse experts
Description: A small decoder over bytes whose feed-forward layers are sparse mixtures of experts.
Backends: TensorFlow, JAX, PyTorch (set KERAS_BACKEND)

    python examples/sparse_transformer.py            minutes on a laptop
    python examples/sparse_transformer.py --short    seconds, to see that it runs
"""

"""
## Setup

The text is Python's own standard library, as it lies on your computer.
"""

import argparse
import sysconfig
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

import moe_keras
from moe_keras.experts import StackedMLP

parser = argparse.ArgumentParser()
parser.add_argument("--short", action="store_true")
SHORT = parser.parse_args().short

LENGTH, FEATURES, HEADS, BLOCKS = 64, 64, 4, 2
NUM_EXPERTS, TOP_K, HIDDEN = 8, 2, 64
STEPS, BATCH = (5, 8) if SHORT else (1000, 64)


def read(files):
    return np.concatenate([np.frombuffer(file.read_bytes(), "uint8") for file in files]) % 128


files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[: 8 if SHORT else 120]
held_out, text = read(files[::10]), read([f for i, f in enumerate(files) if i % 10])


def windows(text, number, seed):
    starts = np.random.default_rng(seed).integers(len(text) - LENGTH - 1, size=number)
    rows = text[starts[:, None] + np.arange(LENGTH + 1)].astype("int32")
    return rows[:, :-1], rows[:, 1:]


"""
## A block

The mixture stands where a feed-forward layer would, inside the residual connection. Each byte goes
to 2 of 8 experts; a bias on the gate's scores, moved after each step, keeps their load even without
a loss (`BiasBalancedGate`). `StackedMLP` keeps the experts' weights of one kind in one tensor.
"""


def block(x, feed):
    seen = layers.LayerNormalization()(x)
    attention = layers.MultiHeadAttention(HEADS, FEATURES // HEADS)
    x = x + attention(seen, seen, use_causal_mask=True)
    return x + feed(layers.LayerNormalization()(x))


def dense():
    """The rival of the same cost: one feed-forward layer, as wide as the experts of a byte."""
    return keras.Sequential([layers.Dense(TOP_K * HIDDEN, "relu"), layers.Dense(FEATURES)])


def sparse():
    gate = moe_keras.BiasBalancedGate(NUM_EXPERTS, TOP_K)
    return moe_keras.SparseMoE(StackedMLP(NUM_EXPERTS, HIDDEN), gate)


def network(feed):
    window = keras.Input((LENGTH,), dtype="int32")
    places = ops.zeros_like(window) + ops.arange(LENGTH)
    x = layers.Embedding(128, FEATURES)(window) + layers.Embedding(LENGTH, FEATURES)(places)
    for _ in range(BLOCKS):
        x = block(x, feed())
    return keras.Model(window, layers.Dense(128)(layers.LayerNormalization()(x)))


"""
## Training

A loss in nats, divided by ln 2, is in bits: so many bits a byte would take if it were compressed
with this model.
"""

for feed in (dense, sparse):
    keras.utils.set_random_seed(0)
    model = network(feed)
    model.compile(
        keras.optimizers.AdamW(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(*windows(text, STEPS * BATCH, seed=0), batch_size=BATCH, epochs=1, verbose=2)
    loss = model.evaluate(*windows(held_out, 4 * BATCH, seed=1), batch_size=BATCH, verbose=0)
    bits, size = loss / np.log(2), model.count_params()
    print(f"{feed.__name__}: {bits:.3f} bits a byte, {size:,} parameters")

"""
Lab 10 takes this apart: which expert takes which bytes, what balance does, three seeds, intervals.
"""
