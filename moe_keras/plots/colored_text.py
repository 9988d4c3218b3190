"""Text, each character in the color of a category."""

from collections import Counter

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from moe_keras.plots.picture import COLORS, Picture, new_figure

PALETTE = (*COLORS[:6], "#F0E442", "#999999")  # black would be one more gray when it is light
TINT = 0.45  # how much of a color is left beside white: black letters stay readable


def colored_text(lines, categories, names, title, *, source):
    """Show text with each character on the color of its category: which expert takes it.

    Below each character stands the number of its category, for whoever does not tell the colors
    apart.

    Args:
        lines: list of strings, one for each line.
        categories: for each line a whole number for each of its characters, from 0 on.
        names: names of the categories, eight at most.
        title: title of the figure.
        source: what data it rests on.

    Returns:
        Picture.

    Raises:
        ValueError: if a line and its categories differ in length, a category has no name, or there
            are more than eight.
    """
    if len(names) > len(PALETTE):
        raise ValueError(f"Expected {len(PALETTE)} names at most. Received: {len(names)}")
    if [len(line) for line in lines] != [len(row) for row in categories] or not lines:
        raise ValueError(
            "Expected one category for each character of each line. Received: lines of "
            f"{[len(line) for line in lines]} characters, {[len(row) for row in categories]} "
            "categories"
        )
    numbers = [int(c) for row in categories for c in row]
    if not set(numbers) <= set(range(len(names))):
        raise ValueError(
            f"Expected categories from 0 to {len(names) - 1}, one for each name. "
            f"Received: {sorted(set(numbers))}"
        )
    width = max(map(len, lines))
    tints = [1 - TINT * (1 - np.array(to_rgb(color))) for color in PALETTE]
    cells = np.ones((len(lines), width, 3))
    size = (0.6 + 0.125 * width, 1.3 + 0.27 * len(lines))
    figure, axes = new_figure(title, source, size)
    for row, (line, row_numbers) in enumerate(zip(lines, categories, strict=True)):
        for column, (character, number) in enumerate(zip(line, row_numbers, strict=True)):
            cells[row, column] = tints[int(number)]
            place = {"ha": "center", "va": "center", "family": "monospace"}
            axes.text(column, row - 0.12, character, fontsize=9, **place)
            axes.text(column, row + 0.33, str(int(number)), fontsize=4.5, **place)
    axes.imshow(cells, aspect="auto")
    axes.set_axis_off()
    patches = [
        Patch(facecolor=tints[n], edgecolor="#555555", label=f"{n} {name}")
        for n, name in enumerate(names)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=4, fontsize=8)
    shares = Counter(numbers)
    told = ", ".join(f"{names[n]} {shares[n] / len(numbers):.0%}" for n in sorted(shares))
    alt = (
        f"Text, {title}. {len(lines)} lines; share of the characters: {told or 'none'}. "
        f"Data: {source}."
    )
    return Picture(figure, title, alt)
