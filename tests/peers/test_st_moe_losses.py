"""st-moe-pytorch's losses against ours: the router z-losses agree.

The balance losses differ, even on first choices alone, and why is not yet explained: the test of it
is expected to fail. Ours is checked by hand here after Switch, equations (4) to (6).
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
routing = pytest.importorskip("st_moe_pytorch.st_moe_pytorch")
from moe_keras.losses import load_balancing_loss, router_z_loss  # noqa: E402


@pytest.fixture
def routed():
    torch.manual_seed(0)
    gate = routing.TopNGating(dim=8, num_gates=4, top_n=2)
    gate.train()
    x = torch.randn(1, 24, 8)
    _, _, balance, z_loss = gate(x, noise_gates=False)
    logits = gate.to_gates(x)
    probabilities = logits.softmax(-1)
    arrays = [tensor.detach().numpy() for tensor in (logits, probabilities)]
    return *arrays, balance.item(), z_loss.item()


def test_router_z_loss(routed):
    logits, _, _, theirs = routed
    assert float(router_z_loss(logits)) == pytest.approx(theirs, rel=1e-4)


@pytest.mark.xfail(reason="differs from st-moe-pytorch; not yet explained")
def test_balance_of_first_choices(routed):
    _, probabilities, theirs, _ = routed
    first = np.argmax(probabilities, axis=-1)[..., None]
    assert float(load_balancing_loss(probabilities, first)) == pytest.approx(theirs, rel=1e-4)


def test_balance_of_all_choices_differs(routed):
    _, probabilities, theirs, _ = routed
    both = np.argsort(-probabilities, axis=-1)[..., :2]
    share = np.bincount(both.ravel(), minlength=4) / both.size
    by_hand = 4 * np.sum(share * probabilities.mean(axis=(0, 1)))
    ours = float(load_balancing_loss(probabilities, both))
    assert ours == pytest.approx(by_hand, rel=1e-5)
    assert abs(ours - theirs) > 1e-3
