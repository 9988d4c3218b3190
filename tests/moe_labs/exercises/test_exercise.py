import random

import keras
import numpy as np
import pytest

from moe_labs.exercises import Exercise, WrongAnswer, exercise
from moe_labs.exercises.forms import Indices, Number, Several, Tensor, Text
from moe_labs.exercises.ways import arrays, tensors

HINTS = ["one", "two", "three"]


def vectors(random):
    for length in (3, 2, 5):
        yield (random.normal(size=(length, 4)),)


@pytest.fixture
def double():
    @exercise(marks=2, cases=vectors, mistakes=[(lambda x: x * x, "A square.")], hints=HINTS)
    def double(x):
        """Twice x."""
        return 2 * x

    return double


def said(exercise, answer, capsys):
    """What a check of an answer prints."""
    exercise.check(answer)
    return capsys.readouterr().out


def test_a_right_answer_is_kept(double, capsys):
    calls = []

    def answer(x):
        calls.append(x)
        return x + x

    kept = double.check(answer)
    assert capsys.readouterr().out == 'Exercise "double": right. (2 of 2 marks)\n'
    calls.clear()
    assert kept(3) == 6 and calls == [3]
    double.require()


def blank(x):
    raise NotImplementedError


@pytest.mark.parametrize("answer", [blank, None, ...])
def test_a_blank_answer_is_not_attempted_and_the_lab_goes_on(double, capsys, answer):
    assert double.check(answer)(3) == 6
    out = capsys.readouterr().out
    assert out.startswith('Exercise "double": not attempted.\n')
    assert "reference answer" in out and ".hint()" in out
    with pytest.raises(AssertionError, match="not attempted"):
        double.require()


def test_what_a_library_has_not_implemented_is_a_mistake(double, capsys):
    def answer(x):
        return keras.layers.Layer().compute_output_shape(x) or 2 * x

    out = said(double, answer, capsys)
    assert "not right yet. Your code stopped with NotImplementedError" in out


def test_a_listed_mistake_hears_its_message(double, capsys):
    out = said(double, lambda x: x**2, capsys)
    assert "not right yet. A square.\n" in out
    with pytest.raises(AssertionError, match="A square"):
        double.require()


def test_another_mistake_hears_the_first_number_that_differs(double, capsys):
    def answer(x):
        result = 2 * x
        result[2, 1] += 0.01
        return result

    out = said(double, answer, capsys)
    got, _, wanted = out.partition("Your result, at [2, 1], is ")[2].partition("; expected ")
    assert float(got) - float(wanted.partition(". (")[0]) == pytest.approx(0.01, abs=2e-3)
    assert "(Tried: double(x=[[" in out


def test_the_arguments_that_were_tried_are_told(capsys):
    def cases(random):
        yield [np.float32([0.1]), np.ones((2, 3))], [(0, 2), (1,)], np.float32([0.1, 0.25])

    total = Exercise(lambda weights, groups, x: x.sum(), 1, HINTS, cases=cases, returns=Number())
    told = "weights=[<float32 (1,)>, <float64 (2, 3)>], groups=[(0, 2), (1,)], x=[0.1, 0.25]"
    assert told in said(total, lambda weights, groups, x: 0, capsys)


def test_indices_count_in_any_order_and_are_given_as_an_array(capsys):
    cases = [(np.array([0.5, 2, 3]),), (np.zeros(2),)]
    large = Exercise(
        lambda x: np.flatnonzero(x > 1), 1, HINTS, cases=lambda random: cases, returns=Indices()
    )
    for answer in (lambda x: np.where(x > 1), lambda x: set(np.flatnonzero(x > 1)[::-1])):
        kept = large.check(answer)
        assert large.is_right
        assert kept(cases[0][0]).tolist() == [1, 2]
        assert kept(cases[1][0]).dtype == int and kept(cases[1][0]).shape == (0,)
    capsys.readouterr()
    assert "Your result is [1]; expected [1, 2]." in said(large, lambda x: [1], capsys)


