"""Mistakes that public code on mixtures of experts makes. Each test says what is wrong with one,
works it out, and holds ours to the right value."""

import keras
import numpy as np
import pytest
from gradients import Held, Probe
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate

from moe_keras.experts import Expert, FrozenExpert
from moe_keras.gates import (
    GroupGate,
    LabelGuidedGate,
    NoisyTopKGate,
    PerClassGate,
    SoftmaxGate,
    TopKGate,
)
from moe_keras.losses import gate_entropy, load_balancing_loss, load_loss
from moe_keras.mixtures import CapacityDispatcher, DenseMoE, SparseMoE
from moe_keras.mixtures.dispatchers.capacity import num_slots

DISPATCHERS = ["grouped", CapacityDispatcher(2.0), "dense"]


def softmax(logits, axis=-1):
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def powers_of_10(num_experts):
    """Experts that multiply by 1, 10, 100, ..."""
    return [keras.layers.Rescaling(10.0**e) for e in range(num_experts)]


def random_kernels(gate, features=3):
    gate.build((None, features))
    rng = np.random.default_rng(0)
    for weight in gate.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return gate


# Dispatch


def test_slot_0_is_used():
    """A running count includes its own token: the first in the queue gets place 1, not 0. Compared
    with a capacity of S, that leaves slot 0 empty and drops one token too many an expert."""
    chosen = np.array([0, 0, 1])
    one_hot = np.eye(2)[chosen]
    inclusive = (np.cumsum(one_hot, axis=0) * one_hot).sum(axis=1)
    assert (inclusive < 1).sum() == 0  # capacity 1, and nobody is let in
    assert (inclusive - 1 < 1).sum() == 2

    gate = GivenGate(chosen[:, None], 2)
    mixture = SparseMoE(powers_of_10(2), gate, dispatch=CapacityDispatcher(2 / 3))
    assert num_slots(num_tokens=3, k=1, num_experts=2, factor=2 / 3) == 1
    outputs = to_numpy(mixture(np.array([[1.0], [2.0], [3.0]], "float32")))
    assert outputs[:, 0].tolist() == [1.0, 0.0, 30.0]  # expert 0: token 1; expert 1: token 3


@pytest.mark.parametrize("num_tokens", [1, 3, 10])
def test_capacity_is_never_more_than_there_are_tokens(num_tokens):
    """No expert can be chosen by more than T tokens; slots above that are padding that costs
    memory, and make a `top_k` over the tokens fail."""
    assert num_slots(num_tokens, k=2, num_experts=2, factor=100.0) == num_tokens


@pytest.mark.parametrize("dispatch", DISPATCHERS)
def test_the_gate_is_applied_once(dispatch):
    """Weights multiplied in at dispatch and again in the combine enter squared."""
    right, twice = 0.25 * 1 + 0.75 * 10, 0.25**2 * 1 + 0.75**2 * 10
    assert right != twice
    gate = GivenGate([[0, 1]], 2, [[0.25, 0.75]])
    mixture = SparseMoE(powers_of_10(2), gate, dispatch=dispatch)
    assert to_numpy(mixture(np.ones((1, 1), "float32"))).item() == pytest.approx(right)


def test_the_weight_is_on_the_answer_not_on_the_question():
    """Scaling an expert's input by the weight is the same for a linear expert alone."""
    square = keras.layers.Activation(ops.square)
    gate = GivenGate([[0]], 1, [[0.5]])
    answer = to_numpy(SparseMoE([square], gate)(np.full((1, 1), 4.0, "float32"))).item()
    assert answer == 0.5 * 4.0**2 != (0.5 * 4.0) ** 2


