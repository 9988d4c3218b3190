import io
import json

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from rich.console import Console

from moe_labs.notebooks.catalogue import installed_labs
from moe_labs.notebooks.results import Result, printed_values, read_result, show_results, to_json


def printing(text, tag, name="stdout"):
    return new_code_cell(
        outputs=[new_output("stream", name=name, text=text)], metadata={"tags": [tag]}
    )


def executed():
    return new_notebook(
        cells=[
            printing(
                "data: CIFAR-10\nMoE accuracy: 79.1 % (of 10,000: all)\nno pair here\n", "figures"
            ),
            printing("ignored: 1\n", "other"),
            printing("ignored: 2\n", "figures", name="stderr"),
            printing("MoE beats baseline: True\n", "verdicts"),
        ]
    )


def test_lines_are_split_at_the_first_colon_and_others_left_out():
    assert printed_values(executed(), "figures") == {
        "data": "CIFAR-10",
        "MoE accuracy": "79.1 % (of 10,000: all)",
    }
    assert printed_values(executed(), "verdicts") == {"MoE beats baseline": "True"}


STAND_IN = "stand-in for CIFAR-10 (generated images), 500 test images"
RESULTS = [
    Result(
        "01", "sums", 6.04, 1.0, "", {"data": "MNIST, 9 images", "all": "79.1 %"}, {"a": "True"}
    ),
    Result(
        "02", "more", 12.3, 2.34, "", {"data": STAND_IN}, {"a": "True", "b": "False", "c": "True"}
    ),
    Result("03", "[cat]", 0, 0.96, "ValueError: [no] such thing"),
]
WIDE = """\
Lab       Data                   Minutes  GB   Verdicts
01 sums   MNIST                  6.0      1.0  1 of 1
02 more   stand-in for CIFAR-10  12.3     2.3  2 of 3
03 [cat]                         0.0      1.0  FAILED
all                              18.3     2.3
"""
NARROW = """\
01 sums
  Data: MNIST
  Minutes: 6.0
  GB: 1.0
  Verdicts: 1 of 1
02 more
  Data: stand-in for CIFAR-10
  Minutes: 12.3
  GB: 2.3
  Verdicts: 2 of 3
03 [cat]
  Minutes: 0.0
  GB: 1.0
  Verdicts: FAILED
all
  Minutes: 18.3
  GB: 2.3
"""
LISTS = f"""
01 sums
  data: MNIST, 9 images
  all: 79.1 %

02 more
  data: {STAND_IN}
  FAILED VERDICT: b: False

03 [cat]
  FAILED: see the message above
"""


@pytest.mark.parametrize(
    ("width", "terminal", "table"),
    [(40, True, NARROW), (80, True, WIDE), (200, True, WIDE), (40, False, WIDE)],
)
def test_a_line_for_each_lab_then_its_figures(width, terminal, table):
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    show_results(console, RESULTS)
    assert console.file.getvalue() == table + LISTS


def test_every_lab_of_the_course_has_one_line_of_80_columns():
    labs = installed_labs()
    results = [
        Result(lab.number, lab.title, 12.5, 2.5, "", {"data": STAND_IN}, {"a": "True"})
        for lab in labs
    ]
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    show_results(console, results)
    table = console.file.getvalue().splitlines()[1 : len(labs) + 1]
    assert [line[:2] for line in table] == [lab.number for lab in labs]
    assert max(map(len, table)) <= 80


def test_json_holds_the_same(lab):
    summary = json.loads(to_json([read_result(lab, executed(), 90, 1.25)], quick=True))
    (one,) = summary["labs"]
    assert summary["quick"] is True
    assert (one["lab"], one["minutes"], one["error"]) == ("01", 1.5, "")
    assert one["gigabytes"] == 1.25
    assert one["verdicts"] == {"MoE beats baseline": "True"}
