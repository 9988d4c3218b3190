"""The guides' commands are commands: each `moe-labs ...` in them is one that can be called so."""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from moe_labs.commands.main import app
from moe_labs.course.create import README

ROOT = Path(__file__).parents[3]
GUIDES = [ROOT / "docs" / "guides" / f"{name}.md" for name in ("grading", "lecturers", "releasing")]
COMMAND = re.compile(r"moe-labs course [^`\n]*")


def commands():
    texts = {path.stem: path.read_text("utf-8") for path in GUIDES} | {"course": README}
    return [
        pytest.param(command.strip(), id=f"{name}: {command.strip()}")
        for name, text in texts.items()
        for command in dict.fromkeys(COMMAND.findall(text.replace("\\\n", " ")))
    ]


@pytest.mark.parametrize("command", commands())
def test_it_can_be_called_so(command):
    words = shlex.split(command, comments=True)[1:]
    here, context = typer.main.get_command(app), None
    while isinstance(here, click.Group) and words:
        context = click.Context(here, parent=context)
        assert words[0] in here.commands, f"{command}: {words[0]}"
        here = here.commands[words.pop(0)]
    if words:  # else the text names the command only
        here.make_context("moe-labs", [word for word in words if word != "..."], context)
