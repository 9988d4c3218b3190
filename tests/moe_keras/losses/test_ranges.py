"""Losses and metrics of a router over scales, dtypes, empty batches and shapes that do not fit."""

import keras
import numpy as np
import pytest
from gradients import Held, output_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from layer_contract import to_numpy
from scipy.special import ndtr

from moe_keras import losses
from moe_keras.metrics import DroppedShare, ExpertLoad, LoadVariation, RouterEntropy

DTYPES = ("float16", "bfloat16", "float32", "float64")
SCALES = [10.0**power for power in range(-6, 7)]


def variation_squared(totals):
    return totals.var() / totals.mean() ** 2


def expected_load(logits, noisy, scale, k=1):
    chances = np.zeros_like(logits)
    for t, e in np.ndindex(logits.shape):
        threshold = np.sort(np.delete(noisy[t], e))[-k]
        chances[t, e] = ndtr((logits[t, e] - threshold) / scale[t, e])
    return variation_squared(chances.sum(axis=0))


def log_sum_exp(x):
    most = x.max(axis=-1, keepdims=True)
    return (most + np.log(np.exp(x - most).sum(axis=-1, keepdims=True)))[..., 0]


def information(p, labels):
    joint = np.stack([p[labels == c].sum(axis=0) for c in range(2)]) / p.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return (joint * np.log(joint / apart)).sum()


LABELS = np.array([0, 1, 1, 0])
INDICES = np.array([[0], [1], [0], [2]])
COUNTS = np.array([2, 1, 1]) / 4
# Each takes draws (4, 3) from 0.1 to 1 times a scale: the loss, and what it should be in float64.
CASES = {
    "balance": (
        lambda x: losses.load_balancing_loss(x, INDICES),
        lambda x: 3 * (COUNTS * x.mean(axis=0)).sum(),
    ),
    "importance": (losses.importance_loss, lambda x: variation_squared(x.sum(axis=0))),
    "load": (
        lambda x: losses.load_loss(x, ops.flip(x, axis=0), x + x, top_k=1),
        lambda x: expected_load(x, x[::-1], x + x),
    ),
    "z": (losses.router_z_loss, lambda x: (log_sum_exp(x) ** 2).mean()),
    "entropy": (losses.gate_entropy, lambda x: -(x * np.log(x)).sum(axis=-1).mean()),
    "guidance": (
        lambda x: losses.guidance_loss(LABELS, x, np.eye(2, 3)),
        lambda x: (log_sum_exp(x) - x[np.arange(4), LABELS]).mean(),
    ),
    "information": (
        lambda x: losses.mutual_information(x, LABELS, 2),
        lambda x: information(x, LABELS),
    ),
    "cooperative": (
        lambda x: losses.cooperative_loss(x[:, :2], [x[:, :1], x[:, 1:2]], 0 * x[:, :1]),
        lambda x: ((softmax(x[:, :2]) * x[:, :2]).sum(axis=1) ** 2).mean(),
    ),
    "competitive": (
        lambda x: losses.mixture_nll(x[:, :2], [x[:, :1], x[:, 1:2]], 0 * x[:, :1]),
        lambda x: (log_sum_exp(x[:, :2]) - log_sum_exp(x[:, :2] - x[:, :2] ** 2 / 2)).mean(),
    ),
}


def softmax(x):
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=12, deadline=None)
@given(scale=st.sampled_from(SCALES), seed=st.integers(0, 99))
def test_a_loss_is_right_at_every_scale_in_every_dtype(case, dtype, scale, seed):
    loss, expected = CASES[case]
    drawn = np.random.default_rng(seed).uniform(0.1, 1, size=(4, 3)) * scale
    x = ops.cast(drawn, dtype)
    exact = to_numpy(ops.cast(x, "float64")).astype("float64")  # what the dtype makes of it
    if not np.isfinite(exact).all() or (dtype == "float16" and scale < 1e-5):
        return  # float16 ends at 65,504, and has few digits left near its smallest number
    found = loss(x)
    assert keras.backend.standardize_dtype(found.dtype) in ("float32", "float64")
    # Of what is within rounding of 0 there is no relative error.
    rounding = 2e-7 if case == "competitive" else 1e-6 * min(scale, 1)
    assert float(found) == pytest.approx(expected(exact), rel=2e-3, abs=rounding)


