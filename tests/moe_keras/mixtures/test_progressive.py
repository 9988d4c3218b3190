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
from moe_keras.mixtures import MultiGateMoE, ProgressiveExtraction

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def experts(count, units=3):
    return [keras.layers.Dense(units, "tanh", bias_initializer="normal") for _ in range(count)]


def extraction(shared=(2, 1), own=None, **arguments):
    own = own or {"a": (1, 2), "b": (2, 1)}
    return ProgressiveExtraction(
        [experts(count) for count in shared],
        {task: [experts(count) for count in counts] for task, counts in own.items()},
        **arguments,
    )


def by_hand(layer, x):
    """Equations (1) to (6), level by level, in float64."""

    def weights(gate, x):
        kernel, bias = (w.astype("float64") for w in gate.get_weights())
        exponentials = np.exp(x @ kernel + bias)
        return exponentials / exponentials.sum(-1, keepdims=True)

    def outputs(experts, x):
        for expert in experts:
            kernel, bias = (w.astype("float64") for w in expert.get_weights())
            yield np.tanh(x @ kernel + bias)

    tasks = list(layer.task_experts)
    state = {name: x.astype("float64") for name in ["shared", *tasks]}
    for level, gates in enumerate(layer.gates):
        shared = list(outputs(layer.shared_experts[level], state["shared"]))
        own = {t: list(outputs(layer.task_experts[t][level], state[t])) for t in tasks}
        seen = {t: shared + own[t] for t in tasks}
        seen["shared"] = shared + [y for t in tasks for y in own[t]]
        following = {}
        for name, gate in gates.items():
            w = weights(gate, state[name])
            assert w.shape[-1] == len(seen[name])
            following[name] = sum(w[..., e, None] * y for e, y in enumerate(seen[name]))
        state = following
    return state


@given(
    depth=st.integers(1, 2), num_tasks=st.integers(1, 3), seed=st.integers(0, 99), data=st.data()
)
@settings(max_examples=8, deadline=None)
def test_levels_of_shared_and_own_experts(depth, num_tasks, seed, data):
    keras.utils.set_random_seed(seed)
    counts = st.lists(st.integers(1, 3), min_size=depth, max_size=depth)
    # Not in alphabetical order: the shared gate's weights follow the order given.
    own = {task: data.draw(counts) for task in ["z", "a", "m"][:num_tasks]}
    layer = extraction(data.draw(counts), own)
    answers = layer(ROWS)
    expected = by_hand(layer, ROWS)
    assert answers.keys() == expected.keys() == own.keys()
    for task, answer in answers.items():
        np.testing.assert_allclose(to_numpy(answer), expected[task], rtol=1e-4, atol=1e-5)


def test_contract():
    run_layer_contract(
        lambda: extraction((1, 1), {"b": (1, 1), "a": (1, 1)}),
        ROWS,
        expected_output=lambda layer: by_hand(layer, ROWS),
        trainable=2 * (6 + 5),
        non_trainable=0,
    )


def test_contract_on_tokens():
    run_layer_contract(
        lambda: ProgressiveExtraction(
            [StackedMLP(2, intermediate_dim=4, units=3), experts(1)],
            {"a": [experts(1), experts(1)]},
            gates=[
                {"a": SoftmaxGate(3), "shared": TopKGate(3, 2, balance_loss=0.1)},
                {"a": SoftmaxGate(2)},
            ],
        ),
        TOKENS,
        mask=MASK,
    )


def test_an_expert_of_one_task_learns_from_it_alone():
    layer = extraction((1,), {"a": (1,), "b": (1,)})
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layer(inputs)["a"])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    (a,), (b,) = layer.task_experts["a"][0], layer.task_experts["b"][0]
    before = [to_numpy(e.kernel).copy() for e in (a, b)]
    model.fit(ROWS, np.ones((6, 3)), verbose=0)
    assert not np.array_equal(to_numpy(a.kernel), before[0])
    assert np.array_equal(to_numpy(b.kernel), before[1])


