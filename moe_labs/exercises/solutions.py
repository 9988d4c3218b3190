"""The solution of an exercise, and whether a copy of the labs may show it."""

import inspect
import os
from pathlib import Path

from moe_labs.declarations import BEGIN, END, declarations

VARIABLE = "MOE_KERAS_SOLUTIONS"
MARKER = "solutions-allowed"


def solutions_allowed():
    """Whether the lecturer lets this copy show solutions.

    The variable suits a shared server, the file a folder that is handed out. Neither is a lock: who
    looks into the installed package finds the reference answers.
    """
    return os.environ.get(VARIABLE) == "allowed" or Path(MARKER).is_file()


def solution_of(function):
    """The code of a solution, without its declaration and without nbgrader's marks."""
    module = Path(inspect.getsourcefile(function)).read_text("utf-8")
    declared = declarations(module).get(function.__name__)
    code = declared.code if declared else inspect.getsource(function)
    return "\n".join(line for line in code.splitlines() if line.strip() not in (BEGIN, END))
