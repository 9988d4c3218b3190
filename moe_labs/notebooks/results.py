"""What a lab found: read from its cells tagged ``figures`` and ``verdicts``, and shown."""

import json
import re
from dataclasses import asdict, dataclass, field

from moe_common.terminal import show, show_table

WHICH_DATA = re.compile(r"(?:(?!,| \().)*")  # "CIFAR-10" of "CIFAR-10, 10,000 test images"


@dataclass
class Result:
    """One run of one lab.

    ``error`` is empty if it ran to its end. ``figures`` and ``verdicts`` map names to what the lab
    printed behind them; the figure called ``data`` says what they rest on. ``gigabytes`` is the
    largest memory of all processes together while it ran.
    """

    lab: str
    title: str
    minutes: float
    gigabytes: float
    error: str = ""
    figures: dict = field(default_factory=dict)
    verdicts: dict = field(default_factory=dict)

    @property
    def data(self):
        return self.figures.get("data", "")

    @property
    def failed_verdicts(self):
        return [name for name, verdict in self.verdicts.items() if verdict != "True"]

    @property
    def name(self):
        return f"{self.lab} {self.title}"

    @property
    def verdict(self):
        """All verdicts in a word or three, such as "7 of 7"."""
        true = len(self.verdicts) - len(self.failed_verdicts)
        return "FAILED" if self.error else f"{true} of {len(self.verdicts)}"


def read_result(lab, notebook, seconds, gigabytes, error=""):
    """The result that an executed notebook holds; what a failed one had printed counts too."""
    return Result(
        lab=lab.number,
        title=lab.title,
        minutes=round(seconds / 60, 2),
        gigabytes=round(gigabytes, 2),
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


def show_results(console, results):
    """Print the end of a run: one line a lab, then each lab's figures and failed verdicts.

    Args:
        console: a `rich.console.Console`.
        results: list of `Result`.
    """
    rows = [
        [
            result.name,
            WHICH_DATA.match(result.data)[0],
            f"{result.minutes:.1f}",
            f"{result.gigabytes:.1f}",
            result.verdict,
        ]
        for result in results
    ]
    if len(results) > 1:
        minutes, most = sum(r.minutes for r in results), max(r.gigabytes for r in results)
        rows.append(["all", "", f"{minutes:.1f}", f"{most:.1f}", ""])
    show_table(console, ["Lab", "Data", "Minutes", "GB", "Verdicts"], rows)
    for result in results:
        show(console, "\n".join(["", result.name, *_details(result)]))


def to_json(results, quick):
    """The same for programs: a JSON text."""
    return json.dumps({"quick": quick, "labs": [asdict(result) for result in results]}, indent=1)


def _details(result):
    yield from (f"  {name}: {value}" for name, value in result.figures.items())
    for name in result.failed_verdicts:
        yield f"  FAILED VERDICT: {name}: {result.verdicts[name]}"
    if result.error:
        yield "  FAILED: see the message above"
