"""Inputs of the tests. Each array has a seed of its own, so it is the same whichever tests ran
before, and nobody can write into what others read."""

import numpy as np


def normal(*shape, seed):
    array = np.random.default_rng(seed).normal(size=shape).astype("float32")
    array.setflags(write=False)
    return array


ROWS = normal(6, 5, seed=0)  # (B, D)
TOKENS = normal(3, 4, 5, seed=1)  # (B, T, D)
