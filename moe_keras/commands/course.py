"""``moe-keras course``: what a lecturer hands out."""

import os
from pathlib import Path
from typing import Annotated

import typer

course_app = typer.Typer(
    help="Lay out a course, hand it out, vary it from year to year.", no_args_is_help=True
)

PASSWORD = "MOE_KERAS_SOLUTIONS_PASSWORD"
Numbers = Annotated[
    list[str] | None, typer.Option("--lab", help="Number of a lab; may be repeated. Default: all.")
]
Notebooks = Annotated[
    Path | None,
    typer.Option(help="The folder 'notebooks' of a checkout or variant. Default: the package's."),
]


@course_app.command()
def release(
    folder: Annotated[Path, typer.Argument(help="Where the two zip files go.")],
    lab: Numbers = None,
    notebooks: Notebooks = None,
    wheel: Annotated[
        Path | None,
        typer.Option(help="A wheel of the package to hand out; labs' sources are left out of it."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a release.")] = False,
):
    """Make the students' zip file, and one of the solutions, encrypted.

    The password is asked for twice, or read from the environment variable
    MOE_KERAS_SOLUTIONS_PASSWORD.
    """
    from moe_keras.course.release import release

    labs = _labs(notebooks, lab)
    password = os.environ.get(PASSWORD) or typer.prompt(
        "Password of the solutions", hide_input=True, confirmation_prompt=True
    )
    for path in release(labs, folder, password, wheel, force):
        typer.echo(path)


@course_app.command()
def variant(
    folder: Annotated[Path, typer.Argument(help="A new folder for the variant.")],
    seed: Annotated[int, typer.Option(help="Which variant: the year, for example.")],
    lab: Numbers = None,
    notebooks: Notebooks = None,
):
    """Make a variant of the labs: other seeds, groups of classes, numbers in questions."""
    from moe_keras.course.variant import make_variant

    for slug, changes in make_variant(_labs(notebooks, lab), seed, folder).items():
        chosen = "; ".join(f"{name}: {row[0]}" for name, row in changes.items())
        typer.echo(f"{slug}: {chosen or 'as it is'}")


def _labs(notebooks, numbers):
    from moe_keras.labs.catalogue import find_labs, installed_labs

    numbers = numbers or ()
    return find_labs(notebooks, numbers) if notebooks else installed_labs(numbers)
