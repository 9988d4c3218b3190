"""Mutation tests of a lab's checks, for all labs alike."""

import re

import pytest

from moe_keras.checks.exercise import Exercise


def blank(*args, **kwargs):
    """What a student's copy holds before anything is written."""
    raise NotImplementedError


class MutationTests:
    """Derive from it and name the lab, its right and wrong answers, and its marks.

    `right` maps each exercise to at least two answers that must pass; `wrong` to at least three
    pairs of an answer that must fail and a pattern that the message must match.
    """

    lab, right, wrong, marks = None, {}, {}, 0

    def exercises(self):
        members = vars(self.lab).items()
        return {name: value for name, value in members if isinstance(value, Exercise)}

    def pytest_generate_tests(self, metafunc):
        names = metafunc.fixturenames
        if "answer" in names or "case" in names:
            table, values = (self.right, "answer") if "answer" in names else (self.wrong, "case")
            metafunc.parametrize(
                ("name", values),
                [
                    pytest.param(name, case, id=f"{name}-{i}")
                    for name in table
                    for i, case in enumerate(table[name])
                ],
            )
        elif "name" in names:
            metafunc.parametrize("name", self.exercises())

    def test_every_exercise_is_mutation_tested(self):
        assert set(self.right) == set(self.wrong) == set(self.exercises())
        assert min(map(len, self.right.values())) >= 2
        assert min(map(len, self.wrong.values())) >= 3

    def test_the_marks_are_those_the_lab_announces(self):
        assert sum(exercise.marks for exercise in self.exercises().values()) == self.marks

    def test_right_answers_pass(self, name, answer, capsys):
        assert self.exercises()[name].check(answer) is answer, capsys.readouterr().out

    def test_wrong_answers_fail_and_say_why(self, name, case, capsys):
        answer, message = case
        assert self.exercises()[name].check(answer) is not answer
        out = capsys.readouterr().out
        assert "not right yet" in out
        assert re.search(message, out), out

    def test_a_blank_copy_is_not_attempted(self, name, capsys):
        self.exercises()[name].check(blank)
        assert "not attempted" in capsys.readouterr().out

    def test_the_reference_answer_is_right(self, name, capsys):
        reference = self.exercises()[name].reference()
        assert self.exercises()[name].check(reference) is reference, capsys.readouterr().out
