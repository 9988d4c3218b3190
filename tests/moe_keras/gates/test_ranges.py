"""Gates over dtypes: whole numbers in, 16 bits inside, 64 bits around; what a file keeps."""

import keras
import numpy as np
import pytest
from draws import ROWS, TOKENS
from keras import ops
from layer_contract import to_numpy

import moe_keras as moe

COUNTS = np.random.default_rng(0).integers(0, 9, (6, 4, 5))  # (B, T, D)
GATES = {
    "softmax": lambda **kw: moe.SoftmaxGate(3, **kw),
    "top k": lambda **kw: moe.TopKGate(3, jitter=0.1, balance_loss=0.1, z_loss=0.1, seed=0, **kw),
    "noisy": lambda **kw: moe.NoisyTopKGate(3, importance_loss=0.1, load_loss=0.1, seed=0, **kw),
    "bias": lambda **kw: moe.BiasBalancedGate(3, **kw),
    "expert choice": lambda **kw: moe.ExpertChoiceGate(3, **kw),
    "slots": lambda **kw: moe.SlotGate(3, slots=2, **kw),
    "tree": lambda **kw: moe.HierarchicalGate((2, 2), **kw),
    "group limited": lambda **kw: moe.GroupLimitedGate(
        4, 2, num_groups=2, top_groups=1, sequence_loss=0.1, **kw
    ),
    "guided": lambda **kw: moe.LabelGuidedGate(moe.SoftmaxGate(3, **kw), np.eye(3), **kw),
}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("name", GATES)
def test_whole_numbers_are_cast_at_the_door(name, dtype):
    inputs = COUNTS.astype(dtype)
    gate = GATES[name]()
    gate(inputs)  # builds
    for training in (False, True):
        state = [to_numpy(variable) for variable in gate.variables]  # noise drawn, bias
        found = gate(inputs, training=training)
        for variable, value in zip(gate.variables, state, strict=True):
            variable.assign(value)
        expected = gate(inputs.astype("float32"), training=training)
        for key in expected:
            np.testing.assert_allclose(to_numpy(found[key]), to_numpy(expected[key]), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", GATES)
def test_a_gate_that_is_told_to_take_16_bits_stays_finite(name, dtype):
    gate = GATES[name](dtype=dtype)
    tokens = np.concatenate([TOKENS, 0 * TOKENS])
    for key, tensor in gate(tokens, training=True).items():
        assert np.isfinite(to_numpy(tensor).astype("float64")).all(), key
    for loss in gate.losses:
        assert keras.backend.standardize_dtype(loss.dtype) == "float32"
        assert np.isfinite(float(loss))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_bias_moves_from_any_place_in_any_dtype(dtype):
    gate = moe.BiasBalancedGate(2, top_k=1, update_rate=0.001, dtype=dtype)
    same = np.ones((4, 3))
    gate(same)
    gate.bias.assign([1.0, -1.0])
    gate(same, training=True)
    np.testing.assert_allclose(to_numpy(gate.bias), [0.999, -0.999], rtol=1e-6)


@pytest.mark.parametrize("name", GATES)
def test_gates_follow_a_policy_of_64_bits_and_none_of_16(name):
    before = keras.config.dtype_policy()
    try:
        for policy, expected in (
            ("float64", "float64"),
            ("mixed_bfloat16", "float32"),
            ("float16", "float32"),
        ):
            keras.config.set_dtype_policy(policy)
            tensors = GATES[name]()(TOKENS)
            dtype = keras.backend.standardize_dtype(tensors["probabilities"].dtype)
            wide = expected if keras.backend.backend() == "tensorflow" else "float32"
            assert dtype == wide, policy
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("hard", [False, True])
def test_a_classifier_of_logits_names_no_expert(hard):
    logits = np.array([[-3.0, 5, 1], [4, 2, 2], [0.2, 0.3, 0.5], [0, 0, 0]], "float32")
    gate = moe.GroupGate(keras.layers.Identity(), groups=[(0, 2), (1,)], hard=hard)
    tensors = {name: to_numpy(tensor) for name, tensor in gate(logits).items()}
    np.testing.assert_array_equal(tensors["probabilities"][[0, 1, 3]], 0)
    expected = [1, 0] if hard else [0.7, 0.3]
    np.testing.assert_allclose(tensors["probabilities"][2], expected, atol=1e-6)
    assert np.isfinite(tensors["logits"]).all()


@pytest.mark.parametrize("odd", [-1, 3, 99])
def test_an_odd_label_teaches_nothing_compiled_or_not(odd):
    kernels = []
    for jit in (False, True):
        keras.utils.set_random_seed(0)
        gate = moe.LabelGuidedGate(moe.SoftmaxGate(3), np.eye(3))
        inputs, labels = keras.Input((5,)), keras.Input((), dtype="int32")
        gate_model = keras.Model([inputs, labels], gate(inputs, labels)["probabilities"])
        gate_model.compile("sgd", loss=None, jit_compile=jit)
        before = [to_numpy(w) for w in gate_model.trainable_variables]
        gate_model.fit([ROWS, np.full(6, odd)], verbose=0)
        for value, weight in zip(before, gate_model.trainable_variables, strict=True):
            np.testing.assert_array_equal(to_numpy(weight), value)
        gate_model.fit([ROWS, np.array([0, 1, 2, odd, odd, 0])], verbose=0)
        kernels.append(to_numpy(gate_model.trainable_variables[0]))
        assert not np.array_equal(kernels[-1], before[0])
    np.testing.assert_allclose(*kernels, atol=1e-6)


def test_a_guidance_weight_of_0_can_grow():
    gate = moe.LabelGuidedGate(moe.SoftmaxGate(3), np.eye(3), guidance_weight=0.0)
    gate(ROWS, np.zeros(6, int), training=True)
    assert float(gate.losses[0]) == 0
    gate.guidance_weight.assign(2.0)
    gate(ROWS, np.zeros(6, int), training=True)
    assert float(gate.losses[0]) > 0.1


@pytest.mark.parametrize("name", ["top k", "noisy"])
def test_a_loaded_gate_draws_on(name, tmp_path):
    def model():
        inputs = keras.Input((5,))
        return keras.Model(inputs, GATES[name]()(inputs))

    first = model()
    first(ROWS, training=True)
    first.save(tmp_path / "m.keras")
    first.save_weights(tmp_path / "m.weights.h5")
    again, fresh = keras.saving.load_model(tmp_path / "m.keras"), model()
    fresh.load_weights(tmp_path / "m.weights.h5")
    expected = to_numpy(first(ROWS, training=True)["probabilities"])
    for other in (again, fresh):
        np.testing.assert_array_equal(
            to_numpy(other(ROWS, training=True)["probabilities"]), expected
        )


def test_raw_pixels_stay_finite():
    pixels = np.random.default_rng(0).integers(0, 256, (256, 784)).astype("float32")
    pixels[:, ::3] = 0
    gate = moe.NoisyTopKGate(4, 2, importance_loss=0.1, load_loss=0.1, seed=0)
    experts = [keras.layers.Dense(10, "softmax") for _ in range(4)]
    model = keras.Sequential([keras.Input((784,)), moe.SparseMoE(experts, gate)])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(pixels, np.arange(256) % 10, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert all(np.isfinite(to_numpy(weight)).all() for weight in model.weights)


def test_underflowed_noise_has_finite_gradients():
    gate = moe.NoisyTopKGate(4, load_loss=0.1)
    x = np.full((8, 2), 100.0, "float32")
    model = keras.Sequential(
        [keras.Input((2,)), moe.SparseMoE([keras.layers.Dense(1) for _ in range(4)], gate)]
    )
    gate.set_weights([np.eye(2, 4), -np.ones((2, 4))])
    model.compile("sgd", "mse")
    model.fit(x, np.ones((8, 1)), verbose=0)
    assert all(np.isfinite(to_numpy(weight)).all() for weight in model.weights)
    assert np.isfinite(float(ops.sum(model(x))))
