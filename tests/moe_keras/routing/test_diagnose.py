import keras
import numpy as np
import pytest
from draws import normal
from keras import ops
from layer_contract import to_numpy
from sparse_gate import GivenGate, PlainTopKGate

from moe_keras.experts import FrozenExpert, StackedMLP
from moe_keras.gates import Gate, GroupGate, HierarchicalGate, SlotGate, SoftmaxGate, TopKGate
from moe_keras.mixtures import CapacityDispatcher, DenseMoE, HierarchicalMoE, SoftMoE, SparseMoE
from moe_keras.routing import diagnose
from moe_keras.routing.diagnose import UnhealthyMixture

X = normal(200, 5, seed=0)
Y = np.random.default_rng(1).integers(0, 3, size=200)


def dense(units=3, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def ill(mixture, x=X, **kwargs):
    """Checks that did not say ok, with their severity."""
    report = diagnose(mixture, x, **kwargs)
    return {f.check: f.severity for f in report.findings if f.severity != "ok"}


def with_weights(mixture, kernel, bias):
    mixture.build((None, 5))
    mixture.gate.set_weights([np.array(kernel, "float32"), np.array(bias, "float32")])
    return mixture


@pytest.mark.parametrize(
    ("make_mixture", "x"),
    [
        (lambda: DenseMoE([dense(), dense()], SoftmaxGate(2)), X),
        (lambda: SparseMoE([dense() for _ in range(4)], TopKGate(4, top_k=2)), X),
        (lambda: SparseMoE(StackedMLP(4, intermediate_dim=8), TopKGate(4, top_k=2)), X),
        (lambda: HierarchicalMoE([[dense(), dense()], [dense(), dense()]]), X),
        (lambda: SoftMoE([dense(), dense()], SlotGate(2, slots=2)), X.reshape(40, 5, 5)),
    ],
    ids=["dense", "sparse", "stack", "hierarchical", "soft"],
)
def test_a_healthy_mixture_is_well(make_mixture, x):
    report = diagnose(make_mixture(), x)
    assert report.worst == "ok", str(report)
    report.raise_if("warning")


def test_a_compiled_model_keeps_all_it_has():
    model = keras.Sequential(
        [keras.Input((5,)), DenseMoE([dense(), dense()], SoftmaxGate(2)), keras.layers.Softmax()]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    before = [to_numpy(variable) for variable in model.variables + model.optimizer.variables]
    assert diagnose(model, X, Y).worst == "ok"
    after = [to_numpy(variable) for variable in model.variables + model.optimizer.variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    model.fit(X, Y, verbose=0)  # and can go on


def test_collapse_and_dead_experts():
    mixture = with_weights(
        DenseMoE([dense(), dense(), dense()], SoftmaxGate(3)), np.zeros((5, 3)), [9.0, -9.0, -9.0]
    )
    found = ill(mixture)
    assert found == {"collapse": "error", "dead experts": "warning", "gate": "warning"}
    with pytest.raises(UnhealthyMixture, match=r"'dense.*' has 100.0% of the load, 3.0 times"):
        diagnose(mixture, X).raise_if("error")


def test_an_uneven_load():
    # 8 of 10 tokens to expert 0 of 8: 6.4 times the mean.
    chosen = [[0]] * 160 + [[e] for e in np.tile(np.arange(8), 5)]
    mixture = SparseMoE([dense() for _ in range(8)], GivenGate(chosen, num_experts=8))
    found = {f.check: f for f in diagnose(mixture, X).findings}
    assert found["collapse"].severity == "warning"
    assert "has 82.5% of the load, 6.6 times the mean" in found["collapse"].message
    assert found["dead experts"].severity == "ok"


def test_dead_experts_are_named():
    names = ["alive", "gone"]
    experts = [dense(name=name) for name in names]
    gate = GivenGate([[0]] * 200, num_experts=2)
    report = diagnose(SparseMoE(experts, gate), X)
    (dead,) = [f for f in report.findings if f.check == "dead experts"]
    assert "1 of 2 experts are asked for nothing (gone)" in dead.message


class WrongAxis(Gate):
    """The softmax over the batch instead of the experts."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 2))

    def call(self, inputs):
        logits = ops.matmul(inputs, self.kernel)
        return {"logits": logits, "probabilities": ops.softmax(logits, axis=0)}


def test_weights_that_do_not_sum_to_1():
    report = diagnose(DenseMoE([dense(), dense()], WrongAxis()), X)
    (sums,) = [f for f in report.findings if f.check == "weights"]
    assert sums.severity == "error"
    assert "softmax over the last axis" in sums.message


def test_numbers_that_are_not_finite():
    mixture = DenseMoE([dense(), dense()], SoftmaxGate(2))
    mixture(X)
    mixture.experts[0].kernel.assign(np.full((5, 3), np.inf))
    assert ill(mixture)["finite"] == "error"


@pytest.mark.parametrize(
    "make_mixture",
    [
        lambda: DenseMoE([dense(), dense()], SoftmaxGate(2)),
        lambda: SparseMoE([dense(), dense()], TopKGate(2, top_k=1)),
    ],
    ids=["dense", "sparse"],
)
def test_a_gate_of_nan_is_told_and_nothing_is_made_of_it(make_mixture):
    mixture = make_mixture()
    mixture(X)
    mixture.gate.set_weights([np.full_like(w, np.nan) for w in mixture.gate.get_weights()])
    assert {f.check: f.severity for f in diagnose(mixture, X).findings} == {"finite": "error"}


def test_a_frozen_expert_of_nan_does_not_count_as_moving():
    expert = dense()
    mixture = DenseMoE([FrozenExpert(expert), dense()], SoftmaxGate(2))
    mixture(X)
    expert.set_weights([np.full_like(w, np.nan) for w in expert.get_weights()])
    assert ill(mixture) == {"finite": "error"}


class Balanced(PlainTopKGate):
    """Softmax after top-1, so the weight is always 1; only an added loss moves the gate."""

    def call(self, inputs, training=None):
        tensors = super().call(inputs)
        if training:
            self.add_loss(ops.sum(ops.square(ops.mean(tensors["probabilities"], axis=0))))
        return {**tensors, "weights": ops.softmax(tensors["weights"])}


def test_an_added_loss_does_not_hide_a_gate_without_gradient():
    mixture = SparseMoE([dense(), dense()], Balanced(2, k=1))
    assert ill(mixture) == {"gradient": "warning"}
    assert "from an added loss alone" in str(diagnose(mixture, X))


def test_a_gate_without_gradient():
    tree = HierarchicalMoE([dense(), dense()], HierarchicalGate((2,), hard=True))
    assert ill(tree) == {"gradient": "error"}

    # Softmax after top-1: the weight is always 1.
    class AfterTop1(PlainTopKGate):
        def call(self, inputs):
            tensors = super().call(inputs)
            return {**tensors, "weights": ops.softmax(tensors["weights"])}

    found = ill(SparseMoE([dense(), dense()], AfterTop1(2, k=1)))
    assert found == {"gradient": "error"}


def test_a_frozen_expert_that_moves():
    expert = keras.Sequential([dense(), keras.layers.BatchNormalization()])
    expert.trainable = False

    # BatchNormalization is in inference mode when frozen, so it takes a layer that is not.
    class Counting(keras.layers.Layer):
        def build(self, input_shape):
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs, training=None):
            if training:
                self.seen.assign_add(1.0)
            return inputs

    moving = keras.Sequential([dense(), Counting()])
    moving.trainable = False
    assert ill(DenseMoE([expert, moving], SoftmaxGate(2))) == {"frozen experts": "error"}
    well = DenseMoE([expert, FrozenExpert(moving)], SoftmaxGate(2))
    assert ill(well) == {}


def test_overflow():
    def mixture(factor):
        gate = GivenGate([[0], [1]] * 100, num_experts=2)
        return SparseMoE([dense(), dense()], gate, dispatch=CapacityDispatcher(factor))

    assert "overflow" not in ill(mixture(1.0))
    assert ill(mixture(0.9))["overflow"] == "warning"
    assert ill(mixture(0.5))["overflow"] == "error"


@pytest.mark.parametrize("stacked", [False, True])
def test_experts_that_are_twins(stacked):
    experts = (
        StackedMLP(2, intermediate_dim=4) if stacked else [dense(name="one"), dense(name="other")]
    )
    mixture = DenseMoE(experts, SoftmaxGate(2))
    mixture(X)
    if stacked:
        experts.set_weights([np.repeat(w[:1], 2, axis=0) for w in experts.get_weights()])
    else:
        experts[1].set_weights(experts[0].get_weights())
    report = diagnose(mixture, X)
    (twins,) = [f for f in report.findings if f.severity != "ok"]
    assert twins.check == "experts" and "have the same weights" in twins.message


def test_a_gate_with_nothing_to_learn():
    classifier = keras.Sequential([keras.Input((5,)), dense(2), keras.layers.Softmax()])
    classifier.trainable = False
    report = diagnose(DenseMoE([dense(), dense()], GroupGate(classifier)), X)
    assert "nothing to learn" in str(report)
    assert report.worst == "ok"


def test_what_is_shown():
    report = diagnose(DenseMoE([dense(), dense()], SoftmaxGate(2), name="mix"), X)
    assert str(report).splitlines()[0].split() == ["severity", "mixture", "check", "message"]
    assert report._repr_html_().count("<tr>") == len(report.findings) + 1
    with pytest.raises(ValueError, match=r"'warning' or 'error'. Received: severity='ok'"):
        report.raise_if("ok")


def test_inputs_are_checked():
    mixture = DenseMoE([dense(), dense()], SoftmaxGate(2))
    with pytest.raises(ValueError, match=r"a target for each of 200 inputs. Received: \(3,\)"):
        diagnose(mixture, X, [1, 2, 3])
    with pytest.raises(ValueError, match=r"shape \(200, 3\), or a loss .* of shape \(200,\)"):
        diagnose(mixture, X, Y)
    assert diagnose(mixture, X, list(Y), loss="sparse_categorical_crossentropy").findings
    with pytest.raises(ValueError, match="Expected finite inputs"):
        diagnose(mixture, np.full((3, 5), np.inf))
    with pytest.raises(ValueError, match=r"one input or more, .* Received: shape \(0, 5\)"):
        diagnose(mixture, X[:0])
