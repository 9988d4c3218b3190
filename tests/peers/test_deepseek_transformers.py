"""Hugging Face's DeepSeek-V3 block: the same weights give the same choice, output and gradients."""

import numpy as np
import pytest
import tensorflow as tf

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from transformers import DeepseekV3Config  # noqa: E402
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE  # noqa: E402

from benchmarks.keras_models import SwiGLU  # noqa: E402
from moe_keras.gates import GroupLimitedGate  # noqa: E402
from moe_keras.mixtures import SparseMoE  # noqa: E402

E, D, H, K = 12, 8, 6, 3
GROUPS = [
    {"n_group": 1, "topk_group": 1},
    {"n_group": 4, "topk_group": 2},
    {"n_group": 3, "topk_group": 1},
]


@pytest.fixture(params=[(groups, norm) for groups in GROUPS for norm in (True, False)], ids=str)
def block(request):
    groups, normalize = request.param
    config = DeepseekV3Config(
        hidden_size=D,
        intermediate_size=H,
        moe_intermediate_size=H,
        n_routed_experts=E,
        n_shared_experts=1,
        num_experts_per_tok=K,
        routed_scaling_factor=2.5,
        norm_topk_prob=normalize,
        **groups,
    )
    config._experts_implementation = "eager"
    torch.manual_seed(0)
    module = DeepseekV3MoE(config)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    # Above -score: there an expert of another group has the score 0, not minus infinity.
    torch.nn.init.uniform_(module.gate.e_score_correction_bias, 0, 0.3)
    return module


def ours(block):
    gate = GroupLimitedGate(
        E,
        K,
        num_groups=block.n_group,
        top_groups=block.topk_group,
        normalize=block.norm_topk_prob,
        route_scale=block.routed_scaling_factor,
    )
    experts, shared = [SwiGLU(D, H) for _ in range(E)], SwiGLU(D, H)
    layer = SparseMoE(experts, gate, shared_experts=[shared])
    layer(np.zeros((1, 1, D), "float32"))
    # PyTorch's matrices are (outputs, inputs), the gate's rows above those of `up`.
    gate.dense.kernel.assign(block.gate.weight.detach().numpy().T)
    gate.bias.assign(block.gate.e_score_correction_bias.numpy())
    gate_up = block.experts.gate_up_proj.detach().numpy().swapaxes(1, 2)
    down = block.experts.down_proj.detach().numpy().swapaxes(1, 2)
    for e, expert in enumerate(experts):
        expert.set_weights([gate_up[e, :, :H], gate_up[e, :, H:], down[e]])
    projections = ("gate_proj", "up_proj", "down_proj")
    theirs = [getattr(block.shared_experts, name).weight.detach().numpy().T for name in projections]
    shared.set_weights(theirs)
    return layer


def test_choice_and_weights(block):
    x = np.random.default_rng(1).normal(size=(40, D)).astype("float32")
    with torch.no_grad():
        indices, weights = block.route_tokens_to_experts(block.gate(torch.tensor(x)))
    tensors = ours(block).gate(x)
    # Theirs come in any order.
    order = np.argsort(indices.numpy(), axis=-1)
    mine = np.argsort(tensors["indices"], axis=-1)
    np.testing.assert_array_equal(
        np.take_along_axis(tensors["indices"].numpy(), mine, -1),
        np.take_along_axis(indices.numpy(), order, -1),
    )
    np.testing.assert_allclose(
        np.take_along_axis(tensors["weights"].numpy(), mine, -1),
        np.take_along_axis(weights.numpy(), order, -1),
        rtol=1e-5,
    )


def test_output_and_gradients(block):
    x = np.random.default_rng(1).normal(size=(3, 7, D)).astype("float32")
    theirs_in = torch.tensor(x, requires_grad=True)
    theirs = block(theirs_in)
    theirs.square().sum().backward()
    tensor = tf.constant(x)
    layer = ours(block)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        answer = layer(tensor)
        loss = tf.reduce_sum(tf.square(answer))
    router = layer.gate.dense.kernel.value
    gradient, router_gradient = tape.gradient(loss, [tensor, router])
    np.testing.assert_allclose(answer, theirs.detach().numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(gradient, theirs_in.grad.numpy(), rtol=1e-4, atol=1e-3)
    theirs_router = block.gate.weight.grad.numpy().T
    np.testing.assert_allclose(router_gradient, theirs_router, rtol=1e-4, atol=1e-3)
