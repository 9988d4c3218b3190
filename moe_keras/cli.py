"""The command ``moe-keras``: every subcommand calls a public function and shows what it returns."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

# What a command needs is imported when it runs: Keras and Jupyter take seconds, --help must not.

app = typer.Typer(
    help="Mixture of Experts in Keras: the datasets, networks and labs of the course.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Show where the datasets are; fetch them; check them.")
labs_app = typer.Typer(help="List, run, check and generate the labs.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(labs_app, name="labs")

VIEWS = ("one view", "two views")
Notebooks = Annotated[
    Path | None,
    typer.Option(help="The folder 'notebooks' of a checkout. Default: of the one around you."),
]
Numbers = Annotated[
    list[str] | None, typer.Option("--lab", help="Number of a lab; may be repeated. Default: all.")
]


def main(arguments=None):
    """Run the command line; an error is one message and exit status 1, unless ``--debug``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=arguments)
    except Exception as error:
        if "--debug" in arguments:
            raise
        expected = isinstance(error, (ValueError, OSError, RuntimeError))
        kind = "" if expected else f"{type(error).__name__}, which 'moe-keras --debug' explains: "
        Console(stderr=True).print(
            f"Error: {kind}{error}", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)


def _show_version(wanted: bool):
    if wanted:
        from moe_keras import __version__

        typer.echo(f"moe-keras {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
):
    """The options before the command; `main` reads --debug."""


@data_app.callback(invoke_without_command=True)
def show_data(context: typer.Context):
    """Show where each dataset would be read from."""
    if context.invoked_subcommand is None:
        from moe_keras import data

        table = Table("Dataset", "Source", "Where", title="Datasets")
        for name in data.SPECS:
            location = data.locate(name)
            table.add_row(name, location.source, location.note)
        Console().print(table)


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="cifar10, mnist or fashion_mnist.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the .npz file. Default: $MOE_KERAS_DATA, or Keras's cache."),
    ] = None,
):
    """Download a dataset unless it is there, and check it."""
    from moe_keras import data

    typer.echo(data.fetch(name, data_dir).note)


@data_app.command()
def verify(target: Annotated[str, typer.Argument(help="A dataset's name, or an .npz file.")]):
    """Read a dataset and check all that is known about it."""
    from moe_keras import data

    typer.echo(data.verify(target).note)


@app.command()
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
        int | None, typer.Option(min=1, help="Default: base 14, an expert 36, the gate 8.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order, shifts and mirroring.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float32, or mixed_bfloat16 where the processor knows it.")
    ] = "float32",
):
    """Train a network of the labs; if interrupted, run it again: it goes on."""
    from moe_keras.training import pretrain

    card = pretrain(
        network,
        dataset,
        output,
        _numbers("--widths", widths),
        epochs,
        seed,
        precision,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    table = Table("Images", "Number", "One view", "Two views", title=f"{network} of {dataset}")
    for part, accuracy in card["accuracy"].items():
        views = [f"{accuracy[views]:.2%}" if views in accuracy else "" for views in VIEWS]
        table.add_row(part, str(card["split"][part]), *views)
    Console().print(table)


def _numbers(option, text):
    """The whole numbers, at least one, in a text such as "64,256"."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"Expected whole numbers with commas between them. Received: {text!r}",
            param_hint=option,
        ) from None


@labs_app.command("list")
def list_labs(notebooks: Notebooks = None):
    """The labs of a checkout."""
    from moe_keras.labs.catalogue import find_labs

    table = Table("Lab", "Title", "Minutes", "You learn to", title="Labs")
    for lab in find_labs(notebooks):
        table.add_row(lab.number, lab.title, str(lab.minutes), lab.outcomes)
    Console().print(table)


@labs_app.command("run")
def run_labs(
    lab: Numbers = None,
    quick: Annotated[bool, typer.Option("--quick", help="About a minute a lab.")] = False,
    output: Annotated[Path, typer.Option(help="Where executed copies go.")] = Path("build/labs"),
    notebooks: Notebooks = None,
):
    """Run the solved labs top to bottom; executed notebooks, web pages and one table come out."""
    from moe_keras.labs.catalogue import find_labs
    from moe_keras.labs.run import run

    results = run(find_labs(notebooks, lab or ()), output, Console(), quick)
    failed = [result.lab for result in results if result.error]
    if failed:
        raise RuntimeError(f"these labs did not run to their end: {', '.join(failed)}")


@labs_app.command("check")
def check_labs(lab: Numbers = None, notebooks: Notebooks = None):
    """Check that copies are up to date, then run the solutions and compare with stored outputs."""
    from moe_keras.labs.catalogue import find_labs
    from moe_keras.labs.validate import compare_outputs, stale

    labs = find_labs(notebooks, lab or ())
    complaints = [complaint for each in labs for complaint in stale(each)]
    if complaints:
        raise ValueError("\n".join([*complaints, "'make notebooks' makes the copies anew."]))
    if compare_outputs(labs) != 0:
        raise RuntimeError("a lab no longer prints what its solution shows; see above")


@labs_app.command("generate")
def generate_labs(
    lab: Numbers = None,
    force: Annotated[bool, typer.Option("--force", help="Run unchanged solutions too.")] = False,
    notebooks: Notebooks = None,
):
    """Make students' copies and executed solutions from the sources, and the README's table."""
    from moe_keras.labs import readme
    from moe_keras.labs.catalogue import find_labs
    from moe_keras.labs.store import store

    labs = find_labs(notebooks)
    readme.update(labs[0].notebooks.parent / "README.md", labs)
    store(find_labs(notebooks, lab or ()), Console(), force)


if __name__ == "__main__":
    main()
