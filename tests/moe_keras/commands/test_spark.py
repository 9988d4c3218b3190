"""The commands on Spark itself are thin: what they pass on, and what they say. No Java here."""

import pytest
from tiny_dataset import tiny_dataset

import moe_keras.spark
from moe_keras import data
from moe_keras.commands.main import main

MEASURED = {
    "rows": 1000,
    "nearest cluster": 0.9,
    "gate": 0.95,
    "any expert": 0.99,
    "experts": [0.5, 0.6],
    "own cluster": [0.9, None],
}


class Recorded:
    """Stands for TreeMixture, and keeps what it is asked for."""

    calls: list = []  # noqa: RUF012

    def __init__(self, *arguments, **named):
        self.calls.append(("made", arguments, named))
        self.cluster_sizes = [30, 10]

    def fit_experts(self, frame, progress):
        progress("clusters", 1, 1)
        self.calls.append(("experts", frame))

    def fit_gate(self, frame, entropy_weight, epochs, validation, per_class, progress):
        progress("gate", epochs, epochs)
        self.calls.append(("gate", frame, entropy_weight, epochs, validation, per_class))

    def save(self, folder):
        self.calls.append(("saved", folder))

    def evaluate(self, frame):
        self.calls.append(("evaluated", frame))
        return MEASURED

    @classmethod
    def load(cls, spark, folder, workspace):
        cls.calls.append(("loaded", spark, folder, workspace))
        return cls()


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(Recorded, "calls", [])
    monkeypatch.setattr(moe_keras.spark, "TreeMixture", Recorded)
    monkeypatch.setattr(moe_keras.spark, "session", lambda master, memory: f"{master} {memory}")
    monkeypatch.setattr(moe_keras.spark, "read_parquet", lambda spark, path: (spark, path.name))
    return Recorded.calls


def run(*arguments):
    with pytest.raises(SystemExit) as exit:
        main(["spark", *map(str, arguments)])
    return exit.value.code or 0


@pytest.mark.parametrize("command", [[], ["fit"], ["evaluate"]])
def test_help(capsys, command):
    assert run(*command, "--help") == 0
    assert "Usage: " in capsys.readouterr().out


def test_fit(recorded, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda name, subset: tiny_dataset())
    chosen = ("--clusters", 2, "--expert", "forest", "--depth", 4, "--trees", 5, "--epochs", 3)
    assert run("fit", "--output", tmp_path, *chosen, "--master", "local[1]", "--per-class") == 0
    spark = "local[1] 2g"
    assert recorded == [
        ("made", (2, "forest", 4, 5), {"seed": 0, "workspace": tmp_path}),
        ("experts", (spark, "trees.parquet")),
        ("gate", (spark, "gate.parquet"), 0.0, 3, (spark, "validation.parquet"), True),
        ("saved", tmp_path / "model"),
        ("evaluated", (spark, "validation.parquet")),
    ]
    shown = capsys.readouterr().out
    assert "rows of the clusters: 30 10\n" in shown
    assert "gate: 95.00%\n" in shown
    assert "own cluster: 90.0% -\n" in shown


def test_evaluate(recorded, capsys, tmp_path):
    assert run("evaluate", tmp_path, "--memory", "1g") == 0
    spark = "None 1g"
    assert recorded[0] == ("loaded", spark, tmp_path / "model", tmp_path)
    assert recorded[-1] == ("evaluated", (spark, "test.parquet"))
    assert "nearest cluster: 90.00%" in capsys.readouterr().out


def test_a_mixture_without_a_gate_is_evaluated(recorded, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(Recorded, "evaluate", lambda self, frame: MEASURED | {"gate": None})
    assert run("evaluate", tmp_path) == 0
    assert "gate: -\nany expert: 99.00%" in capsys.readouterr().out


def test_an_error_is_one_message(recorded, capsys, tmp_path, monkeypatch):
    def refuse(master, memory):
        raise ConnectionError("Expected a Spark master")

    monkeypatch.setattr(moe_keras.spark, "session", refuse)
    assert run("evaluate", tmp_path) == 1
    assert capsys.readouterr().err.endswith("Error: Expected a Spark master\n")