@pytest.mark.parametrize("dispatch", DISPATCHERS)
def test_an_empty_expert_leaves_batch_statistics_alone(rng, dispatch):
    """Mean and variance of no rows are NaN, and from then on so is the moving average."""
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        assert np.isnan(np.empty((0, 2)).mean(axis=0)).all()
    experts = [keras.layers.BatchNormalization(), keras.layers.BatchNormalization()]
    mixture = SparseMoE(experts, GivenGate([[0]] * 4, 2), dispatch=dispatch)
    tokens = rng.normal(size=(4, 2)).astype("float32")
    assert np.isfinite(to_numpy(mixture(tokens, training=True))).all()
    for expert in experts:
        assert all(np.isfinite(to_numpy(weight)).all() for weight in expert.weights)


@pytest.mark.parametrize("dispatch", DISPATCHERS)
def test_a_partial_last_batch_is_evaluated_too(rng, dispatch):
    """Batches of a fixed size leave the last samples out: 10 in batches of 4 become 8."""
    mixture = SparseMoE(
        [keras.layers.Dense(1), keras.layers.Dense(1)],
        random_kernels(TopKGate(2, top_k=1)),
        dispatch=dispatch,
    )
    model = keras.Sequential([keras.Input((3,)), mixture])
    model.compile(loss="mse")
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 1))
    in_parts = model.evaluate(x, y, batch_size=4, verbose=0)
    assert in_parts == pytest.approx(model.evaluate(x, y, batch_size=10, verbose=0), rel=1e-5)
    assert in_parts != pytest.approx(model.evaluate(x[:8], y[:8], verbose=0), rel=1e-5)
    assert model.predict(x, batch_size=4, verbose=0).shape == (10, 1)


def test_sparse_runs_only_who_was_chosen():
    """Every expert run and multiplied by 0 costs as much as a dense mixture, and a NaN of an expert
    that nobody chose comes through: 0 times NaN is NaN."""
    assert np.isnan(0 * np.nan)
    experts = [keras.layers.Rescaling(1.0), keras.layers.Rescaling(np.nan)]
    mixture = SparseMoE(experts, GivenGate([[0], [0]], 2), dispatch="grouped")
    assert to_numpy(mixture(np.ones((2, 1), "float32"))).tolist() == [[1.0], [1.0]]


# Gates


def slope_of_the_gate(weight_of, logits):
    """How far one step of gradient descent moves the logits, the task being the weight itself."""
    held = Held(logits)
    probe = Probe(held, lambda held: ops.sum(weight_of(held.array.value)))
    probe.compile(optimizer=keras.optimizers.SGD(1.0), jit_compile=False)
    probe.fit(np.zeros((1, 1)), verbose=0)
    return np.abs(logits - to_numpy(held.array)).max()


def test_the_softmax_comes_before_top_1():
    """The softmax of one number is 1, whatever the number: the router learns nothing."""
    logits = np.array([[0.5, 1.5, -0.5]])
    assert slope_of_the_gate(lambda x: ops.softmax(ops.top_k(x, 1)[0]), logits) == 0
    assert slope_of_the_gate(lambda x: ops.top_k(ops.softmax(x), 1)[0], logits) > 0.1
    gate = random_kernels(TopKGate(3, top_k=1))
    tensors = gate(np.ones((1, 3), "float32"))
    weight, largest = to_numpy(tensors["weights"]).item(), to_numpy(tensors["probabilities"]).max()
    assert weight == pytest.approx(largest) and weight < 1


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_no_expert_twice(rng, top_k):
    """k draws of the best, or of a distribution, may be the same expert: less than k answer, and
    with ties a mask by `probabilities >= k-th largest` chooses more than k."""
    tied = np.full((1, 4), 0.25)
    assert (tied >= np.sort(tied)[:, -top_k]).sum() == 4
    for inputs in (np.zeros((6, 3), "float32"), rng.normal(size=(6, 3)).astype("float32")):
        indices = to_numpy(random_kernels(TopKGate(4, top_k))(inputs)["indices"])
        assert all(len(set(row)) == top_k for row in indices.tolist())


