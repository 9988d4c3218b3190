"""What is printed is there, as it was and whole, at any width."""

import ast
import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress

from moe_common.terminal import Words, aligned, plain, show, show_table
from moe_labs.notebooks.results import Result, show_results

ROOT = Path(__file__).parents[1]
WIDTHS = (1, 40, 80, 200)
PATH = "/home/ada/a very long folder/" + "x" * 120 + "/cifar10.npz"
# Pieces of what rich gives a meaning, beside plain ones.
PIECES = ["[", "]", "[/", "[/b]", "[red]", "[cat, dog]", "[@click=x]", ":dog:", "\\", "\\[", "{}"]
PIECES += ["https://a.b", "12,345", "None", "'x'", "日本", "é", "a b", "=", "x" * 90]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
STRANGE = "[/b] [cat, dog] :dog: [red]x[/red] \\[bold]"


def printed(function, *arguments, width=80, terminal=True):
    """What a function prints to a console, without colors."""
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    function(console, *arguments)
    return console.file.getvalue()


@given(TEXTS, st.sampled_from(WIDTHS), st.booleans())
@example(STRANGE, 40, True)
def test_a_text_is_printed_as_it_is(text, width, terminal):
    assert printed(show, text, width=width, terminal=terminal) == f"{text}\n"


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3), st.sampled_from(WIDTHS))
@example([(STRANGE, PATH)], 40)
def test_a_cell_is_printed_as_it_is_and_whole(rows, width):
    for terminal in (True, False):
        shown = printed(show_table, ["[Name]", "Value"], rows, width=width, terminal=terminal)
        for name, value in rows:
            assert name in shown
            assert value in shown


@given(TEXTS, TEXTS, TEXTS)
@example(STRANGE, STRANGE, STRANGE)
def test_a_lab_shows_figures_and_verdicts_as_they_are(name, value, data):
    result = Result("01", name, 1, 1, "", {"data": data, name: value}, {name: value})
    shown = printed(show_results, [result])
    for line in (f"01 {name}\n", f"  {name}: {value}\n", f"  FAILED VERDICT: {name}: {value}\n"):
        assert line in shown


@given(TEXTS)
@example(STRANGE)
def test_words_in_a_bar_are_as_they_are(text):
    console = Console(file=io.StringIO(), width=1000, force_terminal=True, color_system=None)
    with Progress(Words("at {task.description}"), console=console) as bar:
        bar.add_task(text)
    assert f"at {text}" in console.file.getvalue()


def test_a_narrow_terminal_shows_words_of_a_bar_whole():
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    with Progress(Words("{task.description}"), console=console, auto_refresh=False) as bar:
        bar.add_task("x" * 50)
    assert "…" not in console.file.getvalue()
    assert console.file.getvalue().count("x") % 50 == 0


@given(st.text())
def test_no_character_steers_the_terminal_or_stops_the_output(text):
    shown = str(plain(text))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    shown.encode("utf-8")


def test_control_characters_and_broken_names_are_spelled_out():
    assert str(plain("a\x1b[2Jb\tc\x07\udcff\nd")) == "a\\x1b[2Jb\\tc\\x07\\udcff\nd"


def test_columns_stand_below_one_another():
    rows = [["a", "b"], ["long one", "1\n2"], ["日本", "x"]]
    lines = aligned(rows)
    assert lines == ["a         b", "long one  1", "          2", "日本      x"]
    assert cell_len("日本      ") == len("long one  ")


COLUMNS = ["Dataset", "Source", "Where"]
ROWS = [["cifar10", "local file", PATH], ["mnist", "", "cache"]]
WIDE = f"Dataset  Source      Where\ncifar10  local file  {PATH}\nmnist                cache\n"
NARROW = f"cifar10\n  Source: local file\n  Where: {PATH}\nmnist\n  Where: cache\n"


@pytest.mark.parametrize(
    ("width", "terminal", "expected"),
    [(40, True, NARROW), (80, True, NARROW), (200, True, WIDE), (40, False, WIDE)],
)
def test_a_table_too_wide_becomes_lists_in_a_terminal_alone(width, terminal, expected):
    assert printed(show_table, COLUMNS, ROWS, width=width, terminal=terminal) == expected


def test_lists_keep_the_lines_of_a_cell():
    shown = printed(show_table, ["Lab", "Outcomes"], [["01", "write gates\ncompare"]], width=10)
    assert shown == "01\n  Outcomes:\n    write gates\n    compare\n"


def test_a_title_stands_above():
    assert printed(show_table, ["a"], [["1"]], "base of [mnist]") == "base of [mnist]\na\n1\n"


def calls(path):
    """Names of what a module calls that would read markup, or cut: each has its place here."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in ("Table", "TextColumn", "Panel"):
            yield node.func.id
        if isinstance(node.func, ast.Attribute):
            constant = all(isinstance(argument, ast.Constant) for argument in node.args)
            name = node.func.attr
            if name in ("print", "log", "rule", "status", "input") and not constant:
                owner = ast.unparse(node.func.value)
                if "onsole" in owner:
                    yield f"{owner}.{name}"


def test_nothing_is_printed_by_rich_but_through_terminal():
    found = {
        str(path.relative_to(ROOT)): names
        for folder in ("moe_keras", "benchmarks", "tools")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "terminal.py" and (names := list(calls(path)))
    }
    assert found == {}