@pytest.mark.parametrize("dtype", DTYPES)
def test_certainty_is_certain_in_every_dtype(dtype):
    sure = ops.cast([[1, 0], [0, 1]], dtype)
    assert float(losses.gate_entropy(sure)) == 0
    assert float(losses.mutual_information(sure, [0, 1], 2)) == pytest.approx(np.log(2))
    assert float(losses.importance_loss(ops.zeros((2, 2), dtype))) == 0


def test_whole_numbers_are_weighed_as_floats():
    sure = np.array([[1, 0], [1, 0]])
    assert float(losses.gate_entropy(sure)) == 0
    assert float(losses.importance_loss(sure)) == 1
    assert float(losses.load_balancing_loss(sure, [[0], [0]])) == 2
    logits = np.array([[3, -1]])
    assert float(losses.router_z_loss(logits)) == pytest.approx(np.log(np.exp(3) + 1 / np.e) ** 2)
    assert float(losses.cooperative_loss([[0, 0]], [np.array([[1]]), np.array([[2]])], [[0]])) == (
        2.25
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-30, 1e-6, 1.0, 255.0, 1e6])
def test_load_is_finite_where_there_is_no_noise(size, dtype):
    if dtype == "float16" and size > 1e4:
        return
    logits = np.array([[1, 1, 0, 0], [2, 1, 0, -1], [0, 0, 0, 0]]) * size
    for scale in (0.0, 1e-38, 1e-20, 1e-7, 1e30):
        if dtype == "float16" and scale == 1e-7:
            continue  # a gradient in proportion to 1 / scale is beyond float16
        held = [Held(np.asarray(a, "float32")) for a in (logits, np.full_like(logits, scale))]

        def compute(held=held):
            clean, noise = (ops.cast(h.array.value, dtype) for h in held)
            loss = losses.load_loss(clean, clean, noise, top_k=1)
            return loss, loss

        for found in output_and_gradients(compute, [h.array for h in held]):
            assert np.isfinite(to_numpy(found).astype("float64")).all(), (size, scale)


def test_without_noise_the_load_is_a_count():
    # First choices: 0, 0, 2, so counts (2, 0, 1): mean 1, variance 2/3.
    logits = np.array([[3.0, 1, 0], [9, 5, 2], [0, 1, 7]])
    assert float(losses.load_loss(logits, logits, 0 * logits, top_k=1)) == pytest.approx(2 / 3)


