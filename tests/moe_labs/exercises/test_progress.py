from types import ModuleType

import pytest

from moe_labs.exercises import Exercise, exercises_of, summary


def good(x):
    return 2 * x


def bad(x):
    return x


@pytest.fixture
def lab():
    module = ModuleType("moe_labs.exercises.lab77")
    for name, marks in (("first", 3), ("second_one", 1), ("third", 2)):
        exercise = Exercise(good, marks, ["a", "b", "c"], cases=lambda random: [(3,), (5,)])
        exercise.title = name
        setattr(module, name, exercise)
    module.other = 3
    return module


def test_the_exercises_come_in_order(lab):
    assert list(exercises_of(lab)) == ["first", "second_one", "third"]


def test_what_is_attempted_right_and_worth(lab, capsys):
    lab.first.check(good)
    lab.third.check(bad)
    capsys.readouterr()
    summary(lab)
    assert capsys.readouterr().out == (
        "lab77: 2 of 3 exercises attempted, 1 right, 3 of 6 marks.\n"
        "  first       right           3 of 3\n"
        "  second_one  not attempted   0 of 1   hint: lab77.second_one.hint()\n"
        "  third       not right yet   0 of 2   hint: lab77.third.hint()\n"
        "Your lecturer reads the answers to the questions.\n"
    )


def test_the_last_check_counts(lab, capsys):
    lab.first.check(bad)
    lab.first.check(good)
    summary(lab)
    assert "1 of 3 exercises attempted, 1 right, 3 of 6 marks" in capsys.readouterr().out
