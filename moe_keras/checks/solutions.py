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
    """The code of an answer, with the helpers beside it that it calls or reads."""
    code = getattr(answer, "__code__", None)
    names = [name for name in (code.co_names if code else ()) if name.startswith("_")]
    parts = [*(_code_of(name, answer.__globals__[name]) for name in names), _code_of("", answer)]
    # A reference answer is called _reference_mixture where the lab says mixture.
    return re.sub(r"\b_[Rr]eference_?(?=\w)", "", "\n\n\n".join(parts))


def _code_of(name, thing):
    if inspect.isfunction(thing) or inspect.isclass(thing):
        return textwrap.dedent(inspect.getsource(thing)).strip()
    return f"{name} = {thing!r}"
