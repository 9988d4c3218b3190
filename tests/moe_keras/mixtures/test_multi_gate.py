import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from gradients import assert_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras import SoftmaxGate, StackedMLP, TopKGate
from moe_keras.mixtures import DenseMoE, MultiGateMoE

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def dense(units=3, **arguments):
    return keras.layers.Dense(units, "tanh", bias_initializer="normal", **arguments)


def experts(count, **arguments):
    return [dense(**arguments) for _ in range(count)]


def by_hand(mixture, x):
    """A sum over the experts for each task, in float64."""
    outputs = []
    for expert in mixture.experts:
        kernel, bias = (w.astype("float64") for w in expert.get_weights())
        outputs.append(np.tanh(x @ kernel + bias))
    answers = {}
    for task, gate in mixture.gates.items():
        kernel, *bias = (w.astype("float64") for w in gate.get_weights())
        exponentials = np.exp(x @ kernel + (bias[0] if bias else 0))
        weights = exponentials / exponentials.sum(-1, keepdims=True)
        if isinstance(gate, TopKGate):
            out = np.argsort(-weights, axis=-1)[..., gate.top_k :]
            np.put_along_axis(weights, out, 0, axis=-1)
            if gate.top_k > 1:
                weights = weights / weights.sum(-1, keepdims=True)
        answers[task] = sum(weights[..., e, None] * y for e, y in enumerate(outputs))
    return answers


@given(
    num_experts=st.integers(1, 4),
    choices=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    tokens=st.booleans(),
)
@settings(max_examples=10, deadline=None)
def test_each_task_weighs_the_experts_by_its_gate(num_experts, choices, tokens):
    def gate(top_k):  # 0: soft
        return TopKGate(num_experts, min(top_k, num_experts)) if top_k else SoftmaxGate(num_experts)

    gates = {f"task {i}": gate(top_k) for i, top_k in enumerate(choices)}
    mixture = MultiGateMoE(experts(num_experts), gates)
    x = TOKENS if tokens else ROWS
    answers = mixture(x)
    expected = by_hand(mixture, x.astype("float64"))
    assert answers.keys() == expected.keys()
    for task, answer in answers.items():
        np.testing.assert_allclose(to_numpy(answer), expected[task], rtol=1e-4, atol=1e-5)


def test_contract():
    run_layer_contract(
        lambda: MultiGateMoE(experts(3), gates=["digit", "parity"]),
        ROWS,
        expected_output=lambda mixture: by_hand(mixture, ROWS.astype("float64")),
        trainable=10,
        non_trainable=0,
    )


def test_contract_of_a_stack_with_top_k_gates_on_tokens():
    run_layer_contract(
        lambda: MultiGateMoE(
            StackedMLP(4, intermediate_dim=6, units=3),
            {"b": TopKGate(4, 2, balance_loss=0.1), "a": TopKGate(4, 1)},
        ),
        TOKENS,
        mask=MASK,
    )


