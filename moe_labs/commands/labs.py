"""``moe-labs list``, ``run``, ``check`` and ``generate``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from moe_common.terminal import show_table

Notebooks = Annotated[
    Path | None,
    typer.Option(help="The folder 'notebooks' of a checkout. Default: of the one around you."),
]
Numbers = Annotated[
    list[str] | None, typer.Option("--lab", help="Number of a lab; may be repeated. Default: all.")
]


def list_labs(notebooks: Notebooks = None):
    """The labs of a checkout."""
    from moe_labs.notebooks.catalogue import find_labs

    rows = [
        [f"{lab.number} {lab.title}", lab.minutes, lab.outcomes.replace("; ", "\n")]
        for lab in find_labs(notebooks)
    ]
    show_table(Console(), ["Lab", "Minutes", "You learn to"], rows)


def run_labs(
    lab: Numbers = None,
    quick: Annotated[bool, typer.Option("--quick", help="About a minute a lab.")] = False,
    output: Annotated[Path, typer.Option(help="Where executed copies go.")] = Path("build/labs"),
    notebooks: Notebooks = None,
):
    """Run the solved labs top to bottom; write executed notebooks, web pages and a table."""
    from moe_labs.notebooks.catalogue import find_labs
    from moe_labs.notebooks.run import run

    results = run(find_labs(notebooks, lab or ()), output, Console(), quick)
    failed = [result.lab for result in results if result.error]
    if failed:
        raise RuntimeError(f"these labs did not run to their end: {', '.join(failed)}")


def check_labs(lab: Numbers = None, notebooks: Notebooks = None):
    """Check that copies are up to date, then run the solutions and compare with stored outputs."""
    from moe_labs.notebooks.catalogue import find_labs
    from moe_labs.notebooks.validate import compare_outputs, stale

    labs = find_labs(notebooks, lab or ())
    complaints = [complaint for each in labs for complaint in stale(each)]
    if complaints:
        raise ValueError("\n".join([*complaints, "'make notebooks' regenerates the copies."]))
    if compare_outputs(labs) != 0:
        raise RuntimeError("a lab no longer prints what its solution shows; see above")


def generate_labs(
    lab: Numbers = None,
    force: Annotated[bool, typer.Option("--force", help="Run unchanged solutions too.")] = False,
    notebooks: Notebooks = None,
):
    """Make students' copies and executed solutions from the sources, and the README's table."""
    from moe_labs.notebooks import readme
    from moe_labs.notebooks.catalogue import find_labs
    from moe_labs.notebooks.store import store

    labs = find_labs(notebooks)
    readme.update(labs[0].notebooks.parent / "README.md", labs)
    store(find_labs(notebooks, lab or ()), Console(), force)
