"""``moe-keras pretrain``: the frozen networks that labs combine."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from moe_common.terminal import show_table
from moe_keras.training.pretrain import pretrain as train_network

VIEWS = ("one view", "two views")


def pretrain(
    network: Annotated[
        str, typer.Argument(help="base, a group of classes such as natural, or group-gate.")
    ],
    dataset: Annotated[str, typer.Option(help="cifar10, mnist or fashion_mnist.")] = "cifar10",
    output: Annotated[
        Path, typer.Option(help="Where weights, card and checkpoint go, in a folder DATASET.")
    ] = Path("build/pretrained"),
    widths: Annotated[str, typer.Option(help="Filters of each block.")] = "64,256,256",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Default: base 20, an expert 50, the gate 8.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order, shifts and mirroring.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float32, or mixed_bfloat16 where the processor knows it.")
    ] = "float32",
):
    """Train a network of the labs; after an interruption, run it again to continue."""
    card = train_network(
        network,
        dataset,
        output,
        _numbers("--widths", widths),
        epochs,
        seed,
        precision,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    rows = []
    for part, accuracy in card["accuracy"].items():
        views = [f"{accuracy[views]:.2%}" if views in accuracy else "" for views in VIEWS]
        rows.append([part, card["split"][part], *views])
    columns = ["Images", "Number", "One view", "Two views"]
    show_table(Console(), columns, rows, f"{network} of {dataset}")


def _numbers(option, text):
    """The whole numbers, at least one, in a text such as "64,256"."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"Expected whole numbers with commas between them. Received: {text!r}",
            param_hint=option,
        ) from None