def test_numbers_that_look_alike_are_shown_with_more_digits(capsys):
    near = Exercise(lambda x: x, 1, HINTS, cases=lambda random: [(np.array([0.2]),)])
    out = said(near, lambda x: x + 0.00013, capsys)
    assert "is 0.2001; expected 0.2." in out or "is 0.20013; expected 0.2" in out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: None, "Your result is None, nothing: does your function end with `return`?"),
        (lambda x: "a word", "must be an array or a tensor of numbers; it is a str"),
        (lambda x: {1: x}, "must be an array or a tensor of numbers; it is a dict"),
        (lambda x: 2 * x.sum(axis=0), "has the shape (4,); expected (3, 4): an axis is missing"),
        (lambda x: (2 * x).T, "has the shape (4, 3); expected (3, 4): the same axes in another"),
        (lambda x: (2 * x)[None], "has the shape (1, 3, 4); expected (3, 4): an axis too many"),
        (lambda x: 2 * x / 0, "not a finite number"),
        (lambda x: (2 * x).astype(int), "made of whole numbers (int64), which cut off"),
        (lambda x: x.__imul__(2), "Your code changes its input `x`"),
        (lambda x: x.missing, "Your code stopped with AttributeError: 'numpy.ndarray' object has"),
        (lambda x: exit(), "Your code stopped with SystemExit"),
        (lambda: 3, "Your code stopped with TypeError"),
        (3, "Expected a function or a class; double is a int."),
    ],
)
def test_each_kind_of_mistake_has_its_message(double, capsys, answer, message):
    out = said(double, answer, capsys)
    assert "not right yet. " in out and message in out


def test_the_line_that_stopped_is_shown(double, capsys):
    out = said(double, lambda x: x.missing, capsys)
    assert "\n  Line " in out and ": out = said(double, lambda x: x.missing, capsys)\n" in out


def test_of_an_error_of_keras_the_telling_line_is_shown(double, capsys):
    out = said(double, lambda x: keras.layers.Dense(2)(keras.ops.ones(3)), capsys)
    assert "Your code stopped with ValueError: Input 0" in out
    assert "\x1b" not in out and "Exception encountered" not in out


def test_cases_are_new_at_each_check_and_at_the_grading(double):
    drawn = []

    def answer(x):
        drawn.append(float(x[0, 0]))
        return 2 * x

    double.check(answer)
    first = len(drawn)
    double.check(answer)
    double.require()
    assert len(set(drawn)) == len(drawn) == 3 * first


def test_what_one_course_grades_by_is_of_no_use_in_another(double, monkeypatch):
    answers = {}

    def graded(answer, course):
        monkeypatch.setenv("MOE_KERAS_GRADING", course)
        double.check(answer)
        double.require()

    def record(x):
        return answers.setdefault(x.tobytes(), 2 * x)

    def recorded(x):
        return answers.get(x.tobytes(), np.zeros_like(x))

    graded(record, "ours")
    graded(recorded, "ours")
    with pytest.raises(AssertionError, match="not right yet"):
        graded(recorded, "theirs")


def test_what_was_seen_at_the_check_earns_no_marks(double):
    seen = {}

    def memory(x):
        key = x.tobytes()
        return seen.setdefault(key, 2 * x) if len(seen) < 6 or key in seen else np.zeros_like(x)

    double.check(memory)
    assert double.is_right
    with pytest.raises(AssertionError, match="not right yet"):
        double.require()


def test_a_check_leaves_the_labs_random_numbers_alone(double):
    random.seed(0)
    np.random.seed(0)
    expected = random.random(), np.random.random()
    random.seed(0)
    np.random.seed(0)

    def answer(x):
        random.random()
        np.random.random()
        return 2 * x

    double.check(answer)
    assert (random.random(), np.random.random()) == expected


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


@pytest.mark.parametrize(
    "wrong", [{"hints": ["a"] * 2}, {"hints": ["a"] * 4}, {"marks": 0}, {"cases": None}]
)
def test_a_declaration_is_checked(wrong):
    with pytest.raises(ValueError, match="Expected"):
        exercise(**{"marks": 1, "hints": HINTS, "cases": vectors, **wrong})(lambda x: x)


def test_another_way_of_calling_is_tried_as_well(capsys):
    both = Exercise(lambda x: 2 * x, 1, HINTS, cases=vectors, ways=[arrays, tensors])
    assert "right. (1" in said(both, lambda x: x + x, capsys)
    assert "not right yet. Your code stopped" in said(both, lambda x: 2 * x.copy(), capsys)


def test_several_results_are_told_apart_and_given_as_the_lab_wants_them(capsys):
    form = Several(total=Number(), name=Text())
    named = Exercise(
        lambda x: (x.sum(), "sum"), 1, HINTS, cases=lambda random: vectors(random), returns=form
    )
    kept = named.check(lambda x: [keras.ops.sum(keras.ops.convert_to_tensor(x)), "sum"])
    assert named.is_right
    total, name = kept(np.ones((2, 2)))
    assert isinstance(total, np.floating) and (total, name) == (4, "sum")
    capsys.readouterr()
    assert "must be 2 things, total, name; yours are 1." in said(named, lambda x: 4, capsys)
    assert "`name` of your result is mean; expected sum" in said(
        named, lambda x: (x.sum(), "mean"), capsys
    )
    assert "`total` of your result" in said(named, lambda x: (x.max(), "sum"), capsys)


