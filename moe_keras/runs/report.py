"""HTML report of a run in one file."""

import base64
import html
import io
from pathlib import Path

import numpy as np

from moe_common.files import write_text
from moe_keras.runs.figures import curve_figures, epoch_figures
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.observation import Observation
from moe_keras.text_table import TextTable

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
       color: #1a1a1a; background: #fff }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.85rem }
th, td { text-align: left; padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid #ddd }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto }
.wide { overflow-x: auto }
.pair { display: flex; flex-wrap: wrap; gap: 1rem } .pair figure { flex: 1 1 26rem }
"""


def write_report(path):
    """Write the HTML report of a run folder.

    Args:
        path: Path of the run folder.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError: if it is no run folder, or no epoch has ended yet.
        ValueError: if a file is damaged or the folder is of another format.
    """
    folder = RunFolder(path)
    config = folder.config()
    if not folder.metrics_file.exists():
        raise FileNotFoundError(
            f"Expected a run with at least one finished epoch. Received: {folder.path}"
        )
    metrics = folder.metrics()
    source, names = config["data"]["label"], config["data"]["class_names"]
    title = f"Run {Path(path).resolve().name}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>Data: {html.escape(source)}. Epochs: {len(metrics['epoch'])}.</p>",
        *_results(folder.results()),
        "<h2>By epoch</h2>",
        *(_figure(picture) for picture in curve_figures(metrics, source).values()),
        _metrics_table(metrics),
        *_activations(folder, config, names, source),
        "<h2>Settings and versions</h2>",
        _pairs_table({**config.get("settings", {}), **config["versions"]}),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    write_text(folder.report_file, page)
    return folder.report_file


def _results(results):
    if not results:
        return ["<p>The run has not ended: no test results yet.</p>"]
    return ["<h2>Test set, read once at the end</h2>", _pairs_table(results)]


def _activations(folder, config, names, source):
    files = folder.activation_files(config["split"])
    if not files:
        return []
    assigned = None if config["assigned"] is None else np.array(config["assigned"])
    blocks = []
    for epoch in dict.fromkeys((min(files), max(files))):
        seen = Observation.read(files[epoch], assigned)
        _check_labels(seen, len(names), files[epoch])
        pictures = epoch_figures(seen, names, f"epoch {epoch}", source)
        blocks += [
            f"<h2>Gate and experts, epoch {epoch}</h2>",
            f"<p>{len(seen.labels)} images of the {config['split']} split.</p>",
            '<div class="pair">',
            *(_figure(picture) for picture in pictures.values()),
            "</div>",
            _expert_table(seen, names),
        ]
    return blocks


def _check_labels(seen, labels, path):
    most = max(seen.labels.max(), seen.predictions.max())
    experts = seen.num_experts if seen.assigned is None else seen.assigned.shape[1]
    if most >= labels or experts != seen.num_experts:
        raise ValueError(
            f"Expected a table of activations with labels below {labels} and {experts} experts, as "
            f"config.json says. Received: {path}, with label {most} and {seen.num_experts} experts"
        )


def _expert_table(seen, names):
    rows = []
    for e in range(seen.num_experts):
        mine = seen.chosen() == e
        counts = np.bincount(seen.labels[mine], minlength=len(names))
        common = [f"{names[c]} ({counts[c]})" for c in np.argsort(-counts)[:3] if counts[c]]
        right = (seen.predictions == seen.labels)[mine]
        meant = (
            ""
            if seen.assigned is None
            else ", ".join(names[c] for c in np.flatnonzero(seen.assigned[:, e]))
        )
        rows.append(
            [
                f"expert {e}",
                int(mine.sum()),
                f"{seen.weights[:, e].mean():.3f}",
                ", ".join(common),
                meant,
                f"{right.mean():.1%}" if len(right) else "",
            ]
        )
    columns = ["expert", "images", "mean weight", "most common labels", "assigned", "accuracy"]
    return _wide(TextTable(columns, rows))


def _metrics_table(metrics):
    columns = [name for name in metrics if not name.startswith("load_")]
    lines = zip(*(metrics[column] for column in columns), strict=True)
    rows = [[f"{value:.4g}" for value in line] for line in lines]
    return _wide(TextTable(columns, rows))


def _pairs_table(pairs):
    rows = [
        [name, f"{value:.4g}" if isinstance(value, float) else value]
        for name, value in pairs.items()
        if value is not None
    ]
    return _wide(TextTable(["what", "value"], rows))


def _wide(table):
    return f'<div class="wide">{table.to_html()}</div>'


def _figure(picture):
    png = io.BytesIO()
    picture.save(png, format="png", dpi=96)
    data = base64.b64encode(png.getvalue()).decode("ascii")
    alt = html.escape(picture.alt, quote=True)
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"></figure>'
