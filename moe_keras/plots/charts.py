"""Bars, curves and intervals."""

import numpy as np

from moe_keras.plots.picture import COLORS, MARKERS, Picture, new_figure


def label_balance(counts, names, title, *, source):
    """Bars: how many examples of each class each part of a dataset holds.

    Args:
        counts: mapping of a part's name to an array (C,) of counts.
        names: the C class names.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.

    Returns:
        Picture.

    Raises:
        ValueError: if a part does not have one count for each class.
    """
    for part, values in counts.items():
        if len(values) != len(names):
            raise ValueError(
                f"Expected {len(names)} counts, one for each class. "
                f"Received: {len(values)} for the part {part!r}"
            )
    figure, axes = new_figure(title, source, (7, 3.2))
    width = 0.8 / len(counts)
    for index, (part, values) in enumerate(counts.items()):
        place = np.arange(len(names)) + (index - (len(counts) - 1) / 2) * width
        hatch = ("", "//", "..")[index % 3]
        color = COLORS[index % len(COLORS)]
        axes.bar(place, values, width, label=part, color=color, hatch=hatch, edgecolor="white")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set(ylabel="images")
    figure.legend(loc="outside right center", fontsize=8)
    spread = "; ".join(f"{part}: {min(v)} to {max(v)}" for part, v in counts.items())
    return Picture(
        figure, title, f"Bar chart, {title}. Images in a class, {spread}. Data: {source}."
    )


def training_curves(histories, title, *, source, metric="accuracy"):
    """Lines: a metric by epoch, for one or more trainings.

    Args:
        histories: mapping of a name to Keras's `History.history`, each with `metric` and, if it was
            trained with validation data, `val_<metric>` (drawn dashed).
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        metric: which metric to draw.

    Returns:
        Picture.

    Raises:
        ValueError: if a history lacks the metric.
    """
    figure, axes = new_figure(title, source, (7, 3.2))
    ends = []
    for index, (name, history) in enumerate(histories.items()):
        if metric not in history:
            raise ValueError(
                f"Expected a history with {metric!r} for {name!r}. Received: {sorted(history)}"
            )
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        for key, line in ((metric, "-"), (f"val_{metric}", "--")):
            if key in history:
                epochs = range(1, len(history[key]) + 1)
                part = "validation" if line == "--" else "training"
                axes.plot(
                    epochs,
                    history[key],
                    line,
                    marker=marker,
                    color=color,
                    # After one epoch there are markers alone, and no dashes to tell by.
                    markerfacecolor="none" if line == "--" else color,
                    label=f"{name}, {part}",
                )
                ends.append(f"{name}, {part} {history[key][-1]:.3f}")
    axes.set(xlabel="epoch", ylabel=metric)
    _tick_whole_numbers(axes.xaxis)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    alt = f"Line chart, {title}. {metric} in the last epoch: {'; '.join(ends)}. Data: {source}."
    return Picture(figure, title, alt)


def lines(series, title, *, source, x_label, y_label, reference=None):
    """Lines over any x: loads over steps, seconds over numbers of experts.

    Args:
        series: mapping of a name to (x, y), two arrays of one length.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        reference: a value of y to compare with, drawn as a dashed line.

    Returns:
        Picture. Each line has a marker and a line style of its own besides its color. Where all x
        are whole, as counts are, so are the ticks.

    Raises:
        ValueError: if an x and its y differ in length or are empty.
    """
    figure, axes = new_figure(title, source, (7, 3.2))
    ends = []
    for index, (name, (x, y)) in enumerate(series.items()):
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(
                f"Expected as many x as y, at least one, for {name!r}. "
                f"Received: {len(x)} and {len(y)}"
            )
        axes.plot(
            x,
            y,
            ("-", "--", ":", "-.")[index % 4],
            color=COLORS[index % len(COLORS)],
            marker=MARKERS[index % len(MARKERS)],
            markevery=max(1, len(x) // 8),
            markersize=4,
            label=name,
        )
        ends.append(f"{name} from {y[0]:.3g} to {y[-1]:.3g}")
    if reference is not None:
        axes.axhline(reference, linestyle="--", linewidth=1, color="#555555")
    axes.set(xlabel=x_label, ylabel=y_label)
    if all(np.equal(np.mod(x, 1), 0).all() for x, _ in series.values()):
        _tick_whole_numbers(axes.xaxis)
    axes.set_ylim(0, 1.05 * axes.dataLim.y1)  # the highest point clear of the frame
    # As many ticks at any height: labels that widen after the layout push the axis's name out.
    axes.yaxis.get_major_locator().set_params(nbins=6)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    alt = f"Line chart, {title}. {y_label} over {x_label}: {'; '.join(ends)}. Data: {source}."
    return Picture(figure, title, alt)


def intervals(values, title, *, source, label, reference=None):
    """Dots with intervals, one line each: accuracies, or differences against zero.

    Args:
        values: mapping of a name to (value, low, high), in the units of `label`.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        label: what is measured, with its unit.
        reference: a value to compare with, drawn as a dashed line.

    Returns:
        Picture.

    Raises:
        ValueError: if a value lies outside its interval.
    """
    figure, axes = new_figure(title, source, (7, 1.2 + 0.38 * len(values)))
    for index, (name, (value, low, high)) in enumerate(values.items()):
        if not low <= value <= high:
            raise ValueError(
                f"Expected low <= value <= high for {name!r}. Received: {low}, {value}, {high}"
            )
        error = [[value - low], [high - value]]
        axes.errorbar(
            value, index, xerr=error, fmt=MARKERS[index % len(MARKERS)], color=COLORS[0], capsize=4
        )
        axes.annotate(
            f"{value:.2f}",
            (value, index),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    if reference is not None:
        axes.axvline(reference, linestyle="--", color="#555555")
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.5, -0.6)
    axes.set(xlabel=label)
    axes.grid(axis="x", alpha=0.3)
    parts = "; ".join(
        f"{name} {v:.2f} [{low:.2f}, {high:.2f}]" for name, (v, low, high) in values.items()
    )
    return Picture(figure, title, f"Intervals, {title}, {label}: {parts}. Data: {source}.")


def _tick_whole_numbers(axis):
    # One tick will do: for more, a single epoch would get fractions around it.
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)
