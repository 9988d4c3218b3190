"""The command ``moe-keras``: every subcommand calls a public function and shows what it returns."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from moe_keras.commands.course import course_app
from moe_keras.commands.spark import spark_app

# What a command needs is imported when it runs: Keras and Jupyter take seconds, --help must not.

app = typer.Typer(
    help="Mixture of Experts in Keras: the labs, their datasets and networks, and training.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Show where the datasets are; fetch them; check them.")
labs_app = typer.Typer(help="List, run, check and generate the labs.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(labs_app, name="labs")
app.add_typer(course_app, name="course")
app.add_typer(spark_app, name="spark")

VIEWS = ("one view", "two views")
Notebooks = Annotated[
    Path | None,
    typer.Option(help="The folder 'notebooks' of a checkout. Default: of the one around you."),
]
Numbers = Annotated[
    list[str] | None, typer.Option("--lab", help="Number of a lab; may be repeated. Default: all.")
]

RECORDING = ("rows", "save_every", "batch_every", "parquet", "tensorboard")


def main(arguments=None):
    """Run the command line; an error is one message and exit status 1, unless ``--debug``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=arguments)
    except Exception as error:
        if "--debug" in arguments:
            raise
        expected = isinstance(error, (ValueError, OSError, RuntimeError, ArithmeticError))
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
        int | None, typer.Option(min=1, help="Default: base 20, an expert 50, the gate 8.")
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


@app.command()
def train(
    kind: Annotated[str, typer.Argument(help="basic, guided, sparse or soft.")],
    dataset: Annotated[
        str | None, typer.Option(help="mnist (the default), fashion_mnist or cifar10.")
    ] = None,
    experts: Annotated[int | None, typer.Option(help="How many. Default: 5.")] = None,
    expert: Annotated[str | None, typer.Option(help="mlp or cnn (the default).")] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="vgg, or a network of keras.applications, such as MobileNetV2."),
    ] = None,
    backbone_weights: Annotated[
        str | None, typer.Option(help="pretrained (the default; frozen) or random (trained).")
    ] = None,
    assign: Annotated[
        str | None, typer.Option(help='Labels of each expert, "0,1|2,3". Default: an even split.')
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Default: 8.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Default: 128.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default: 0.003.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs to wait for a better one; 0: all. Default: 5.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(help="Largest gradient norm; 0: any. Default: 1.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Weight of the guidance. Default: 0.5.")
    ] = None,
    guidance_anneal: Annotated[
        int | None, typer.Option(help="Epochs in which it falls to 0; 0: it stays (the default).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Default: 0.")] = None,
    subset: Annotated[
        float | None, typer.Option(help="Fraction of the data, above 0 and at most 1.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="New folder of the run. Default: one under runs/.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, as it was set up.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of an activation table.")] = 5000,
    save_every: Annotated[int, typer.Option(help="Keep a model every so many epochs.")] = 0,
    batch_every: Annotated[int, typer.Option(help="Figures every so many batches.")] = 0,
    parquet: Annotated[bool, typer.Option("--parquet", help="Activations as .parquet.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Metrics for TensorBoard too.")
    ] = False,
):
    """Train a mixture; models, tables, figures and a report are left in a run folder."""
    chosen = {
        name: value
        for name, value in locals().items()
        if name not in ("output", "resume", *RECORDING) and value is not None
    }
    from moe_keras import runs
    from moe_keras.runs.progress import TrainingProgress

    recording = dict(
        zip(RECORDING, (rows, save_every, batch_every, parquet, tensorboard), strict=True)
    )
    console = Console()
    progress = TrainingProgress(console)
    try:
        if resume is None:
            folder = runs.train(runs.Settings(**chosen), output, [progress], **recording)
        else:
            folder = runs.resume(resume, [progress], expected=chosen)
    finally:
        progress.close()
    for name, value in folder.results().items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"Report: {folder.report_file}")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder.")]):
    """Make a run's report.html anew."""
    from moe_keras import runs

    typer.echo(runs.write_report(run))


@app.command()
def compare(
    run: Annotated[list[Path], typer.Argument(help="Two run folders or more.")],
    figure: Annotated[Path, typer.Option(help="Where the figure goes.")] = Path("compare.png"),
):
    """Compare runs on the test set: a table, and a figure of the differences."""
    from moe_keras import runs

    comparison = runs.compare_runs(run)
    typer.echo(comparison.table)
    comparison.figure.save(figure)
    typer.echo(f"Figure: {figure}")


if __name__ == "__main__":
    main()
