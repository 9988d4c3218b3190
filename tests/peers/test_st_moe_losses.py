"""st-moe-pytorch's losses against ours, on the same logits.

The router z-losses agree. So do the balance losses while no token is dropped. Beyond its capacity
st-moe-pytorch takes dropped tokens out of the share f_i as well, since it masks first choices in
place before it counts them; Switch's equation (5) counts by the argmax alone, as ours does.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
routing = pytest.importorskip("st_moe_pytorch.st_moe_pytorch")
from moe_keras.losses import load_balancing_loss, router_z_loss  # noqa: E402


def routed(capacity_factor):
    """Logits, probabilities, and the balance loss and z-loss that theirs makes of them."""
    torch.manual_seed(0)
    gate = routing.TopNGating(dim=8, num_gates=4, top_n=2, capacity_factor_train=capacity_factor)
    gate.train()
    x = torch.randn(1, 24, 8)
    _, _, balance, z_loss = gate(x, noise_gates=False)
    logits = gate.to_gates(x)
    arrays = [tensor.detach().numpy() for tensor in (logits, logits.softmax(-1))]
    return *arrays, balance.item(), z_loss.item()


def test_router_z_loss():
    logits, _, _, theirs = routed(capacity_factor=1.25)
    assert float(router_z_loss(logits)) == pytest.approx(theirs, rel=1e-4)


def test_balance_loss_without_drops():
    _, probabilities, theirs, _ = routed(capacity_factor=4.0)
    first = np.argmax(probabilities, axis=-1)[..., None]
    assert float(load_balancing_loss(probabilities, first)) == pytest.approx(theirs, rel=1e-4)


def test_balance_loss_with_drops():
    _, probabilities, theirs, _ = routed(capacity_factor=0.75)  # 4 slots each
    first = np.argmax(probabilities, axis=-1)[0]  # (24,)
    kept = np.zeros(24, bool)
    for expert in range(4):
        kept[np.flatnonzero(first == expert)[:4]] = True
    mean = probabilities.mean(axis=(0, 1))
    of_kept = np.bincount(first[kept], minlength=4) / 24
    assert 4 * np.sum(of_kept * mean) == pytest.approx(theirs, rel=1e-4)
    by_paper = 4 * np.sum(np.bincount(first, minlength=4) / 24 * mean)
    ours = float(load_balancing_loss(probabilities, first[None, :, None]))
    assert ours == pytest.approx(by_paper, rel=1e-5)
