"""What `moe-labs course autograde` shows of submissions, whatever they are called."""

import pytest

from moe_labs.commands.main import main
from moe_labs.course import autograde as grading
from moe_labs.course import sandbox

NAMES = ["[/b]", "[cat, dog]", "x" * 90, "ada :dog:", "\\[bold]"]


def a_result(student, graded="2026-03-01T12:00:00+00:00", **more):
    figures = {"marks": 3, "out_of": 5, "by_hand": 2, "seconds": 61.4}
    return grading.Result(
        student, **figures, **({"failure": None, "notes": ()} | more), graded=graded
    )


def status(monkeypatch, results, *arguments):
    """The exit status of `course autograde` where these are the results."""

    def autograde(course, assignment, students, limits, jobs, on_result, *how):
        for result in results:
            on_result(result, len(results))
        return results

    monkeypatch.setattr(grading, "autograde", autograde)
    with pytest.raises(SystemExit) as ended:
        main(["course", "autograde", *arguments])
    return ended.value.code


def test_students_and_remarks_are_shown_as_they_are(monkeypatch, capsys, tmp_path):
    results = [
        a_result(name, notes=(f"not a notebook: {name}", "[red]file renamed")) for name in NAMES
    ]
    monkeypatch.setattr(sandbox, "isolation_problem", lambda: "no [namespaces] here")
    assert not status(monkeypatch, results, str(tmp_path / "[b]"), "01_[sums]", "--no-isolation")
    shown = capsys.readouterr().out
    assert "Not isolated here: no [namespaces] here." in shown
    table = shown[shown.index("01_[sums]\n") :].splitlines()
    assert table[1].split("  ")[0] == "Student"
    for number, name in enumerate(NAMES):
        first, second = table[2 + 2 * number :][:2]
        assert first.startswith(f"{name}  ")
        assert first.endswith(f"  3 of 5  2        61       not a notebook: {name}")
        assert second.strip() == "[red]file renamed"
    assert table[-1] == f"Marks: {tmp_path / '[b]' / 'marks-01_[sums].csv'}"


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([], 0),
        ([(None, "now")], 0),
        ([("not a notebook", "now"), (None, "now")], 0),  # the file's fault: it is graded
        ([(None, "now"), ("could not be entered in the gradebook", "")], 1),
        ([("time limit", "")], 1),
    ],
)
def test_the_exit_status_tells_whether_some_are_to_be_graded_again(
    monkeypatch, tmp_path, failures, expected
):
    results = [
        a_result(f"student {number}", graded, failure=failure)
        for number, (failure, graded) in enumerate(failures)
    ]
    assert (status(monkeypatch, results, str(tmp_path), "01_sums") or 0) == expected