class Counted(keras.layers.Layer):
    """Counts its calls on real tensors."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs


def test_each_expert_runs_once_for_all_tasks():
    counted = [Counted(), Counted()]
    mixture = MultiGateMoE(counted, gates=["a", "b", "c"])
    mixture(ROWS)
    before = [expert.calls for expert in counted]
    mixture(ROWS)
    assert [expert.calls - b for expert, b in zip(counted, before, strict=True)] == [1, 1]


def test_with_one_task_it_is_a_dense_mixture():
    mixture = MultiGateMoE(experts(3), gates=["only"])
    same = DenseMoE(list(mixture.experts), mixture.gates["only"])
    assert np.array_equal(to_numpy(mixture(ROWS)["only"]), to_numpy(same(ROWS)))


def test_gates_see_their_own_inputs_and_experts_the_shared_one(rng):
    other = rng.normal(size=(6, 2)).astype("float32")
    mixture = MultiGateMoE(experts(2), gates=["a", "b"])
    answers = mixture({"shared": ROWS, "a": other, "b": ROWS})
    gate, first, second = mixture.gates["a"], *(to_numpy(e(ROWS)) for e in mixture.experts)
    weights = to_numpy(gate(other)["probabilities"])
    expected = weights[:, :1] * first + weights[:, 1:] * second
    np.testing.assert_allclose(to_numpy(answers["a"]), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"a dict with 'shared', 'a', 'b'.*a dict with 'a'"):
        mixture({"a": other})


def test_contract_of_dict_inputs():
    symbols = {name: keras.Input((5,), name=name) for name in ("shared", "a", "b")}
    mixture = MultiGateMoE(experts(2), gates=["a", "b"])
    model = keras.Model(symbols, mixture(symbols))
    rows = {"shared": ROWS, "a": 2 * ROWS, "b": -ROWS}
    for task, answer in mixture(rows).items():
        found = model.predict(rows, verbose=0)[task]
        np.testing.assert_allclose(found, to_numpy(answer), atol=1e-6)


@pytest.mark.parametrize("symbolic", [False, True])
def test_dict_inputs_keep_each_task_its_mask(symbolic):
    mixture = MultiGateMoE(experts(2), gates=["a", "b"])
    if symbolic:
        tokens, plain = keras.Input((4, 5)), keras.Input((4, 5))
    else:
        tokens, plain = np.where(MASK[..., None], TOKENS, 0), ops.convert_to_tensor(TOKENS)
    masked = keras.layers.Masking()(tokens)
    answers = mixture({"shared": plain, "a": masked, "b": plain})
    assert getattr(answers["b"], "_keras_mask", None) is None
    mask = answers["a"]._keras_mask
    assert tuple(mask.shape) == tuple(masked.shape[:2])
    if not symbolic:
        assert np.array_equal(to_numpy(mask), MASK)


def test_each_gate_adds_its_loss():
    gates = {
        "a": TopKGate(3, 1, balance_loss=0.1),
        "b": SoftmaxGate(3),
        "c": TopKGate(3, 2, z_loss=0.2),
    }
    mixture = MultiGateMoE(experts(3), gates)
    mixture(ROWS)
    assert mixture.losses == []
    mixture(ROWS, training=True)
    gates["a"](ROWS, training=True)
    assert len(mixture.losses) == 2
    assert mixture.route(ROWS).keys() == gates.keys()
    assert "indices" in mixture.route(ROWS)["a"]


def test_gradients():
    mixture = MultiGateMoE(
        experts(2, dtype="float64"),
        {"a": SoftmaxGate(2, dtype="float64"), "b": TopKGate(2, 1, dtype="float64")},
        dtype="float64",
    )
    mixture(ROWS.astype("float64"))

    def loss(mixture):
        answers = mixture(ROWS.astype("float64"))
        return ops.sum(answers["a"] ** 2) + ops.sum(answers["b"])

    assert_gradients(mixture, loss)


def test_fit_evaluates_each_task(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    shared = MultiGateMoE(experts(3), {"sign": SoftmaxGate(3), "sum": TopKGate(3, 2)})(inputs)
    outputs = {
        "sign": keras.layers.Dense(1, "sigmoid")(shared["sign"]),
        "sum": keras.layers.Dense(1)(shared["sum"]),
    }
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.03), {"sign": "binary_crossentropy", "sum": "mse"})
    x = np.random.default_rng(0).normal(size=(256, 5)).astype("float32")
    y = {"sign": (x[:, :1] > 0).astype("float32"), "sum": x.sum(axis=1, keepdims=True)}
    losses = model.fit(x, y, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 3
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for task, answer in model.predict(x, verbose=0).items():
        assert np.array_equal(loaded.predict(x, verbose=0)[task], answer)


GATE, EXPERT = SoftmaxGate(2), dense()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiGateMoE([], ["a"]), "at least one expert"),
        (lambda: MultiGateMoE(experts(2), []), r"gates to name one task or more.*Received: \[\]"),
        (lambda: MultiGateMoE(experts(2), ["shared"]), "other than 'shared'"),
        (lambda: MultiGateMoE(experts(2), [1, 2]), "by strings"),
        (lambda: MultiGateMoE(experts(2), {"a": GATE, "b": GATE}), "a gate of its own for each"),
        (lambda: MultiGateMoE([EXPERT, EXPERT], ["a"]), "Expected different experts"),
        (lambda: MultiGateMoE(experts(2), {"a": 3}), "to be Keras layers"),
        (
            lambda: MultiGateMoE(experts(2), {"a": SoftmaxGate(2), "b": SoftmaxGate(3)})(ROWS),
            "a weight for each of 2 experts.*the gate of 'b', of shape .*for 3 experts",
        ),
        (
            lambda: MultiGateMoE([dense(2), dense(3)], ["a"])(ROWS),
            "outputs to have one shape.*expert 0 of 'shared'.*expert 1 of 'shared'",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
