"""Images on their way through a gate to the experts."""

from itertools import pairwise

import numpy as np
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from moe_keras.plots.images import checked_images, show_image
from moe_keras.plots.picture import COLORS, Picture, new_figure

SIZE, GAP, LANE_GAP = 1.0, 0.2, 0.9  # of a thumbnail, between two of them, between two lanes
STEP = 4.6  # from one column of thumbnails to the next
MARGIN, HEADLINE = 2.5, 1.6  # room for texts at the sides and above
FAINT = 0.05  # weights below this are not drawn
BEHIND_TEXT = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}


def flow(images, stages, titles, title, *, source, answers=None):
    """Show images flowing from left to right, through each stage to whom it gives most weight.

    Each stage is a column with a lane for each of its choices; an image stands in the lane of its
    largest weight, which is written beside it. The bands into a lane are as wide as the weights;
    thin ones lead to the lanes that got less.

    Args:
        images: array (N, height, width, 1 or 3) of pixel values 0 to 255.
        stages: mapping of a stage's name, such as "first gate", to a pair: names of its choices
            (E), and weights (N, E), each row with sum 1.
        titles: N short texts, left of the images, such as their classes.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        answers: N short texts, right of the images in the last column; `None`: none.

    Returns:
        Picture.

    Raises:
        ValueError: if the images, weights, names and texts do not fit each other, or there is no
            stage.

    Example:

    >>> import numpy as np
    >>> from moe_keras.plots import flow
    >>> images = np.zeros((2, 8, 8, 1), "uint8")
    >>> stages = {"gate": (["one", "two"], [[0.9, 0.1], [0.3, 0.7]])}
    >>> flow(images, stages, ["a", "b"], "Two images", source="no data")
    <Picture: Two images>
    """
    images = checked_images(images, titles)
    stages = {name: (list(lanes), np.asarray(weights)) for name, (lanes, weights) in stages.items()}
    _check(stages, len(images), answers)
    columns = [_Column(0, "", [""], np.ones((len(images), 1)), np.arange(len(images)), 0)]
    for name, (lanes, weights) in stages.items():
        last = columns[-1]
        color = last.color + len(last.lanes) if last.name else 0
        columns.append(_Column(last.x + STEP, name, lanes, weights, last.rows, color))
    width, height = columns[-1].x + SIZE, max(column.depth for column in columns)
    size = (0.42 * (width + 2 * MARGIN), 0.42 * (height + HEADLINE) + 0.6)
    figure, axes = new_figure(title, source, size)
    axes.set_axis_off()
    axes.set(xlim=(-MARGIN, width + MARGIN), ylim=(height, -HEADLINE), aspect="equal")
    for column in columns:
        column.sink((height - column.depth) / 2)  # a shorter column stands in the middle
    for before, column in pairwise(columns):
        column.draw_bands(axes, before.x + SIZE, before.rows + SIZE / 2)
    for column in columns:
        column.draw(axes, images)
    first, last = columns[0], columns[-1]
    for i, text in enumerate(titles):
        axes.text(-GAP, first.rows[i] + SIZE / 2, text, ha="right", va="center", fontsize=8)
    for i, text in enumerate(answers or ()):
        axes.text(last.x + SIZE + GAP, last.rows[i] + SIZE / 2, text, va="center", fontsize=8)
    parts = "; ".join(
        f"{' '.join(str(text).split())}: "
        + ", ".join(f"{lanes[w[i].argmax()]} {w[i].max():.2f}" for lanes, w in stages.values())
        + (f", {' '.join(str(answers[i]).split())}" if answers else "")
        for i, text in enumerate(titles)
    )
    names = ", then ".join(stages)
    alt = f"Images flow through {names}, {title}. Most weight: {parts}. Data: {source}."
    return Picture(figure, title, alt)


def _check(stages, count, answers):
    if not stages:
        raise ValueError("Expected at least one stage. Received: none")
    for name, (lanes, weights) in stages.items():
        if weights.shape != (count, len(lanes)):
            raise ValueError(
                f"Expected weights of shape (images, choices) = {(count, len(lanes))} in the stage "
                f"{name!r}. Received: shape {weights.shape}"
            )
    if answers is not None and len(answers) != count:
        raise ValueError(
            f"Expected one answer for each image. Received: {count} images, {len(answers)} answers"
        )


class _Column:
    """One stage: every image in the lane of its largest weight.

    Args:
        x: its left edge.
        name: the stage's name; "" for the images as they come.
        lanes: a name for each lane.
        weights: array (N, E).
        order: array (N,): those who stand lower stay below others of their lane.
        color: number of the first lane's color.
    """

    def __init__(self, x, name, lanes, weights, order, color):
        self.x, self.name, self.lanes, self.weights, self.color = x, name, lanes, weights, color
        self.chosen = weights.argmax(axis=1)
        self.rows, self.tops, y = np.zeros(len(weights)), np.zeros(len(lanes)), 0.0
        for lane in range(len(lanes)):
            self.tops[lane] = y
            members = np.flatnonzero(self.chosen == lane)
            for i in members[np.argsort(order[members], kind="stable")]:
                self.rows[i] = y
                y += SIZE + GAP
            y += LANE_GAP if len(members) else SIZE + LANE_GAP
        self.depth = y - LANE_GAP

    def sink(self, distance):
        self.rows, self.tops = self.rows + distance, self.tops + distance

    def draw_bands(self, axes, x, rows):
        """From where the images stood before: to their own places, thinly to the other lanes."""
        middle = (x + self.x) / 2
        for i, lane in np.argwhere(self.weights >= FAINT):
            own = lane == self.chosen[i]
            end = self.rows[i] + SIZE / 2 if own else self.tops[lane] - GAP
            points = [(x, rows[i]), (middle, rows[i]), (middle, end), (self.x, end)]
            curve = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
            band = {"linewidth": 0.5 + 5 * self.weights[i, lane], "alpha": 0.55, "zorder": 1}
            axes.add_patch(PathPatch(curve, facecolor="none", edgecolor=self._color(lane), **band))

    def draw(self, axes, images):
        middle = self.x + SIZE / 2
        axes.text(middle, 0.4 - HEADLINE, self.name, ha="center", weight="bold", fontsize=9)
        for name, top in zip(self.lanes, self.tops, strict=True):
            at = {"ha": "center", "va": "bottom", "fontsize": 8, "bbox": BEHIND_TEXT, "zorder": 5}
            axes.text(middle, top - GAP / 2, name, **at)
        for image, row, lane, weights in zip(
            images, self.rows, self.chosen, self.weights, strict=True
        ):
            square = (self.x, self.x + SIZE, row + SIZE, row)
            show_image(axes, image, extent=square, zorder=3)
            if self.name:
                frame = {"edgecolor": self._color(lane), "linewidth": 1.8, "zorder": 4}
                axes.add_patch(Rectangle((self.x, row), SIZE, SIZE, facecolor="none", **frame))
                at = {"ha": "right", "va": "center", "fontsize": 7, "bbox": BEHIND_TEXT}
                axes.text(self.x - GAP / 2, row + SIZE / 2, f"{weights[lane]:.2f}", **at)

    def _color(self, lane):
        return COLORS[(self.color + lane) % len(COLORS)]
