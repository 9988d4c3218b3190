import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from layer_contract import run_layer_contract, to_numpy

from moe_keras.experts import ClassSubset, Expert, FrozenExpert
from moe_keras.gates import GroupGate, PerClassGate, SoftmaxGate
from moe_keras.mixtures import DenseMoE

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def dense(units=3, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def network():
    layers = [dense(4), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), dense(3)]
    return keras.Sequential(layers)


def oracle(inputs, einsum):
    def expected(mixture):
        weights = to_numpy(mixture.gate(inputs)["probabilities"]).astype("float64")
        return np.einsum(einsum, weights, [to_numpy(expert(inputs)) for expert in mixture.experts])

    return expected


@pytest.mark.parametrize(
    ("make_gate", "inputs", "einsum", "mask"),
    [
        (lambda: SoftmaxGate(2), ROWS, "be,ebc->bc", None),
        (lambda: SoftmaxGate(2), TOKENS, "bte,ebtd->btd", MASK),
        (lambda: PerClassGate(num_classes=3, num_experts=2), ROWS, "bce,ebc->bc", None),
    ],
    ids=["whole outputs", "tokens", "classes"],
)
def test_contract(make_gate, inputs, einsum, mask):
    # Two dense experts and a gate: 2 weights each.
    run_layer_contract(
        lambda: DenseMoE([dense(), Expert(dense())], make_gate()),
        inputs,
        expected_output=oracle(inputs, einsum),
        trainable=6,
        non_trainable=0,
        mask=mask,
    )


def hierarchy():
    """A switch between a frozen expert for all classes and a mixture of two for some of them."""
    some = ClassSubset(FrozenExpert(dense(2, activation="softmax")), (2, 0), num_classes=3)
    inner = DenseMoE([some, network()], PerClassGate(num_classes=3, num_experts=2))
    gate = GroupGate(keras.Sequential([dense(4, activation="softmax")]), groups=[(0, 3), (1, 2)])
    return DenseMoE([FrozenExpert(dense()), inner], gate)


def test_contract_of_a_hierarchy():
    # Trained: network 6, inner gate 2, outer gate 2. Not: two frozen layers 4, moving statistics 2.
    run_layer_contract(
        hierarchy,
        ROWS,
        expected_output=oracle(ROWS, "be,ebc->bc"),
        trainable=10,
        non_trainable=6,
        moves_untrained=("moving_mean", "moving_variance"),
    )


def test_by_hand():
    experts = [keras.layers.Rescaling(2.0), keras.layers.Rescaling(1.0, offset=1.0)]
    mixture = DenseMoE(experts, SoftmaxGate(2))
    mixture.build((None, 2))
    # Scores 0 and ln 3 whatever the input: weights 1/4 and 3/4.
    mixture.gate.set_weights([np.zeros((2, 2)), np.log([1.0, 3.0])])
    # x = 4: 1/4 * (2 * 4) + 3/4 * (4 + 1) = 2 + 3.75 = 5.75; x = -2: 1/4 * -4 + 3/4 * -1 = -1.75.
    summed = to_numpy(mixture(np.array([[4.0, -2.0]], "float32")))
    np.testing.assert_allclose(summed, [[5.75, -1.75]], atol=1e-5)


def test_a_hierarchy_by_hand():
    # Each gate weighs its two experts 1/4 and 3/4. Inner: 1/4 * 1x + 3/4 * 5x = 4x.
    # Outer: 1/4 * 8x + 3/4 * 4x = 5x.
    inner = DenseMoE([keras.layers.Rescaling(1.0), keras.layers.Rescaling(5.0)], SoftmaxGate(2))
    outer = DenseMoE([keras.layers.Rescaling(8.0), inner], SoftmaxGate(2))
    outer.build((None, 1))
    for mixture in (inner, outer):
        mixture.gate.set_weights([np.zeros((1, 2)), np.log([1.0, 3.0])])
    np.testing.assert_allclose(to_numpy(outer(np.array([[2.0]], "float32"))), [[10.0]], atol=1e-5)


@pytest.mark.parametrize("given", ["a tensor", "a dict"])
def test_any_layer_can_be_the_gate(rng, given):
    def gate():
        last = dense(2, activation="softmax") if given == "a tensor" else SoftmaxGate(2)
        return keras.Sequential([keras.layers.Flatten(), last])

    def expert():
        return keras.Sequential([keras.layers.Flatten(), dense(4)])

    mixture = DenseMoE([expert(), expert()], gate())
    model = keras.Sequential([keras.Input((8, 8, 1)), mixture])
    images = rng.integers(0, 256, (3, 8, 8, 1)).astype("uint8")
    assert model(images).shape == (3, 4)
    assert model.output_shape == (None, 4)


