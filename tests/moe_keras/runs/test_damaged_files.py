"""Files of a run that are damaged but still JSON or CSV: always a ValueError, never another."""

import contextlib
import json
import shutil
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moe_keras.json_files import misfit
from moe_keras.runs import Settings, compare_runs, resume, train
from moe_keras.runs.report import write_report

SMALL = Settings("guided", expert="mlp", epochs=1, batch_size=60, experts=2)
JUNK = (None, True, 3, -1.5, "x", [], [1], ["a"], {}, {"a": 1})


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    from tiny_dataset import tiny_dataset

    from moe_keras import data
    from moe_keras.runs import recorder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", tiny_dataset)
        for name in ("epoch_figures", "curve_figures"):
            patch.setattr(recorder, name, lambda *arguments: {})
        for module in (recorder, sys.modules[train.__module__]):
            patch.setattr(module, "write_report", lambda path: None)
        return train(SMALL, tmp_path_factory.mktemp("ended") / "run").path


@pytest.fixture
def quick(monkeypatch):
    """Of a report its reading alone."""
    from moe_keras.runs import report

    for name in ("epoch_figures", "curve_figures"):
        monkeypatch.setattr(report, name, lambda *arguments: {})
    monkeypatch.setattr(sys.modules[train.__module__], "build_networks", stop)


class Stop(Exception):
    pass


def stop(*arguments):
    raise Stop


def read_all(folder):
    """Whatever reads a run folder, but for the training itself."""
    for reading in (write_report, resume, lambda path: compare_runs([path, path])):
        with contextlib.suppress(ValueError, FileNotFoundError, Stop):
            reading(folder)


def places(content, path=()):
    yield path
    if isinstance(content, dict):
        for key, value in content.items():
            yield from places(value, (*path, key))
    elif isinstance(content, list) and content:
        yield from places(content[0], (*path, 0))


def replaced(content, path, value):
    if not path:
        return value
    content = content.copy()
    content[path[0]] = replaced(content[path[0]], path[1:], value)
    return content


@pytest.mark.parametrize("name", ["config.json", "results.json"])
def test_json_that_holds_something_else(ended, tmp_path, quick, name):
    copy = tmp_path / "run"
    shutil.copytree(ended, copy)
    content = json.loads((ended / name).read_text())
    for path in places(content):
        for junk in JUNK:
            (copy / name).write_text(json.dumps(replaced(content, path, junk)))
            read_all(copy)


TABLES = (
    "csv/metrics.csv",
    "csv/predictions_test.csv",
    "csv/activations_validation_001.csv",
)


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_hold_something_else(ended, tmp_path, quick, name):
    copy = tmp_path / "run"
    shutil.copytree(ended, copy)
    lines = (ended / name).read_text().splitlines()
    first, second = lines[1].split(","), lines[1]
    broken = [
        [],
        lines[:1],
        lines[1:],
        [lines[0].upper(), *lines[1:]],
        [*lines, second + ",7"],
        [*lines, second.rpartition(",")[0]],
        [*lines, ""],
        [*lines[:-1], "\0"],
        [lines[0].replace(",", ";"), *lines[1:]],
        [lines[0] + ",more", *lines[1:]],
    ]
    for column in range(len(first)):
        for junk in ("", "x", "-1", "99", "1e400", "nan", "0.5", '"', "[1]"):
            changed = ",".join([*first[:column], junk, *first[column + 1 :]])
            broken.append([lines[0], changed, *lines[2:]])
    for content in broken:
        (copy / name).write_text("\n".join(content) + "\n")
        read_all(copy)


KINDS = st.recursive(
    st.sampled_from([None, True, 1, 1.5, "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(KINDS)
def test_a_misfit_is_found_where_it_is(content):
    shape = {"a": [int | None], "b?": {"c": str}}
    fits = (
        isinstance(content, dict)
        and isinstance(content.get("a"), list)
        and all(item is None or type(item) is int or item is True for item in content["a"])
        and "b" not in content
    )
    if "b" not in (content if isinstance(content, dict) else ()):
        assert (misfit(content, shape) is None) == fits
