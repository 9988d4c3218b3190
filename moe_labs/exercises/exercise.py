"""One exercise, in one declaration, from which its check, its messages and its solution follow."""

import contextlib
import functools
import os
import random
import re
import warnings
import zlib

import numpy as np

from moe_labs.exercises.agreement import require_agreement, right_parts
from moe_labs.exercises.forms import Array, Several
from moe_labs.exercises.solutions import solution_of, solutions_allowed
from moe_labs.exercises.student_code import is_blank, line_of
from moe_labs.exercises.ways import arrays
from moe_labs.exercises.wrong_answer import WrongAnswer

HINTS = 3
# A course's own word, from its settings: whoever does not know it cannot foretell the cases by
# which it grades.
COURSE_WORD = "MOE_KERAS_GRADING"


class Exercise:
    """A question of a lab that can judge an answer. Made by the decorator `exercise`.

    Args:
        function: the solution, a function or a class.
        marks: what a right answer is worth.
        hints: three hints: a nudge, the way, nearly the answer.
        cases: function of a `numpy.random.Generator` that yields tuples of arguments, each drawn
            anew: two images or more, sizes that differ from each other, ties and extremes among
            them, and once what the lab itself passes on. Short ones first: messages show them.
        returns: what the function returns, from `moe_labs.exercises.forms`. Default: `Array()`.
            With `Several` each of the things that is right on all cases earns its share of the
            marks, rounded down; not so where properties are asked for.
        ways: how the lab calls it, from `moe_labs.exercises.ways`. Default: with arrays.
        mistakes: pairs of a wrong answer and what its student reads. An answer that does the same
            as one of these on all cases gets this message; any other wrong one hears of the first
            number that differs.
        properties: functions of the answer and of a `numpy.random.Generator`, for what cases cannot
            show, such as a frozen network that stays as it was; they raise `WrongAnswer`.
        draws: how often the cases are drawn at each check.

    Example:

    >>> from moe_labs.exercises import exercise
    >>> @exercise(
    ...     marks=1,
    ...     cases=lambda random: [(random.normal(size=random.integers(2, 5)),) for _ in range(2)],
    ...     mistakes=[(lambda x: x * x, "That is the square of x, not its double.")],
    ...     hints=["What is twice x?", "Add it to itself.", "return x + x"],
    ... )
    ... def double(x):
    ...     '''Twice each number of x.'''
    ...     return 2 * x
    >>> answer = double.check(lambda x: x + x)
    Exercise "double": right. (1 of 1 marks)
    >>> answer = double.check(lambda x: x * x)
    Exercise "double": not right yet. That is the square of x, not its double.
      The lab goes on with a reference answer. For a hint, call .hint() on the exercise.
    """

    def __init__(
        self, function, marks, hints, cases=None, returns=None, ways=(arrays,), mistakes=(),
        properties=(), draws=2,
    ):  # fmt: skip
        if len(hints) != HINTS:
            raise ValueError(f"Expected {HINTS} hints. Received: {len(hints)}")
        if marks < 1:
            raise ValueError(f"Expected marks >= 1. Received: marks={marks}")
        if cases is None and not properties:
            raise ValueError("Expected cases or properties. Received: neither")
        self.function = function
        self.title = function.__name__
        self.marks = marks
        self.hints = tuple(hints)
        self.cases = cases
        self.returns = returns if returns or cases is None else Array()
        self.ways = tuple(ways)
        self.mistakes = tuple(mistakes)
        self.properties = tuple(properties)
        self.draws = draws
        self.status = "not attempted"
        self.earned = 0
        self._answer = None
        self._checks = 0
        self._hints_shown = 0

    def __call__(self, *args, **kwargs):
        """What the reference answer returns: exercises may build on each other."""
        return self.function(*args, **kwargs)

    @property
    def is_right(self):
        """Whether the last answer that was checked was right."""
        return self.status == "right"

    def check(self, answer):
        """Judge the answer, print the judgement, and return what the lab should go on with.

        Cases are drawn anew at each check, the same ones each time that a notebook is run.

        Returns:
            The answer if it is right, otherwise the reference answer; its results in the form that
            the lab goes on with.
        """
        self._answer = answer
        self._checks += 1
        self.status, message = self._judge(f"check {self._checks}")
        if self.is_right:
            self.earned = self.marks
            print(f'Exercise "{self.title}": right. ({self.marks} of {self.marks} marks)')
            return self._in_form(answer)
        print(f'Exercise "{self.title}": {self.status}.{message}')
        self.earned, parts = self._share(f"check {self._checks}")
        if parts:
            print(f"  Already right: {', '.join(parts)}. ({self.earned} of {self.marks} marks)")
        print(
            "  The lab goes on with a reference answer. For a hint, call .hint() on the exercise."
        )
        return self.reference()

    def reference(self):
        """A right answer, in the form that the lab goes on with."""
        return self._in_form(self.function)

    def require(self):
        """Raise an error unless the last answer is right on cases that no check has shown."""
        status, message = self._judge(_grading())
        if status != "right":
            raise AssertionError(f'Exercise "{self.title}": {status}.{message}')

    def grade(self):
        """What the last answer earns on cases that no check has shown, as nbgrader reads a test.

        Returns:
            Nothing for all marks; the marks of a partly right answer.

        Raises:
            AssertionError: if it earns none.
        """
        try:
            self.require()
        except AssertionError:
            earned, _ = self._share(_grading())
            if not earned:
                raise
            return earned

    def hint(self):
        """Print the next hint; after the last one, the last one again."""
        index = min(self._hints_shown, len(self.hints) - 1)
        print(f'Hint {index + 1} of {len(self.hints)} for "{self.title}": {self.hints[index]}')
        self._hints_shown += 1

    def solution(self):
        """Print the code of a right answer, if the lecturer allows it in this copy of the lab.

        It is allowed where the variable `MOE_KERAS_SOLUTIONS` says "allowed", or a file
        `solutions-allowed` lies in the notebook's folder.
        """
        if not solutions_allowed():
            print(
                f'The solution of "{self.title}" is not shown in this copy: your lecturer decides '
                "when. For a hint, call .hint() on the exercise."
            )
            return
        print(f'One right answer to "{self.title}":\n')
        print(solution_of(self.function))

    def _judge(self, occasion):
        answer = self._answer
        if answer is None or answer is Ellipsis:
            return "not attempted", ""
        try:
            with _undisturbed():
                self._verify(answer, occasion)
        except WrongAnswer as mistake:
            return "not right yet", f" {mistake}"
        # A student's code may raise anything, even call exit(), and must not stop the lab.
        except (Exception, SystemExit) as error:
            if is_blank(error):
                return "not attempted", ""
            return (
                "not right yet",
                f" Your code stopped with {type(error).__name__}{_reason(error)}{line_of(error)}",
            )
        return "right", ""

    def _verify(self, answer, occasion):
        if not callable(answer):
            raise WrongAnswer(
                f"Expected a function or a class; {self.title} is a {type(answer).__name__}."
            )
        seeds = self._seeds(occasion)
        if self.cases is not None:
            require_agreement(answer, self, seeds)
        for holds in self.properties:
            holds(answer, np.random.default_rng(seeds[0]))

    def _seeds(self, occasion):
        return [zlib.crc32(f"{self.title}, {occasion}, {n}".encode()) for n in range(self.draws)]

    def _share(self, occasion):
        """The marks that a wrong answer earns all the same, and which of its parts are right."""
        if self.properties or not isinstance(self.returns, Several) or not callable(self._answer):
            return 0, []
        with _undisturbed():
            parts = right_parts(self._answer, self, self._seeds(occasion))
        earned = self.marks * len(parts) // len(self.returns.parts)
        # Values that are right throughout fail for another reason, such as a cut gradient.
        return (earned, parts) if 0 < earned < self.marks else (0, [])

    def _in_form(self, answer):
        if self.returns is None:
            return answer

        @functools.wraps(answer)
        def in_form(*args, **kwargs):
            return self.returns.give(answer(*args, **kwargs))

        return in_form


def exercise(**declaration):
    """Declare an exercise; the function or class below is its solution.

    Args:
        declaration: keyword arguments of `Exercise`, all but the function.

    Returns:
        Function that makes an `Exercise` of the solution.
    """
    return lambda function: Exercise(function, **declaration)


def _grading():
    """The occasion whose cases no check shows."""
    return f"grading {os.environ.get(COURSE_WORD, '')}"


@contextlib.contextmanager
def _undisturbed():
    """A check warns of nothing, and leaves the lab's sequence of random numbers as it found it."""
    states = random.getstate(), np.random.get_state()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _reason(error):
    """The line of an error's text that says what happened; Keras first says where, in colours."""
    lines = re.sub(r"\x1b\[\d*m", "", str(error)).splitlines()
    telling = [line.strip() for line in lines if line.strip()]
    if len(telling) > 1 and telling[0].startswith("Exception encountered when calling"):
        telling.pop(0)
    return f": {telling[0]}" if telling else ""
