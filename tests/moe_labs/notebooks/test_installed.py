"""The labs come with the package, also where there is no checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moe_labs.notebooks.catalogue import find_labs, installed_labs

ROOT = Path(__file__).parents[3]


def test_in_a_checkout_they_are_those_of_its_notebooks():
    assert installed_labs() == find_labs(ROOT / "notebooks")
    assert [lab.number for lab in installed_labs(["1"])] == ["01"]


@pytest.mark.slow
def test_an_installed_wheel_has_the_sources(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install hatchling")
    python = [sys.executable, "-m"]
    subprocess.run(
        [*python, "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "installed"
    subprocess.run([*python, "pip", "install", "-q", "--no-deps", "--target", target, wheel])
    script = (
        "from moe_labs.notebooks.catalogue import installed_labs\n"
        "for lab in installed_labs(): print(lab.source)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    names = [lab.source.name for lab in find_labs(ROOT / "notebooks")]
    assert [Path(line) for line in shown] == [
        target / "moe_labs" / "notebooks" / "source" / name for name in names
    ]
