import re
import subprocess
import sys

import pytest

from moe_labs.declarations import EXERCISES, declarations
from moe_labs.notebooks.catalogue import installed_labs
from moe_labs.notebooks.source import written_out

LABS = pytest.mark.parametrize("lab", installed_labs(), ids=lambda lab: lab.number)
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def exercises(lab):
    return declarations((EXERCISES / f"lab{lab.number}.py").read_text("utf-8"))


@LABS
def test_every_exercise_is_asked_once_and_in_order(lab):
    asked = re.findall(r'^# %% exercise="(\w+)"$', lab.source.read_text("utf-8"), re.MULTILINE)
    assert asked == list(exercises(lab))


@LABS
def test_marks_in_the_text_are_those_declared(lab):
    text = lab.source.read_text("utf-8")
    stated = [int(marks) for marks in re.findall(r"\*\*Exercise \d+ \((\d+) marks?\)", text)]
    asked = re.findall(r'^# %% exercise="(\w+)"$', text, re.MULTILINE)
    declared = exercises(lab)
    assert stated == [declared[name].marks for name in asked]
    intro = re.search(r"(\w+)[ \n#]+exercises?,[ \n#]+worth[ \n#]+(\d+)[ \n#]+marks?", text)
    assert (intro[1].lower(), int(intro[2])) == (NUMBERS[len(stated) - 1], sum(stated))
    numbers = [int(number) for number in re.findall(r"\*\*Exercise (\d+) \(", text)]
    assert numbers == list(range(1, len(numbers) + 1))


@LABS
def test_nothing_is_imported_in_vain(lab):
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F401,F821", "-"],
        input=written_out(lab).replace("display(", "print("),
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "cell",
    ['# %% exercise="mixx"\n', '# %% exercise="mix"\nprint(3)\n'],
    ids=["no such exercise", "more than the name"],
)
def test_a_cell_that_fits_no_declaration_is_refused(write_lab, cell):
    title = installed_labs(["04"])[0].source.read_text("utf-8").partition("# %%")[0]
    lab = write_lab(f"{title}# %% [markdown]\n# # Lab 04: x\n\n{cell}", "04_x")
    with pytest.raises(ValueError, match="expected an empty cell"):
        written_out(lab)
