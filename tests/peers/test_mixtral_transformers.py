"""Hugging Face's Mixtral block: the same weights give the same output and gradients."""

import numpy as np
import pytest
import tensorflow as tf

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from swiglu_experts import mixture  # noqa: E402
from transformers import MixtralConfig  # noqa: E402
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock  # noqa: E402

E, D, H, K = 5, 8, 12, 2


@pytest.fixture
def block():
    config = MixtralConfig(
        hidden_size=D, intermediate_size=H, num_local_experts=E, num_experts_per_tok=K
    )
    config._experts_implementation = "eager"
    torch.manual_seed(0)
    module = MixtralSparseMoeBlock(config)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def ours(block):
    weights = {name: value.detach().numpy() for name, value in block.named_parameters()}
    # PyTorch's matrices are (outputs, inputs), the gate's rows above those of `up`.
    gate_up = np.swapaxes(weights["experts.gate_up_proj"], 1, 2)
    down = np.swapaxes(weights["experts.down_proj"], 1, 2)
    return mixture(weights["gate.weight"].T, gate_up[..., :H], gate_up[..., H:], down, K)


def test_output_and_input_gradient(block):
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
