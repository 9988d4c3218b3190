import pytest

from moe_keras.training import one_cycle


def test_it_rises_for_a_quarter_and_falls_to_zero():
    rate = one_cycle(peak=0.4, steps=100)
    assert [float(rate(step)) for step in (0, 10, 25, 100)] == pytest.approx([0, 0.16, 0.4, 0])
    # Half way down: 25 + 75 / 2 steps.
    assert float(rate(62.5)) == pytest.approx(0.2)
