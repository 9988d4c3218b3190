"""The figures in docs/results.md and the README are those of the labs' executed copies."""

import re
from pathlib import Path

import pytest

from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.generate import committed_solution

ROOT = Path(__file__).parents[2]
RESULTS = (ROOT / "docs" / "results.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
LABS = {lab.number: lab for lab in find_labs(ROOT / "notebooks")}
NAMES_A_LAB = re.compile(r"`make labs LAB=(\d\d)`|\blab (\d\d)\b", re.IGNORECASE)
OTHER_COMMAND = re.compile(r"`(?:python -m|moe-keras|make) [^`]+`")
FIGURE = re.compile(r"-?\d+\.\d{2,}(?= ?%|\]|,| |$)|\d+\.\d+(?= ?%)")


def printed(number):
    """All that a lab printed."""
    cells = committed_solution(LABS[number]).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") for output in outputs)


def rows_of_labs(page):
    """The rows of tables that rest on a lab: pairs of its number and the row.

    A command stands in a row or above its table, and holds until the next one.
    """
    found, lab = [], None
    for line in page.splitlines():
        if line.startswith("#"):
            lab = None
        named = [one or other for one, other in NAMES_A_LAB.findall(line)]
        if named:
            lab = named[-1]
        elif OTHER_COMMAND.search(line):
            lab = None
        if lab and line.startswith("| ") and FIGURE.search(line):
            found.append((lab, line))
    return found


@pytest.mark.parametrize(
    ("number", "row"),
    [*rows_of_labs(RESULTS), *((n, row) for n, row in rows_of_labs(README) if "lab" in row)],
)
def test_a_row_has_the_figures_that_its_lab_printed(number, row):
    text = printed(number).replace(" %", "%")
    stray = [figure for figure in FIGURE.findall(row) if figure not in text]
    assert stray == [], f"lab {number} printed no {', '.join(stray)}: {row}"


def test_rows_are_found_with_their_labs():
    page = "\n".join(
        [
            "| From lab 04 | 98.76 % [98.58, 98.93] |",
            "| the next | 1.25 |",
            "| another, `python -m benchmarks.x` | 9.99 % |",
            "## New",
            "| of nothing | 1.11 % |",
        ]
    )
    assert [number for number, _ in rows_of_labs(page)] == ["04", "04"]
    assert FIGURE.findall("98.76 % [98.58, -8.93] and 5 % of 0.125 |") == [
        *("98.76", "98.58", "-8.93", "0.125")
    ]