def test_each_expert_runs_once():
    class Counted(keras.layers.Layer):
        calls = 0

        def call(self, inputs):
            self.calls += 1
            return inputs

    counted = [Counted() for _ in range(6)]
    layer = ProgressiveExtraction(
        [counted[:1], counted[1:2]],
        {"a": [counted[2:3], counted[3:4]], "b": [counted[4:5], counted[5:]]},
    )
    layer(ROWS)
    before = [expert.calls for expert in counted]
    layer(ROWS)
    assert [e.calls - b for e, b in zip(counted, before, strict=True)] == [1] * 6


def test_without_levels_of_own_inputs_a_dict_is_the_same_as_a_tensor():
    layer = extraction()
    same = layer({name: ROWS for name in ("shared", "a", "b")})
    for task, answer in layer(ROWS).items():
        assert np.array_equal(to_numpy(answer), to_numpy(same[task]))


def test_it_follows_a_multi_gate_mixture():
    # A dict out is a dict in.
    first = MultiGateMoE(experts(2), {"a": SoftmaxGate(2), "b": SoftmaxGate(2)})
    inputs = keras.Input((5,))
    states = first(inputs)
    outputs = extraction((1,), {"a": (1,), "b": (1,)})({**states, "shared": inputs})
    model = keras.Model(inputs, outputs)
    answers = model(ROWS)
    assert {task: tuple(answer.shape) for task, answer in answers.items()} == {
        "a": (6, 3),
        "b": (6, 3),
    }


def test_losses_and_routes_of_every_level():
    gates = [
        {name: TopKGate(count, 1, balance_loss=0.1) for name, count in names.items()}
        for names in ({"a": 3, "b": 4, "shared": 5}, {"a": 3, "b": 2})
    ]
    layer = extraction(gates=gates)
    layer(ROWS, training=True)
    assert len(layer.losses) == 5
    routes = layer.route(ROWS)
    assert [sorted(level) for level in routes] == [["a", "b", "shared"], ["a", "b"]]
    assert routes[1]["a"]["probabilities"].shape == (6, 3)


def test_gradients():
    keras.config.set_dtype_policy("float64")
    try:
        layer = ProgressiveExtraction(
            [experts(1, 2), experts(1, 2)],
            {"a": [experts(1, 2), experts(1, 2)]},
            gates=[
                {name: SoftmaxGate(2, dtype="float64") for name in names}
                for names in (("a", "shared"), ("a",))
            ],
        )
        rows = ROWS[:, :3].astype("float64")
        layer(rows)
        assert_gradients(layer, lambda layer: ops.sum(layer(rows)["a"] ** 2))
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProgressiveExtraction([], {"a": []}), "one level or more.*levels 0 of 'shared'"),
        (lambda: ProgressiveExtraction([experts(1)], {}), "task_experts to name one task or more"),
        (lambda: extraction((1,), {"shared": (1,)}), "other than 'shared'"),
        (lambda: extraction((1, 1), {"a": (1,)}), "levels 2 of 'shared', 1 of 'a'"),
        (lambda: extraction(gates=[]), "gates for each of 2 levels. Received: 0"),
        (
            lambda: extraction((1,), {"a": (1,)}, gates=[{"a": SoftmaxGate(2), "b": None}]),
            "gates of 'a' in level 0. Received: 'a', 'b'",
        ),
        (
            lambda: extraction((1,), {"a": (1,)}, gates=[{"a": SoftmaxGate(3)}])(ROWS),
            "a weight for each of 2 experts.*the gate of 'a'",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_no_expert_comes_twice():
    twice = keras.layers.Dense(5)
    with pytest.raises(ValueError, match="Expected different experts"):
        ProgressiveExtraction([[twice], experts(1)], {"a": [experts(1, 5), [twice]]})
