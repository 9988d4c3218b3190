"""Imports point one way: a part of moe_keras knows only the parts before it in ORDER."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "moe_keras"
# Parts of one group do not know each other. "__init__" is the table of contents.
ORDER = (
    {"arguments", "files", "nested"},
    {"layer", "losses"},
    {"data", "experts", "gates", "metrics"},
    {"mixtures"},
    {"__init__"},
    {"plots", "training"},
    {"inspection"},
    {"checks", "runs"},
    {"labs", "spark"},
    {"course"},
    {"commands"},
    {"cli"},
)
RANK = {part: rank for rank, group in enumerate(ORDER) for part in group}
# What the layers and the data may import from elsewhere when they are imported themselves.
PLAIN = {"keras", "numpy"}
PLAIN_PARTS = set().union(*ORDER[: RANK["__init__"]])


def imported_names(nodes):
    """Dotted names of all that is imported: `from a.b import c` gives a.b.c."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def wrong_imports(part, source):
    """Imports in the source of a module of this part that point the wrong way."""
    tree = ast.parse(source)
    wrong = []
    for name in imported_names(ast.walk(tree)):
        top, _, rest = name.partition(".")
        if top == "moe_keras":
            other = rest.partition(".")[0]
            other = other if other in RANK else "__init__"
            if other != part and RANK[other] >= RANK[part]:
                wrong.append(name)
        elif name.startswith("."):
            wrong.append(name)
    if part in PLAIN_PARTS:
        for name in imported_names(tree.body):
            top = name.partition(".")[0]
            if top not in PLAIN | {"moe_keras", ""} and top not in sys.stdlib_module_names:
                wrong.append(name)
    return wrong


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_part_has_its_place():
    parts = {part_of(path) for path in ROOT.rglob("*.py")}
    assert parts <= set(RANK), f"give {parts - set(RANK)} a place in ORDER"


def test_imports_point_one_way():
    wrong = {}
    for path in sorted(ROOT.rglob("*.py")):
        names = wrong_imports(part_of(path), path.read_text(encoding="utf-8"))
        if names:
            wrong[str(path.relative_to(ROOT))] = names
    assert wrong == {}


@pytest.mark.parametrize(
    ("part", "source", "expected"),
    [
        ("gates", "from moe_keras.mixtures import combine", ["moe_keras.mixtures.combine"]),
        (
            "gates",
            "from moe_keras.experts.expert import Expert",
            ["moe_keras.experts.expert.Expert"],
        ),
        ("gates", "from moe_keras import experts", ["moe_keras.experts"]),
        ("gates", "from moe_keras import DenseMoE", ["moe_keras.DenseMoE"]),
        ("gates", "def f():\n    import moe_keras.mixtures", ["moe_keras.mixtures"]),
        ("gates", "from .gate import Gate", [".gate.Gate"]),
        ("data", "import sklearn.tree", ["sklearn.tree"]),
        ("data", "def f():\n    import matplotlib", []),
        ("mixtures", "import math, keras\nfrom numpy import array", []),
        ("mixtures", "from moe_keras.gates import Gate", []),
        ("cli", "import typer\nfrom moe_keras import __version__, data, labs", []),
    ],
)
def test_the_rule_itself(part, source, expected):
    assert wrong_imports(part, source) == expected
