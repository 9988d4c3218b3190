"""The examples of the contributors' guide do what the guide says."""

import inspect
import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "contributing.md"


def examples():
    found = re.findall(r"^( *)```python\n(.*?)^ *```", GUIDE.read_text("utf-8"), re.M | re.S)
    return [inspect.cleandoc("\n" + code) for _, code in found]


def test_the_gate_keeps_the_contract_of_layers():
    gate, test = examples()[:2]
    scope = {"__name__": "sigmoid"}
    exec(compile(gate, "sigmoid.py", "exec"), scope)
    exec(compile(test, "test_sigmoid.py", "exec"), scope)
    scope["test_contract"]()


def test_the_check_knows_right_from_wrong(capsys):
    scope = {}
    exec(compile(examples()[2], "lab.py", "exec"), scope)
    share = scope["share"]
    share.check(share.reference())
    share.check(lambda counts: counts)
    right, wrong, *_ = capsys.readouterr().out.splitlines()
    assert "right. (1 of 1 marks)" in right
    assert "not right yet. Those are counts" in wrong
