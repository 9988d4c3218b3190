"""Four vehicles for the scenes, each seen in two ways, made of straight edges and wheels.

Each painter draws on a `Canvas` already placed: the vehicle fills about -1 to 1 and heads to the
right.
"""

from moe_keras.standin.canvas import SIDES, darker

PAINT = (
    (190, 40, 40),
    (40, 70, 150),
    (230, 230, 228),
    (45, 45, 50),
    (150, 155, 160),
    (215, 170, 40),
    (60, 110, 70),
    (110, 85, 60),
)
METAL = ((225, 228, 230), (190, 195, 200), (150, 158, 168), (235, 225, 205), (110, 120, 135))
GLASS = ((60, 75, 90), (120, 145, 165), (40, 45, 55))
TYRE, WHITE = ((28, 28, 30),), ((238, 238, 235),)
LAMP, REAR_LAMP = ((250, 240, 190),), ((200, 50, 40),)


def airplane_side(canvas):
    metal, stripe, glass = canvas.color(METAL), canvas.color(PAINT), canvas.color(GLASS)
    fin_top = canvas.uniform(-0.65, -0.4)
    canvas.fill(
        stripe, canvas.polygon((-0.98, fin_top), (-0.8, -0.55), (-0.45, -0.05), (-0.9, -0.05))
    )
    far_tip = canvas.uniform(-0.45, -0.25)
    canvas.fill(
        darker(metal, 0.3),
        canvas.polygon((0.1, -0.05), (0.3, -0.05), (-0.05, far_tip), (-0.2, -0.3)),
    )
    thick = canvas.vary(0.14)
    canvas.fill(metal, canvas.limb(-0.85, -0.03, 0.75, 0.03, thick * 0.6, thick))
    canvas.fill(stripe, canvas.limb(-0.7, 0.03, 0.7, 0.06, 0.025))
    canvas.fill(
        glass, *(canvas.box(x, -0.03, 0.04, 0.035) for x in (-0.35, -0.15, 0.05, 0.25, 0.45))
    )
    canvas.fill(glass, canvas.box(0.78, -0.04, 0.06, 0.05))
    reach = canvas.uniform(0.35, 0.65)
    canvas.fill(
        darker(metal, 0.15),
        canvas.polygon((0.05, 0.08), (0.35, 0.08), (-0.2, reach), (-0.38, reach)),
    )
    canvas.fill(darker(metal, 0.4), canvas.limb(0.05, reach * 0.6, 0.2, reach * 0.6, 0.07))
    canvas.fill(
        darker(metal, 0.2), canvas.polygon((-0.85, 0), (-0.6, 0), (-0.85, 0.18), (-0.98, 0.18))
    )


def airplane_below(canvas):
    metal, stripe = canvas.color(METAL), canvas.color(METAL + PAINT)
    sweep, chord = canvas.uniform(0.0, 0.5), canvas.vary(0.24)
    tip = 0.1 - sweep
    for s in SIDES:
        reach = s * canvas.vary(0.92, 0.08)
        wing = (0.1 + chord, 0.0), (tip + 0.1, reach), (tip - 0.06, reach), (0.1 - chord, 0.0)
        canvas.fill(darker(metal, 0.15), canvas.polygon(*wing))
        fin = canvas.polygon((-0.65, 0.0), (-0.82, s * 0.36), (-0.95, s * 0.36), (-0.9, 0.0))
        canvas.fill(stripe, fin)
    canvas.fill(metal, canvas.limb(-0.9, 0, 0.85, 0, 0.05, canvas.vary(0.11)))
    engine = 0.1 - sweep * 0.45
    canvas.fill(
        darker(metal, 0.4),
        *(canvas.limb(engine, s * 0.42, engine + 0.2, s * 0.42, 0.06) for s in SIDES),
    )
    canvas.fill(canvas.color(GLASS), canvas.box(0.8, 0, 0.05, 0.06))


