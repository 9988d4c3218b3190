import sys

import pytest
import tensorflow as tf
from tiny_dataset import tiny_dataset

from moe_keras import data
from moe_keras.runs import recorder, train
from moe_keras.runs.folder import RunFolder


@pytest.fixture(autouse=True, scope="module")
def no_tracing():
    """Tracing takes longer than training on images so small and few."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Small images in place of the datasets."""
    monkeypatch.setattr(data, "load", tiny_dataset)


@pytest.fixture
def metrics_alone(monkeypatch, no_figures):
    """Of a run, its metrics: no models, and no test set."""
    monkeypatch.setattr(RunFolder, "save_model", lambda self, model, name: None)
    monkeypatch.setattr(sys.modules[train.__module__], "_evaluate", lambda *arguments: None)


@pytest.fixture
def no_figures(monkeypatch):
    """Figures are most of the time of so short a run."""
    monkeypatch.setattr(recorder, "save_figure", lambda picture, path: None)
    monkeypatch.setattr(recorder, "epoch_figures", lambda *arguments: {})
    monkeypatch.setattr(recorder, "curve_figures", lambda *arguments: {})
    monkeypatch.setattr(recorder, "write_report", lambda path: None)
    monkeypatch.setattr(sys.modules[train.__module__], "write_report", lambda path: None)
