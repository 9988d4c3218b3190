"""The catalogue of common mistakes is the one that the tests of the checks give now."""

import importlib.util
from pathlib import Path

import moe_labs.exercises.lab09  # noqa: F401 - here, for PySpark changes where modules are found

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("make_mistakes", ROOT / "tools/make_mistakes.py")
mistakes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mistakes)


def test_the_catalogue_is_up_to_date():
    stored = mistakes.PAGE.read_text("utf-8")
    assert stored == mistakes.page(), "Make it anew: make mistakes"


def test_an_answer_is_shown_by_its_code_or_its_name():
    pairs = [(lambda x: x, "same"), (lambda x: [y for y in x], "a list")]
    code_of = mistakes.codes(Path(__file__).read_text("utf-8"))
    assert [code_of(answer) for answer, _ in pairs] == ["lambda x: x", "lambda x: [y for y in x]"]
    assert code_of(test_an_answer_is_shown_by_its_code_or_its_name).startswith("test_an_answer")
