"""Every public name says in its docstring what its kind needs. New names are held to it too."""

import importlib
import inspect
import re

import keras
import pytest

PARTS = (
    *("gates", "experts", "mixtures", "losses", "metrics"),
    *("inspection", "plots", "training", "data", "checks", "runs", "spark"),
)
# Arguments that Keras explains.
OF_KERAS = {"self", "kwargs", "name", "dtype"}
# Layers that stand on no paper: they wrap or rearrange.
WITHOUT_A_PAPER = {"ClassSubset", "Expert", "FrozenExpert"}


def public():
    for part in PARTS:
        module = importlib.import_module(f"moe_keras.{part}")
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield pytest.param(part, thing, id=f"{part}.{name}")


def is_computing(part, thing):
    """Whether it is a layer, a metric or a loss."""
    kinds = (keras.layers.Layer, keras.metrics.Metric)
    return part == "losses" or (inspect.isclass(thing) and issubclass(thing, kinds))


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

    assert missing("gates", Twice) == [
        "Reference",
        "Returns",
        "a first line that is one sentence",
        "a formula",
        "an example that runs",
        "the argument factor",
    ]


def test_no_name_is_listed_twice():
    for part in PARTS:
        names = importlib.import_module(f"moe_keras.{part}").__all__
        assert len(set(names)) == len(names), part
