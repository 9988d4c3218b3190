import pytest

from moe_keras.evaluation import mean_interval


def test_three_values():
    # s = 1, t = 4.303, n = 3: 4.303 / sqrt(3) = 2.484
    assert mean_interval([1, 2, 3]) == pytest.approx((2, -0.4843, 4.4843), abs=1e-3)


def test_one_value_has_no_interval():
    assert tuple(mean_interval([5])) == (5, 5, 5)


@pytest.mark.parametrize("values", [[], [[1, 2]], 3.0])
def test_refuses_what_has_no_interval(values):
    with pytest.raises(ValueError, match="one value or more"):
        mean_interval(values)


def test_more_than_ten_values():
    # Of 0 to 19: s^2 = 20 * 21 / 12 = 35; t for 19 degrees of freedom is 2.093 in printed tables.
    reach = 2.093 * (35 / 20) ** 0.5
    assert mean_interval(range(20)) == pytest.approx((9.5, 9.5 - reach, 9.5 + reach), abs=1e-3)
