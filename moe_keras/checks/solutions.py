"""Whether a copy of the labs may show solutions, and what it then shows."""

import inspect
import os
import re
import textwrap
from pathlib import Path

VARIABLE = "MOE_KERAS_SOLUTIONS"
MARKER = "solutions-allowed"


def solutions_allowed():
    """Whether the lecturer lets this copy show solutions.

    The variable suits a shared server, the file a folder that is handed out. Neither is a lock: who
    looks into the installed package finds the reference answers.
    """
    return os.environ.get(VARIABLE) == "allowed" or Path(MARKER).is_file()


def source_of(answer):
    """The code of an answer, with the helpers beside it that it calls."""
    called = getattr(answer, "__code__", None)
    names = called.co_names if called else ()
    helpers = [answer.__globals__[name] for name in names if name.startswith("_")]
    codes = [textwrap.dedent(inspect.getsource(part)).strip() for part in (*helpers, answer)]
    # A reference answer is called _reference_mixture where the lab says mixture.
    return re.sub(r"\b_[Rr]eference_?(?=\w)", "", "\n\n\n".join(codes))
