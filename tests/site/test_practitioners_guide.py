"""Every example of the practitioners' guides runs by itself and does what the guide says."""

import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
BLOCK = re.compile(r"^## (.*?)\n|```python\n(.*?)```", re.DOTALL | re.MULTILINE)


def examples():
    """Each block of code, named by its section and its place there."""
    for guide in ("practitioners.md", "scaling.md"):
        section, count = "", 0
        for title, code in BLOCK.findall((GUIDES / guide).read_text("utf-8")):
            if title:
                section, count = title, 0
            else:
                count += 1
                yield pytest.param(section, count, code, id=f"{guide} {section} {count}")


@pytest.mark.parametrize(("section", "place", "code"), list(examples()))
def test_example(section, place, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(compile(code, section, "exec"), scope)
    if (section, place) == ("Several tasks", 1):
        found = scope["model"].evaluate(scope["x"], scope["y"], return_dict=True, verbose=0)
        assert found["digit_accuracy"] > 0.9
        assert found["odd_accuracy"] > 0.9
    if section == "A likelihood":
        assert 0.7 < scope["covered"] < 0.92  # of 111 patients
        assert scope["mean"].shape == scope["deviation"].shape == scope["low"].shape
