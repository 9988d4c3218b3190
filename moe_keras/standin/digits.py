"""The stand-in for MNIST: digits of the fonts that come with Matplotlib, bent and slanted.

Outlines are read from the font files and turned into distances here: rendered by a font engine,
they would have other pixels with every version of it.
"""

import functools
import itertools
from pathlib import Path

import numpy as np

from moe_keras.standin.canvas import Canvas

FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralItalic.ttf",
    "cmr10.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
)
FIELD_SIZE = 56  # distances a side, from -1.4 to 1.4: a digit is 2 high
FIELD_REACH = 1.4


def paint_digits(rng, label, batch, count, textures):
    """`count` pictures of one digit, uint8 (count, 28, 28)."""
    canvas = Canvas(rng, count, 28, 1, textures)
    canvas.softness = canvas.uniform(1.0, 1.8)
    canvas.place(
        canvas.uniform(-0.12, 0.12),
        canvas.uniform(-0.12, 0.12),
        canvas.uniform(0.55, 0.75),
        canvas.uniform(-0.35, 0.35),
        bend=canvas.uniform(0.0, 0.35),
    )
    canvas.x = canvas.x * canvas.uniform(0.85, 1.35) + canvas.uniform(-0.3, 0.3) * canvas.y
    canvas.tone = 1 + canvas.uniform(0.0, 0.3) * canvas.texture()
    thicker = canvas.uniform(-0.02, 0.1)
    field = _fields()[label, rng.integers(len(FONTS), size=count)]
    canvas.fill(canvas.color(((235,),)), _sample(field, canvas.x, canvas.y) - thicker)
    canvas.pixels += rng.integers(0, 2, canvas.pixels.shape) * (
        canvas.uniform(0.0, 40.0) * canvas.chance(0.3)
    )
    return canvas.images()[..., 0]


def _sample(field, x, y):
    """Distances (n, P) at x, y (n, P), between the entries of a field (n, size, size)."""
    scale = np.float32((FIELD_SIZE - 1) / (2 * FIELD_REACH))
    column, row = (
        np.clip((v + np.float32(FIELD_REACH)) * scale, 0, FIELD_SIZE - 1.001) for v in (x, y)
    )
    left, top = column.astype(np.int32), row.astype(np.int32)
    flat, first = (
        field.reshape(-1),
        np.arange(len(field))[:, None] * FIELD_SIZE**2 + top * FIELD_SIZE + left,
    )
    right_share, low_share = column - left, row - top
    above = flat[first] + right_share * (flat[first + 1] - flat[first])
    first = first + FIELD_SIZE
    below = flat[first] + right_share * (flat[first + 1] - flat[first])
    return above + low_share * (below - above)


@functools.cache
def _fields():
    """Signed distances to every digit in every font, float32 (10, fonts, size, size)."""
    return np.stack([[_field(font, str(digit)) for font in FONTS] for digit in range(10)])


def _field(font, text):
    # Imported here: only who needs a stand-in pays for it.
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextPath

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / font
    loops = TextPath((0, 0), text, size=100, prop=FontProperties(fname=file)).to_polygons()
    points = np.concatenate(loops)
    low, high = points.min(0), points.max(0)
    loops = [(loop - (low + high) / 2) * (2 / (high[1] - low[1])) * (1, -1) for loop in loops]
    steps = np.linspace(-FIELD_REACH, FIELD_REACH, FIELD_SIZE)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    inside = np.zeros(len(grid), bool)
    distance2 = np.full(len(grid), np.inf)
    for loop in loops:
        inside ^= Outline(loop).contains_points(
            grid
        )  # a hole's outline switches its inside off again
        for (x1, y1), (x2, y2) in itertools.pairwise(loop):
            length2 = (x2 - x1) ** 2 + (y2 - y1) ** 2
            if length2 > 0:
                dx, dy = grid[:, 0] - x1, grid[:, 1] - y1
                share = np.clip((dx * (x2 - x1) + dy * (y2 - y1)) / length2, 0, 1)
                dx, dy = dx - share * (x2 - x1), dy - share * (y2 - y1)
                distance2 = np.minimum(distance2, dx * dx + dy * dy)
    distance = np.where(inside, -1, 1) * np.sqrt(distance2)
    return np.round(distance, 4).reshape(FIELD_SIZE, FIELD_SIZE).astype(np.float32)
