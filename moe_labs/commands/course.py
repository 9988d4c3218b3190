"""``moe-labs course ...``: the labs as a course."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from moe_common.terminal import Words, show, show_table
from moe_labs.commands.labs import Numbers

course_app = typer.Typer(
    help="Make a course of the labs, vary it, hand it out, grade it.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The course's folder.")]
PASSWORD = "MOE_KERAS_SOLUTIONS_PASSWORD"
Notebooks = Annotated[
    Path | None,
    typer.Option(help="The folder 'notebooks' of a checkout or variant. Default: the package's."),
]


@course_app.command("init")
def init_course(
    folder: Folder,
    lab: Numbers = None,
    notebooks: Notebooks = None,
):
    """Make an nbgrader course of the labs in the package."""
    from moe_labs.course.create import create_course

    made = create_course(folder, lab or (), notebooks)
    typer.echo(f"The course is in {made}; its README.md explains the next steps.")


@course_app.command("collect")
def collect_downloads(
    folder: Folder,
    assignment: Annotated[str, typer.Argument(help="A lab, such as 01_natural_or_artificial.")],
    download: Annotated[Path, typer.Argument(help="A platform's zip file, or a folder.")],
    limit: Annotated[
        int, typer.Option(min=1, help="MB: each student's files, and all unpacked.")
    ] = 2000,
):
    """Sort what Moodle or Canvas gives you into the course's folder 'submitted'."""
    from moe_labs.course.collect import collect

    taken = collect(folder, assignment, download, limit)
    rows = [[each.name, each.student or "", each.file, each.remark] for each in taken]
    show_table(Console(), ["In the download", "Student", "File", "Remark"], rows, assignment)
    students = {each.student for each in taken if each.student}
    typer.echo(f"{len(taken)} files, {len(students)} students")


@course_app.command("autograde")
def autograde_course(
    folder: Folder,
    assignment: Annotated[str, typer.Argument(help="A lab, such as 01_natural_or_artificial.")],
    student: Annotated[
        list[str] | None, typer.Option(help="Whose; may be repeated. Default: everybody's.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many submissions at a time.")] = 1,
    minutes: Annotated[float, typer.Option(help="Limit for one submission.")] = 10,
    cell_minutes: Annotated[float, typer.Option(help="Limit for one cell.")] = 3,
    memory: Annotated[float, typer.Option(help="Limit in GB for one submission.")] = 6,
    resume: Annotated[
        bool, typer.Option("--resume", help="Only what was handed in since it was graded.")
    ] = False,
    no_isolation: Annotated[
        bool,
        typer.Option("--no-isolation", help="Grade even where code would run with your rights."),
    ] = False,
):
    """Grade what was handed in, each submission in its own sandbox, and write the marks.

    The exit status is 1 if some could not be graded, or entered, for a reason that does not lie in
    what was handed in; --resume grades those.
    """
    from moe_labs.course.autograde import autograde
    from moe_labs.course.limits import Limits
    from moe_labs.course.sandbox import isolation_problem

    console = Console()
    if no_isolation and (problem := isolation_problem()):
        show(
            console,
            f"Not isolated here: {problem}. Students' code has limits and a clean environment, but "
            "can reach the network and your files.",
            style="yellow",
        )
    limits = Limits(
        seconds=round(60 * minutes),
        cell_seconds=round(60 * cell_minutes),
        memory_mb=round(1000 * memory),
    )
    progress = Progress(
        Words("{task.description}"),
        *(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()),
        console=console,
    )
    with progress:
        task = progress.add_task("Grading", total=None)

        def advance(result, total):
            progress.update(task, advance=1, total=total, description=f"Graded {result.student}")

        results = autograde(
            folder, assignment, student or (), limits, jobs, advance, not no_isolation, resume
        )
    rows = [
        [
            result.student,
            f"{result.marks:g} of {result.out_of:g}",
            result.by_hand or "",
            f"{result.seconds:.0f}",
            "\n".join([result.failure] if result.failure else result.notes),
        ]
        for result in results
    ]
    columns = ["Student", "Marks", "By hand", "Seconds", "Remarks"]
    show_table(console, columns, rows, assignment)
    typer.echo(f"Marks: {folder / f'marks-{assignment}.csv'}")
    if not all(result.graded for result in results):
        raise typer.Exit(1)


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
    from moe_labs.course.release import release

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
    from moe_labs.course.variant import make_variant

    for slug, changes in make_variant(_labs(notebooks, lab), seed, folder).items():
        chosen = "; ".join(f"{name}: {' '.join(row[0].split())}" for name, row in changes.items())
        typer.echo(f"{slug}: {chosen or 'as it is'}")


def _labs(notebooks, numbers):
    from moe_labs.notebooks.catalogue import find_labs, installed_labs

    numbers = numbers or ()
    return find_labs(notebooks, numbers) if notebooks else installed_labs(numbers)
