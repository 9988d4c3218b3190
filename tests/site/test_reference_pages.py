"""The reference on the website, made from the docstrings."""

import importlib.util
import io
import sys
from pathlib import Path

import pytest
from reference_pages import PARTS, package_pages, reference_pages

ROOT = Path(__file__).parents[2]
PAGES = reference_pages()


@pytest.fixture(scope="module")
def docstrings():
    """The extension of Sphinx that readies docstrings."""
    pytest.importorskip("sphinx", reason="needs the extra 'site'")
    path = ROOT / "docs" / "website" / "docstrings.py"
    spec = importlib.util.spec_from_file_location("docstrings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_part_with_public_names_has_a_page():
    for package in ("moe_keras", "moe_labs"):
        for source in (ROOT / package).glob("*/__init__.py"):
            if "__all__" in source.read_text("utf-8"):
                assert f"{package}.{source.parent.name}" in PARTS


def test_the_index_names_every_part_and_its_names():
    assert list(PAGES)[:3] == ["index.md", "gates.rst", "experts.rst"]
    assert "## [moe_keras.losses](losses.rst)" in PAGES["index.md"]
    assert "{py:obj}`~moe_keras.losses.router_z_loss`" in PAGES["index.md"]
    assert ".. automodule:: moe_labs.exercises\n" in PAGES["exercises.rst"]


def test_a_link_to_a_package_leads_to_its_page():
    folders = package_pages()
    assert folders["moe_keras"] == "reference/index.md"
    assert folders["moe_labs/exercises"] == "reference/exercises.rst"
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


DOCSTRING = """Weigh a_b * c by `weights` of a `TopKGate`, `axis=-1`, and x_.

    y = sum_e w_e * y_e

- one thing, over
  two lines
- another

Args:
    first: what comes *first*,
        and more.
    **others: the rest.

Returns:
    A dict: `"y"`.

Reference:
    Jacobs et al. (1991), Adaptive mixtures,
    equation (1).
    Shazeer et al. (2017), Large networks.

Example:

A small one.

>>> 2 * 1
2
"""
CONVERTED = r"""Weigh a_b \* c by :py:obj:`weights` of a :py:obj:`.TopKGate`, ``axis=-1``, and x\_.

.. code-block:: text

    y = sum_e w_e * y_e

- one thing, over
  two lines
- another

Args:
    first: what comes \*first\*,
        and more.
    **others: the rest.

:Returns:
    A dict: ``"y"``.

:Reference:
    - Jacobs et al. (1991), Adaptive mixtures,
      equation (1).
    - Shazeer et al. (2017), Large networks.

.. rubric:: Example

A small one.

>>> 2 * 1
2"""


def test_a_docstring_as_restructuredtext(docstrings):
    assert docstrings.converted(DOCSTRING).split("\n") == CONVERTED.split("\n")


def test_a_constant_is_described_by_what_it_holds(docstrings):
    assert docstrings.described({"a": 1, "b": 2}) == "A mapping with the keys ``a``, ``b``."
    assert docstrings.described((1, 2)) == "``(1, 2)``"


def test_an_example_right_below_its_heading(docstrings):
    assert docstrings.converted("Example:\n    >>> 1\n    1") == ".. rubric:: Example\n\n>>> 1\n1"


def test_sphinx_reads_every_docstring_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))  # which the configuration lengthens
    application = pytest.importorskip("sphinx.application", reason="needs the extra 'site'")
    for name, text in PAGES.items():
        (tmp_path / name).write_text(text, "utf-8")
    warnings = io.StringIO()
    application.Sphinx(
        tmp_path,
        ROOT / "docs" / "website",
        *(tmp_path / folder for folder in ("html", "doctrees")),
        "dummy",
        confoverrides={"root_doc": "index"},
        status=None,
        warning=warnings,
    ).build()
    assert warnings.getvalue() == ""
