"""Links of a checkout, made links of the website."""

import pytest
from site_links import Links

PAGES = {"README.md": "index.md", "docs/guides/README.md": "guides/index.md", "a.ipynb": "labs/a"}


@pytest.fixture
def checkout(tmp_path):
    for file in (*PAGES, "docs/picture.svg", "code.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1](README.md#top), [`a`](../../a.ipynb)", "[1](index.md#top), [`a`](../labs/a)"),
        ("[all](../guides)", "[all](index.md)"),
        ("[here](#there), [out](https://example.org/x)", "[here](#there), [out](https://example.org/x)"),
        ("[Source](../../code.py)", "Source (`code.py`)"),
        ("[code.py](../../code.py)", "code.py"),
        ("![two boxes](../picture.svg)", "![two boxes](../images/picture.svg)"),
        ("[![Open](https://example.org/x.svg)](https://example.org/y)", "[Open](https://example.org/y)"),
        ("`f[0](x)` and\n```\n[a](b)\n```\n", "`f[0](x)` and\n```\n[a](b)\n```\n"),
    ],
)  # fmt: skip
def test_links_without_a_repository(checkout, text, expected):
    links = Links(checkout, PAGES)
    assert links.rewrite(text, "docs/guides/README.md", "guides/index.md") == expected
    wanted = {"images/picture.svg": "docs/picture.svg"} if "two boxes" in text else {}
    assert links.images == wanted


def test_with_a_repository_code_is_linked(checkout):
    links = Links(checkout, PAGES, "https://example.org/r")
    found = links.rewrite("[Source](code.py#L3)", "README.md", "index.md")
    assert found == "[Source](https://example.org/r/blob/main/code.py#L3)"


@pytest.mark.parametrize("text", ["[gone](gone.md)", "![gone](gone.svg)", "[above](../../x.md)"])
def test_a_link_to_nothing_is_an_error(checkout, text):
    with pytest.raises(ValueError, match=r"README\.md: expected links.*Received: \S*(gone|x)\."):
        Links(checkout, PAGES).rewrite(text, "README.md", "index.md")
