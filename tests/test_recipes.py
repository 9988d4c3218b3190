"""The recipes of CONTRIBUTING.md do what they promise, each in a copy of the repository."""

import pytest
from recipes import apply_diff, carry_out, copy_repository, recipes, run, write_file

RECIPES = recipes()
# What a recipe builds on, besides what is there.
BUILDS_ON = {"Add a lab": ["Add an exercise"]}
WITH_COMMANDS = [
    heading
    for heading, blocks in RECIPES.items()
    if heading.startswith(("Add ", "Take ")) and "sh" in dict(blocks)
]


def test_every_recipe_is_run():
    assert WITH_COMMANDS == [
        "Add a gate",
        "Add a dispatcher",
        "Add a dataset",
        "Add an exercise",
        "Add a lab",
        "Take a new Keras release",
    ]


# Their commands take minutes; that their files still fit is tried with the others.
BY_NIGHT = (
    *("Add a gate", "Add a dispatcher", "Add an exercise", "Add a lab"),
    "Take a new Keras release",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "heading",
    [
        pytest.param(heading, marks=[pytest.mark.nightly] if heading in BY_NIGHT else [])
        for heading in WITH_COMMANDS
    ],
)
def test_a_recipe_keeps_its_promise(heading, tmp_path):
    copy = copy_repository(tmp_path / "copy")
    write_for(heading, copy)
    carry_out([block for block in RECIPES[heading] if block[0] == "sh"], copy)


def write_for(heading, copy):
    """Write a recipe's files and changes, and those of what it builds on."""
    for part in (*BUILDS_ON.get(heading, ()), heading):
        carry_out([block for block in RECIPES[part] if block[0] != "sh"], copy)


@pytest.mark.parametrize("heading", BY_NIGHT)
def test_a_recipe_fits_the_files_that_it_changes(heading, tmp_path):
    copy = copy_repository(tmp_path / "copy")
    write_for(heading, copy)
    run(".venv/bin/ruff check moe_keras moe_labs tests", copy)


PAGE = """\
## Add a thing

```python
# made/here.py
X = 1
```

```sh
true
```

## The next

```diff
--- there.py
```
"""


def test_blocks_are_read_by_section():
    assert recipes(PAGE) == {
        "Add a thing": [("python", "# made/here.py\nX = 1\n"), ("sh", "true\n")],
        "The next": [("diff", "--- there.py\n")],
    }


def test_a_file_is_written_without_its_first_line(tmp_path):
    write_file("# made/here.py\nX = 1\n", tmp_path)
    assert (tmp_path / "made" / "here.py").read_text() == "X = 1\n"
    with pytest.raises(ValueError, match="first line '# path"):
        write_file("X = 1\n", tmp_path)


def test_hunks_are_applied_where_their_lines_are(tmp_path):
    path = tmp_path / "there.py"
    path.write_text("a = 1\n  b\naa = 1\nc\n")
    apply_diff("--- there.py\n-a = 1\n+a = 2\n+new\n@@\n c\n+d\n", tmp_path)
    assert path.read_text() == "a = 2\nnew\n  b\naa = 1\nc\nd\n"


@pytest.mark.parametrize("hunk", [" gone\n+x\n", " twice\n+x\n", "+x\n"])
def test_a_hunk_that_fits_nowhere_or_twice_is_refused(hunk, tmp_path):
    (tmp_path / "there.py").write_text("twice\ntwice\n")
    with pytest.raises(ValueError, match=r"Expected once in there\.py"):
        apply_diff(f"--- there.py\n{hunk}", tmp_path)


def test_a_command_that_fails_is_told_with_what_it_printed(tmp_path):
    run("true", tmp_path)
    with pytest.raises(RuntimeError, match="no such luck"):
        run("echo no such luck\nfalse\ntrue", tmp_path)
