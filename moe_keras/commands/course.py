"""``moe-keras course ...``: the labs as a course."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

course_app = typer.Typer(help="Make a course of the labs, and grade it.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The course's folder.")]


@course_app.command("init")
def init_course(
    folder: Folder,
    lab: Annotated[
        list[str] | None,
        typer.Option("--lab", help="Number of a lab; may be repeated. Default: all."),
    ] = None,
):
    """Lay out an nbgrader course from the labs that the package brings along."""
    from moe_keras.course.create import create_course

    made = create_course(folder, lab or ())
    typer.echo(f"The course is in {made}; its README.md says how to go on.")


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
):
    """Grade what was handed in, each submission apart and within limits; marks come out."""
    from moe_keras.course.autograde import autograde
    from moe_keras.course.limits import Limits
    from moe_keras.course.sandbox import isolation_problem

    console = Console()
    if problem := isolation_problem():
        console.print(
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
        TextColumn("{task.description}"),
        *(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()),
        console=console,
    )
    with progress:
        task = progress.add_task("Grading", total=None)

        def advance(result, total):
            progress.update(task, advance=1, total=total, description=f"Graded {result.student}")

        results = autograde(folder, assignment, student or (), limits, jobs, advance)
    table = Table("Student", "Marks", "By hand", "Seconds", "Remarks", title=assignment)
    for result in results:
        remarks = [result.failure] if result.failure else result.notes
        table.add_row(
            result.student,
            f"{result.marks:g} of {result.out_of:g}",
            str(result.by_hand or ""),
            f"{result.seconds:.0f}",
            "\n".join(remarks),
        )
    console.print(table)
    typer.echo(f"Marks: {folder / f'marks-{assignment}.csv'}")
