"""One exercise: its check, its hints, its marks, and a reference answer to go on with."""

from moe_keras.checks.solutions import solutions_allowed, source_of

HINTS = 3


class WrongAnswer(Exception):
    """Raised by a check that found a mistake; the message tells the student what it is."""


class Exercise:
    """A question of a lab that can judge an answer.

    Args:
        title: the exercise's name, as in the lab.
        verify: function of the answer; returns nothing if it is right, raises `WrongAnswer` with a
            friendly message if not.
        reference: function without arguments that makes a right answer; the lab goes on with it
            while the student's own is missing or wrong.
        hints: three hints: a nudge, the way, nearly the answer.
        marks: what a right answer is worth.

    Example:

    >>> from moe_keras.checks import Exercise, WrongAnswer
    >>> def doubles(answer):
    ...     if answer(3) != 6:
    ...         raise WrongAnswer(f"The double of 3 is 6; yours is {answer(3)}.")
    >>> hints = ["What is twice x?", "Add it to itself.", "return x + x"]
    >>> double = Exercise("double", doubles, lambda: lambda x: 2 * x, hints, marks=1)
    >>> answer = double.check(lambda x: x + x)
    Exercise "double": right. (1 of 1 marks)
    >>> answer = double.check(lambda x: x * x)
    Exercise "double": not right yet. The double of 3 is 6; yours is 9.
      The lab goes on with a reference answer. For a hint, call .hint() on the exercise.
    """

    def __init__(self, title, verify, reference, hints, marks):
        if len(hints) != HINTS:
            raise ValueError(f"Expected {HINTS} hints. Received: {len(hints)}")
        if marks < 1:
            raise ValueError(f"Expected marks >= 1. Received: marks={marks}")
        self.title = title
        self.verify = verify
        self.reference = reference
        self.hints = tuple(hints)
        self.marks = marks
        self.status = "not attempted"
        self._hints_shown = 0

    @property
    def is_right(self):
        """Whether the last answer that was checked was right."""
        return self.status == "right"

    def check(self, answer):
        """Judge the answer, print the judgement, and return what the lab should go on with.

        Returns:
            The answer if it is right, otherwise the reference answer.
        """
        self.status, message = self._judge(answer)
        if self.is_right:
            print(f'Exercise "{self.title}": right. ({self.marks} of {self.marks} marks)')
            return answer
        print(f'Exercise "{self.title}": {self.status}.{message}')
        print(
            "  The lab goes on with a reference answer. For a hint, call .hint() on the exercise."
        )
        return self.reference()

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
        print(source_of(self.reference()))

    def require(self):
        """Raise an error unless the last answer that was checked was right (for grading)."""
        if not self.is_right:
            raise AssertionError(f'Exercise "{self.title}": {self.status}.')

    def _judge(self, answer):
        if answer is None or answer is Ellipsis:
            return "not attempted", ""
        try:
            self.verify(answer)
        except NotImplementedError:
            return "not attempted", ""
        except WrongAnswer as mistake:
            return "not right yet", f" {mistake}"
        # A student's code may raise anything, even call exit(), and must not stop the lab.
        except (Exception, SystemExit) as error:
            reason = str(error).strip().splitlines()
            detail = f": {reason[0]}" if reason else ""
            return "not right yet", f" Your code stopped with {type(error).__name__}{detail}"
        return "right", ""
