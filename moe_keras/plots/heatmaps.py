"""Tables of numbers as shades."""

import numpy as np

from moe_keras.plots.picture import Picture, new_figure


def heatmap(values, rows, columns, title, *, source, row_label="", column_label="", form="{:.2f}"):
    """Shade a table of values, with each value but 0 written in its cell.

    Args:
        values: array (rows, columns).
        rows: a name for each row.
        columns: a name for each column.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        row_label: what the rows are.
        column_label: what the columns are.
        form: format of a value, such as "{:.0%}".

    Returns:
        Picture.

    Raises:
        ValueError: if values are not one row for each row name and one column for each column name.
    """
    values = np.asarray(values)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(
            f"Expected values of shape (rows, columns) = {(len(rows), len(columns))}. "
            f"Received: shape {values.shape}"
        )
    size = (2.2 + 0.55 * len(columns), 1.6 + 0.36 * len(rows))
    figure, axes = new_figure(title, source, size)
    shades = axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=column_label, ylabel=row_label)
    for (row, column), value in np.ndenumerate(values):
        text = form.format(value) if value else ""  # zeros would hide what there is to see
        look = {"fontsize": 7, "color": text_color(shades.to_rgba(value)[:3])}
        axes.text(column, row, text, ha="center", va="center", **look)
    largest = "; ".join(
        f"{name}: {columns[int(line.argmax())]} {form.format(line.max())}"
        for name, line in zip(rows, values, strict=True)
    )
    alt = f"Heat map, {title}. Largest value in each row: {largest}. Data: {source}."
    return Picture(figure, title, alt)


def text_color(background):
    """Black or white, whichever has more contrast with an sRGB color: 4.58 or more on any."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in background
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # as in WCAG 2.2
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def confusion_matrix(counts, rows, title, *, source, columns=None):
    """Show how often each class is taken for which, as a share of the true class.

    Args:
        counts: array (true classes, predicted classes) of counts, as from
            `sklearn.metrics.confusion_matrix`.
        rows: names of the true classes.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        columns: names of the predicted classes; the true classes' names when left out.

    Returns:
        Picture. A class without examples gives a row of zeros.

    Raises:
        ValueError: if counts do not fit the names.
    """
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return heatmap(
        shares,
        rows,
        rows if columns is None else columns,
        title,
        source=source,
        row_label="true class",
        column_label="predicted class",
        form="{:.0%}",
    )
