"""The stand-in for Fashion-MNIST: silhouettes of ten kinds of garment, 28 x 28 pixels, in gray."""

import numpy as np

from moe_keras.standin.canvas import SIDES, Canvas, darker

GRAY, NOTHING = ((90,), (140,), (190,), (225,)), ((0,),)


def paint_garments(rng, label, batch, count, textures):
    """`count` pictures of one kind of garment, uint8 (count, 28, 28)."""
    canvas = Canvas(rng, count, 28, 1, textures)
    canvas.softness = canvas.uniform(0.9, 1.4)
    canvas.place(
        canvas.uniform(-0.06, 0.06),
        canvas.uniform(-0.06, 0.06),
        canvas.uniform(0.82, 0.98),
        canvas.uniform(-0.06, 0.06),
        bend=canvas.uniform(0.0, 0.12),
    )
    canvas.x = canvas.x * canvas.uniform(0.9, 1.2)
    across = abs(canvas.y * canvas.uniform(2.0, 5.0) % 1 - np.float32(0.5)) * (
        4 * canvas.chance(0.25)
    )
    canvas.tone = (
        1 + canvas.uniform(0.05, 0.4) * canvas.texture() - canvas.uniform(0.0, 0.35) * across
    )
    PAINTERS[label](canvas)
    return canvas.images()[..., 0]


def t_shirt(canvas):
    color = canvas.color(GRAY)
    _top(canvas, color, canvas.uniform(0.2, 0.5), canvas.uniform(0.7, 0.9), canvas.vary(0.42, 0.1))
    picture = canvas.box(
        0, canvas.uniform(-0.3, 0.1), canvas.vary(0.2, 0.4), canvas.vary(0.15, 0.4)
    )
    canvas.fill(canvas.color(GRAY), picture, opacity=canvas.chance(0.4))


def trouser(canvas):
    color = canvas.color(GRAY)
    waist, hem, gap = canvas.vary(0.3), canvas.uniform(0.14, 0.24), canvas.uniform(0.08, 0.25)
    hip = waist + 0.08
    canvas.fill(color, canvas.polygon((-waist, -0.95), (waist, -0.95), (hip, -0.45), (-hip, -0.45)))
    for s in SIDES:
        outside, inside = s * (gap + hem * 1.5), s * (gap + hem * 0.5)
        leg = canvas.polygon((0.0, -0.6), (s * hip, -0.6), (outside, 0.95), (inside, 0.95))
        canvas.fill(darker(color, 0.05), leg)
    canvas.fill(darker(color, 0.4), canvas.limb(0, -0.9, 0, -0.4, 0.02))


def pullover(canvas):
    color, hem = canvas.color(GRAY), canvas.uniform(0.65, 0.85)
    _top(canvas, color, canvas.uniform(1.1, 1.45), hem, canvas.vary(0.42, 0.1))
    canvas.fill(
        darker(color, 0.3), canvas.box(0, hem - 0.05, 0.4, 0.05), opacity=canvas.chance(0.6)
    )


def dress(canvas):
    color = canvas.color(GRAY)
    waist, flare = canvas.uniform(0.16, 0.28), canvas.uniform(0.25, 0.6)
    shoulder = canvas.uniform(0.22, 0.36)
    bodice = canvas.polygon((-shoulder, -0.92), (shoulder, -0.92), (waist, -0.2), (-waist, -0.2))
    skirt = canvas.polygon((-waist, -0.25), (waist, -0.25), (flare, 0.95), (-flare, 0.95))
    canvas.fill(color, bodice, skirt)
    inner, sleeve = shoulder - 0.06, canvas.uniform(0.05, 0.7)
    outer, hand = shoulder + sleeve * 0.3, sleeve - 0.8
    sleeves = (canvas.limb(s * inner, -0.8, s * outer, hand, 0.1, 0.07) for s in SIDES)
    canvas.fill(darker(color, 0.1), *sleeves, opacity=canvas.chance(0.6))
    _neck(canvas, 0.14, -0.95, canvas.uniform(0.1, 0.25))


def coat(canvas):
    color = canvas.color(GRAY)
    _top(
        canvas,
        color,
        canvas.uniform(1.1, 1.4),
        canvas.uniform(0.85, 0.98),
        canvas.vary(0.48, 0.15),
    )
    canvas.fill(darker(color, 0.55), canvas.limb(0, -0.6, 0, 0.95, 0.025))
    lapels = (canvas.limb(s * 0.2, -0.8, s * 0.05, -0.35, 0.07) for s in SIDES)
    canvas.fill(darker(color, canvas.uniform(0.1, 0.4)), *lapels)
    pockets = (canvas.box(s * 0.25, 0.35, 0.1, 0.03) for s in SIDES)
    canvas.fill(darker(color, 0.45), *pockets, opacity=canvas.chance(0.6))


