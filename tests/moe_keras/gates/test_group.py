import keras
import numpy as np
import pytest
from draws import ROWS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts import FrozenExpert
from moe_keras.gates import GroupGate
from moe_keras.mixtures import DenseMoE


def classifier(num_classes=4):
    return keras.Sequential([keras.layers.Dense(num_classes, activation="softmax")])


def says(*probabilities):
    """A gate's answer when its classifier gives these probabilities."""
    return np.array([probabilities], "float32")


def answer(probabilities, **arguments):
    gate = GroupGate(keras.layers.Identity(), **arguments)
    return {name: to_numpy(tensor)[0] for name, tensor in gate(probabilities).items()}


def oracle(groups, hard=False):
    def expected(gate):
        classes = to_numpy(gate.classifier(ROWS)).astype("float64")
        sums = np.stack([classes[:, list(group)].sum(axis=1) for group in groups], axis=1)
        soft = sums / sums.sum(axis=1, keepdims=True)
        return {
            "logits": np.log(sums),
            "probabilities": np.eye(len(groups))[sums.argmax(axis=1)] if hard else soft,
        }

    return expected


def test_contract():
    groups = [(0, 3), (1,)]
    run_layer_contract(
        lambda: GroupGate(classifier(), groups),
        ROWS,
        expected_output=oracle(groups),
        trainable=2,
        non_trainable=0,
    )


def test_contract_of_a_frozen_switch():
    run_layer_contract(
        lambda: GroupGate(FrozenExpert(classifier()), hard=True),
        ROWS,
        expected_output=oracle([(0,), (1,), (2,), (3,)], hard=True),
        trainable=0,
        non_trainable=2,
    )


def test_by_hand():
    probabilities = says(0.5, 0.1, 0.2, 0.2)
    # Classes 0 and 3: 0.5 + 0.2 = 0.7; classes 1 and 2: 0.1 + 0.2 = 0.3.
    tensors = answer(probabilities, groups=[(0, 3), (1, 2)])
    np.testing.assert_allclose(tensors["probabilities"], [0.7, 0.3], atol=1e-6)
    np.testing.assert_allclose(tensors["logits"], np.log([0.7, 0.3]), atol=1e-6)
    # One class an expert: the classifier's own probabilities.
    np.testing.assert_allclose(answer(probabilities)["probabilities"], probabilities[0], atol=1e-6)
    # Class 0 belongs to nobody: 0.2 + 0.2 = 0.4 and 0.1, of 0.5 in all, so 0.8 and 0.2.
    tensors = answer(probabilities, groups=[(2, 3), (1,)])
    np.testing.assert_allclose(tensors["probabilities"], [0.8, 0.2], atol=1e-6)
    # A switch: the group with 0.7.
    tensors = answer(probabilities, groups=[(1, 2), (0, 3)], hard=True)
    assert tensors["probabilities"].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(tensors["logits"], np.log([0.3, 0.7]), atol=1e-6)


def test_certainty_stays_finite():
    tensors = answer(says(1.0, 0.0, 0.0, 0.0), groups=[(0, 1), (2, 3)])
    # log(0 + 1e-7) = -7 ln 10 = -16.118
    np.testing.assert_allclose(tensors["logits"], [0.0, -16.118], atol=1e-3)
    np.testing.assert_allclose(tensors["probabilities"], [1.0, 0.0], atol=2e-7)


def test_an_input_of_no_group_is_shared_evenly():
    tensors = answer(says(1.0, 0.0, 0.0), groups=[(1,), (2,)])
    assert tensors["probabilities"].tolist() == [0.5, 0.5]


def test_equals_go_to_the_first_group():
    assert answer(says(0.25, 0.25, 0.25, 0.25), hard=True)["probabilities"].tolist() == [1, 0, 0, 0]
    tensors = answer(says(0.2, 0.4, 0.4), groups=[(2,), (0,), (1,)], hard=True)
    assert tensors["probabilities"].tolist() == [1, 0, 0]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("hard", [False, True])
def test_a_soft_gate_learns_in_a_mixture_and_a_switch_does_not(hard):
    gate = GroupGate(classifier(2), hard=hard)
    mixture = DenseMoE([keras.layers.Dense(3), keras.layers.Dense(3)], gate)
    model = keras.Sequential([keras.Input((5,)), mixture])
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    gate_before, experts_before = gate.get_weights(), mixture.experts[0].get_weights()
    model.fit(ROWS, np.ones((6, 3)), verbose=0)
    for before, after in zip(gate_before, gate.get_weights(), strict=True):
        assert np.array_equal(before, after) == hard
    assert not np.array_equal(experts_before[0], mixture.experts[0].get_weights()[0])


def test_the_classifier_keeps_its_dtype_and_the_gate_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        gate = GroupGate(classifier())
        tensors = gate(ROWS)
    finally:
        keras.config.set_dtype_policy(before)
    assert gate.classifier.compute_dtype == "float16"
    assert {keras.backend.standardize_dtype(t.dtype) for t in tensors.values()} == {"float32"}


def test_groups_survive_a_configuration():
    gate = GroupGate(classifier(), groups=[np.array([0, 3]), range(1, 3)])
    assert gate.groups == ((0, 3), (1, 2))
    again = GroupGate.from_config(gate.get_config())
    assert again.groups == ((0, 3), (1, 2))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([(0, 1), (1, 2)], r"no id twice. Received: \[1\] twice"),
        ([(0, 0), (1,)], "no id twice"),
        ([(0,), ()], "one or more whole numbers of 0 or more"),
        ([], "one or more whole numbers"),
        ([(0,), (-1,)], "of 0 or more. Received: .*-1"),
        ([(0.5,), (1,)], "whole numbers"),
        ([("cat",), ("dog",)], "whole numbers"),
    ],
)
def test_groups_are_checked(groups, message):
    with pytest.raises(ValueError, match=message):
        GroupGate(classifier(), groups)


def test_classes_that_the_classifier_does_not_know_are_refused():
    with pytest.raises(ValueError, match=r"from 0 to 3. Received: groups=\(0, 1, 4\)"):
        GroupGate(classifier(4), groups=[(0, 1), (4,)])(ROWS)


@pytest.mark.parametrize(
    ("make_odd", "gives"),
    [
        (lambda: keras.layers.Reshape((4, 1)), r"\(6, 4, 1\)"),
        (lambda: keras.layers.Lambda(lambda x: {"classes": x}), r"{'classes': \(6, 4\)}"),
    ],
)
def test_a_classifier_must_give_one_tensor_of_rank_2(make_odd, gives):
    odd = keras.Sequential([keras.layers.Dense(4), make_odd()], name="odd_classifier")
    message = rf"shape \(B, C\). Received: 'odd_classifier', which gives {gives}"
    with pytest.raises(ValueError, match=message):
        GroupGate(odd)(ROWS)


def test_a_classifier_must_be_a_layer():
    with pytest.raises(ValueError, match="Expected the classifier to be a Keras layer"):
        GroupGate(lambda x: x)
