import numpy as np
import pytest

from moe_keras.evaluation import paired_interval


def answers(both, only_a, only_b, none):
    a = np.repeat([True, True, False, False], [both, only_a, only_b, none])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, none])
    return a, b


def test_difference_and_width_agree_with_the_normal_approximation():
    # d = (60 - 20) / 400 = 0.1; variance 80 / 400 - 0.01 = 0.19; standard error sqrt(0.19 / 400) =
    # 0.021794.
    interval = paired_interval(*answers(200, 60, 20, 120))
    assert interval.difference == pytest.approx(0.1)
    assert interval.low == pytest.approx(0.1 - 1.96 * 0.021794, abs=0.002)
    assert interval.high == pytest.approx(0.1 + 1.96 * 0.021794, abs=0.002)


def test_agrees_with_drawing_the_examples_one_by_one():
    a, b = answers(90, 20, 10, 30)
    random = np.random.default_rng(5)
    rows = random.integers(0, len(a), (4000, len(a)))
    differences = a[rows].mean(axis=1) - b[rows].mean(axis=1)
    low, high = np.quantile(differences, [0.025, 0.975])
    interval = paired_interval(a, b)
    assert interval.low == pytest.approx(low, abs=0.01)
    assert interval.high == pytest.approx(high, abs=0.01)


def test_order_of_the_models_changes_the_sign_only():
    a, b = answers(200, 60, 20, 120)
    forth, back = paired_interval(a, b), paired_interval(b, a)
    assert back.difference == -forth.difference
    assert back.low == pytest.approx(-forth.high, abs=0.002)


def test_equal_models_differ_by_exactly_nothing():
    a, _ = answers(5, 5, 0, 0)
    assert paired_interval(a, a) == (0.0, 0.0, 0.0)


def test_a_higher_level_is_wider_and_the_seed_repeats():
    a, b = answers(50, 20, 10, 20)
    assert paired_interval(a, b, level=0.99).high > paired_interval(a, b, level=0.8).high
    assert paired_interval(a, b, seed=4) == paired_interval(a, b, seed=4)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 0], [1]), {}, r"shapes \(2,\) and \(1,\)"),
        (([], []), {}, "same length"),
        (([[1, 0]], [[1, 0]]), {}, "one-dimensional"),
        (([0.5, 1], [1, 0]), {}, r"correct_a to hold true.*\[0.5\]"),
        (([1, 0], [3, 7]), {}, "correct_b"),
        (([1, 0], [1, 0]), {"level": 95}, "level=95"),
        (([1, 0], [1, 0]), {"resamples": 0}, "resamples=0"),
    ],
)
def test_bad_input(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        paired_interval(*arguments, **options)
