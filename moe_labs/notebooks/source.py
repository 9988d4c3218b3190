"""A lab's source with its exercises written out.

In the source an exercise is one cell, `# %% exercise="mix"`. Its solution and its marks stand where
its check does, in the lab's module of `moe_labs.exercises`. Here this cell becomes two: the
function with its solution, and the check with nbgrader's marks.
"""

import re

from moe_labs.declarations import EXERCISES, declarations

CELL = re.compile(r'^# %% exercise="(?P<name>\w+)"\n(?P<rest>(?:(?!# %%).*\n?)*)', re.MULTILINE)
WRITTEN_OUT = """\


# %% nbgrader={{"grade": false, "grade_id": "{name}", "locked": false, "schema_version": 3, \
"solution": true, "task": false}}
{code}


# %% nbgrader={{"grade": true, "grade_id": "check-{name}", "locked": true, "points": {marks}, \
"schema_version": 3, "solution": false, "task": false}}
{name} = {lab}.{name}.check({name})
### BEGIN HIDDEN TESTS
{lab}.{name}.grade()
### END HIDDEN TESTS

"""


def written_out(lab):
    """The text of a lab's source, each exercise with its solution, its check and its marks.

    Raises:
        ValueError: if the lab's module declares no such exercise, or a cell holds more than it may.
    """
    text = lab.source.read_text("utf-8")
    if not CELL.search(text):
        return text
    module = EXERCISES / f"lab{lab.number}.py"
    declared = declarations(module.read_text("utf-8")) if module.is_file() else {}

    def write_out(cell):
        name = cell["name"]
        if name not in declared or cell["rest"].strip():
            raise ValueError(
                f"{lab.source}: expected an empty cell and the name of an exercise that "
                f"{module.name} declares: {', '.join(declared) or 'it declares none'}. "
                f"Received: {cell[0].strip()!r}"
            )
        exercise = declared[name]
        return WRITTEN_OUT.format(
            name=name, code=exercise.code, marks=exercise.marks, lab=f"lab{lab.number}"
        ).lstrip("\n")

    return CELL.sub(write_out, text)
