import pytest

from moe_keras.inspection import mean_interval


def test_three_values():
    # s = 1, t = 4.303, n = 3: 4.303 / sqrt(3) = 2.484
    assert mean_interval([1, 2, 3]) == pytest.approx((2, -0.4843, 4.4843), abs=1e-3)


def test_one_value_has_no_interval():
    assert tuple(mean_interval([5])) == (5, 5, 5)


@pytest.mark.parametrize("values", [[], [[1, 2]], range(11)])
def test_refuses_what_has_no_interval(values):
    with pytest.raises(ValueError, match="1 to 10 values"):
        mean_interval(values)
