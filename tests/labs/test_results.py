import io
import json

from nbformat.v4 import new_code_cell, new_notebook, new_output
from rich.console import Console

from moe_keras.labs.results import printed_values, read_result, to_json, to_table


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


def test_the_table_has_data_minutes_figures_and_verdicts(lab):
    shown = io.StringIO()
    failed = read_result(lab, new_notebook(), 30, "ValueError: [no] such thing")
    table = to_table([read_result(lab, executed(), 90), failed])
    Console(file=shown, width=160).print(table)
    for text in ("01 sums and more", "CIFAR-10", "1.5", "MoE accuracy: 79.1 %", "True", "FAILED"):
        assert text in shown.getvalue()
    assert "data:" not in shown.getvalue()


def test_json_holds_the_same(lab):
    summary = json.loads(to_json([read_result(lab, executed(), 90)], quick=True))
    (one,) = summary["labs"]
    assert summary["quick"] is True
    assert (one["lab"], one["minutes"], one["error"]) == ("01", 1.5, "")
    assert one["verdicts"] == {"MoE beats baseline": "True"}
