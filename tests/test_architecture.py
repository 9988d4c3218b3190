"""Imports point one way: a part knows only the parts before it in its house's order."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Parts of one group do not know each other. "__init__" is the table of contents.
LIBRARY = (
    {
        *("arguments", "backend", "masks", "precision", "quantization", "serialization", "shapes"),
        *("changed", "text_table"),
    },
    {"json_files", "layer", "losses", "npz", "ops", "standin"},
    {"call_expert"},
    {"data", "experts", "gates", "metrics"},
    {"mixtures"},
    {"__init__"},
    {"evaluation", "plots", "training"},
    {"routing"},
    {"runs"},
    {"spark"},
    {"commands"},
    {"__main__"},
)
COURSE = (
    {"__init__"},
    {"declarations"},
    {"exercises"},
    {"notebooks"},
    {"course"},
    {"commands"},
    {"__main__"},
)
SHARED = (
    {"__init__"},
    {"files", "install", "keras_home", "locking", "terminal"},
    {"stopping"},
    {"command", "entry"},
)
HOUSES = {"moe_common": SHARED, "moe_keras": LIBRARY, "moe_labs": COURSE}
# Which other houses a house may enter; of moe_keras the course takes public names alone.
NEIGHBORS = {
    "moe_common": set(),
    "moe_keras": {"moe_common"},
    "moe_labs": {"moe_common", "moe_keras"},
}
RANKS = {
    house: {part: rank for rank, group in enumerate(order) for part in group}
    for house, order in HOUSES.items()
}
# What the layers and the data may import from elsewhere when they are imported themselves.
PLAIN = {"keras", "numpy", "moe_common", "moe_keras", ""}
PLAIN_PARTS = set().union(*LIBRARY[: LIBRARY.index({"__init__"})])


def imported_names(nodes):
    """Dotted names of all that is imported: `from a.b import c` gives a.b.c."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def wrong_imports(house, part, source):
    """Imports in the source of a module of this part that point the wrong way."""
    tree = ast.parse(source)
    wrong = []
    for name in imported_names(ast.walk(tree)):
        top, _, rest = name.partition(".")
        if top == house:
            other = rest.partition(".")[0]
            other = other if other in RANKS[house] else "__init__"
            if other != part and RANKS[house][other] >= RANKS[house][part]:
                wrong.append(name)
        elif name.startswith(".") or not may_enter(house, top, name):
            wrong.append(name)
    if house == "moe_keras" and part in PLAIN_PARTS:
        for name in imported_names(tree.body):
            top = name.partition(".")[0]
            if top not in PLAIN | sys.stdlib_module_names:
                wrong.append(name)
    return wrong


def may_enter(house, other, name):
    if house == "moe_labs" and other == "moe_keras":
        return is_public(name)
    return other not in HOUSES or other in NEIGHBORS[house]


def is_public(name):
    """Whether a dotted name is a part of the library with public names, or one of these."""
    part, _, last = name.rpartition(".")
    return public_names(name) is not None or last in (public_names(part) or ())


def public_names(module):
    """The `__all__` of a package of this repository, or None."""
    path = ROOT / module.replace(".", "/") / "__init__.py"
    if not module or not path.exists():
        return None
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def modules():
    """House, part and path of every module."""
    for house in HOUSES:
        for path in sorted((ROOT / house).rglob("*.py")):
            yield house, path.relative_to(ROOT / house).parts[0].removesuffix(".py"), path


def test_every_part_has_its_place():
    lost = {f"{house}.{part}" for house, part, _ in modules() if part not in RANKS[house]}
    assert not lost, f"give {lost} a place in the order of their house"


def test_imports_point_one_way():
    wrong = {}
    for house, part, path in modules():
        names = wrong_imports(house, part, path.read_text(encoding="utf-8"))
        if names:
            wrong[str(path.relative_to(ROOT))] = names
    # The start of both commands, which imports them when it runs.
    starts = [f"{package}.commands.main.main" for package in ("moe_keras", "moe_labs")]
    assert wrong == {str(Path("moe_common", "entry.py")): starts}


def test_labs_import_public_names_alone():
    wrong = {}
    for path in sorted((ROOT / "notebooks" / "source").glob("*.py")):
        names = imported_names(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        private = [
            name for name in names if name.partition(".")[0] == "moe_keras" and not is_public(name)
        ]
        if private:
            wrong[path.name] = private
    assert wrong == {}


def test_the_painter_is_opened_by_the_stand_in_alone():
    opened = {
        str(path.relative_to(ROOT))
        for _, part, path in modules()
        if part != "standin" and "moe_keras.standin" in path.read_text(encoding="utf-8")
    }
    # A spec names its painter; the stand-in imports it.
    assert opened == {str(Path("moe_keras", "data", name)) for name in ("specs.py", "standin.py")}


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        (
            "moe_keras.gates",
            "from moe_keras.mixtures import combine",
            ["moe_keras.mixtures.combine"],
        ),
        (
            "moe_keras.gates",
            "from moe_keras.experts.expert import Expert",
            ["moe_keras.experts.expert.Expert"],
        ),
        ("moe_keras.gates", "from moe_keras import experts", ["moe_keras.experts"]),
        ("moe_keras.gates", "from moe_keras import DenseMoE", ["moe_keras.DenseMoE"]),
        ("moe_keras.gates", "def f():\n    import moe_keras.mixtures", ["moe_keras.mixtures"]),
        ("moe_keras.gates", "from .gate import Gate", [".gate.Gate"]),
        ("moe_keras.data", "import sklearn.tree", ["sklearn.tree"]),
        ("moe_keras.data", "def f():\n    import matplotlib", []),
        ("moe_keras.data", "from moe_common.files import replacing", []),
        ("moe_keras.mixtures", "import math, keras\nfrom numpy import array", []),
        ("moe_keras.mixtures", "from moe_keras.gates import Gate", []),
        ("moe_keras.commands", "import typer\nfrom moe_keras import __version__, data", []),
        ("moe_keras.runs", "def f():\n    import moe_labs", ["moe_labs"]),
        ("moe_common.files", "import moe_keras", ["moe_keras"]),
        ("moe_labs.exercises", "import moe_keras", []),
        ("moe_labs.exercises", "from moe_keras import DenseMoE, data, plots, routing", []),
        ("moe_labs.exercises", "from moe_keras.evaluation import mean_interval", []),
        ("moe_labs.exercises", "from moe_labs.course import create", ["moe_labs.course.create"]),
        (
            "moe_labs.exercises",
            "from moe_keras.gates.gate import Gate",
            ["moe_keras.gates.gate.Gate"],
        ),
        ("moe_labs.exercises", "from moe_keras import arguments", ["moe_keras.arguments"]),
        ("moe_labs.exercises", "from moe_keras.data import specs", ["moe_keras.data.specs"]),
        ("moe_labs.exercises", "import moe_keras.serialization", ["moe_keras.serialization"]),
    ],
)
def test_the_rule_itself(module, source, expected):
    house, part = module.split(".")
    assert wrong_imports(house, part, source) == expected
