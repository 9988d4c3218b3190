"""What a lab found: read from its cells tagged ``figures`` and ``verdicts``, shown as one table."""

import json
from dataclasses import asdict, dataclass, field

from rich.table import Table


@dataclass
class Result:
    """One run of one lab.

    ``error`` is empty if it ran to its end. ``figures`` and ``verdicts`` map names to what the lab
    printed behind them; the figure called ``data`` says what they rest on.
    """

    lab: str
    title: str
    minutes: float
    error: str = ""
    figures: dict = field(default_factory=dict)
    verdicts: dict = field(default_factory=dict)

    @property
    def data(self):
        return self.figures.get("data", "")


def read_result(lab, notebook, seconds, error=""):
    """The result that an executed notebook holds; what a failed one had printed counts too."""
    return Result(
        lab=lab.number,
        title=lab.title,
        minutes=round(seconds / 60, 2),
        error=error,
        figures=printed_values(notebook, "figures"),
        verdicts=printed_values(notebook, "verdicts"),
    )


def printed_values(notebook, tag):
    """The lines ``name: value`` that the cells with a tag printed, as a dictionary."""
    lines = [
        line
        for cell in notebook.cells
        if tag in cell.metadata.get("tags", [])
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stdout"
        for line in output.text.splitlines()
    ]
    pairs = (line.partition(": ") for line in lines)
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def to_table(results):
    """The closing table of a run."""
    table = Table(title="Labs", show_lines=True)
    for column in ("Lab", "Data", "Minutes", "Figures", "Verdicts"):
        table.add_column(column)
    for result in results:
        figures = {name: value for name, value in result.figures.items() if name != "data"}
        table.add_row(
            f"{result.lab} {result.title}",
            result.data,
            f"{result.minutes:.1f}",
            _lines(figures),
            "FAILED: see the message above" if result.error else _lines(result.verdicts),
        )
    return table


def to_json(results, quick):
    """The same for programs: a JSON text."""
    return json.dumps({"quick": quick, "labs": [asdict(result) for result in results]}, indent=1)


def _lines(values):
    return "\n".join(f"{name}: {value}" for name, value in values.items())
