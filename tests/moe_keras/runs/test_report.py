import base64
import re
import shutil
import sys

import pytest

from moe_keras.runs import Settings, compare_runs, train
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.report import write_report


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that have ended."""
    from tiny_dataset import tiny_dataset

    from moe_keras import data
    from moe_keras.runs import recorder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", tiny_dataset)
        # Figures take their time, and those of the page are enough.
        for name in ("epoch_figures", "curve_figures"):
            patch.setattr(recorder, name, lambda *arguments: {})
        for module in (recorder, sys.modules[train.__module__]):
            patch.setattr(module, "write_report", lambda path: None)
        settings = {"expert": "mlp", "experts": 2, "epochs": 1, "batch_size": 30}
        folder = tmp_path_factory.mktemp("runs")
        for kind in ("dense", "guided"):
            train(Settings(kind, **settings), folder / kind)
    write_report(folder / "guided")
    return folder


def test_the_page_holds_everything_itself(runs):
    page = (runs / "guided" / "report.html").read_text("utf-8")
    pictures = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)">', page)
    assert len(pictures) == 3 + 4  # curves; one epoch
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for _, data in pictures)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    for text in ("test_accuracy", "test_routed", "learning_rate", "Data: tiny", "expert 1"):
        assert text in page


def test_a_report_made_anew_is_the_same(runs):
    path = runs / "guided" / "report.html"
    before = path.read_text("utf-8")
    path.unlink()
    assert write_report(runs / "guided") == path
    assert path.read_text("utf-8") == before


def test_a_browser_opens_the_page(runs, chromium, tmp_path):
    page = chromium.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(error))
    page.on("requestfailed", lambda request: problems.append(request))
    page.goto((runs / "guided" / "report.html").as_uri())
    widths = page.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth)")
    assert len(widths) == 7
    assert min(widths) > 100
    rows = page.eval_on_selector_all("table", "all => all.map(t => t.rows.length)")
    assert len(rows) == 4  # results, metrics, experts, settings
    assert min(rows) >= 2
    assert "Gate and experts, epoch 1" in page.inner_text("body")
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    page.close()
    assert problems == []


def test_compare(runs):
    comparison = compare_runs([runs / "dense", runs / "guided"])
    first, second = comparison.table.rows
    assert first[2] == ""
    assert re.fullmatch(r"[+-]\d+\.\d\d \[[+-]\d+\.\d\d, [+-]\d+\.\d\d\]", second[2])
    accuracies = [RunFolder(runs / kind).results()["test_accuracy"] for kind in ("dense", "guided")]
    assert float(second[2].split()[0]) == pytest.approx(100 * (accuracies[1] - accuracies[0]))
    assert "guided" in comparison.figure.alt


def test_what_cannot_be_compared(runs, tmp_path):
    with pytest.raises(ValueError, match="two runs or more"):
        compare_runs([runs / "dense"])
    with pytest.raises(FileNotFoundError, match="run folder"):
        compare_runs([runs / "dense", tmp_path])
    other = shutil.copytree(runs / "guided", tmp_path / "other")
    predictions = other / "csv" / "predictions_test.csv"
    lines = predictions.read_text().splitlines()
    predictions.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ValueError, match=r"same test images.*19 images"):
        compare_runs([runs / "dense", other])
    predictions.write_text("sample,label\n0,1\n")
    with pytest.raises(ValueError, match="table of predictions"):
        compare_runs([runs / "dense", other])
    (other / "results.json").unlink()
    with pytest.raises(FileNotFoundError, match="has ended"):
        compare_runs([runs / "dense", other])


def test_a_report_of_a_damaged_folder(runs, tmp_path):
    copy = shutil.copytree(runs / "guided", tmp_path / "copy")
    (copy / "csv" / "activations_validation_001.csv").write_bytes(b"sample\n1,\xff")
    with pytest.raises(ValueError, match="table of activations"):
        write_report(copy)
    (copy / "csv" / "metrics.csv").unlink()
    with pytest.raises(FileNotFoundError, match="one finished epoch"):
        write_report(copy)
