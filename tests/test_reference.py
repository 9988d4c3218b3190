"""The pages under docs/reference are those that the docstrings give now."""

import importlib.util
import pkgutil
from pathlib import Path

import moe_keras

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("make_reference", ROOT / "tools/make_reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


def test_the_pages_are_up_to_date():
    stored = {page.name: page.read_text("utf-8") for page in reference.FOLDER.glob("*.md")}
    wanted = reference.pages()
    assert sorted(stored) == sorted(wanted), "Make them anew: make reference"
    stale = [name for name in wanted if stored[name] != wanted[name]]
    assert not stale, f"Make them anew: make reference. Out of date: {stale}"


def test_every_part_with_public_names_has_a_page():
    for module in pkgutil.iter_modules(moe_keras.__path__):
        source = Path(moe_keras.__path__[0]) / module.name / "__init__.py"
        if module.ispkg and "__all__" in source.read_text("utf-8"):
            assert module.name in reference.PARTS


DOCSTRING = """Weigh a_b * c.

    y = sum_e w_e y_e

- one thing, over
  two lines
- another

Args:
    first: what comes first,
        and more.
    **others: the rest.

Returns:
    A number.

Reference:
    Jacobs et al. (1991), Adaptive mixtures,
    equation (1).
    Shazeer et al. (2017), Large networks.

Example: a small one.

>>> 1 + 1
2
"""


def test_a_docstring_as_markdown():
    assert reference.rendered(DOCSTRING) == [
        "Weigh a_b \\* c.",
        "```text\ny = sum_e w_e y_e\n```",
        "- one thing, over two lines\n- another",
        "**Args**",
        "- `first`: what comes first, and more.\n- `**others`: the rest.",
        "**Returns**",
        "A number.",
        "**Reference**",
        "- Jacobs et al. (1991), Adaptive mixtures, equation (1).\n"
        "- Shazeer et al. (2017), Large networks.",
        "**Example**",
        "a small one.",
        "```python\n>>> 1 + 1\n2\n```",
    ]


def test_names_that_differ_in_case_alone_have_places_of_their_own():
    from types import SimpleNamespace

    module = SimpleNamespace(__all__=["Combine", "combine"])
    assert list(reference.anchors(module)) == [("Combine", "#combine"), ("combine", "#combine-1")]
