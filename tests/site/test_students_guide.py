"""The students' guide can be followed with what a lecturer hands out, and with a clone."""

import re
from pathlib import Path

import pytest

from moe_labs.course import release
from moe_labs.notebooks.catalogue import installed_labs

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "students.md").read_text("utf-8")
BLOCK = re.compile(r"```(?:sh|powershell)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"[\w.]+\.(?:txt|yml|toml|md)\b|\bMakefile\b")
ZIP, CLONE = "From your lecturer's zip file", "From a clone of the repository"


def section(title):
    start = GUIDE.index(f"## {title}\n")
    return GUIDE[start : GUIDE.index("\n## ", start)]


def commands(text):
    return [line for block in BLOCK.findall(text) for line in block.strip().splitlines()]


@pytest.fixture(scope="module")
def handed_out():
    """The names of the files in the zip, as they are beside a terminal in its folder, and texts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "repository", lambda root: "https://example.org/moe")
        files = release.student_files(installed_labs(["01"]))
    return {
        name.removeprefix(f"{release.FOLDER}/"): content.decode() for name, content in files.items()
    }


def test_what_is_typed_in_the_zips_folder_is_what_its_own_readme_says(handed_out):
    typed = commands(section(ZIP))
    readme = handed_out["README.md"]
    for command in typed:
        same = command.replace("python3 ", "python ").replace("py -3.12 ", "python ")
        same = same.replace("Activate.ps1", "activate")
        assert same in readme, command
    for command in re.findall(r"^    (\S.*?)(?:  +#.*)?$", readme, re.MULTILINE):
        assert command.replace("python -m venv", "python3 -m venv") in typed, command
    named = re.findall(r"`(conda [^`]+|jupyter [^`]+)`", readme)
    assert named and set(named) <= set(typed)


def test_every_file_that_is_named_there_is_in_the_zip(handed_out):
    named = set(FILE.findall(section(ZIP)))
    assert named >= {"README.md", "requirements.txt", "environment.yml"}
    assert named <= set(handed_out)
    assert f"`{release.FOLDER}`" in section(ZIP)
    assert any(name.startswith("notebooks/") for name in handed_out)


def test_the_environments_are_those_of_the_files(handed_out):
    for title, text in (
        (ZIP, handed_out["environment.yml"]),
        (CLONE, (ROOT / "environment.yml").read_text("utf-8")),
    ):
        (name,) = re.findall(r"^name: (\S+)$", text, re.MULTILINE)
        assert re.findall(r"conda activate (\S+)", section(title)) == [name]


def test_every_file_that_is_named_for_a_clone_is_in_it():
    named = set(FILE.findall(section(CLONE)))
    assert named >= {"Makefile", "pyproject.toml", "constraints.txt", "environment.yml"}
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_make_is_told_to_nobody_but_who_has_a_clone():
    outside = GUIDE.replace(section(CLONE), "")
    for line in outside.splitlines():
        assert "`make" not in line or "in a clone" in line, line
    assert not any(command.startswith("make") for command in commands(outside))
