"""``moe-keras report`` and ``moe-keras compare``: what finished runs show."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from moe_common.terminal import show_table
from moe_keras.runs import compare_runs
from moe_keras.runs.report import write_report


def report(run: Annotated[Path, typer.Argument(help="A run folder.")]):
    """Write a run's report.html again."""
    typer.echo(write_report(run))


def compare(
    run: Annotated[list[Path], typer.Argument(help="Two run folders or more.")],
    figure: Annotated[Path, typer.Option(help="Where the figure goes.")] = Path("compare.png"),
):
    """Compare runs on the test set: a table, and a figure of the differences."""
    comparison = compare_runs(run)
    show_table(Console(), comparison.table.columns, comparison.table.rows)
    comparison.figure.save(figure)
    typer.echo(f"Figure: {figure}")
