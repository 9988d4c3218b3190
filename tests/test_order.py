"""No test leans on those before it: what would make it so is not in the tests."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
GENERATORS = {"default_rng", "RandomState", "Random", "SeedGenerator"}
PARTS = ("experts", "gates", "metrics", "mixtures")
LAYERS = ("keras.", "sparse_gate.", *(f"moe_keras.{part}." for part in PARTS))


def at_import(node):
    """The nodes that run when a module is imported: all but the bodies of functions."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        children = [*getattr(node, "decorator_list", []), node.args]
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from at_import(child)


def origins(tree):
    """Where each imported name is from: {"ops": "keras.ops"}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def shared_by_tests(source):
    """The generators and layers that a module makes when it is imported and keeps."""
    tree = ast.parse(source)
    origin = origins(tree)
    # `default_rng(0).normal()` keeps the numbers and not the generator.
    used_up = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for call in (node for node in at_import(tree) if isinstance(node, ast.Call)):
        first, *rest = ast.unparse(call.func).split(".")
        path = ".".join([origin.get(first, first), *rest])
        name = path.rpartition(".")[2]
        # A dispatcher has no weights: it is a value.
        is_layer = path.startswith(LAYERS) and name[0].isupper() and "Dispatcher" not in name
        if is_layer or (name in GENERATORS and id(call) not in used_up):
            yield path


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_nothing_that_changes_is_shared(path):
    assert list(shared_by_tests(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import numpy as np\nRNG = np.random.default_rng(0)", ["numpy.random.default_rng"]),
        ("from random import Random\nclass A:\n    r = Random(1)", ["random.Random"]),
        ("import keras\nMODEL = keras.Sequential([])", ["keras.Sequential"]),
        (
            "from keras import layers as l\nFEW = [l.Dense(i) for i in (1, 2)]",
            ["keras.layers.Dense"],
        ),
        (
            "from moe_keras.gates import TopKGate\n"
            "@pytest.mark.parametrize('gate', [TopKGate(2)])\ndef test(gate): pass",
            ["moe_keras.gates.TopKGate"],
        ),
        (
            "import numpy as np\ndef test(rng=np.random.default_rng()): pass",
            ["numpy.random.default_rng"],
        ),
        ("import numpy as np\nX = np.random.default_rng(0).normal(size=3)", []),
        ("import keras\ndef model():\n    return keras.Sequential([])", []),
        ("import keras\nMAKE = {'dense': lambda: keras.layers.Dense(1)}", []),
        ("import keras\nBACKEND = keras.backend.backend()", []),
    ],
)
def test_what_is_found(source, found):
    assert list(shared_by_tests(source)) == found


def names_of_all_tests(hash_seed):
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
    )
    return [line for line in collected.stdout.splitlines() if "::" in line]


@pytest.mark.slow
@pytest.mark.nightly  # by day two processes share the tests: if they differ, that run ends at once
def test_every_process_finds_the_same_tests():
    """A test's name holds no time and nothing in the order of a set."""
    names = names_of_all_tests("1")
    assert len(names) > 2000
    assert names_of_all_tests("2") == names