def automobile_side(canvas):
    paint = canvas.color(PAINT)
    belt, roof = canvas.uniform(-0.1, 0.08), canvas.uniform(-0.68, -0.34)
    front, back = canvas.uniform(0.35, 0.75), canvas.uniform(-0.97, -0.5)
    cabin = (back + 0.22, roof), (front - 0.35, roof), (front, belt), (back, belt)
    canvas.fill(paint, canvas.polygon(*cabin))
    top = roof + 0.08
    pane = (back + 0.26, top), (front - 0.38, top), (front - 0.12, belt), (back + 0.12, belt)
    canvas.fill(canvas.color(GLASS), canvas.polygon(*pane))
    pillar = canvas.box(
        (front + back) * 0.5 - 0.05, (roof + belt) * 0.5, 0.035, (belt - roof) * 0.5
    )
    canvas.fill(paint, pillar)
    body = (-0.95, belt), (0.7, belt), (0.97, belt + 0.14), (0.97, 0.42), (-0.95, 0.42)
    canvas.fill(paint, canvas.polygon(*body))
    canvas.fill(darker(paint, 0.45), canvas.box(0, 0.38, 0.95, 0.05))
    canvas.fill(canvas.color(LAMP), canvas.box(0.92, belt + 0.22, 0.06, 0.06))
    _wheels(
        canvas, (canvas.vary(-0.55, 0.1), canvas.vary(0.57, 0.1)), 0.42, canvas.vary(0.21, 0.12)
    )


def automobile_front(canvas):
    paint = canvas.color(PAINT)
    roof, belt = canvas.uniform(-0.8, -0.45), canvas.uniform(-0.15, 0.05)
    wide = canvas.vary(0.74, 0.14)
    top = wide * canvas.uniform(0.55, 0.85)
    canvas.fill(canvas.color(TYRE), *(canvas.box(s * wide * 0.75, 0.55, 0.14, 0.22) for s in SIDES))
    canvas.fill(
        paint, canvas.polygon((-top, roof), (top, roof), (wide * 0.9, belt), (-wide * 0.9, belt))
    )
    high, narrow, low = roof + 0.09, top * 0.88, wide * 0.74
    pane = canvas.polygon((-narrow, high), (narrow, high), (low, belt), (-low, belt))
    canvas.fill(canvas.color(GLASS), pane)
    canvas.fill(paint, canvas.box(0, belt + 0.3, wide, 0.3))
    canvas.fill(darker(paint, 0.65), canvas.box(0, belt + 0.3, wide * 0.45, 0.1))
    lamps = (canvas.box(s * wide * 0.75, belt + 0.24, wide * 0.17, 0.09) for s in SIDES)
    canvas.fill(canvas.color(LAMP + REAR_LAMP), *lamps)
    canvas.fill(darker(paint, 0.4), canvas.box(0, belt + 0.54, wide * 0.95, 0.06))
    canvas.fill(canvas.color(WHITE), canvas.box(0, belt + 0.48, 0.16, 0.06))


def ship_steamer(canvas):
    hull, house = canvas.color(PAINT), canvas.color(WHITE + METAL)
    deck, top = canvas.uniform(0.05, 0.2), canvas.uniform(-0.3, -0.1)
    left, right = canvas.uniform(-0.65, -0.35), canvas.uniform(0.1, 0.45)
    middle, length = (left + right) * 0.5, right - left
    canvas.fill(canvas.color(PAINT), canvas.box(middle, top - 0.18, canvas.vary(0.09), 0.2))
    canvas.fill(canvas.color(TYRE), canvas.limb(right + 0.15, deck, right + 0.15, -0.6, 0.025))
    decks = (
        canvas.box(middle, (top + deck) * 0.5, length * 0.5, (deck - top) * 0.5),
        canvas.box(middle, top - 0.07, length * 0.5 - 0.15, 0.07),
    )
    canvas.fill(house, *decks)
    places = (left + length * share for share in (0.2, 0.4, 0.6, 0.8))
    canvas.fill(
        canvas.color(GLASS), *(canvas.box(x, (top + deck) * 0.5, 0.05, 0.05) for x in places)
    )
    canvas.fill(hull, canvas.polygon((-0.95, deck), (0.98, deck - 0.06), (0.75, 0.5), (-0.82, 0.5)))
    canvas.fill(darker(hull, 0.4), canvas.box(0, 0.46, 0.8, 0.05))


