"""Exercises are read from the text of a lab's module, without Keras."""

import importlib
from pathlib import Path

import pytest

from moe_labs.declarations import EXERCISES, declarations
from moe_labs.exercises import exercises_of

MODULE = '''
import numpy as np

LIMIT = 3


def helper(x):
    return x


@exercise(
    marks=2,
    cases=helper,
)
def double(x):
    """Twice x.

    As a sum.
    """

    # The comment belongs to the solution.
    y = x
    return x + y


@exercise(marks=1, cases=helper)
class Gate(Layer):
    """A gate."""

    def call(self, x):
        ### BEGIN SOLUTION
        return x
        ### END SOLUTION
'''


def test_name_marks_and_code():
    double, gate = declarations(MODULE).values()
    assert (double.name, double.marks, gate.name, gate.marks) == ("double", 2, "Gate", 1)
    assert double.code == (
        'def double(x):\n    """Twice x.\n\n    As a sum.\n    """\n'
        "    ### BEGIN SOLUTION\n    # The comment belongs to the solution.\n    y = x\n"
        "    return x + y\n    ### END SOLUTION"
    )
    assert gate.code == (
        'class Gate(Layer):\n    """A gate."""\n\n    def call(self, x):\n'
        "        ### BEGIN SOLUTION\n        return x\n        ### END SOLUTION"
    )


LABS = [
    importlib.import_module(f"moe_labs.exercises.{path.stem}")
    for path in sorted(EXERCISES.glob("lab*.py"))
]


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.__name__[-5:])
def test_what_is_read_is_what_is_declared(lab):
    read = declarations(Path(lab.__file__).read_text("utf-8"))
    assert [(d.name, d.marks) for d in read.values()] == [
        (name, exercise.marks) for name, exercise in exercises_of(lab).items()
    ]
