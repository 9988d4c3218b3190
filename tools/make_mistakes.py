"""Write docs/guides/mistakes.md: what students get wrong, and what they then read.

The mistakes are those that the exercises declare; a test sees that each hears its message.
"""

import ast
import importlib
import inspect
import textwrap
from itertools import groupby
from pathlib import Path

from moe_labs.declarations import EXERCISES
from moe_labs.exercises import exercises_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guides" / "mistakes.md"
INTRODUCTION = """\
<!-- Made from the declarations of the exercises by `make mistakes`: change those. -->

# Common mistakes

Every exercise declares the wrong answers that students give, or plausibly might. Here they are,
lab by lab, each with the message that its student reads. Use the list to see what a check looks
for, to prepare a class, or to add a mistake that you have met: it belongs in `moe_labs/exercises`,
as a pair of the wrong answer and its message. Any other wrong answer hears of the first number that
differs from the right one, or of its kind: nothing returned, an input changed, no gradient, a
number that is not finite.

An answer is shown as it stands in the declaration; a name stands for a function written there."""


def page():
    """The whole text."""
    labs = [
        importlib.import_module(f"moe_labs.exercises.{path.stem}")
        for path in sorted(EXERCISES.glob("lab*.py"))
    ]
    return "\n\n".join([INTRODUCTION, *map(lab_section, labs)]) + "\n"


def lab_section(lab):
    """The mistakes of one lab: a heading for each exercise, an item for each message."""
    code_of = codes(inspect.getsource(lab))
    blocks = [f"## Lab {lab.__name__[-2:]}"]
    for exercise in exercises_of(lab).values():
        blocks.append(f"### {exercise.title}")
        if not exercise.mistakes:
            blocks.append("What it builds is tried out, and the message says what it does wrong.")
        for message, same in groupby(exercise.mistakes, key=lambda pair: str(pair[1])):
            answers = [code_of(wrong) for wrong, _ in same]
            shown = textwrap.indent(textwrap.fill(message, 96, break_on_hyphens=False), "  ")
            blocks.append(f"- `{answers[0]}`\n\n{shown}")
    return "\n\n".join(blocks)


def codes(source):
    """Function that gives the code of a lambda that a source holds, or a function's name."""
    lambdas = {
        (node.lineno, node.col_offset): ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Lambda)
    }

    def code_of(function):
        code = getattr(function, "__code__", None)
        if code is None or code.co_name != "<lambda>":
            return getattr(function, "__name__", type(function).__name__).lstrip("_")
        # The first instruction that stands anywhere names a place within the lambda's body.
        line, column = next((p[0], p[2]) for p in code.co_positions() if p[2])
        inside = [place for place in lambdas if place <= (line, column)]
        return lambdas[max(inside)]

    return code_of


if __name__ == "__main__":
    from moe_common.files import write_text

    PAGE.parent.mkdir(parents=True, exist_ok=True)
    write_text(PAGE, page())
    print(f"Written: {PAGE.relative_to(ROOT)}")
