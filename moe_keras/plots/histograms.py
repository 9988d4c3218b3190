"""How values are spread."""

import numpy as np

from moe_keras.plots.picture import COLORS, Picture, new_figure

HATCHES = ("", "///", "...", "xxx")
LINES = ("-", "--", ":", "-.")


def histogram(values, title, *, source, label, limits=(0, 1), bins=20, marks=None):
    """Steps: which share of the values of each set falls into each bin.

    Args:
        values: mapping of a set's name to an array (N,); the sets may differ in length.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        label: what is measured, with its unit.
        limits: the least and the largest value of the axis.
        bins: number of bins of equal width between the limits.
        marks: mapping of a name to a value, drawn as a vertical line: where one of many lies.

    Returns:
        Picture. Each set has a hatch of its own besides its color, each mark a line style.

    Raises:
        ValueError: if a set is empty or holds values outside the limits, or a mark lies outside.

    Example:

    >>> from moe_keras.plots import histogram
    >>> histogram({"a": [0.1, 0.9, 0.9]}, "Sure?", source="no data", label="probability")
    <Picture: Sure?>
    """
    edges = np.linspace(*limits, bins + 1)
    figure, axes = new_figure(title, source, (7, 3.2))
    parts = []
    for index, (name, sample) in enumerate(values.items()):
        sample = _within(limits, name, sample)
        shares = np.histogram(sample, edges)[0] / len(sample)
        axes.stairs(
            shares,
            edges,
            fill=True,
            alpha=0.5,
            facecolor=COLORS[index % len(COLORS)],
            edgecolor="black",
            hatch=HATCHES[index % len(HATCHES)],
            label=name,
        )
        parts.append(f"{name}: median {np.median(sample):.3g}, {len(sample)} values")
    for index, (name, value) in enumerate((marks or {}).items()):
        _within(limits, name, [value])
        axes.axvline(
            value, color="black", linewidth=2, linestyle=LINES[index % len(LINES)], label=name
        )
        parts.append(f"{name} at {value:.3g}")
    axes.set(xlabel=label, ylabel="share")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right upper", fontsize=8)
    alt = f"Histogram, {title}. {label}, {'; '.join(parts)}. Data: {source}."
    return Picture(figure, title, alt)


def _within(limits, name, sample):
    """The values as an array, all of them between the limits."""
    sample = np.asarray(sample, "float64")
    if len(sample) == 0 or not (limits[0] <= sample.min() and sample.max() <= limits[1]):
        raise ValueError(
            f"Expected one or more values from {limits[0]} to {limits[1]} for {name!r}. "
            f"Received: {len(sample)} values"
            + (f" from {sample.min()} to {sample.max()}" if len(sample) else "")
        )
    return sample