def test_experts_keep_their_dtype_and_the_gate_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = DenseMoE([dense(), dense()], SoftmaxGate(2))
        full = DenseMoE([dense(dtype="float32"), dense(dtype="float32")], SoftmaxGate(2))
        outputs = half(ROWS), full(ROWS)
    finally:
        keras.config.set_dtype_policy(before)
    dtypes = [keras.backend.standardize_dtype(output.dtype) for output in outputs]
    assert dtypes == ["bfloat16", "float32"]
    assert half.gate.compute_dtype == "float32"
    assert full(keras.Input((5,))).dtype == "float32"
    # The inputs were not rounded to 8 bits on the way to experts and gate that compute in 32.
    np.testing.assert_allclose(
        to_numpy(outputs[1]), oracle(ROWS, "be,ebc->bc")(full), rtol=1e-5, atol=1e-6
    )


def test_training_reaches_experts_beside_a_frozen_one():
    dropout = keras.layers.Dropout(0.9, seed=0)
    mixture = DenseMoE([FrozenExpert(keras.layers.Identity()), dropout], SoftmaxGate(2))
    assert not np.allclose(to_numpy(mixture(ROWS, training=True)), ROWS)
    np.testing.assert_allclose(to_numpy(mixture(ROWS, training=False)), ROWS, atol=1e-6)


def test_one_layer_shared_on_purpose(tmp_path):
    shared = dense()
    mixture = DenseMoE([Expert(shared), Expert(shared)], SoftmaxGate(2))
    model = keras.Sequential([keras.Input((5,)), mixture])
    assert len(model.trainable_weights) == 4
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(to_numpy(loaded(ROWS)), to_numpy(model(ROWS)))
    assert len(loaded.trainable_weights) == 4


def test_a_baseline_shared_by_two_mixtures(tmp_path):
    """Two specialists, each weighed against one baseline; a switch between the two pairs."""
    baseline = FrozenExpert(dense())
    pairs = [DenseMoE([dense(), baseline], SoftmaxGate(2)) for _ in range(2)]
    mixture = DenseMoE(pairs, GroupGate(FrozenExpert(dense(2, activation="softmax"))))
    model = keras.Sequential([keras.Input((5,)), mixture])
    # Trained: two specialists and two gates. Not: the baseline, once, and the classifier.
    assert (len(model.trainable_weights), len(model.non_trainable_weights)) == (8, 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(to_numpy(loaded(ROWS)), to_numpy(model(ROWS)))
    first, second = loaded.layers[0].experts
    assert first.experts[1] is second.experts[1]


def test_the_same_expert_twice_is_refused():
    expert = dense(name="twin")
    with pytest.raises(ValueError, match=r"Expected different experts; .* Received: 'twin' twice"):
        DenseMoE([expert, dense(), expert], SoftmaxGate(3))


@pytest.mark.parametrize(
    ("experts", "gate", "message"),
    [
        ([], dense(), r"at least one expert. Received: experts=\[\]"),
        ([dense(), lambda x: x], dense(), "to be Keras layers or models. Received: <function"),
        ([dense()], None, "to be Keras layers or models. Received: None"),
    ],
)
def test_experts_and_gate_are_checked(experts, gate, message):
    with pytest.raises(ValueError, match=message):
        DenseMoE(experts, gate)


def natural_and_artificial(units=3, other_units=3):
    return [dense(units, name="natural"), dense(other_units, name="artificial")]


@pytest.mark.parametrize(
    ("make_experts", "make_gate", "message"),
    [
        (
            natural_and_artificial,
            lambda: SoftmaxGate(3, name="chooser"),
            r"each of 2 experts: expert 0 \('natural'\), expert 1 \('artificial'\). "
            r"Received: weights of 'chooser' of shape \(6, 3\), for 3 experts",
        ),
        (
            lambda: natural_and_artificial(3, 4),
            lambda: SoftmaxGate(2),
            r"expert 0 \('natural'\) gives \(6, 3\), expert 1 \('artificial'\) gives \(6, 4\)",
        ),
        (natural_and_artificial, lambda: PerClassGate(4, 2), "the outputs' first axes"),
    ],
    ids=["weights", "outputs", "axes"],
)
def test_shapes_are_checked_at_build(make_experts, make_gate, message):
    mixture = DenseMoE(make_experts(), make_gate())
    with pytest.raises(ValueError, match=message):
        mixture.build((6, 5))


def test_a_gate_without_probabilities_is_refused():
    class Odd(keras.layers.Layer):
        def call(self, inputs):
            return {"weights": inputs, "logits": inputs}

    mixture = DenseMoE(natural_and_artificial(), Odd(name="odd"))
    message = r"Received: 'odd', which gives \['logits', 'weights'\]"
    with pytest.raises(ValueError, match=message):
        mixture.build((6, 5))


def test_an_expert_that_gives_no_single_tensor_is_refused():
    mixture = DenseMoE([dense(), SoftmaxGate(3, name="not_an_expert")], SoftmaxGate(2))
    with pytest.raises(
        ValueError, match=r"each expert to give one tensor. Received: expert 1 \('not_an_expert'\)"
    ):
        mixture.build((6, 5))