def ship_sailing(canvas):
    sail = canvas.color(WHITE + METAL + PAINT, 12)
    mast, peak = canvas.uniform(-0.15, 0.1), canvas.uniform(-0.98, -0.75)
    canvas.fill(canvas.color(TYRE), canvas.limb(mast, 0.3, mast, peak, 0.03))
    main = (mast + 0.06, peak + 0.05), (mast + canvas.vary(0.72), 0.2), (mast + 0.06, 0.2)
    canvas.fill(sail, canvas.polygon(*main))
    fore = (mast - 0.05, peak + 0.2), (mast - 0.05, 0.2), (mast - canvas.vary(0.55), 0.2)
    canvas.fill(darker(sail, 0.15), canvas.polygon(*fore))
    canvas.fill(
        canvas.color(PAINT), canvas.polygon((-0.75, 0.3), (0.9, 0.26), (0.6, 0.58), (-0.6, 0.58))
    )


def truck_side(canvas):
    paint, load = canvas.color(PAINT), canvas.color(PAINT + METAL)
    canvas.fill(canvas.color(TYRE), canvas.box(0, 0.4, 0.95, 0.06))
    roof, back = canvas.uniform(-0.75, -0.1), canvas.uniform(0.0, 0.4)
    length, middle = back + 0.97, (roof + 0.36) * 0.5
    canvas.fill(load, canvas.box(back - length * 0.5, middle, length * 0.5, (0.36 - roof) * 0.5))
    seams = (
        canvas.box(back - length * share, middle, 0.015, (0.36 - roof) * 0.5)
        for share in (0.33, 0.67)
    )
    canvas.fill(darker(load, 0.25), *seams, opacity=canvas.chance(0.6))
    stripe = canvas.box(back - length * 0.5, 0.04, length * 0.5, 0.06)
    canvas.fill(canvas.color(PAINT), stripe, opacity=canvas.chance(0.4))
    top, slope, rear = canvas.uniform(-0.5, -0.12), canvas.uniform(0.0, 0.14), back + 0.06
    cab = (rear, top), (0.85 - slope, top), (0.96, top + 0.35), (0.96, 0.42), (rear, 0.42)
    canvas.fill(paint, canvas.polygon(*cab))
    high, low = top + 0.08, top + 0.34
    pane = (rear + 0.12, high), (0.82 - slope, high), (0.9, low), (rear + 0.12, low)
    canvas.fill(canvas.color(GLASS), canvas.polygon(*pane))
    axle = canvas.uniform(-0.75, -0.55)
    second = axle + 0.36 * canvas.chance(0.5)
    _wheels(canvas, (axle, second, canvas.vary(0.66, 0.08)), 0.5, canvas.vary(0.19, 0.15))


def truck_front(canvas):
    paint, metal = canvas.color(PAINT), canvas.color(METAL)
    wide, roof = canvas.vary(0.6, 0.14), canvas.uniform(-0.7, -0.4)
    canvas.fill(canvas.color(TYRE), *(canvas.box(s * wide * 0.8, 0.75, 0.15, 0.2) for s in SIDES))
    top = roof - canvas.uniform(0.1, 0.32) * canvas.chance(0.6)
    canvas.fill(
        canvas.color(PAINT + METAL),
        canvas.box(0, (top + 0.5) * 0.5, wide * 1.1, (0.5 - top) * 0.5),
    )
    canvas.fill(paint, canvas.box(0, (roof + 0.72) * 0.5, wide, (0.72 - roof) * 0.5))
    canvas.fill(canvas.color(GLASS), canvas.box(0, roof + 0.32, wide * 0.86, 0.2))
    canvas.fill(paint, canvas.box(0, roof + 0.32, 0.025, 0.2))
    canvas.fill(darker(paint, 0.6), canvas.box(0, 0.3, wide * 0.6, 0.16))
    canvas.fill(metal, *(canvas.box(0, y, wide * 0.6, 0.02) for y in (0.22, 0.32)))
    canvas.fill(
        canvas.color(LAMP), *(canvas.box(s * wide * 0.78, 0.52, wide * 0.17, 0.08) for s in SIDES)
    )
    canvas.fill(metal, canvas.box(0, 0.68, wide * 1.02, 0.06))
    mirrors = (canvas.box(s * (wide + 0.12), roof + 0.3, 0.05, 0.13) for s in SIDES)
    canvas.fill(canvas.color(TYRE), *mirrors)


def _wheels(canvas, places, y, radius):
    canvas.fill(canvas.color(TYRE), *(canvas.ellipse(x, y, radius, radius) for x in places))
    canvas.fill(
        canvas.color(METAL), *(canvas.ellipse(x, y, radius * 0.45, radius * 0.45) for x in places)
    )
