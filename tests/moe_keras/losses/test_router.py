import keras
import numpy as np
import pytest
from gradients import Held, Probe, assert_gradient
from layer_contract import to_numpy

from moe_keras.losses import gate_entropy, router_z_loss


def test_z_loss_by_hand():
    # log(1 + 3) and log(2 + 2 + 4): squares (ln 4)^2 and (ln 8)^2.
    logits = np.log([[1.0, 3.0, 1e-30], [2.0, 2.0, 4.0]])
    expected = (np.log(4) ** 2 + np.log(8) ** 2) / 2
    assert float(router_z_loss(logits)) == pytest.approx(expected)
    assert float(router_z_loss(logits, [True, False])) == pytest.approx(np.log(4) ** 2)


def test_z_loss_of_large_logits_is_finite():
    assert float(router_z_loss(np.full((1, 2), 1000.0))) == pytest.approx((1000 + np.log(2)) ** 2)


def test_entropy_by_hand():
    # 1/4 and 3/4: -(0.25 ln 0.25 + 0.75 ln 0.75) = 0.5623
    assert float(gate_entropy(np.array([[0.25, 0.75]]))) == pytest.approx(0.562335)
    assert float(gate_entropy(np.full((3, 5), 0.2))) == pytest.approx(np.log(5))
    assert float(gate_entropy(np.full((3, 2, 5), 0.2), np.ones((3, 2)))) == pytest.approx(np.log(5))


def test_entropy_has_the_sign_of_its_name():
    sure, unsure = np.array([[0.99, 0.01]]), np.array([[0.6, 0.4]])
    assert 0 < float(gate_entropy(sure)) < float(gate_entropy(unsure))


def test_entropy_of_certainty_is_0():
    assert float(gate_entropy(np.array([[1.0, 0.0]], "float32"))) == 0


@pytest.mark.parametrize("function", [router_z_loss, gate_entropy])
def test_gradients(rng, function):
    # Near 0 the entropy's slope changes too fast for finite differences.
    assert_gradient(function, rng.uniform(0.1, 0.9, size=(4, 3)))


def test_the_gradient_of_certainty_is_finite():
    held = Held(np.array([[1.0, 0.0]]))
    probe = Probe(held, lambda held: gate_entropy(held.array.value))
    probe.compile(optimizer=keras.optimizers.SGD(1.0))
    probe.fit(np.zeros((1, 1)), verbose=0)
    assert np.isfinite(to_numpy(held.array)).all()
