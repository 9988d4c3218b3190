import dataclasses
import inspect

import pytest
import typer
from typer.testing import CliRunner

from moe_keras.commands.options import explanations, with_options


@dataclasses.dataclass
class Oven:
    """An oven.

    Attributes:
        bread: what to bake.
        degrees: how hot,
            in Celsius.
        fan: whether air moves; another: colon.
        note: written beside it.
    """

    bread: str
    degrees: float = 200.0
    fan: bool = False
    note: str | None = None


def test_explanations_are_those_of_the_docstring():
    assert explanations(Oven) == {
        "bread": "What to bake.",
        "degrees": "How hot, in Celsius.",
        "fan": "Whether air moves; another: colon.",
        "note": "Written beside it.",
    }


@pytest.fixture
def bake():
    """Function that runs `bake ARGUMENTS`: what the command was given, and what was shown."""
    app, given = typer.Typer(), []

    @app.command()
    @with_options(oven=(Oven, None), timer=(timer, ["minutes"]))
    def bake(oven: dict, timer: dict, loud: bool = False):
        """Bake bread."""
        given.append((oven, timer, loud))

    def run(*arguments):
        given.clear()
        done = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "200", "TERM": "dumb"})
        return done, given[:]

    return run


def timer(start, minutes=30, bell="ding"):
    """A timer.

    Args:
        start: when.
        minutes: how long.
        bell: what it says.
    """


def test_values_come_by_the_group_that_they_belong_to(bake):
    _, given = bake("rye", "--degrees", "180", "--fan", "--minutes", "45")
    oven = {"bread": "rye", "degrees": 180.0, "fan": True, "note": None}
    assert given == [(oven, {"minutes": 45}, False)]


def test_defaults_are_those_of_the_source(bake):
    _, given = bake("rye", "--loud")
    assert given == [(dataclasses.asdict(Oven("rye")), {"minutes": 30}, True)]


def test_help_holds_names_explanations_and_defaults(bake):
    shown = " ".join(bake("--help")[0].output.split())
    for text in ("Bake bread.", "What to bake.", "--degrees", "How hot, in Celsius.", "200.0"):
        assert text in shown
    assert "--bell" not in shown
    assert "--no-fan" not in shown


def test_what_is_not_explained_cannot_be_an_option():
    def silent(minutes=30):
        """Nothing on minutes."""

    with pytest.raises(KeyError, match="minutes"):
        with_options(timer=(silent, None))


def test_the_command_keeps_its_name():
    @with_options(oven=(Oven, ["fan"]))
    def warm(oven: dict):
        """Warm it."""

    assert (warm.__name__, warm.__doc__) == ("warm", "Warm it.")
    assert list(inspect.signature(warm).parameters) == ["fan"]
