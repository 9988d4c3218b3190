"""Boxes with text, in chains and frames, and the lines between them."""

from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextPath

FONT_SIZE = 8  # points; all other sizes are in inches
LINE, PADDING, GAP, COLUMN_GAP = 0.15, 0.08, 0.14, 0.36
LINE_COLOR = "#333333"


class Leaf:
    """A box with a few lines of text."""

    port = 0

    def __init__(self, lines, color):
        self.lines, self.color, self.name = lines, color, lines[0]
        self.width = max(_text_width(line) for line in lines) + 2 * PADDING
        self.height = len(lines) * LINE + 2 * PADDING

    def draw(self, axes, x, y, arrows):
        """Draw it with its left edge at x and its middle at height y."""
        _rectangle(axes, x, y, self, self.color, edge="#555555")
        axes.text(
            x + self.width / 2, y, "\n".join(self.lines), ha="center", va="center",
            fontsize=FONT_SIZE, linespacing=1.25,
        )  # fmt: skip


class Chain:
    """Boxes of one line each, from top to bottom, an arrow between any two."""

    port = 0

    def __init__(self, leaves):
        self.leaves, self.name = leaves, f"{leaves[0].name} ... {leaves[-1].name}"
        self.width = max(leaf.width for leaf in leaves)
        for leaf in leaves:
            leaf.width, leaf.height = self.width, LINE + PADDING
        self.height = sum(leaf.height for leaf in leaves) + GAP * (len(leaves) - 1)

    def draw(self, axes, x, y, arrows):
        top = y + self.height / 2
        middle = x + self.width / 2
        for i, leaf in enumerate(self.leaves):
            leaf.draw(axes, x, top - leaf.height / 2, arrows)
            bottom = top - leaf.height
            if i + 1 < len(self.leaves):
                _line(axes, [(middle, bottom), (middle, bottom - GAP)])
                arrows.append((leaf.lines[0], self.leaves[i + 1].lines[0]))
            top = bottom - GAP


class _Wire:
    """What passes a column on its way to a later one."""

    width, height, port = 0, LINE, 0

    def draw(self, axes, x, y, arrows):
        """Nothing: the lines to it and from it meet."""


class Frame:
    """Boxes in columns: each one right of all that it takes something from."""

    def __init__(self, name, boxes, joined):
        self.name, self.joined = name, joined
        self.boxes, self.pieces, self.columns = _columns(boxes, joined)
        self.widths = [max(self.boxes[i].width for i in column) for column in self.columns]
        self.border = COLUMN_GAP / 2 if name else 0
        self.headline = LINE + PADDING if name else 0
        self.port = -self.headline / 2  # at what height, from its middle, lines reach it
        inner = sum(self.widths) + COLUMN_GAP * (len(self.columns) - 1)
        self.width = max(inner + 2 * self.border, _text_width(name) + 2 * PADDING)
        tallest = max(self._height(column) for column in self.columns)
        self.height = tallest + self.headline + (2 * GAP if name else 0)

    def draw(self, axes, x, y, arrows):
        if self.name:
            _rectangle(axes, x, y, self, "white", edge="#0072B2")
            top = y + self.height / 2 - PADDING
            axes.text(x + PADDING, top, self.name, va="top", fontsize=FONT_SIZE, weight="bold")
        middle = y + self.port
        lefts, rights = (
            {},
            {},
        )  # where lines reach a box, and where they leave it, in straight steps
        left = x + self.border
        for column, width in zip(self.columns, self.widths, strict=True):
            top = middle + self._height(column) / 2
            for i in column:
                box = self.boxes[i]
                height, edge = top - box.height / 2, left + (width - box.width) / 2
                box.draw(axes, edge, height, arrows)
                height += box.port
                lefts[i] = [(left, height), (edge, height)]
                rights[i] = [(edge + box.width, height), (left + width, height)]
                top -= box.height + GAP
            left += width + COLUMN_GAP
        self._join(axes, lefts, rights, [(x, middle)], [(x + self.width, middle)])
        arrows += [(self.boxes[start].name, self.boxes[end].name) for start, end in self.joined]

    def _join(self, axes, lefts, rights, entry, leaving):
        for start, end in self.pieces:
            head = isinstance(self.boxes[end], Leaf | Chain)
            _line(axes, rights[start] + lefts[end], head)
        if self.name:
            starts, ends = ({pair[side] for pair in self.pieces} for side in (0, 1))
            for i, box in enumerate(self.boxes):
                if i not in ends:
                    _line(axes, entry + lefts[i], isinstance(box, Leaf | Chain))
                if i not in starts:
                    _line(axes, rights[i] + leaving, head=False)

    def _height(self, column):
        return sum(self.boxes[i].height for i in column) + GAP * (len(column) - 1)


def _columns(boxes, joined):
    """Boxes and wires, the short pieces that join them, and the columns they stand in."""
    depth = [0] * len(boxes)
    for start, end in sorted(joined, key=lambda pair: pair[1]):
        depth[end] = max(depth[end], depth[start] + 1)
    boxes, pieces = list(boxes), []
    for start, end in joined:
        for between in range(depth[start] + 1, depth[end]):
            pieces.append((start, len(boxes)))
            start = len(boxes)
            boxes.append(_Wire())
            depth.append(between)
        pieces.append((start, end))
    columns = [[i for i, d in enumerate(depth) if d == c] for c in range(max(depth) + 1)]
    return boxes, pieces, _untangled(columns, pieces)


def _untangled(columns, pieces):
    """Each column in the order of its neighbors' mean place, so that fewer lines cross."""
    place = {i: row for column in columns for row, i in enumerate(column)}
    for sweep in range(4):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            mean = {}
            for i in column:
                near = [a if forward else b for a, b in pieces if i == (b if forward else a)]
                mean[i] = sum(place[n] for n in near) / len(near) if near else place[i]
            column.sort(key=mean.get)
            place |= {i: row for row, i in enumerate(column)}
    return columns


def _text_width(text):
    if not text.strip():
        return 0
    # Letters on the screen are a little wider than their outlines.
    return 1.1 * TextPath((0, 0), text, size=FONT_SIZE).get_extents().width / 72


def _rectangle(axes, x, y, box, color, edge):
    corner = (x, y - box.height / 2)
    shape = "round,pad=0,rounding_size=0.05"
    axes.add_patch(
        FancyBboxPatch(
            corner, box.width, box.height, boxstyle=shape, facecolor=color, edgecolor=edge
        )
    )


def _line(axes, points, head=True):
    """A line through points, with an arrow's head at its end."""
    *points, end = dict.fromkeys(points)  # no step without a length
    axes.plot(*zip(*points, strict=True), color=LINE_COLOR, linewidth=0.9, solid_capstyle="round")
    style = {"arrowstyle": "-|>" if head else "-", "color": LINE_COLOR, "linewidth": 0.9}
    axes.annotate("", end, points[-1], arrowprops={**style, "shrinkA": 0, "shrinkB": 0})
