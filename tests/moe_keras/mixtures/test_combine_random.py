"""`combine` against NumPy's einsum, for shapes and values that hypothesis chooses."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from moe_keras.mixtures import combine

sizes = st.integers(1, 4)


@settings(deadline=None, max_examples=40)
@given(
    weighed=st.lists(sizes, min_size=1, max_size=3),
    further=st.lists(sizes, max_size=2),
    experts=sizes,
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_einsum(weighed, further, experts, seed):
    random = np.random.default_rng(seed)
    weights = random.dirichlet(np.ones(experts), size=weighed).astype("float32")
    outputs = random.normal(size=(experts, *weighed, *further)).astype("float32")
    axes, rest = "abc"[: len(weighed)], "yz"[: len(further)]
    expected = np.einsum(f"{axes}e,e{axes}{rest}->{axes}{rest}", weights, outputs)
    got = ops.convert_to_numpy(combine(weights, list(outputs)))
    np.testing.assert_allclose(got, expected, atol=1e-5)