def test_the_same_expert_instance_twice_is_refused():
    """`[expert] * E` is one expert with E places: it looks like a mixture and learns as one."""
    expert = keras.layers.Dense(2)
    for mixture, gate in ((DenseMoE, SoftmaxGate(2)), (SparseMoE, TopKGate(2, top_k=1))):
        with pytest.raises(ValueError, match="Expected different experts"):
            mixture([expert] * 2, gate)


def test_no_noise_and_no_losses_in_evaluation(rng):
    """Noise is for exploring in training. Left on, the same input gets another answer each time;
    auxiliary losses left on make the validation loss another thing than the task's."""
    gates = [
        NoisyTopKGate(4, top_k=2, importance_loss=1.0, load_loss=1.0, seed=0),
        TopKGate(4, top_k=2, jitter=0.5, balance_loss=1.0, z_loss=1.0, seed=0),
    ]
    x = rng.normal(size=(8, 3)).astype("float32")
    for gate in map(random_kernels, gates):
        noisy = [to_numpy(gate(x, training=True)["logits"]) for _ in range(2)]
        assert not np.array_equal(*noisy)
        assert len(gate.losses) > 0
        quiet = [to_numpy(gate(x, training=False)["logits"]) for _ in range(2)]
        assert np.array_equal(*quiet)


def test_evaluation_reports_the_loss_of_the_task_alone(rng):
    """Labels or balance that steer the gate have no part in what a model is judged by."""
    gate = random_kernels(TopKGate(2, top_k=1, balance_loss=100.0))
    model = keras.Sequential(
        [keras.Input((3,)), SparseMoE([keras.layers.Dense(1) for _ in "ab"], gate)]
    )
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.0))
    x, y = rng.normal(size=(8, 3)).astype("float32"), np.zeros((8, 1), "float32")
    task = np.square(model.predict(x, verbose=0)).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(task, rel=1e-5)
    history = model.fit(x, y, verbose=0).history["loss"][0]
    assert history > task + 50  # where there is something to steer, the balance counts: about 100


def test_masking_with_minus_infinity_makes_no_nan():
    """A softmax of nothing but -inf is NaN, and so is 0 log 0. We choose first and then take the
    softmax of the chosen alone: logits far apart stay finite."""
    with np.errstate(invalid="ignore"):
        assert np.isnan(softmax(np.full((1, 3), -np.inf))).all()
    gate = TopKGate(3, top_k=2)
    gate.build((None, 1))
    gate.trainable_weights[0].assign([[0.0, -1e4, -2e4]])  # probabilities 1, 0 and 0
    tensors = gate(np.ones((1, 1), "float32"))
    assert to_numpy(tensors["weights"]).tolist() == [[1.0, 0.0]]
    assert float(gate_entropy(tensors["probabilities"])) == 0


def test_the_softmax_is_over_the_experts_of_each_class(rng):
    """One softmax over all classes x experts: a class's weights no longer sum to 1."""
    logits = rng.normal(size=(1, 10, 2))
    over_all = softmax(logits.reshape(1, 20)).reshape(1, 10, 2)
    assert over_all.sum(axis=-1).max() < 0.9
    weights = to_numpy(PerClassGate(10, 2)(np.ones((1, 3), "float32"))["probabilities"])
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)


def test_the_groups_are_in_the_order_of_the_experts():
    """Labels that say natural = 0 and a switch that reads column 0 as artificial: each image goes
    to the expert that does not know it."""
    classifier = keras.layers.Identity()  # says: natural (class 0) with 0.9
    probabilities = np.array([[0.9, 0.1]], "float32")
    for hard in (False, True):
        weights = to_numpy(
            GroupGate(classifier, [[0], [1]], hard=hard)(probabilities)["probabilities"]
        )
        swapped = GroupGate(classifier, [[1], [0]], hard=hard)(probabilities)["probabilities"]
        assert weights.argmax() == 0 and to_numpy(swapped).argmax() == 1


