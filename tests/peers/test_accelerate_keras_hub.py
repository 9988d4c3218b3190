"""keras-hub's backbones give the same when accelerated: outputs, losses, gradients, texts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

models = pytest.importorskip("keras_hub").models
from moe_keras.mixtures import accelerate  # noqa: E402

COMMON = {
    **{"vocabulary_size": 20, "num_layers": 2, "num_query_heads": 2, "num_key_value_heads": 1},
    **{"hidden_dim": 16, "num_experts": 6, "top_k": 2},
}
QWEN = {"intermediate_dim": 12, "moe_intermediate_dim": 10}
SHARED = {"shared_expert_intermediate_dim": 14}
BACKBONES = {
    "Mixtral": ("MixtralBackbone", {"intermediate_dim": 12}),
    "Qwen-MoE": ("QwenMoeBackbone", {**QWEN, **SHARED}),
    "Qwen-MoE, normalized": ("QwenMoeBackbone", {**QWEN, **SHARED, "norm_top_k_prob": True}),
    "Qwen3-MoE": ("Qwen3MoeBackbone", {**QWEN, "head_dim": 8}),
    "Qwen3-MoE, some blocks dense": ("Qwen3MoeBackbone", {**QWEN, "mlp_only_layers": [1]}),
    "Qwen3.5-MoE": (
        "Qwen3_5MoeBackbone",
        {
            **{"head_dim": 8, "moe_intermediate_dim": 10, "shared_expert_intermediate_size": 14},
            **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 4},
            **{"linear_value_head_dim": 4, "layer_types": ["linear_attention", "full_attention"]},
        },
    ),
    "gpt-oss": ("GptOssBackbone", {"intermediate_dim": 12}),
}


def inputs():
    words = np.random.default_rng(0).integers(0, 20, (3, 7))
    there = np.arange(7) < np.array([7, 4, 6])[:, None]
    return {"token_ids": words, "padding_mask": there.astype("int32")}


def backbone(name, **options):
    kind, arguments = BACKBONES[name]
    if not hasattr(models, kind):
        pytest.skip(f"this keras-hub has no {kind}")
    model = getattr(models, kind)(**COMMON, **arguments, **options)
    random = np.random.default_rng(1)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(random.normal(size=weight.shape, scale=0.5))
    return model


def step(model):
    """Outputs, losses and gradients of a training step."""
    with tf.GradientTape() as tape:
        outputs = model(inputs(), training=True)
        losses = [float(loss) for loss in model.losses]
        loss = tf.reduce_mean(tf.square(outputs)) + sum(model.losses)
    variables = [v.value for v in model.trainable_variables]
    # Zero for the embeddings that only a CausalLM uses, its words' scores.
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    return outputs.numpy(), losses, [tf.convert_to_tensor(g).numpy() for g in gradients]


@pytest.mark.parametrize("name", BACKBONES)
def test_outputs_losses_and_gradients(name):
    model = backbone(name)
    outputs, losses, gradients = step(model)
    accelerate(model)
    sparse_outputs, sparse_losses, sparse_gradients = step(model)
    np.testing.assert_allclose(sparse_outputs, outputs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sparse_losses, losses, rtol=1e-4)
    for one, other in zip(gradients, sparse_gradients, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3 * np.abs(one).max())


@pytest.mark.parametrize("name", BACKBONES)
def test_what_is_saved_is_keras_hubs_model(name, tmp_path):
    model = accelerate(backbone(name))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    np.testing.assert_allclose(loaded(inputs()), model(inputs()), rtol=1e-4, atol=1e-4)


def test_texts():
    prompt = {"token_ids": np.array([[3, 5, 0, 0, 0]]), "padding_mask": [[1, 1, 0, 0, 0]]}
    prompt = {key: np.array(value, "int32") for key, value in prompt.items()}
    model = models.MixtralCausalLM(backbone("Mixtral"), preprocessor=None)
    model.compile(sampler="greedy")
    before = model.generate(prompt, stop_token_ids=None)["token_ids"]
    accelerate(model)
    after = model.generate(prompt, stop_token_ids=None)["token_ids"]
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("name", ["Mixtral", "gpt-oss"])
def test_sixteen_bits(name):
    model = backbone(name, dtype="bfloat16")
    before = keras.ops.convert_to_numpy(keras.ops.cast(model(inputs()), "float32"))
    after = keras.ops.convert_to_numpy(keras.ops.cast(accelerate(model)(inputs()), "float32"))
    # Two experts that are nearly as probable may be taken for each other in a later block.
    assert np.quantile(np.abs(after - before), 0.9) < 0.05 * np.abs(before).max()


def test_a_model_without_mixtures_is_refused():
    common = {key: COMMON[key] for key in list(COMMON)[:4]}
    model = models.MistralBackbone(**common, hidden_dim=16, intermediate_dim=12)
    with pytest.raises(ValueError, match="without such blocks"):
        accelerate(model)
