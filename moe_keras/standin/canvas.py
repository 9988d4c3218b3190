"""A batch of small pictures painted at once with signed distances.

A shape is an array of distances (n, P), one for each picture and pixel: negative inside, positive
outside, in units of the object, so that `fill` can soften edges to about a pixel. Coordinates run
from -1 to 1 with y downwards; `place` moves, turns, scales and mirrors what is painted next.

The same seed gives the same bytes on every machine: pixels are made of additions, multiplications,
divisions, square roots, minima and maxima alone, which IEEE 754 fixes to the last bit. Sines,
matrix products and sums, whose last bit depends on the processor, are left out or rounded away.
"""

import functools
import itertools

import numpy as np

TEXTURE_COUNT, TEXTURE_SIZE = 128, 48

# Left and right, for what comes in pairs.
SIDES = (-1, 1)


class Canvas:
    """`count` square pictures of `size` pixels a side, painted together.

    Args:
        rng: the NumPy generator every random choice comes from.
        count: pictures, n.
        size: pixels a side; P = size * size.
        channels: 3 for color, 1 for gray.
        textures: what `make_textures` returned.
    """

    def __init__(self, rng, count, size, channels, textures):
        self.rng, self.count, self.size = rng, count, size
        self.textures = textures
        self.pixels = np.zeros((channels, count, size * size), np.float32)
        centers = (np.arange(size, dtype=np.float32) * 2 + 1) / size - 1
        self.grid_x = np.tile(centers, size)[None]  # (1, P)
        self.grid_y = np.repeat(centers, size)[None]  # (1, P)
        self.softness = self.uniform(1.0, 1.0)
        self.tone = np.float32(1)
        self.place(0.0, 0.0, 1.0)

    # Random choices, one a picture.

    def uniform(self, low, high):
        """Numbers from `low` to `high`, (n, 1)."""
        return self.rng.random((self.count, 1), np.float32) * np.float32(high - low) + np.float32(
            low
        )

    def vary(self, value, share=0.15):
        """`value` plus or minus up to a share of it, (n, 1)."""
        return self.uniform(value - abs(value) * share, value + abs(value) * share)

    def chance(self, probability):
        """0 or 1 as float32, (n, 1)."""
        return (self.rng.random((self.count, 1), np.float32) < probability).astype(np.float32)

    def color(self, palette, spread=22):
        """A color of the palette for each picture, varied by up to `spread`, (channels, n, 1)."""
        chosen = np.asarray(palette, np.float32)[self.rng.integers(len(palette), size=self.count)]
        varied = chosen + self.rng.integers(-spread, spread + 1, chosen.shape).astype(np.float32)
        return np.clip(varied.T[:, :, None], 0, 255)

    def texture(self):
        """Smooth random patches between -1 and 1, (n, P)."""
        chosen = self.rng.integers(len(self.textures), size=(self.count, 1, 1))
        corner = self.rng.integers(TEXTURE_SIZE - self.size + 1, size=(2, self.count, 1, 1))
        steps = np.arange(self.size)
        patches = self.textures[
            chosen, corner[0] + steps[None, :, None], corner[1] + steps[None, None]
        ]
        return patches.reshape(self.count, -1)

    # Where the next shapes lie.

    def place(self, x, y, scale, angle=None, mirror=False, bend=None):
        """Say where the shapes that follow lie.

        Their origin comes to (x, y), one unit being `scale` half pictures long. `angle` turns them
        (radians, clockwise on the screen); `mirror` flips each with probability 1/2; `bend` moves
        their outlines about smoothly, by up to as much.
        """
        dx, dy = (self.grid_x - x) / scale, (self.grid_y - y) / scale
        if angle is not None:
            # In double precision and rounded: a cosine's last bit is not the same everywhere.
            angle = angle.astype(np.float64)
            cos, sin = (np.round(f(angle), 4).astype(np.float32) for f in (np.cos, np.sin))
            dx, dy = dx * cos + dy * sin, dy * cos - dx * sin
        if mirror:
            dx = dx * (1 - 2 * self.chance(0.5))
        if bend is not None:
            dx, dy = dx + bend * self.texture(), dy + bend * self.texture()
        self.x, self.y = np.broadcast_arrays(dx, dy)
        self.pixels_a_unit = np.float32(self.size / 2) * scale

    # Signed distances, (n, P).

    def ellipse(self, x, y, rx, ry):
        """Ellipse around (x, y) with radii rx and ry; the distance is exact for circles only."""
        dx, dy = (self.x - x) / rx, (self.y - y) / ry
        return (np.sqrt(dx * dx + dy * dy) - 1) * np.minimum(rx, ry)

    def limb(self, x1, y1, x2, y2, r1, r2=None):
        """A round-ended stroke from (x1, y1) to (x2, y2), r1 thick at its start, r2 at its end."""
        r2 = r1 if r2 is None else r2
        along_x, along_y = x2 - x1, y2 - y1
        dx, dy = self.x - x1, self.y - y1
        length2 = along_x * along_x + along_y * along_y + np.float32(1e-6)
        share = np.clip(dx * (along_x / length2) + dy * (along_y / length2), 0, 1)
        dx, dy = dx - share * along_x, dy - share * along_y
        return np.sqrt(dx * dx + dy * dy) - (r1 + share * (r2 - r1))

    def box(self, x, y, half_width, half_height):
        """An upright rectangle around (x, y)."""
        return np.maximum(abs(self.x - x) - half_width, abs(self.y - y) - half_height)

    def chain(self, *joints):
        """Limbs from joint to joint, each joint (x, y, radius): a list of distances."""
        return [
            self.limb(x1, y1, x2, y2, r1, r2)
            for (x1, y1, r1), (x2, y2, r2) in itertools.pairwise(joints)
        ]

    def polygon(self, *corners):
        """A convex polygon; corners (x, y) in their order around it, either way."""
        edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
        area = np.asarray(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in edges), np.float32)
        way_round = np.sign(area)
        distance = None
        for (x1, y1), (x2, y2) in edges:
            nx, ny = (y2 - y1) * way_round, (x1 - x2) * way_round
            norm = np.sqrt(nx * nx + ny * ny + np.float32(1e-6))
            side = (self.x - x1) * (nx / norm) + (self.y - y1) * (ny / norm)
            distance = side if distance is None else np.maximum(distance, side)
        return distance

    # Paint.

    def fill(self, color, *shapes, opacity=None):
        """Paint the inside of all `shapes` in `color` (channels, n, 1), with soft edges."""
        distance = functools.reduce(np.minimum, shapes)
        cover = np.clip(0.5 - distance * (self.pixels_a_unit / self.softness), 0, 1)
        if opacity is not None:
            cover = cover * opacity
        for channel, value in zip(self.pixels, color, strict=True):
            channel += cover * (value * self.tone - channel)

    def images(self):
        """The pictures as uint8, (n, size, size, channels)."""
        rounded = (
            np.clip(self.pixels, 0, 255).astype(np.uint8) & 0xF8
        )  # five bits: the cache is half as large
        return rounded.transpose(1, 2, 0).reshape(self.count, self.size, self.size, -1)


def darker(color, share):
    """A color moved towards black."""
    return color * (1 - np.float32(share))


def lighter(color, share):
    """A color moved towards white."""
    return color + (245 - color) * np.float32(share)


def make_textures(rng):
    """Smooth random patches between about -1 and 1, (TEXTURE_COUNT, TEXTURE_SIZE, TEXTURE_SIZE)."""
    total = np.zeros((TEXTURE_COUNT, TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    for cells, strength in ((4, 0.6), (9, 0.4)):
        values = rng.random((TEXTURE_COUNT, cells + 1, cells + 1), np.float32) * 2 - 1
        position = np.arange(TEXTURE_SIZE, dtype=np.float32) * (np.float32(cells) / TEXTURE_SIZE)
        cell = position.astype(int)
        share = position - cell
        rows = values[:, cell] + share[None, :, None] * (values[:, cell + 1] - values[:, cell])
        left, right = rows[:, :, cell], rows[:, :, cell + 1]
        total += np.float32(strength) * (left + share * (right - left))
    return total
