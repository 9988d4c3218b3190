"""Write docs/guides/mistakes.md: what students get wrong, and what they then read.

The wrong answers are those of the mutation tests, tests/checks/test_labNN.py: what the page says of
a mistake, a test has seen.
"""

import ast
import contextlib
import importlib
import importlib.util
import io
import re
import sys
import textwrap
from pathlib import Path

import keras

from moe_keras.checks import exercises_of

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "guides" / "mistakes.md"
INTRODUCTION = """\
<!-- Made from the tests of the checks by `make mistakes`: change those. -->

# Common mistakes

Every check is tested with wrong answers that students give, or plausibly might. Here they are, lab
by lab, each with the message that its student reads. Use the list to see what a check looks for, to
prepare a class, or to add a mistake that you have met: it belongs in `tests/checks`, as a pair of
the wrong answer and a few words that its message must hold.

An answer is shown as it stands in its test. A name stands for a function written there."""


def page():
    """The whole text."""
    sections = [lab_section(path) for path in sorted((TESTS / "checks").glob("test_lab*.py"))]
    return "\n\n".join([INTRODUCTION, *sections]) + "\n"


def lab_section(path):
    """The mistakes of one lab: a heading for each exercise, an item for each wrong answer."""
    lab = importlib.import_module(f"moe_keras.checks.{path.stem.removeprefix('test_')}")
    codes = wrong_codes(path.read_text("utf-8"))
    wrong = loaded(path).WRONG
    blocks = [f"## Lab {path.stem[-2:]}"]
    for name, exercise in exercises_of(lab).items():
        items = [
            f"- `{code}`\n\n{message(exercise, answer)}"
            for code, (answer, _) in zip(codes[name], wrong[name], strict=True)
        ]
        blocks += [f"### {exercise.title}", *items]
    return "\n\n".join(blocks)


def loaded(path):
    """The test's module."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))  # for what the tests share
    spec = importlib.util.spec_from_file_location(f"mistakes_of_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wrong_codes(source):
    """For each exercise the code of each wrong answer, from the dictionary called WRONG."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WRONG":
            return {
                key.value: [ast.unparse(pair.elts[0]) for pair in pairs.elts]
                for key, pairs in zip(node.value.keys, node.value.values, strict=True)
            }
    raise ValueError("Expected a dictionary called WRONG. Received: a test without one")


def message(exercise, answer):
    """What the student reads, without the frame that is the same for all."""
    keras.utils.set_random_seed(0)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exercise.check(answer)
    said = re.search(r"not right yet\. (.*)\n  The lab goes on", printed.getvalue(), re.DOTALL)[1]
    said = re.sub(r"(layer '\w+?)_\d+'", r"\1'", said)  # Keras counts the layers of a process
    return textwrap.indent(textwrap.fill(said, 96, break_on_hyphens=False), "  ")


if __name__ == "__main__":
    from moe_keras.files import write_text

    PAGE.parent.mkdir(parents=True, exist_ok=True)
    write_text(PAGE, page())
    print(f"Written: {PAGE.relative_to(ROOT)}")
