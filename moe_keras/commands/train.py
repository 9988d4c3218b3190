"""``moe-keras train`` and ``moe-keras resume``: one run, in a folder of its own."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from moe_keras import runs
from moe_keras.commands.options import with_options
from moe_keras.runs.progress import TrainingProgress

RECORDING = ("rows", "save_every", "batch_every", "parquet", "tensorboard")
Output = Annotated[
    Path | None, typer.Option(help="New folder of the run. Default: one under runs/.")
]


@with_options(settings=(runs.Settings, None), recording=(runs.RunRecorder, RECORDING))
def train(settings: dict, recording: dict, output: Output = None):
    """Train a mixture; write models, tables, figures and a report to a run folder."""
    settings = runs.Settings(**settings)
    _show(lambda callbacks: runs.train(settings, output, callbacks, **recording))


def resume(run: Annotated[Path, typer.Argument(help="A run folder that `train` left.")]):
    """Continue an interrupted run, with the settings that it began with, to the same result."""
    _show(lambda callbacks: runs.resume(run, callbacks))


def _show(training):
    progress = TrainingProgress(Console())
    try:
        folder = training([progress])
    finally:
        progress.close()
    for name, value in folder.results().items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"Report: {folder.report_file}")