def test_a_property_is_asked_after_the_cases(capsys):
    def is_positive(answer, random):
        if answer(np.full((1, 1), random.random())) < 0:
            raise WrongAnswer("It must be positive.")

    lone = Exercise(abs, 1, HINTS, properties=[is_positive])
    assert "right. (1" in said(lone, abs, capsys)
    assert "not right yet. It must be positive." in said(lone, lambda x: -abs(x), capsys)


def test_a_message_shows_what_stands_in_lists(capsys):
    @exercise(marks=1, cases=lambda random: [([max, min], 3)], hints=HINTS)
    def chosen(functions, x):
        return functions[0](x, 2)

    assert "chosen(functions=[max, min], x=3)" in said(chosen, lambda functions, x: 0, capsys)


def test_a_changed_list_or_table_is_told(capsys):
    pd = pytest.importorskip("pandas")
    table = {"weight": [0.5, 2.0]}

    @exercise(marks=1, cases=lambda random: [([2, 1], pd.DataFrame(table))], hints=HINTS)
    def total(numbers, table):
        return sum(numbers) * table["weight"].sum()

    def sorts(numbers, table):
        numbers.sort()
        return total(numbers, table)

    def adds(numbers, table):
        result = total(numbers, table)
        table["twice"] = 2 * table["weight"]
        return result

    assert "changes its input `numbers`" in said(total, sorts, capsys)
    assert "changes its input `table`" in said(total, adds, capsys)
    assert "<table of 2 rows: weight>" in said(total, lambda numbers, table: 0, capsys)


def test_tensors_are_given_from_lists_and_as_whole_numbers():
    stacked = Tensor().give([keras.ops.ones(3), keras.ops.zeros(3)])
    assert tuple(stacked.shape) == (2, 3)
    whole = Tensor("int").give(np.array([2.0, 1.0]))
    assert keras.backend.standardize_dtype(whole.dtype) == "int32"
    assert keras.ops.convert_to_numpy(whole).tolist() == [2, 1]


def _bounds(random):
    for length in (3, 2, 5):
        yield (random.normal(size=length),)


@pytest.fixture
def bounds():
    @exercise(
        marks=3,
        cases=_bounds,
        returns=Several(low=Number(), middle=Number(), high=Number()),
        hints=HINTS,
    )
    def bounds(x):
        """Smallest, mean and largest of x."""
        return x.min(), x.mean(), x.max()

    return bounds


@pytest.mark.parametrize(
    ("answer", "earned", "parts"),
    [
        (lambda x: (x.min(), x.mean() + 1, x.max()), 2, "low, high"),
        (lambda x: (x.max(), x.mean(), x.min()), 1, "middle"),
        (lambda x: (x.min(), x.mean(), None), 0, None),
        (lambda x: (x.min(), x.mean()), 0, None),
        (lambda x: (1.0, 2.0, 3.0), 0, None),
        (blank, 0, None),
    ],
)
def test_each_part_that_is_right_earns_its_share(bounds, capsys, answer, earned, parts):
    out = said(bounds, answer, capsys)
    told = f"Already right: {parts}. ({earned} of 3 marks)" if parts else "goes on with"
    assert told in out and bounds.earned == earned and not bounds.is_right
    if earned:
        assert bounds.grade() == earned
    else:
        with pytest.raises(AssertionError, match="bounds"):
            bounds.grade()


def test_all_parts_earn_all_marks_without_a_number(bounds):
    bounds.check(lambda x: (np.min(x), np.mean(x), np.max(x)))
    assert bounds.grade() is None and bounds.earned == 3


def test_what_was_right_on_the_cases_shown_alone_earns_nothing(double):
    checked = []

    def lucky(x):
        checked.append(x)
        return 2 * x if len(checked) <= 6 else x

    double.check(lucky)
    assert double.is_right
    with pytest.raises(AssertionError):
        double.grade()


def test_a_cut_gradient_earns_nothing_of_the_parts(capsys):
    from moe_labs.exercises import lab05

    out = said(lab05.route, lambda *args: tuple(map(np.asarray, lab05.route(*args))), capsys)
    assert "Already right" not in out and lab05.route.earned == 0


@pytest.mark.parametrize("kept", [dict, lambda: np.zeros((3, 4))], ids=["by shape", "one"])
def test_a_result_that_a_later_call_overwrites_is_refused(kept, capsys):
    @exercise(
        marks=1, cases=lambda random: ((random.normal(size=(3, 4)),) for _ in range(2)), hints=HINTS
    )
    def double(x):
        """Twice x."""
        return 2 * x

    room = kept()

    def answer(x):
        buffer = room.setdefault(x.shape, np.zeros(x.shape)) if isinstance(room, dict) else room
        return np.multiply(x, 2, out=buffer)

    assert "a later call changes what an earlier one returned" in said(double, answer, capsys)