def sandal(canvas):
    color, heel = canvas.color(GRAY), canvas.uniform(0.0, 0.6)
    back, top = 0.35 - heel * 0.6, canvas.uniform(-0.35, 0.0)
    canvas.fill(color, *canvas.chain((-0.85, back, 0.07), (0.1, 0.38, 0.07), (0.88, 0.4, 0.07)))
    canvas.fill(darker(color, 0.2), canvas.limb(-0.82, back, -0.75, 0.45, 0.08, 0.05))
    over_toes = canvas.chain((0.3, 0.35, 0.05), (0.45, top + 0.2, 0.05), (0.75, 0.35, 0.05))
    ankle, instep = top - heel * 0.4, 0.35 - heel * 0.2
    round_ankle = canvas.chain((-0.8, back, 0.05), (-0.6, ankle, 0.05), (-0.15, instep, 0.05))
    canvas.fill(darker(color, 0.15), *over_toes, *round_ankle)


def shirt(canvas):
    color = canvas.color(GRAY)
    _top(canvas, color, canvas.uniform(0.3, 1.45), canvas.uniform(0.7, 0.95), canvas.vary(0.4, 0.1))
    collar = (canvas.limb(s * 0.16, -0.8, s * 0.03, -0.58, 0.06) for s in SIDES)
    canvas.fill(canvas.color(GRAY), *collar, opacity=canvas.chance(0.8))
    buttons = (canvas.ellipse(0, y, 0.04, 0.04) for y in (-0.4, -0.1, 0.2, 0.5))
    canvas.fill(darker(color, 0.6), *buttons, opacity=canvas.chance(0.8))


def sneaker(canvas):
    color, ankle = canvas.color(GRAY), canvas.uniform(-0.3, -0.05)
    upper = (-0.85, ankle), (-0.3, ankle), (0.5, 0.15), (0.5, 0.4), (-0.88, 0.4)
    canvas.fill(color, canvas.polygon(*upper), canvas.limb(0.3, 0.22, 0.68, 0.28, 0.2, 0.15))
    canvas.fill(canvas.color(GRAY), canvas.box(0.0, 0.42, 0.9, 0.07))
    stripe = canvas.limb(-0.35, 0.3, 0.15, 0.08, 0.05)
    canvas.fill(canvas.color(GRAY), stripe, opacity=canvas.chance(0.7))
    heights = ((x, ankle + 0.12 + x * 0.3) for x in (-0.15, 0.05))
    canvas.fill(
        darker(color, 0.5), *(canvas.limb(x, y, x + 0.1, y - 0.1, 0.03) for x, y in heights)
    )


def bag(canvas):
    color = canvas.color(GRAY)
    wide, top, low = (
        canvas.uniform(0.6, 0.92),
        canvas.uniform(-0.35, 0.0),
        canvas.uniform(0.55, 0.85),
    )
    loop = canvas.ellipse(0, top, wide * canvas.uniform(0.4, 0.75), canvas.uniform(0.25, 0.6))
    canvas.fill(darker(color, 0.2), abs(loop) - 0.05)
    above = wide + canvas.uniform(-0.12, 0.08)
    canvas.fill(color, canvas.polygon((-above, top), (above, top), (wide, low), (-wide, low)))
    flap, clasp = canvas.box(0, top + 0.12, wide, 0.12), canvas.box(0, top + 0.24, 0.08, 0.06)
    canvas.fill(darker(color, 0.3), flap, opacity=canvas.chance(0.5))
    canvas.fill(canvas.color(GRAY), clasp, opacity=canvas.chance(0.5))


def ankle_boot(canvas):
    color = canvas.color(GRAY)
    top, shaft = canvas.uniform(-0.85, -0.5), canvas.uniform(-0.15, 0.05)
    leg = canvas.polygon((-0.75, top), (shaft, top), (shaft + 0.05, 0.45), (-0.75, 0.45))
    canvas.fill(color, leg, canvas.limb(-0.2, 0.15, 0.6, 0.32, 0.3, 0.15))
    heel = canvas.uniform(0.05, 0.25)
    sole = canvas.box(0.0, 0.5, 0.76, 0.06)
    canvas.fill(darker(color, 0.4), sole, canvas.box(-0.55, 0.5 + heel * 0.5, 0.22, heel))
    canvas.fill(
        darker(color, 0.3), canvas.box(-0.4, top + 0.06, 0.35, 0.06), opacity=canvas.chance(0.5)
    )


def _top(canvas, color, sleeve, hem, width):
    """A torso down to `hem`, `width` there on either side, with sleeves `sleeve` long."""
    shoulder = canvas.vary(0.42, 0.1)
    hand = shoulder + sleeve * canvas.uniform(0.25, 0.5)
    arms = (
        canvas.limb(s * (shoulder - 0.06), -0.66, s * hand, sleeve - 0.66, 0.15, 0.12)
        for s in SIDES
    )
    # Darker than the torso, so that the seam between them shows.
    canvas.fill(darker(color, canvas.uniform(0.05, 0.3)), *arms)
    canvas.fill(
        color, canvas.polygon((-shoulder, -0.82), (shoulder, -0.82), (width, hem), (-width, hem))
    )
    _neck(canvas, canvas.vary(0.2), -0.86, canvas.uniform(0.08, 0.2))


def _neck(canvas, width, y, depth):
    canvas.fill(canvas.color(NOTHING, 0), canvas.ellipse(0, y, width, depth))


PAINTERS = (t_shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle_boot)
