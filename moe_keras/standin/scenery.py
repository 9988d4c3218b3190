"""What lies behind and in front of a scene's subject, and the light it is seen in."""

import numpy as np

SKY = (
    (130, 175, 225),
    (170, 195, 215),
    (95, 135, 195),
    (205, 210, 212),
    (225, 190, 160),
    (75, 95, 135),
)
GREEN = ((95, 140, 60), (125, 150, 80), (65, 105, 50), (150, 160, 100), (85, 115, 75))
EARTH = ((150, 120, 85), (175, 150, 115), (120, 100, 80), (190, 175, 145), (105, 95, 70))
STONE = ((120, 120, 122), (150, 148, 145), (90, 92, 98), (175, 172, 168), (70, 70, 75))
WATER = ((60, 100, 140), (80, 125, 145), (45, 75, 110), (110, 145, 165), (70, 110, 115))
WALL = (
    (200, 190, 170),
    (170, 150, 140),
    (150, 165, 175),
    (185, 165, 120),
    (120, 110, 115),
    (215, 210, 205),
)
WOOD = ((60, 85, 50), (85, 90, 60), (50, 65, 45), (110, 115, 75), (95, 80, 60))

# Upper colors, lower colors, and where the line between them may lie (-1 top, 1 bottom).
PLACES = {
    "sky": (SKY, SKY, (-0.2, 1.2)),
    "field": (SKY, GREEN + EARTH, (-0.5, 0.4)),
    "meadow": (GREEN, GREEN + EARTH, (-0.9, 0.3)),
    "forest": (WOOD, GREEN + EARTH, (-0.1, 0.7)),
    "water": (SKY, WATER, (-0.3, 0.5)),
    "pond": (GREEN + WOOD, WATER, (-0.9, 0.3)),
    "room": (WALL, WALL + EARTH, (-0.1, 0.7)),
    "road": (SKY + WALL + WOOD, STONE, (-0.2, 0.5)),
    "yard": (WALL + STONE, STONE + EARTH, (-0.4, 0.6)),
}
ANYTHING = SKY + GREEN + EARTH + STONE + WALL + WOOD


def paint_background(canvas, place, roundness):
    """Two areas of color with patches on them, and things far away: some round, some square."""
    above, below, (low, high) = PLACES[place]
    canvas.place(0.0, 0.0, 1.0)
    canvas.tone = 1 + canvas.uniform(0.05, 0.3) * canvas.texture()
    canvas.pixels[:] = canvas.color(above) * canvas.tone
    horizon = canvas.uniform(low, high) + canvas.uniform(-0.2, 0.2) * canvas.x
    canvas.fill(canvas.color(below), horizon - canvas.y)
    for _ in range(2):
        thing = _thing(canvas, roundness, 0.12, 0.45)
        canvas.fill(canvas.color(ANYTHING), thing, opacity=canvas.uniform(0.0, 0.8))


def paint_foreground(canvas, roundness):
    """Something in front of the subject, more often than not at its border."""
    canvas.place(0.0, 0.0, 1.0)
    canvas.tone = np.float32(1)
    thing = _thing(canvas, roundness, 0.1, 0.35, spread=1.3)
    canvas.fill(canvas.color(ANYTHING), thing, opacity=canvas.chance(0.6))


def develop(canvas):
    """Light from one side, contrast, and the camera's noise."""
    light = canvas.uniform(0.75, 1.2) + canvas.uniform(-0.2, 0.2) * canvas.grid_x
    light += canvas.uniform(-0.2, 0.1) * canvas.grid_y
    contrast = canvas.uniform(0.55, 1.0)
    noise = canvas.rng.random((canvas.count, canvas.size**2), np.float32) - np.float32(0.5)
    shift = 120 * (1 - contrast) + noise * canvas.uniform(0.0, 18.0)
    light *= contrast
    canvas.pixels *= light
    canvas.pixels += shift


def _thing(canvas, roundness, small, large, spread=1.0):
    x, y = canvas.uniform(-spread, spread), canvas.uniform(-spread, spread)
    width, height = canvas.uniform(small, large), canvas.uniform(small, large)
    dx, dy = abs(canvas.x - x) / width, abs(canvas.y - y) / height
    round_ = canvas.chance(roundness) > 0
    distance = np.where(round_, np.sqrt(dx * dx + dy * dy), np.maximum(dx, dy))
    return (distance - 1) * np.minimum(width, height)
