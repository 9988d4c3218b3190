import keras
import numpy as np
import pytest
from draws import normal
from layer_contract import to_numpy
from sparse_gate import GivenGate, PlainTopKGate

from moe_keras.experts import StackedMLP
from moe_keras.gates import ExpertChoiceGate, PerClassGate, SlotGate, SoftmaxGate
from moe_keras.mixtures import CapacityDispatcher, DenseMoE, ExpertChoiceMoE, SoftMoE, SparseMoE
from moe_keras.routing import explain

ROW = normal(1, 5, seed=0)
TOKENS = normal(1, 4, 5, seed=1)


def scalings():
    return [keras.layers.Rescaling(10.0**e, name=f"times_{10**e}") for e in range(3)]


def test_a_sparse_choice_by_hand():
    gate = GivenGate([[2, 0]], num_experts=3, weights=[[0.75, 0.25]])
    mixture = SparseMoE(scalings(), gate, name="mixture")
    found = explain(mixture, np.array([[4.0]], "float32"))
    (step,) = found.steps
    assert step.choices == [2, 0] and step.dropped == []
    assert step.weights.tolist() == [0.25, 0.0, 0.75]
    assert step.load.tolist() == [1, 0, 1]
    assert step.answers == {2: "400.000", 0: "4.000"}
    assert found.output.tolist() == [301.0]  # 3/4 * 400 + 1/4 * 4
    lines = str(found).splitlines()
    assert lines[1].split() == [
        "mixture",
        "all",
        "times_100",
        "0.000",
        *["0.000", "1", "0.750", "1"],
        "400.000",
    ]
    assert lines[3].split()[2] == "times_10"  # not chosen: last


def test_drops_are_told():
    # All four tokens choose expert 0, which has one slot: min(ceil(0.5 * 4 / 2), 4).
    gate = GivenGate([[[0], [0], [0], [0]]], num_experts=2)
    mixture = SparseMoE(scalings()[:2], gate, dispatch=CapacityDispatcher(0.5))
    found = explain(mixture, np.ones((1, 4, 1), "float32"))
    assert [step.dropped for step in found.steps] == [[], [0], [0], [0]]
    assert [step.weights[0] for step in found.steps] == [1, 0, 0, 0]
    assert found.steps[0].load.tolist() == [4, 0]
    assert "1, dropped" in str(found)
    assert "Dropped: times_1." in found.plot(1, source="nothing").alt


def test_mixtures_inside_a_model_and_inside_each_other():
    inner = DenseMoE([keras.layers.Dense(3), keras.layers.Dense(3)], SoftmaxGate(2), name="inner")
    outer = DenseMoE([inner, keras.layers.Dense(3)], SoftmaxGate(2), name="outer")
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(5, activation="relu", name="before")(inputs)
    model = keras.Model(inputs, keras.Sequential([outer, keras.layers.Softmax()])(hidden))
    expected = to_numpy(model(ROW))
    found = explain(model, ROW)
    assert [step.mixture for step in found.steps] == ["outer", "inner"]
    hidden = keras.Model(inputs, model.get_layer("before").output)(ROW)
    np.testing.assert_allclose(found.output, to_numpy(outer(hidden))[0], rtol=1e-5)
    # The model is as it was.
    assert "call" not in vars(outer)
    np.testing.assert_array_equal(to_numpy(model(ROW)), expected)


@pytest.mark.parametrize(
    ("make_mixture", "x", "steps"),
    [
        (lambda: SparseMoE(StackedMLP(3, intermediate_dim=4), PlainTopKGate(3, k=2)), TOKENS, 4),
        (
            lambda: SoftMoE([keras.layers.Dense(3) for _ in range(2)], SlotGate(2, slots=2)),
            TOKENS,
            4,
        ),
        (
            lambda: ExpertChoiceMoE([keras.layers.Dense(3) for _ in range(2)], ExpertChoiceGate(2)),
            TOKENS,
            4,
        ),
        (lambda: DenseMoE([keras.layers.Dense(3) for _ in range(2)], PerClassGate(3, 2)), ROW, 3),
    ],
    ids=["stack", "soft", "expert choice", "per class"],
)
def test_every_mixture_can_be_explained(make_mixture, x, steps):
    mixture = make_mixture()
    found = explain(mixture, x)
    assert len(found.steps) == steps
    np.testing.assert_array_equal(found.output, to_numpy(mixture(x))[0])
    assert str(found) and found._repr_html_().startswith("<table>")
    assert found.plot(source="random numbers").alt.endswith("Data: random numbers.")


def test_weights_of_expert_choice():
    mixture = ExpertChoiceMoE(scalings()[:2], ExpertChoiceGate(2, capacity_factor=0.5))
    found = explain(mixture, TOKENS[..., :1])
    choice = mixture.gate(TOKENS[..., :1])  # one token each
    expected = np.zeros((4, 2))
    for e in range(2):
        token = to_numpy(choice["token_indices"])[0, e, 0]
        expected[token, e] = to_numpy(choice["token_weights"])[0, e, 0]
    np.testing.assert_allclose([step.weights for step in found.steps], expected, rtol=1e-6)


def test_the_model_is_left_alone_after_an_error():
    class Fragile(keras.layers.Dense):
        broken = False

        def call(self, inputs):
            if self.broken:
                raise RuntimeError("broken on purpose")
            return super().call(inputs)

    mixture = DenseMoE([keras.layers.Dense(3), Fragile(3)], SoftmaxGate(2))
    mixture(ROW)
    Fragile.broken = True
    with pytest.raises(RuntimeError, match="broken on purpose"):
        explain(mixture, ROW)
    assert "call" not in vars(mixture)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, 5)), r"shape \(1, ...\). Received: shape \(2, 5\)"),
        (np.full((1, 5), np.nan), "Expected finite inputs. Received: 5 values"),
    ],
)
def test_inputs_are_checked(x, message):
    mixture = DenseMoE([keras.layers.Dense(3)], SoftmaxGate(1))
    with pytest.raises(ValueError, match=message):
        explain(mixture, x)


def test_a_mixture_is_needed():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)], name="plain")
    with pytest.raises(ValueError, match=r"with a mixture inside, .* 'plain', which has none"):
        explain(model, ROW)
