"""The catalogue of common mistakes is the one that the tests of the checks give now."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("make_mistakes", ROOT / "tools/make_mistakes.py")
mistakes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mistakes)


def without_fractions(text):
    """Untrained networks say slightly other numbers on other machines."""
    return re.sub(r"\d+\.\d+(e[-+]\d+)?", "#", " ".join(text.split()))


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_the_catalogue_is_up_to_date():
    stored = mistakes.PAGE.read_text("utf-8")
    assert without_fractions(stored) == without_fractions(mistakes.page()), (
        "Make it anew: make mistakes"
    )


def test_each_mistake_is_listed_with_its_code():
    codes = mistakes.wrong_codes('WRONG = {"a": [(lambda x: x, "same"), (None, "nothing")]}')
    assert codes == {"a": ["lambda x: x", "None"]}
    with pytest.raises(ValueError, match="a dictionary called WRONG"):
        mistakes.wrong_codes("RIGHT = {}")
