"""soft-moe-pytorch's layer: the same weights give the same output.

It normalizes the tokens once, for the scores and for the slots. The paper (section 2.3) normalizes
them for the scores alone, and mixes the slots from the tokens as they are, as ours does. So ours is
given normalized tokens here. Its scores are D times a cosine: our learned scale is set to D.
"""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
peer = pytest.importorskip("soft_moe_pytorch")
from moe_keras.gates import SlotGate  # noqa: E402
from moe_keras.mixtures import SoftMoE  # noqa: E402

E, S, D, T = 3, 2, 8, 7


def expert(module):
    """Their network of two linear layers as Keras layers."""
    first, last = module[0], module[3]
    model = keras.Sequential(
        [
            keras.Input((D,)),
            keras.layers.Dense(first.out_features, activation="gelu"),
            keras.layers.Dense(D),
        ]
    )
    parts = (first.weight.T, first.bias, last.weight.T, last.bias)
    model.set_weights([part.detach().numpy() for part in parts])
    return model


def test_output():
    torch.manual_seed(0)
    theirs = peer.SoftMoE(dim=D, num_experts=E, num_slots=S, expert_mult=2)
    gate = SlotGate(E, slots=S)
    ours = SoftMoE([expert(module) for module in theirs.experts.experts], gate)
    x = np.random.default_rng(0).normal(size=(4, T, D)).astype("float32")
    normalized = x / np.linalg.norm(x, axis=-1, keepdims=True) * np.sqrt(D)
    ours.build(x.shape)
    slots = theirs.slot_embeds.detach().numpy().reshape(E * S, D).T
    gate.set_weights([slots, np.float32(D)])
    answer = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(normalized), answer, rtol=1e-4, atol=1e-4)
    # Tokens as they are give something else: the difference is the normalized slots.
    assert np.abs(ours(x) - answer).max() > 1e-2
