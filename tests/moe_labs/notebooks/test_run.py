import io
import json

from rich.console import Console

from moe_labs.notebooks.generate import committed_solution
from moe_labs.notebooks.run import run


def test_a_lab_that_fails_does_not_keep_the_others_from_the_table(write_lab, source, tmp_path):
    bad = write_lab(source.replace("return a + b", "return a - b"), "01_bad")
    good = write_lab(source, "02_good")
    output, shown = tmp_path / "out", io.StringIO()
    results = run([bad, good], output, Console(file=shown, width=160))

    assert [bool(result.error) for result in results] == [True, False]
    assert "AssertionError" in results[0].error
    assert results[1].figures == {"data": "three digits", "accuracy": "0.75"}
    assert sorted(path.name for path in output.iterdir()) == [
        "01_bad.failed.ipynb",
        "02_good.html",
        "02_good.ipynb",
        "summary.json",
    ]
    assert shown.getvalue().startswith("Running 2 labs: about 10 minutes on two idle cores")
    assert "LAB=01" in shown.getvalue().splitlines()[0]
    assert "stopped in cell 5" in shown.getvalue()
    assert 0.05 < results[1].gigabytes < 50
    table = [line.split() for line in shown.getvalue().splitlines() if line.startswith("0")]
    assert [line[-1] for line in table if len(line) > 4] == ["FAILED", "1"]
    assert shown.getvalue().splitlines().count("  accuracy: 0.75") == 1
    summary = json.loads((output / "summary.json").read_text())
    assert [bool(one["error"]) for one in summary["labs"]] == [True, False]
    assert committed_solution(good) is None  # a run for a reader writes nothing into the checkout


def test_a_success_removes_the_copy_of_an_earlier_failure(lab, tmp_path):
    stale = tmp_path / "01_sums.failed.ipynb"
    stale.write_text("{}")
    run([lab], tmp_path, Console(file=io.StringIO()))
    assert not stale.exists()
