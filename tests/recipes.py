"""The recipes of CONTRIBUTING.md: read from the page, carried out in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "CONTRIBUTING.md"
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", ".*cache", ".hypothesis", "build", "dist")


def recipes(text=None):
    """Mapping of each section's heading to its blocks: pairs of a language and a text."""
    text = GUIDE.read_text("utf-8") if text is None else text
    return {heading: BLOCK.findall(body) for heading, body in SECTION.findall(text)}


def copy_repository(folder):
    """A copy to try things in; its `.venv/bin` has the programs that run this test."""
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, command in (("python", ""), ("ruff", "-m ruff")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        (programs / name).chmod(0o755)
    return folder


def carry_out(blocks, folder):
    """Write the files, apply the changes, and run the commands of a recipe, in its order.

    Raises:
        ValueError: if a block does not say which file it is, or a change does not fit its file.
        RuntimeError: if a command fails; the message is what it printed.
    """
    for language, text in blocks:
        if language == "python":
            write_file(text, folder)
        elif language == "diff":
            apply_diff(text, folder)
        elif language == "sh":
            run(text, folder)


def write_file(text, folder):
    first, _, content = text.partition("\n")
    if not re.fullmatch(r"# [\w./]+\.py", first):
        raise ValueError(f"Expected a first line '# path/of/file.py'. Received: {first!r}")
    path = folder / first.removeprefix("# ")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def apply_diff(text, folder):
    """Apply hunks without line numbers: what they show of a file must occur in it just once."""
    for part in re.split(r"^--- ", text, flags=re.MULTILINE)[1:]:
        name, _, hunks = part.partition("\n")
        path = folder / name
        content = path.read_text("utf-8")
        for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE):
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if not line.startswith("+"))
            new = "".join(line[1:] for line in lines if not line.startswith("-"))
            # Whole lines, so that `    PerClassGate,` is not found in another line's end.
            found = len(re.findall(rf"^{re.escape(old)}", content, re.MULTILINE))
            if not old or found != 1:
                raise ValueError(f"Expected once in {name}:\n{old}Received: {found} times")
            content = re.sub(
                rf"^{re.escape(old)}", lambda _, new=new: new, content, flags=re.MULTILINE
            )
        path.write_text(content, encoding="utf-8")


def run(commands, folder):
    # Of the test that runs this one nothing is passed on; make takes the environment as it is.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "MAKE"))}
    environment = {**inherited, "PYTHONPATH": str(folder), "MAKEFLAGS": "STAMP="}
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stdout)
