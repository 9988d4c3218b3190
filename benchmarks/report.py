"""The rows as a table on the screen, as files, and as a plot."""

import csv
import json

from matplotlib.figure import Figure

from moe_common.files import replacing, write_text
from moe_common.terminal import show_table
from moe_keras.plots.picture import COLORS, MARKERS

COLUMNS = ("what", "T", "E", "experts", "way", "value", "low", "high")


def show(console, rows, targets):
    """Print a table of rows, then one of targets."""
    cells = [[_text(row[column]) for column in COLUMNS] for row in rows]
    show_table(console, COLUMNS, cells, "cost as a ratio to the limit; memory in MiB")
    verdicts = [
        [name, f"{value:.2f}", f"{bound:.2f}", "met" if met else "MISSED"]
        for name, value, bound, met in targets
    ]
    show_table(console, ["target", "measured", "limit", "verdict"], verdicts, "\ntargets")


def write(folder, rows, targets, facts):
    """Write the table as CSV, JSON and Markdown, and the plot, into `folder`."""
    with (
        replacing(folder / "benchmark.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    content = {"machine": facts, "rows": rows, "targets": targets}
    write_text(folder / "benchmark.json", json.dumps(content, indent=1) + "\n")
    lines = ["# Benchmark", "", *(f"- {name}: {fact}" for name, fact in facts.items()), ""]
    lines += _markdown(COLUMNS, [[_text(row[c]) for c in COLUMNS] for row in rows])
    verdicts = [[n, f"{v:.2f}", f"{b:.2f}", "met" if met else "missed"] for n, v, b, met in targets]
    lines += ["", *_markdown(("target", "measured", "limit", "verdict"), verdicts)]
    lines += ["", "![cost against the number of experts](cost.png)", ""]
    write_text(folder / "benchmark.md", "\n".join(lines))
    with replacing(folder / "cost.png") as temporary:
        plot(rows).savefig(temporary, dpi=110, format="png")


def plot(rows):
    """Cost against E, both axes logarithmic: a row of panels for each kind of expert, by T."""
    rows = [row for row in rows if row["what"] == "cost"]
    kinds, sizes = (sorted({row[column] for row in rows}) for column in ("experts", "T"))
    experts = sorted({row["E"] for row in rows})
    figure = Figure(figsize=(4 * len(sizes) + 2.5, 3.4 * len(kinds)), layout="constrained")
    grid = figure.subplots(len(kinds), len(sizes), squeeze=False, sharey="row")
    for kind, line_of_axes in zip(kinds, grid, strict=True):
        for num_tokens, axes in zip(sizes, line_of_axes, strict=True):
            here = [row for row in rows if (row["experts"], row["T"]) == (kind, num_tokens)]
            for i, way in enumerate(dict.fromkeys(row["way"] for row in here)):
                line = [row for row in here if row["way"] == way]
                look = {"marker": MARKERS[i % len(MARKERS)], "color": COLORS[i % len(COLORS)]}
                axes.plot([r["E"] for r in line], [r["value"] for r in line], label=way, **look)
            axes.axhline(1, color="gray", linestyle=":")
            axes.set(xscale="log", yscale="log", xlabel="experts E", ylabel="cost / limit")
            axes.set_xticks(experts, map(str, experts))
            axes.minorticks_off()
            axes.set_title(f"{kind} experts, T = {num_tokens}")
        line_of_axes[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    return figure


def _text(value):
    return f"{value:.2f}" if isinstance(value, float) else "" if value is None else str(value)


def _markdown(head, rows):
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
