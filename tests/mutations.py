"""Mutation tests of a lab's exercises, for all labs alike."""

import inspect

import keras
import numpy as np
import pytest

from moe_labs.exercises import exercises_of

OCCASIONS = [f"occasion {number}" for number in range(5)]


def blank(*args, **kwargs):
    """What a student's copy holds before anything is written."""
    raise NotImplementedError


class MutationTests:
    """Derive from it and name the lab, and answers of a kind that its declarations do not list.

    `right` maps each exercise to at least two answers that must pass; `wrong` to at least eight
    that must not. What an exercise lists as mistakes is tested as well.
    """

    lab, right, wrong = None, {}, {}
    by_night = ()  # exercises whose checks take seconds: of their answers three are tried by day

    def pytest_generate_tests(self, metafunc):
        exercises = exercises_of(self.lab)
        names = metafunc.fixturenames
        if "answer" in names:
            table = self.right if "right" in metafunc.function.__name__ else self.wrong
            cases = [(name, case) for name in table for case in table[name]]
            metafunc.parametrize(("name", "answer"), _numbered(cases, self.by_night))
        elif "mistake" in names:
            cases = [(name, m) for name in exercises for m in exercises[name].mistakes]
            metafunc.parametrize(("name", "mistake"), _numbered(cases))
        elif "name" in names:
            metafunc.parametrize("name", exercises)

    def exercise(self, name):
        """The exercise as in a fresh notebook: its first check draws the first cases."""
        exercise = exercises_of(self.lab)[name]
        exercise._checks = 0
        return exercise

    def test_every_exercise_is_tried(self):
        assert set(self.right) == set(self.wrong) == set(exercises_of(self.lab))
        assert min(map(len, self.right.values())) >= 2
        assert min(map(len, self.wrong.values())) >= 8

    def test_right_answers_pass(self, name, answer, capsys):
        exercise = self.exercise(name)
        exercise.check(answer)
        assert exercise.is_right, capsys.readouterr().out
        exercise.require()

    def test_the_reference_answer_is_right(self, name, capsys):
        exercise = self.exercise(name)
        exercise.check(exercise.reference())
        assert exercise.is_right, capsys.readouterr().out
        exercise.require()

    def test_wrong_answers_are_refused(self, name, answer, capsys):
        exercise = self.exercise(name)
        exercise.check(answer)
        assert "not right yet. " in capsys.readouterr().out
        with pytest.raises(AssertionError, match="not right yet"):
            exercise.require()

    @pytest.mark.nightly
    @pytest.mark.parametrize("occasion", OCCASIONS)
    def test_wrong_answers_are_refused_whatever_is_drawn(self, name, answer, occasion):
        assert self.judged(name, answer, occasion) != "right"

    @pytest.mark.nightly
    @pytest.mark.parametrize("occasion", OCCASIONS)
    def test_right_answers_pass_whatever_is_drawn(self, name, answer, occasion):
        assert self.judged(name, answer, occasion) == "right"

    def judged(self, name, answer, occasion):
        exercise = self.exercise(name)
        exercise._answer = answer
        return exercise._judge(occasion)[0]

    def test_each_listed_mistake_hears_its_own_message(self, name, mistake, capsys):
        wrong, message = mistake
        exercise = self.exercise(name)
        exercise.check(wrong)
        assert f"not right yet. {message}\n" in capsys.readouterr().out
        with pytest.raises(AssertionError, match="not right yet"):
            exercise.require()

    def test_a_blank_copy_is_not_attempted(self, name, capsys):
        self.exercise(name).check(blank)
        assert "not attempted" in capsys.readouterr().out

    def test_a_forgotten_return_is_told(self, name, capsys):
        exercise = self.exercise(name)
        if inspect.isclass(exercise.function):
            pytest.skip("a class returns itself")

        def nothing(*args):
            exercise.function(*args)

        exercise.check(nothing)
        assert "does your function end with `return`?" in capsys.readouterr().out

    def test_what_is_not_finite_is_told(self, name, capsys):
        exercise = self.exercise(name)
        if not self._result(exercise, "f"):
            pytest.skip("returns no fractions")
        exercise.check(self._changed(exercise, lambda value: value * np.nan))
        assert "not a finite number" in capsys.readouterr().out

    def test_fractions_cut_off_are_told(self, name, capsys):
        exercise = self.exercise(name)
        if not any((array % 1).any() for array in self._result(exercise, "f")):
            pytest.skip("returns no fractions")
        exercise.check(self._changed(exercise, lambda value: value.astype(int)))
        assert "made of whole numbers" in capsys.readouterr().out

    def test_a_changed_input_is_told(self, name, capsys):
        exercise = self.exercise(name)
        if exercise.cases is None:
            pytest.skip("makes a model or a layer")
        arrays = [v for v in keras.tree.flatten(self._case(exercise)) if _is_array(v)]
        if not arrays:
            pytest.skip("takes no arrays")

        def careless(*args):
            result = exercise.function(*args)
            for value in keras.tree.flatten(args):
                if _is_array(value):
                    value[...] = value[::-1] + 1
            return result

        exercise.check(careless)
        assert "Your code changes its input" in capsys.readouterr().out

    def test_a_cut_gradient_is_told(self, name, capsys):
        exercise = self.exercise(name)
        if not any(way.__name__ == "gradient_way" for way in exercise.ways):
            pytest.skip("nothing learns through it")
        exercise.check(
            lambda *args: keras.tree.map_structure(
                keras.ops.stop_gradient, exercise.function(*args)
            )
        )
        assert "no gradient reaches" in capsys.readouterr().out
        exercise.check(lambda *args: keras.tree.map_structure(np.asarray, exercise.function(*args)))
        assert "not right yet. " in capsys.readouterr().out

    def test_an_answer_from_memory_is_refused(self, name, capsys):
        exercise = self.exercise(name)
        if exercise.cases is None:
            pytest.skip("makes a model or a layer")
        remembered = exercise.function(*self._case(exercise, f"{exercise.title}, check 1, 0"))
        exercise.check(lambda *args: remembered)
        # Where a case is costly a check has one alone, and the marks rest on another.
        assert exercise.draws == 1 or "not right yet. " in capsys.readouterr().out
        with pytest.raises(AssertionError, match="not right yet"):
            exercise.require()

    def _case(self, exercise, seed=0):
        import zlib

        seed = zlib.crc32(seed.encode()) if isinstance(seed, str) else seed
        return next(iter(exercise.cases(np.random.default_rng(seed))))

    def _result(self, exercise, kind):
        """What the reference returns for one case, as arrays of one kind of numbers."""
        if exercise.cases is None or exercise.returns is None:
            return []
        result = exercise.function(*self._case(exercise))
        if hasattr(result, "columns"):  # a table of Spark's
            return []
        read = [array for _, array in exercise.returns.read(result, "it")]
        return [array for array in read if array.dtype.kind == kind]

    def _changed(self, exercise, change):
        def answer(*args):
            return keras.tree.map_structure(
                lambda value: (
                    change(np.asarray(keras.ops.convert_to_numpy(value)))
                    if not isinstance(value, str)
                    else value
                ),
                exercise.function(*args),
            )

        answer.__signature__ = inspect.signature(exercise.function)
        return answer


def _is_array(value):
    return isinstance(value, np.ndarray) and value.size > 1 and value.dtype.kind in "iuf"


def _numbered(cases, by_night=()):
    counts, params = {}, []
    for name, case in cases:
        counts[name] = counts.get(name, -1) + 1
        late = name in by_night and counts[name] >= 3
        marks = [pytest.mark.slow, pytest.mark.nightly] if late else []
        params.append(pytest.param(name, case, id=f"{name}-{counts[name]}", marks=marks))
    return params
