import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from keras import ops
from layer_contract import run_layer_contract, to_numpy
from sparse_gate import Answers, GivenGate, PlainTopKGate

from moe_keras.experts import Expert, FrozenExpert, StackedMLP
from moe_keras.gates import SoftmaxGate
from moe_keras.metrics import DroppedShare
from moe_keras.mixtures import CapacityDispatcher, SparseMoE

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)
# Compiled by JAX, "grouped" computes densely: what it does as such is seen there as it runs.
JAX = keras.backend.backend() == "jax"
DISPATCHERS = ["auto", "grouped", CapacityDispatcher(9.0), "dense"]  # slots for all


def dense(units=3, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def mixed_experts():
    network = keras.Sequential([dense(4, activation="tanh"), keras.layers.Dropout(0.5), dense()])
    return [dense(), Expert(dense()), network]


def one_by_one(inputs):
    """The mixture's output by a loop over tokens and choices, in NumPy."""

    def expected(mixture):
        answer = mixture.gate(inputs)
        tokens = inputs.reshape(-1, inputs.shape[-1])
        outputs = [to_numpy(expert(tokens)) for expert in mixture.experts]
        indices, weights = (to_numpy(answer[name]) for name in ("indices", "weights"))
        k, units = indices.shape[-1], outputs[0].shape[-1]
        output = np.zeros((len(tokens), units))
        chosen = zip(indices.reshape(-1, k), weights.reshape(-1, k), strict=True)
        for t, (experts, shares) in enumerate(chosen):
            for expert, share in zip(experts, shares, strict=True):
                output[t] += share * outputs[expert][t]
        return output.reshape(*inputs.shape[:-1], units)

    return expected


@pytest.mark.parametrize(("inputs", "mask"), [(ROWS, None), (TOKENS, MASK)], ids=["rows", "tokens"])
@pytest.mark.parametrize("dispatch", DISPATCHERS)
def test_contract(dispatch, inputs, mask):
    # Dense layers: 1 + 1 + 2 of 2 weights each; the gate's 2.
    run_layer_contract(
        lambda: SparseMoE(mixed_experts(), PlainTopKGate(3, k=2), dispatch=dispatch),
        inputs,
        expected_output=one_by_one(inputs),
        trainable=10,
        mask=mask,
    )


@pytest.mark.parametrize("dispatch", ["auto", "blocked"])
def test_contract_of_a_stack(dispatch):
    run_layer_contract(
        lambda: SparseMoE(
            StackedMLP(3, intermediate_dim=4, units=3, activation="tanh"),
            PlainTopKGate(3, k=2),
            dispatch=dispatch,
        ),
        TOKENS,
        expected_output=stack_one_by_one,
        trainable=6,
        mask=MASK,
    )


def stack_one_by_one(mixture):
    """As `one_by_one`, with the stack's networks in NumPy."""
    weights = [to_numpy(weight) for weight in mixture.experts.weights]
    answer = mixture.gate(TOKENS)
    output = np.zeros((3, 4, 3))
    for b, t, j in np.ndindex(3, 4, 2):
        e = to_numpy(answer["indices"])[b, t, j]
        kernel_1, bias_1, kernel_2, bias_2 = (weight[e] for weight in weights)
        outputs = np.tanh(TOKENS[b, t] @ kernel_1 + bias_1) @ kernel_2 + bias_2
        output[b, t] += to_numpy(answer["weights"])[b, t, j] * outputs
    return output


def test_by_hand():
    # Token 0 chooses experts 1 and 0, token 1 experts 2 and 1, with weights 3/4 and 1/4.
    gate = GivenGate([[1, 0], [2, 1]], num_experts=3, weights=[[0.75, 0.25]] * 2)
    mixture = SparseMoE([keras.layers.Rescaling(scale) for scale in (1.0, 10.0, 100.0)], gate)
    # 3/4 * 10 * 4 + 1/4 * 1 * 4 = 31; 3/4 * 100 * 8 + 1/4 * 10 * 8 = 620.
    outputs = to_numpy(mixture(np.array([[4.0], [8.0]], "float32")))
    np.testing.assert_allclose(outputs, [[31.0], [620.0]], rtol=1e-6)


@pytest.mark.parametrize("dispatch", DISPATCHERS)
def test_images_are_routed_whole(rng, dispatch):
    def expert():
        layers = [keras.layers.Conv2D(2, 3), keras.layers.MaxPooling2D(), keras.layers.Flatten()]
        return keras.Sequential([*layers, dense()])

    gate = keras.Sequential([keras.layers.Flatten(), PlainTopKGate(4, k=1)])
    mixture = SparseMoE([expert() for _ in range(4)], gate, dispatch=dispatch)
    model = keras.Sequential([keras.Input((8, 8, 1)), mixture])
    images = rng.normal(size=(2, 8, 8, 1)).astype("float32")  # two experts at least get none
    model.compile("sgd", "mse")
    assert np.isfinite(model.train_on_batch(images, np.zeros((2, 3))))
    assert model.output_shape == (None, 3)
    chosen = to_numpy(mixture.gate(images)["indices"])[:, 0]
    shares = to_numpy(mixture.gate(images)["weights"])
    expected = [
        shares[b] * to_numpy(mixture.experts[e](images[b : b + 1]))[0] for b, e in enumerate(chosen)
    ]
    np.testing.assert_allclose(to_numpy(model(images)), expected, rtol=1e-5, atol=1e-6)


def test_an_answer_may_have_any_shape():
    expert = keras.Sequential([dense(6), keras.layers.Reshape((2, 3))])
    mixture = SparseMoE(
        [expert, keras.Sequential([dense(6), keras.layers.Reshape((2, 3))])], PlainTopKGate(2, k=1)
    )
    assert mixture(TOKENS).shape == (3, 4, 2, 3)
    assert mixture(keras.Input((None, 5))).shape == (None, None, 2, 3)


@keras.saving.register_keras_serializable(package="moe_keras_tests")
class Counted(keras.layers.Layer):
    """Passes its tokens on and counts them; and how often it was called."""

    def build(self, input_shape):
        self.tokens, self.calls = (
            self.add_weight(shape=(), initializer="zeros", trainable=False) for _ in range(2)
        )

    def call(self, inputs):
        self.tokens.assign_add(ops.cast(ops.shape(inputs)[0], "float32"))
        self.calls.assign_add(1.0)
        return inputs


@pytest.mark.parametrize("num_experts", [4, 16])
@pytest.mark.parametrize(("dispatch", "grows_with_k"), [("grouped", True), ("dense", False)])
def test_what_an_expert_sees(rng, dispatch, grows_with_k, num_experts):
    """Grouped experts see the T k choices between them, whatever E is; in one call each.

    (One without tokens is shown some token, for want of an empty batch that is safe.)"""
    tokens = rng.normal(size=(32, 5)).astype("float32")
    for k in (1, 3):
        experts = [Counted() for _ in range(num_experts)]
        mixture = SparseMoE(experts, PlainTopKGate(num_experts, k), dispatch=dispatch)
        model = keras.Sequential([keras.Input((5,)), mixture])
        for expert in experts:
            expert.tokens.assign(0.0)
            expert.calls.assign(0.0)
        model.compile(run_eagerly=JAX)
        model.predict(tokens, batch_size=32, verbose=0)
        chosen = to_numpy(mixture.gate(tokens)["indices"])
        load = np.bincount(chosen.ravel(), minlength=num_experts)
        assert load.sum() == 32 * k
        expected = np.maximum(load, 1) if grows_with_k else [32] * num_experts
        assert [int(to_numpy(expert.tokens)) for expert in experts] == list(expected)
        assert [int(to_numpy(expert.calls)) for expert in experts] == [1] * num_experts


def batch_norms(mixture):
    return [to_numpy(weight) for weight in mixture.non_trainable_weights]


@pytest.mark.parametrize("eager", [True] if JAX else [False, True])
def test_an_expert_without_tokens_keeps_its_statistics(eager):
    experts = [keras.Sequential([dense(), keras.layers.BatchNormalization()]) for _ in range(3)]
    mixture = SparseMoE(experts, GivenGate([[0], [2], [0]], num_experts=3))
    model = keras.Sequential([keras.Input(batch_shape=(3, 5)), mixture])
    model.compile("sgd", "mse", run_eagerly=eager)
    assert np.isfinite(model.train_on_batch(ROWS[:3], np.ones((3, 3))))
    assert all(np.isfinite(weight).all() for weight in batch_norms(model))
    moved = [
        not np.array_equal(to_numpy(expert.layers[1].moving_mean), np.zeros(3))
        for expert in experts
    ]
    assert moved == [True, False, True]


def test_a_frozen_expert_among_others():
    frozen = FrozenExpert(keras.Sequential([dense(), keras.layers.BatchNormalization()]))
    mixture = SparseMoE([frozen, dense()], PlainTopKGate(2, k=2))
    model = keras.Sequential([keras.Input((5,)), mixture])
    before = [to_numpy(weight) for weight in frozen.weights]
    model.compile("sgd", "mse")
    model.train_on_batch(ROWS, np.ones((6, 3)))
    after = [to_numpy(weight) for weight in frozen.weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_sparse_mixture_as_an_expert(tmp_path):
    inner = SparseMoE([dense(), dense()], PlainTopKGate(2, k=1))
    mixture = SparseMoE([inner, dense()], PlainTopKGate(2, k=1))
    model = keras.Sequential([keras.Input((4, 5)), mixture])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(to_numpy(loaded(TOKENS)), to_numpy(model(TOKENS)))


def two(units=3, other_units=3):
    return [dense(units, name="first"), dense(other_units, name="second")]


@pytest.mark.parametrize(
    ("make_experts", "make_gate", "message"),
    [
        (
            two,
            lambda: SoftmaxGate(2, name="soft"),
            r"dict with indices, .* 'soft', which gives \['logi",
        ),
        (
            two,
            lambda: dense(2, name="plain"),
            r"dict with indices, .* 'plain', which gives no dict",
        ),
        (
            two,
            lambda: PlainTopKGate(3, k=2, name="chooser"),
            r"a weight for each of 2 experts: expert 0 \('first'\), expert 1 \('second'\). "
            r"Received: probabilities of 'chooser' of shape \(None, 3\), for 3 experts",
        ),
        (
            lambda: two(3, 4),
            lambda: PlainTopKGate(2, k=1),
            r"'first'\) gives \(None, 3\), expert 1 \('second'\)",
        ),
        (
            lambda: [dense(), SoftmaxGate(3, name="no_expert")],
            lambda: PlainTopKGate(2, k=1),
            r"each expert to give one tensor. Received: expert 1 \('no_expert'\)",
        ),
        (
            two,
            lambda: Answers(indices=(6, 2), weights=(6, 1), probabilities=(6, 2)),
            r"whose axes before the last .* Received: inputs of shape \(6, 5\), from 'odd'",
        ),
        (
            two,
            lambda: Answers(indices=(3, 1), weights=(3, 1), probabilities=(3, 2)),
            r"are the inputs' first axes",
        ),
        (
            two,
            lambda: Answers(indices=(6, 3), weights=(6, 3), probabilities=(6, 2)),
            r"choose from 1 to 2 experts a token. Received: indices of shape \(6, 3\) from 'odd'",
        ),
    ],
    ids=["soft gate", "tensor", "experts", "outputs", "no expert", "weights", "axes", "k"],
)
def test_shapes_are_checked_at_build(make_experts, make_gate, message):
    mixture = SparseMoE(make_experts(), make_gate())
    with pytest.raises(ValueError, match=message):
        mixture.build((6, 5))


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"one of auto, .* Received: dispatch='quick'"):
        SparseMoE(two(), PlainTopKGate(2, k=1), dispatch="quick")
    with pytest.raises(ValueError, match=r"at least one expert. Received: experts=\[\]"):
        SparseMoE([], PlainTopKGate(2, k=1))
    expert = dense(name="twin")
    with pytest.raises(ValueError, match=r"Expected different experts; .* Received: 'twin' twice"):
        SparseMoE([expert, expert], PlainTopKGate(2, k=1))


def test_kept_by_hand():
    # All four tokens want expert 0 first, which has ceil(1 * 4 * 1 / 2) = 2 slots.
    gate = GivenGate([[0], [0], [0], [0]], num_experts=2, weights=[[0.6], [0.7], [0.8], [0.9]])
    tokens = np.ones((4, 1), "float32")

    def mixture(**kwargs):
        experts = [keras.layers.Rescaling(1.0), keras.layers.Rescaling(10.0)]
        return SparseMoE(experts, gate, **kwargs)

    limited = mixture(dispatch=CapacityDispatcher(1.0))
    assert to_numpy(limited.route(tokens)["kept"])[:, 0].tolist() == [True, True, False, False]
    np.testing.assert_allclose(to_numpy(limited(tokens))[:, 0], [0.6, 0.7, 0, 0], rtol=1e-6)
    free = mixture()
    assert to_numpy(free.route(tokens)["kept"]).all()


def test_the_surest_tokens_come_first(rng):
    tokens = rng.normal(size=(12, 5)).astype("float32")
    mixture = SparseMoE(
        [dense(), dense()],
        PlainTopKGate(2, k=1),
        dispatch=CapacityDispatcher(0.5, batch_prioritized=True),  # 3 slots each
    )
    outputs = to_numpy(mixture(tokens))
    answer = mixture.route(tokens)
    chosen, sure = to_numpy(answer["indices"])[:, 0], to_numpy(answer["probabilities"]).max(-1)
    expected = np.zeros(12, bool)
    for e in range(2):
        wanting = np.flatnonzero(chosen == e)
        expected[wanting[np.argsort(-sure[wanting])][:3]] = True
    assert to_numpy(answer["kept"])[:, 0].tolist() == expected.tolist()
    assert (outputs != 0).any(axis=1).tolist() == expected.tolist()


def test_equal_tokens_come_in_order():
    gate = GivenGate([[0, 1], [0, 1], [1, 0]], num_experts=2)  # probabilities all 0
    dispatch = CapacityDispatcher(0.5, batch_prioritized=True)
    mixture = SparseMoE([dense(), dense()], gate, dispatch)
    # min(ceil(0.5 * 3 * 2 / 2), 3) = 2 slots: expert 0 takes first choices 0 and 1, expert 1 first
    # choice 2 and then second choice 0.
    kept = to_numpy(mixture.route(np.ones((3, 5), "float32"))["kept"])
    assert kept.tolist() == [[True, True], [True, False], [True, False]]


def test_dropped_share_of_a_route():
    mixture = SparseMoE([dense(), dense()], PlainTopKGate(2, k=2), CapacityDispatcher(0.5))
    mixture(TOKENS)
    dropped = DroppedShare()
    dropped.update_state(mixture.route(TOKENS)["kept"])
    # 12 tokens of 2 choices; each expert has ceil(0.5 * 12 * 2 / 2) = 6 slots: half find none.
    assert float(dropped.result()) == 0.5


def shared_and_routed(inputs):
    def expected(mixture):
        shared = [to_numpy(expert(inputs.reshape(-1, 5))) for expert in mixture.shared_experts]
        return one_by_one(inputs)(mixture) + sum(shared).reshape(*inputs.shape[:-1], 3)

    return expected


@pytest.mark.parametrize("dispatch", ["auto", CapacityDispatcher(2.0, batch_prioritized=True)])
def test_contract_with_shared_experts(dispatch):
    run_layer_contract(
        lambda: SparseMoE(
            [dense(), dense()],
            PlainTopKGate(2, k=1),
            dispatch=dispatch,
            shared_experts=[dense(), dense(activation="tanh")],
        ),
        TOKENS,
        expected_output=shared_and_routed(TOKENS),
        trainable=10,
        mask=MASK,
    )


def test_a_stack_with_a_shared_expert():
    mixture = SparseMoE(
        StackedMLP(3, intermediate_dim=4, units=3, activation="tanh"),
        PlainTopKGate(3, k=2),
        shared_experts=[dense()],
    )
    outputs = to_numpy(mixture(TOKENS))
    expected = stack_one_by_one(mixture) + to_numpy(
        mixture.shared_experts[0](TOKENS.reshape(-1, 5))
    ).reshape(3, 4, 3)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"'stacked_mlp.*' twice"):
        SparseMoE(mixture.experts, PlainTopKGate(3, k=2), shared_experts=[mixture.experts])


def test_shared_experts_are_checked():
    twin = dense(name="twin")
    with pytest.raises(ValueError, match="'twin' twice"):
        SparseMoE([twin, dense()], PlainTopKGate(2, k=1), shared_experts=[twin])
    mixture = SparseMoE(two(), PlainTopKGate(2, k=1), shared_experts=[dense(4, name="wide")])
    with pytest.raises(ValueError, match=r"'first'\) gives .*, shared expert 0 \('wide'\) gives"):
        mixture(ROWS)


@pytest.mark.parametrize("dispatch", ["auto", "dense", CapacityDispatcher(2.0)])
def test_padding_gets_zeros_from_shared_experts_too(dispatch):
    shared = dense(bias_initializer="ones")
    mixture = SparseMoE(
        [dense(), dense()], PlainTopKGate(2, k=1), dispatch=dispatch, shared_experts=[shared]
    )
    outputs = to_numpy(mixture(ROWS, mask=np.arange(len(ROWS)) < 2))
    np.testing.assert_array_equal(outputs[2:], 0)
    assert (outputs[:2] != 0).any()
