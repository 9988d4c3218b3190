import keras
import pytest

from moe_keras.checks import Exercise, WrongAnswer


def verify_double(answer):
    if answer(3) != 6:
        raise WrongAnswer("The double of 3 is 6.")


@pytest.fixture
def double():
    return Exercise("double", verify_double, lambda: "reference", ["one", "two", "three"], marks=2)


def test_a_right_answer_is_kept(double, capsys):
    def answer(x):
        return 2 * x

    assert double.check(answer) is answer
    assert capsys.readouterr().out == 'Exercise "double": right. (2 of 2 marks)\n'
    double.require()


def blank(x):
    raise NotImplementedError


@pytest.mark.parametrize("answer", [blank, None, ...])
def test_a_blank_answer_is_not_attempted_and_the_lab_goes_on(double, capsys, answer):
    assert double.check(answer) == "reference"
    out = capsys.readouterr().out
    assert out.startswith('Exercise "double": not attempted.\n')
    assert "reference answer" in out and ".hint()" in out
    with pytest.raises(AssertionError, match="not attempted"):
        double.require()


def test_a_wrong_answer_hears_what_is_wrong(double, capsys):
    assert double.check(lambda x: x) == "reference"
    assert "not right yet. The double of 3 is 6." in capsys.readouterr().out
    with pytest.raises(AssertionError, match="not right yet"):
        double.require()


def test_an_answer_that_stops_with_an_error_does_not_stop_the_lab(double, capsys):
    assert double.check(lambda x: x.missing) == "reference"
    out = capsys.readouterr().out
    assert "Your code stopped with AttributeError: 'int' object has no attribute 'missing'" in out


def test_of_an_error_of_keras_the_telling_line_is_shown(double, capsys):
    double.check(lambda x: keras.layers.Dense(2)(keras.ops.ones(3)))
    out = capsys.readouterr().out
    assert "Your code stopped with ValueError: Input 0" in out
    assert "\x1b" not in out and "Exception encountered" not in out


def test_an_answer_that_leaves_python_does_not_stop_the_lab(double, capsys):
    assert double.check(lambda x: exit()) == "reference"
    assert "Your code stopped with SystemExit" in capsys.readouterr().out


def test_before_any_check_nothing_is_right(double):
    with pytest.raises(AssertionError, match="not attempted"):
        double.require()


def test_a_wrong_answer_after_a_right_one_counts(double):
    double.check(lambda x: 2 * x)
    double.check(lambda x: x)
    with pytest.raises(AssertionError):
        double.require()


def test_hints_come_one_by_one_and_the_last_stays(double, capsys):
    for _ in range(4):
        double.hint()
    assert capsys.readouterr().out.splitlines() == [
        'Hint 1 of 3 for "double": one',
        'Hint 2 of 3 for "double": two',
        'Hint 3 of 3 for "double": three',
        'Hint 3 of 3 for "double": three',
    ]


@pytest.mark.parametrize(("hints", "marks"), [(["a"] * 2, 1), (["a"] * 4, 1), (["a"] * 3, 0)])
def test_an_exercise_needs_three_hints_and_marks(hints, marks):
    with pytest.raises(ValueError, match="Expected"):
        Exercise("x", verify_double, lambda: None, hints, marks)
