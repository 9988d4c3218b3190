import keras
import pytest

from moe_keras.training import TriangularSchedule


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.4),  # 0.2 of the peak
        (115, 1.2),  # half of the rise of 230 steps: 2 (0.2 + 0.4)
        (230, 2.0),
        (615, 1.07),  # half of the fall: 2 (1 - 0.465)
        (1000, 0.14),
        (2000, 0.14),  # and stays there
    ],
)
def test_by_hand(step, rate):
    assert float(TriangularSchedule(peak=2.0, steps=1000)(step)) == pytest.approx(rate, rel=1e-5)


def test_configuration():
    config = keras.optimizers.schedules.serialize(TriangularSchedule(0.5, 70))
    again = keras.optimizers.schedules.deserialize(config)
    assert isinstance(again, TriangularSchedule)
    assert again.get_config() == {"peak": 0.5, "steps": 70}
