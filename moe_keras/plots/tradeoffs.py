"""Models against each other: what they cost, and whether they know how sure to be."""

from itertools import combinations, cycle

import numpy as np

from moe_keras.plots.picture import COLORS, MARKERS, Picture, new_figure

NAMES_AT = 1.06  # where the column of names begins, in widths of the axes


def labeled_points(points, title, *, source, x_label, y_label):
    """Points with their names in a column at the right, joined by thin lines that do not cross.

    Args:
        points: mapping of a name to (x, y), or to (x, y, low, high) where y has an interval.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.

    Returns:
        Picture.

    Raises:
        ValueError: if there are no points, or a y lies outside its interval.
    """
    if not points:
        raise ValueError("Expected one point or more. Received: none")
    color_of = dict(zip(points, cycle(COLORS), strict=False))
    figure, axes = new_figure(title, source, (8, max(3.6, 1.4 + 0.27 * len(points))))
    for index, (name, (x, y, *interval)) in enumerate(points.items()):
        low, high = interval or (y, y)
        if not low <= y <= high:
            raise ValueError(
                f"Expected low <= y <= high for {name!r}. Received: {low}, {y}, {high}"
            )
        axes.errorbar(
            x,
            y,
            yerr=[[y - low], [high - y]] if interval else None,
            fmt=MARKERS[index % len(MARKERS)],
            color=color_of[name],
            capsize=3,
        )
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.margins(0.08)
    axes.grid(alpha=0.3)
    names = sorted(points, key=lambda name: points[name][1])
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    starts = [
        ((x - left) / (right - left), (y - bottom) / (top - bottom))
        for x, y in (points[name][:2] for name in names)
    ]
    places = _uncrossed(starts, _apart([height for _, height in starts]))
    for name, place in zip(names, places, strict=True):
        axes.annotate(
            name,
            points[name][:2],
            xytext=(NAMES_AT, place),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            arrowprops={
                "arrowstyle": "-",
                "color": color_of[name],  # a line may pass close to another's point
                "linewidth": 0.6,
                "shrinkB": 4,
            },
        )
    parts = "; ".join(f"{name} ({x:.4g}, {y:.4g})" for name, (x, y, *_) in points.items())
    alt = f"Points, {title}. {x_label} and {y_label}: {parts}. Data: {source}."
    return Picture(figure, title, alt)


def _apart(heights):
    """Heights from 0 to 1 in rising order, moved as little as need be to leave room for a name."""
    gap = min(0.09, 1 / len(heights))
    places = []
    for height in heights:
        places.append(max(height, places[-1] + gap) if places else height)
    for above, i in enumerate(reversed(range(len(places)))):
        places[i] = min(places[i], 1 - above * gap)
    return places


def _uncrossed(starts, places):
    """The places exchanged among the points until no two of the lines to them cross.

    Where two lines cross, the exchange makes them shorter: so it ends, with none left that cross.
    """
    starts, places = np.array(starts), list(places)

    def length(i, place):
        return np.hypot(*(starts[i] - (NAMES_AT, place)))

    exchanged = True
    while exchanged:
        exchanged = False
        for i, j in combinations(range(len(places)), 2):
            now = length(i, places[i]) + length(j, places[j])
            if length(i, places[j]) + length(j, places[i]) < now - 1e-9:
                places[i], places[j] = places[j], places[i]
                exchanged = True
    return places


def reliability(curves, title, *, source):
    """Accuracy over confidence; a classifier that knows itself lies on the diagonal.

    Args:
        curves: mapping of a name to (confidence, accuracy, count), three arrays (K,), as
            `moe_keras.evaluation.reliability` gives them; a larger count makes a larger point.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.

    Returns:
        Picture. Above the diagonal a classifier is right more often than it thinks.

    Raises:
        ValueError: if the three arrays differ in length or are empty.
    """
    figure, axes = new_figure(title, source, (6.4, 4))
    axes.plot([0, 1], [0, 1], "--", color="#555555", linewidth=1, label="knows itself")
    parts = []
    for index, (name, (confidence, accuracy, count)) in enumerate(curves.items()):
        if not len(confidence) == len(accuracy) == len(count) > 0:
            raise ValueError(
                f"Expected as many confidences as accuracies and counts for {name!r}, at least "
                f"one. Received: {len(confidence)}, {len(accuracy)} and {len(count)}"
            )
        look = {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}
        share = np.asarray(count) / np.sum(count)
        axes.plot(confidence, accuracy, ("-", ":", "-.")[index % 3], label=name, **look)
        axes.scatter(confidence, accuracy, s=20 + 400 * share, alpha=0.4, **look)
        gap = np.sum(share * (np.asarray(accuracy) - confidence))
        parts.append(f"{name} is right {abs(gap):.3f} {'more' if gap > 0 else 'less'} than it says")
    axes.set(xlabel="confidence: probability of the class said", ylabel="accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    alt = f"Reliability diagram, {title}. On average, {'; '.join(parts)}. Data: {source}."
    return Picture(figure, title, alt)
