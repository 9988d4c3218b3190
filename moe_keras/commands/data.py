"""``moe-keras data ...``: where the datasets are."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from moe_common.terminal import show_table
from moe_keras import data

data_app = typer.Typer(help="Show where the datasets are; fetch them; check them.")


@data_app.callback(invoke_without_command=True)
def show_data(context: typer.Context):
    """Show where each dataset would be read from."""
    if context.invoked_subcommand is None:
        with ThreadPoolExecutor() as pool:  # without a network, each takes five seconds
            places = zip(data.SPECS, pool.map(data.locate, data.SPECS), strict=True)
        rows = [[name, place.source, place.note] for name, place in places]
        show_table(Console(), ["Dataset", "Source", "Where"], rows)


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="cifar10, mnist or fashion_mnist.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the .npz file. Default: $MOE_KERAS_DATA, or Keras's cache."),
    ] = None,
):
    """Download a dataset unless it is there, and check it."""
    typer.echo(data.fetch(name, data_dir).note)


@data_app.command()
def verify(target: Annotated[str, typer.Argument(help="A dataset's name, or an .npz file.")]):
    """Read a dataset and check all that is known about it."""
    typer.echo(data.verify(target).note)
