"""Every public name says in its docstring what its kind needs. New names are held to it too."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import keras
import pytest
from reference_pages import PARTS

import moe_keras
from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.source import written_out

# Arguments that Keras explains.
OF_KERAS = {"self", "kwargs", "name", "dtype"}
# Layers that stand on no paper: they wrap or rearrange.
WITHOUT_A_PAPER = {"ClassSubset", "Expert", "FrozenExpert"}


def public():
    for part in PARTS:
        module = importlib.import_module(part)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield pytest.param(part, thing, id=f"{part}.{name}")


def is_computing(part, thing):
    """Whether it is a layer, a metric or a loss."""
    kinds = (keras.layers.Layer, keras.metrics.Metric)
    return part == "moe_keras.losses" or (inspect.isclass(thing) and issubclass(thing, kinds))


def is_base(thing):
    """Whether it leaves `call` to those that derive from it."""
    is_layer = inspect.isclass(thing) and issubclass(thing, keras.layers.Layer)
    return is_layer and "call" not in vars(thing)


def arguments(thing):
    if inspect.isclass(thing) and thing.__init__ is not object.__init__:
        # An exception's constructor is Python's, with whatever message.
        if issubclass(thing, Exception):
            return set()
        thing = thing.__init__
    return set(inspect.signature(thing).parameters) - OF_KERAS


def missing(part, thing):
    """What the docstring should have and has not."""
    text = inspect.getdoc(thing) or ""
    sections = set(re.findall(r"^([A-Z][a-z ]+):", text, re.MULTILINE))
    explained = set()
    for names in re.findall(r"^ {4}(\*{0,2}\w[\w, ]*):", text, re.MULTILINE):
        explained |= set(names.split(", "))
    lacks = [f"the argument {name}" for name in sorted(arguments(thing) - explained)]
    if inspect.getdoc(thing) is None or not thing.__doc__:
        lacks.append("a docstring of its own")
    if not re.match(r"[^\n]{1,100}[.?:](\n\n|$)", text):
        lacks.append("a first line that is one sentence")
    if inspect.isroutine(thing):
        lacks += {"Returns"} - sections
    if is_computing(part, thing):
        lacks += {"Reference"} - sections if thing.__name__ not in WITHOUT_A_PAPER else set()
        lacks += ["an example that runs"] if ">>> " not in text else []
        if not is_base(thing):
            lacks += {"Returns"} - sections
            lacks += ["a formula"] if " = " not in text.split("\nArgs:")[0] else []
    return sorted(lacks)


@pytest.mark.parametrize(("part", "thing"), [*public()])
def test_docstring(part, thing):
    assert not missing(part, thing)


def test_what_is_missing_is_told():
    class Twice(keras.layers.Layer):
        """Doubles"""

        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)

        def call(self, inputs):
            return 2 * inputs

    assert missing("moe_keras.gates", Twice) == [
        "Reference",
        "Returns",
        "a first line that is one sentence",
        "a formula",
        "an example that runs",
        "the argument factor",
    ]


def test_no_name_is_listed_twice():
    for part in PARTS:
        names = importlib.import_module(part).__all__
        assert len(set(names)) == len(names), part


ROOT = Path(__file__).parents[1]
MOST_NAMES = 90  # what a newcomer can overlook
# Names that came on top of these, each with what it is for; better, a name less elsewhere.
ADDED = {
    # "Name": "what it is for",
    "CascadeMoE": "experts at a fraction of their cost: asked only where the base is unsure",
    "ExpertParallelDispatcher": "experts on several devices, to which tokens travel",
    "expert_parallel_layout": "which device holds which experts of a StackedMLP",
    "fit_threshold": "which inputs a CascadeMoE defers, for a wanted share or cost",
    "GaussianMoE": "regression with a likelihood: answers with a distribution",
    "GroupLimitedGate": "the gate of today's language models, DeepSeek-V3's",
    "accelerate": "keras-hub's mixtures at the cost of k experts a token instead of all",
    "upcycle": "from a dense model to a mixture",
    "MultiGateMoE": "several tasks that share experts",
    "ProgressiveExtraction": "several tasks that share some experts, and each has others",
    "gaussian_mixture_interval": "prediction intervals of a GaussianMoE",
    "gaussian_mixture_moments": "mean and standard deviation of a GaussianMoE",
    "gaussian_mixture_nll": "what a GaussianMoE is trained with",
    "ragged_dot": "the grouped matrix product, which Keras lacks",
    "sequence_balance_loss": "even load within a sequence, where load_balancing_loss sees a batch",
}


def listed_names():
    """All names that a package of moe_keras lists as public, those of the school left out."""
    packages = sorted(Path(moe_keras.__file__).parent.glob("*/__init__.py"))
    parts = {path.parent.name for path in packages} - {"checks", "labs", "course", "commands"}
    modules = [moe_keras, *(importlib.import_module(f"moe_keras.{part}") for part in sorted(parts))]
    return {name for module in modules for name in getattr(module, "__all__", ())}


def names_in(code):
    """Names that Python code imports from elsewhere or reads from a module or an object."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.attr


def used_names():
    """Names that labs, benchmarks, guides and the README use in code."""
    programs = [path.read_text("utf-8") for path in (ROOT / "benchmarks").glob("*.py")]
    programs += map(written_out, find_labs(ROOT / "notebooks"))
    used = {name for program in programs for name in names_in(program)}
    generated = {"mistakes.md", "outcomes.md"}
    for path in [ROOT / "README.md", *(ROOT / "docs" / "guides").glob("*.md")]:
        if path.name not in generated:
            text = path.read_text(encoding="utf-8")
            for block in re.findall(r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
                used |= set(names_in(inspect.cleandoc("\n" + block)))
            used |= set(re.findall(r"`(?:[\w.]+\.)?(\w+)(?:\([^`]*\))?`", text))
    return used


def test_the_public_surface_is_small():
    names = listed_names()
    assert len(names) <= MOST_NAMES + len(ADDED)
    assert ADDED.keys() <= names


def test_every_public_name_is_used_by_a_lab_a_benchmark_or_a_guide():
    assert sorted(listed_names() - used_names()) == []
