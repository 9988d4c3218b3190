"""What `moe-labs course autograde` shows of submissions, whatever they are called."""

import pytest

from moe_labs.commands.main import main
from moe_labs.course import autograde as grading
from moe_labs.course import sandbox

NAMES = ["[/b]", "[cat, dog]", "x" * 90, "ada :dog:", "\\[bold]"]


def test_students_and_remarks_are_shown_as_they_are(monkeypatch, capsys, tmp_path):
    results = [
        grading.Result(name, 3, 5, 2, 61.4, None, (f"not a notebook: {name}", "[red]file renamed"))
        for name in NAMES
    ]

    def autograde(course, assignment, students, limits, jobs, on_result, *how):
        for result in results:
            on_result(result, len(results))
        return results

    monkeypatch.setattr(grading, "autograde", autograde)
    monkeypatch.setattr(sandbox, "isolation_problem", lambda: "no [namespaces] here")
    with pytest.raises(SystemExit) as ended:
        main(["course", "autograde", str(tmp_path / "[b]"), "01_[sums]", "--no-isolation"])
    shown = capsys.readouterr().out
    assert not ended.value.code
    assert "Not isolated here: no [namespaces] here." in shown
    table = shown[shown.index("01_[sums]\n") :].splitlines()
    assert table[1].split("  ")[0] == "Student"
    for number, name in enumerate(NAMES):
        first, second = table[2 + 2 * number :][:2]
        assert first.startswith(f"{name}  ")
        assert first.endswith(f"  3 of 5  2        61       not a notebook: {name}")
        assert second.strip() == "[red]file renamed"
    assert table[-1] == f"Marks: {tmp_path / '[b]' / 'marks-01_[sums].csv'}"