NOTHING = {
    "balance": lambda x: losses.load_balancing_loss(x, ops.zeros((0, 1), "int32")),
    "importance": losses.importance_loss,
    "load": lambda x: losses.load_loss(x, x, x, top_k=1),
    "z": losses.router_z_loss,
    "entropy": losses.gate_entropy,
    "guidance": lambda x: losses.guidance_loss(ops.zeros((0,), "int32"), x, np.eye(3)),
    "information": lambda x: losses.mutual_information(x, ops.zeros((0,), "int32"), 3),
    "cooperative": lambda x: losses.cooperative_loss(x, [x] * 3, x),
    "competitive": lambda x: losses.mixture_nll(x, [x] * 3, x),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_costs_nothing_and_teaches_nothing(name):
    kernel = Held(np.ones((2, 3), "float32"))

    def compute():
        loss = NOTHING[name](ops.matmul(ops.zeros((0, 2)), ops.cast(kernel.array.value, "float32")))
        return loss, loss

    loss, gradient = output_and_gradients(compute, [kernel.array])
    assert float(to_numpy(loss)) == 0
    np.testing.assert_array_equal(to_numpy(gradient), np.zeros((2, 3)))


@pytest.mark.parametrize("make", [lambda: ExpertLoad(3), lambda: LoadVariation(3), RouterEntropy])
def test_a_metric_of_nothing_is_0(make):
    metric = make()
    of_choices = isinstance(metric, ExpertLoad)
    metric.update_state(np.zeros((0, 2), int) if of_choices else np.zeros((0, 3), "float32"))
    assert not to_numpy(metric.result()).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_metrics_count_on_in_16_bits(dtype):
    load = ExpertLoad(2, dtype=dtype)
    for _ in range(3):
        load.update_state(np.zeros((2048, 1), int))
    load.update_state([[1]])
    np.testing.assert_array_equal(to_numpy(load.counts), [6144, 1])
    entropy = RouterEntropy(dtype=dtype)
    entropy.update_state(ops.cast([[1.0, 0.0]], dtype))
    assert float(entropy.result()) == 0


P = np.full((4, 2), 0.5, "float32")
CHOICES = np.zeros((4, 1), int)
ODD = {
    "mask of a balance": lambda: losses.load_balancing_loss(P, CHOICES, np.ones((4, 1), bool)),
    "row as a mask": lambda: losses.importance_loss(P, np.ones((1, 4), bool)),
    "one mask for all": lambda: losses.router_z_loss(P, np.ones(1, bool)),
    "indices of one token": lambda: losses.load_balancing_loss(P, CHOICES[:1]),
    "indices without k": lambda: losses.load_balancing_loss(P, CHOICES[:, 0]),
    "scale of an expert": lambda: losses.load_loss(P, P, P[:, :1], 1),
    "noisy logits of a token": lambda: losses.load_loss(P, P[:1], P, 1),
    "labels in a column": lambda: losses.guidance_loss(CHOICES, P, np.eye(2)),
    "matrix of one expert": lambda: losses.guidance_loss(CHOICES[:, 0], P, np.ones((2, 1))),
    "labels of information": lambda: losses.mutual_information(P, CHOICES, 2),
    "targets in a row": lambda: losses.cooperative_loss(P, [P, P], P[:1]),
    "one output a batch": lambda: losses.mixture_nll(P, [P, P[:1]], P),
    "logits of one row": lambda: losses.mixture_nll(P[:1], [P, P], P),
    "too few outputs": lambda: losses.cooperative_loss(P, [P], P),
    "weights of choices": lambda: ExpertLoad(2).update_state(CHOICES, np.ones((4, 1))),
    "weights of tokens": lambda: RouterEntropy().update_state(P, np.ones((4, 1))),
    "weights of kept": lambda: DroppedShare().update_state(CHOICES == 0, np.ones(4)),
}


@pytest.mark.parametrize("name", ODD)
def test_what_would_broadcast_is_refused(name):
    with pytest.raises(ValueError, match=r"(?s)Expected .* of .*shape.* Received: "):
        ODD[name]()


@pytest.mark.parametrize("odd", [-1, 3, 99, -(2**31)])
def test_a_label_out_of_range_is_left_out_everywhere(odd):
    logits = np.log([[0.2, 0.8], [0.6, 0.4]]).astype("float32")
    loss = losses.guidance_loss([odd, 0], logits, [[1, 0], [0, 1], [1, 0]])
    assert float(loss) == pytest.approx(-np.log(0.6), rel=1e-6)
    assert float(losses.guidance_loss([odd, odd], logits, np.eye(2))) == 0
    one = losses.mutual_information(np.eye(2), [0, 1], 3)
    two = losses.mutual_information(np.eye(3, 2), [0, 1, odd], 3)
    assert float(one) == pytest.approx(float(two))
    load = ExpertLoad(3)
    load.update_state([[odd, 1]])
    assert to_numpy(load.result()).tolist() == [0, 1, 0]