def test_each_label_steers_to_its_own_expert():
    """A guidance that is the base rate for every label gives all labels one gradient: it guides
    nothing. And a label given at inference leaks the answer."""
    gate = LabelGuidedGate(SoftmaxGate(2), [[1.0, 0.0], [0.0, 1.0]])
    x = np.ones((1, 3), "float32")
    losses = []
    for label in (0, 1):
        gate(x, np.array([label]), training=True)
        losses.append(float(gate.losses[0]))
        quiet = to_numpy(gate(x, np.array([label]), training=False)["probabilities"])
        assert np.array_equal(quiet, to_numpy(gate(x)["probabilities"]))
        assert gate.losses == []
    p = quiet[0]
    assert losses == pytest.approx([-np.log(p[0]), -np.log(p[1])], rel=1e-4)


# Losses


def test_the_load_is_of_logits():
    """Shazeer's load asks for the chance that logits plus noise pass a threshold of noisy logits.
    Probabilities lie within [0, 1], so that a sure router looks like one that is in two minds."""
    logits, scale = np.array([[8.0, -8.0]]), np.ones((1, 2))
    right = float(load_loss(logits, logits, scale, top_k=1))
    wrong = float(load_loss(softmax(logits), softmax(logits), scale, top_k=1))
    assert right == pytest.approx(1)  # all for one of two: E - 1
    assert wrong == pytest.approx(((0.841345 - 0.5) / 0.5) ** 2, rel=1e-3)  # Phi(1), Phi(-1)


def test_the_load_needs_the_noise_scale():
    """With more noise, the expert that is out has more of a chance."""
    logits = np.array([[1.0, -1.0]])
    loads = [float(load_loss(logits, logits, np.full((1, 2), s), top_k=1)) for s in (0.5, 1, 2, 4)]
    assert loads == sorted(loads, reverse=True) and loads[-1] < loads[0] / 4


def test_padding_is_no_load():
    """A mask used for attention alone lets padding choose experts, and the balance counts it."""
    probabilities, indices = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]]), [[0], [1], [0]]
    mask = np.array([True, True, False])
    leaked = float(load_balancing_loss(probabilities, np.array(indices)))
    kept = float(load_balancing_loss(probabilities, np.array(indices), mask))
    # 2 (2/3 1.9/3 + 1/3 1.1/3), and even without the third token: 2 (1/2 1/2 + 1/2 1/2)
    assert leaked == pytest.approx(2 * (2 * 1.9 + 1.1) / 9) and kept == pytest.approx(1)


def test_less_entropy_is_a_surer_gate():
    """Added with the wrong sign, a term meant to make the gate decide makes it hesitate."""
    assert 0 <= float(gate_entropy([[0.99, 0.01]])) < float(gate_entropy([[0.5, 0.5]]))


# Experts


def test_frozen_means_that_nothing_moves(rng):
    """`trainable = False` on the outside only, or dropout and batch statistics left in training
    mode: the baseline moves while the mixture on top of it is trained."""
    base = keras.Sequential(
        [keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    )
    model = keras.Sequential([keras.Input((3,)), FrozenExpert(base), keras.layers.Dense(1)])
    model.trainable = True
    before = [to_numpy(weight) for weight in base.weights]
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(1.0))
    model.fit(rng.normal(3.0, size=(8, 3)), np.ones((8, 1)), verbose=0)
    for old, new in zip(before, base.weights, strict=True):
        assert np.array_equal(old, to_numpy(new))
    x = rng.normal(size=(4, 3)).astype("float32")
    assert np.array_equal(
        to_numpy(model.layers[0](x, training=True)), to_numpy(base(x, training=False))
    )


def test_every_expert_learns():
    """Experts in a plain list or made in `call` are not tracked: they never train."""
    experts = [Expert(keras.layers.Dense(1)) for _ in range(4)]
    for mixture in (DenseMoE(experts[:2], SoftmaxGate(2)), SparseMoE(experts[2:], TopKGate(2, 1))):
        mixture(np.ones((2, 3), "float32"))
        held = {id(weight) for weight in mixture.trainable_weights}
        for expert in mixture.experts:
            assert {id(weight) for weight in expert.trainable_weights} <= held
