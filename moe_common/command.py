"""How both commands begin and end: common options, errors as one message, signals at once."""

import sys

import typer
from rich.console import Console

from moe_common.stopping import stops_at_once
from moe_common.terminal import show


def run(app, name, arguments=None):
    """Run a Typer app; an error is one message and exit status 1, unless ``--debug``.

    A signal ends it at once, see `stops_at_once`.

    Args:
        app: a `typer.Typer`, whose callback has an option ``--debug``.
        name: the command's name, for messages.
        arguments: list of texts. Default: those of this process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with stops_at_once():
            app(args=arguments, prog_name=name)
    except Exception as error:
        if "--debug" in arguments:
            raise
        expected = isinstance(error, (ValueError, OSError, RuntimeError, ArithmeticError))
        kind = "" if expected else f"{type(error).__name__}, which '{name} --debug' explains: "
        show(Console(stderr=True), f"Error: {kind}{error}")
        sys.exit(1)


def make_app(name, about, version):
    """A Typer app with the options ``--version`` and ``--debug``, which `run` reads."""
    app = typer.Typer(
        help=about, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
    )

    def show_version(wanted: bool):
        if wanted:
            typer.echo(f"{name} {version}")
            raise typer.Exit

    @app.callback()
    def options(
        show: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Show the version."
        ),
        debug: bool = typer.Option(False, "--debug", help="Show tracebacks of errors."),
    ):
        pass

    return app
