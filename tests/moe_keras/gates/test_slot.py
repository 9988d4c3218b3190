import keras
import numpy as np
import pytest
from draws import TOKENS
from gradients import assert_gradients
from keras import ops
from layer_contract import run_layer_contract, to_numpy

from moe_keras.gates import SlotGate

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)  # (B, T)


def softmax(scores, axis):
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def oracle(gate):
    """In NumPy, for 3 experts of 2 slots and the normalized scores."""
    kernel, scale = (weight.astype("float64") for weight in gate.get_weights())
    tokens = TOKENS / np.linalg.norm(TOKENS, axis=-1, keepdims=True)
    logits = scale * tokens @ (kernel / np.linalg.norm(kernel, axis=0)) / gate.temperature
    tensors = {
        "logits": logits,
        "dispatch": softmax(logits, axis=1),
        "combine": softmax(logits, axis=2),
    }
    tensors = {name: values.reshape(3, 4, 3, 2) for name, values in tensors.items()}
    return {**tensors, "probabilities": tensors["combine"].sum(axis=-1)}


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_contract(temperature):
    run_layer_contract(
        lambda: SlotGate(3, slots=2, temperature=temperature),
        TOKENS,
        expected_output=oracle,
        trainable=2,
        non_trainable=0,
        mask=MASK,
    )


def test_by_hand():
    # Two tokens, one slot for each of two experts, not normalized: logits are x * (ln 3, 0).
    gate = SlotGate(2, normalize=False)
    gate.build((None, 2, 1))
    gate.set_weights([np.log([[3.0, 1.0]])])
    tensors = gate(np.array([[[0.0], [1.0]]], "float32"))
    found = {name: to_numpy(tensor)[0] for name, tensor in tensors.items()}
    # Over tokens: expert 0 has (1, 3) / 4, expert 1 (1, 1) / 2.
    np.testing.assert_allclose(found["dispatch"][..., 0], [[0.25, 0.5], [0.75, 0.5]], rtol=1e-6)
    # Over experts: token 0 has (1, 1) / 2, token 1 (3, 1) / 4.
    np.testing.assert_allclose(found["combine"][..., 0], [[0.5, 0.5], [0.75, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(found["probabilities"], [[0.5, 0.5], [0.75, 0.25]], rtol=1e-6)


def test_scores_do_not_grow_with_the_inputs():
    gate = SlotGate(3, slots=2)
    small, large = gate(TOKENS), gate(100 * TOKENS)
    assert np.abs(to_numpy(small["logits"])).max() <= 1  # cosines
    np.testing.assert_allclose(to_numpy(large["logits"]), to_numpy(small["logits"]), atol=1e-5)


def test_a_low_temperature_makes_slots_of_single_tokens():
    tokens = np.eye(4, 5, dtype="float32")[None]  # token t has in each slot the kernel's entry t
    kernel = np.array(
        [
            [4, 1, 1, 1, 2, 3],
            [1, 4, 1, 2, 1, 1],
            [2, 2, 4, 3, 4, 2],
            [3, 3, 2, 4, 3, 4],
            [0, 0, 0, 0, 0, 0],
        ]
    )
    gate = SlotGate(3, slots=2, temperature=1e-4)
    gate.build(tokens.shape)
    gate.set_weights([kernel, np.float32(1)])
    dispatch = to_numpy(gate(tokens)["dispatch"]).reshape(4, 6)  # (T, E * S)
    np.testing.assert_allclose(dispatch, np.eye(4)[:, [0, 1, 2, 3, 2, 3]], atol=1e-6)


def test_masked_tokens_are_in_no_slot():
    gate = SlotGate(3, slots=2)
    dispatch = to_numpy(gate(TOKENS, mask=MASK)["dispatch"])
    assert (dispatch[~MASK] == 0).all()
    np.testing.assert_allclose(dispatch.sum(axis=1), 1, rtol=1e-6)
    shorter = to_numpy(gate(TOKENS[:1, :3])["dispatch"])
    np.testing.assert_allclose(dispatch[:1, :3], shorter, rtol=1e-6)
    nothing = to_numpy(gate(TOKENS, mask=np.zeros((3, 4), bool))["dispatch"])
    assert (nothing == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_token_of_zeros_has_finite_scores_and_gradients(dtype):
    gate = SlotGate(3, slots=2, dtype=dtype)
    inputs = keras.Input((4, 5))
    scaled = keras.layers.Dense(5, use_bias=False)(inputs)  # zeros stay zeros
    model = keras.Model(inputs, ops.cast(gate(scaled)["combine"], "float32"))
    model.compile(keras.optimizers.SGD(1.0), "mse", auto_scale_loss=False)
    tokens = np.where(MASK[..., None], TOKENS, 0)
    np.testing.assert_allclose(to_numpy(model(tokens))[0, 3], 1 / 6, rtol=1e-2)  # logits of 0
    model.train_on_batch(tokens, np.ones((3, 4, 3, 2)))
    assert all(np.isfinite(weights.astype("float32")).all() for weights in model.get_weights())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_masks_in_16_bits(dtype):
    gate = SlotGate(3, slots=2, dtype=dtype)
    mask = np.concatenate([MASK[:2], np.zeros((1, 4), bool)])
    tensor = gate(TOKENS, mask=mask)["dispatch"]
    assert keras.backend.standardize_dtype(tensor.dtype) == dtype.removeprefix("mixed_")
    dispatch = to_numpy(ops.cast(tensor, "float32"))
    assert (dispatch[~mask] == 0).all()
    np.testing.assert_allclose(dispatch[:2].sum(axis=1), 1, rtol=0.02)


def test_gradients(rng):
    tokens = rng.normal(size=(2, 3, 4))
    weigh = {name: rng.normal(size=(2, 3, 2, 2)) for name in ("dispatch", "combine")}
    gate = SlotGate(2, slots=2, dtype="float64")
    gate.build(tokens.shape)

    def loss(gate):
        tensors = gate(tokens)
        return sum(ops.sum(weights * tensors[name]) for name, weights in weigh.items())

    assert_gradients(gate, loss)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_experts": 0}, "num_experts"),
        ({"num_experts": 2, "slots": 0}, "slots"),
        ({"num_experts": 2, "temperature": 0}, "temperature"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=rf"Expected {message}.*Received: .*{message}"):
        SlotGate(**arguments)


def test_rank_is_checked():
    with pytest.raises(ValueError, match=r"\(B, T, D\).* Received: shape \(3, 5\)"):
        SlotGate(2)(np.ones((3, 5), "float32"))
