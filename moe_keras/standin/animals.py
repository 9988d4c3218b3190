"""Six animals for the scenes, each seen in two ways, made of limbs and ellipses.

Each painter draws on a `Canvas` already placed: the animal fills about -1 to 1 and looks to the
right. Ears, tails, legs and antlers vary so widely that no part alone gives an animal away.
"""

from moe_keras.standin.canvas import SIDES, darker, lighter

FUR = (
    (150, 105, 65),
    (95, 70, 50),
    (190, 150, 105),
    (60, 55, 52),
    (215, 205, 195),
    (130, 125, 120),
    (195, 120, 55),
)
DEER = ((160, 110, 65), (135, 95, 60), (185, 140, 95), (115, 85, 60), (150, 130, 105))
HORSE = (
    (130, 80, 45),
    (90, 60, 40),
    (55, 45, 42),
    (205, 195, 185),
    (165, 120, 75),
    (120, 110, 105),
)
FROG = ((90, 140, 50), (120, 150, 60), (75, 105, 50), (135, 120, 70), (100, 160, 90))
FEATHERS = (*FUR, (80, 110, 170), (190, 60, 50), (225, 190, 70), (90, 130, 110))
IRIS = ((120, 170, 70), (200, 180, 60), (100, 150, 190))
BONE = ((190, 165, 125), (120, 90, 60), (225, 210, 180))
BLACK, WHITE, PINK, YELLOW = (
    ((25, 22, 22),),
    ((235, 232, 225),),
    ((205, 120, 120),),
    ((230, 165, 50),),
)


def cat_face(canvas):
    fur, black = canvas.color(FUR), canvas.color(BLACK)
    wide, tall = canvas.vary(0.66), canvas.vary(0.54)
    tip, root = canvas.uniform(0.72, 1.0), canvas.vary(0.6, 0.2)
    for s in SIDES:
        inner, outer = s * wide * 0.12, s * wide * 0.98
        ear = canvas.polygon((inner, -tall * 0.7), (s * root, -tip), (outer, -tall * 0.1))
        canvas.fill(darker(fur, 0.12), ear)
        inside = canvas.polygon(
            (s * root * 0.55, -tall * 0.8),
            (s * root * 0.93, -tip * 0.85),
            (outer * 0.82, -tall * 0.45),
        )
        canvas.fill(canvas.color(PINK), inside)
    canvas.fill(fur, canvas.ellipse(0, 0.1, wide, tall))
    muzzle = canvas.ellipse(0, 0.36, wide * canvas.vary(0.45, 0.3), tall * canvas.vary(0.4, 0.3))
    canvas.fill(lighter(fur, 0.45), muzzle)
    eyes, large = canvas.vary(0.27), canvas.vary(0.14)
    canvas.fill(canvas.color(IRIS), *(canvas.ellipse(s * eyes, -0.02, large, 0.13) for s in SIDES))
    canvas.fill(black, *(canvas.ellipse(s * eyes, -0.02, 0.05, 0.12) for s in SIDES))
    canvas.fill(canvas.color(PINK), canvas.polygon((-0.09, 0.22), (0.09, 0.22), (0, 0.33)))
    whiskers = (canvas.limb(s * 0.18, 0.36, s * 0.85, y, 0.02) for s in SIDES for y in (0.28, 0.48))
    canvas.fill(canvas.color(WHITE), *whiskers, opacity=canvas.uniform(0.0, 0.7))


def dog_face(canvas):
    fur, black = canvas.color(FUR), canvas.color(BLACK)
    wide, tall = canvas.vary(0.5), canvas.vary(0.6)
    canvas.fill(fur, canvas.ellipse(0, 0, wide, tall))
    spread, tip = canvas.vary(0.62, 0.12), canvas.uniform(-0.95, 0.55)  # ears pricked to hanging
    ears = (
        canvas.limb(s * wide * 0.62, -tall * 0.66, s * spread, tip, 0.14, 0.14 + 0.08 * tip)
        for s in SIDES
    )
    canvas.fill(darker(fur, canvas.uniform(0.1, 0.45)), *ears)
    muzzle = canvas.ellipse(0, 0.36, canvas.vary(0.3, 0.25), canvas.vary(0.3, 0.25))
    canvas.fill(lighter(fur, 0.4), muzzle)
    tongue = canvas.ellipse(0, 0.72, 0.12, canvas.vary(0.2))
    canvas.fill(canvas.color(PINK), tongue, opacity=canvas.chance(0.5))
    canvas.fill(
        black, canvas.ellipse(0, 0.24, canvas.vary(0.16), 0.11), canvas.limb(0, 0.3, 0, 0.52, 0.02)
    )
    eyes = canvas.vary(0.22)
    canvas.fill(black, *(canvas.ellipse(s * eyes, -0.12, 0.09, 0.09) for s in SIDES))


def cat_side(canvas):
    fur = canvas.color(FUR)
    tail_end = canvas.uniform(-1.05, -0.75), canvas.uniform(-0.85, 0.3), 0.05
    canvas.fill(fur, *canvas.chain((-0.5, 0.05, 0.07), (-0.85, -0.05, 0.07), tail_end))
    _legs(canvas, fur, (-0.45, -0.3, 0.22, 0.38), canvas.vary(0.62, 0.1), canvas.vary(0.08))
    x, y = canvas.vary(0.6, 0.1), canvas.uniform(-0.55, -0.15)  # the head
    body = canvas.vary(0.22)
    canvas.fill(fur, canvas.limb(-0.42, 0.1, 0.32, 0.05, body), canvas.limb(0.3, 0.0, x, y, 0.17))
    ear = canvas.uniform(0.28, 0.45)
    for s in SIDES:
        middle = x + s * 0.13
        corners = (middle - 0.1, y - 0.1), (middle + s * 0.04, y - ear), (middle + 0.1, y - 0.1)
        canvas.fill(darker(fur, 0.2), canvas.polygon(*corners))
    canvas.fill(fur, canvas.ellipse(x, y, canvas.vary(0.25, 0.1), 0.22))
    muzzle = canvas.ellipse(x + canvas.uniform(0.12, 0.26), y + 0.08, 0.13, 0.1)
    canvas.fill(lighter(fur, canvas.uniform(0.0, 0.4)), muzzle)
    canvas.fill(canvas.color(BLACK), canvas.ellipse(x + 0.1, y - 0.04, 0.045, 0.05))
    stripes = (canvas.limb(at, -0.12, at + 0.03, 0.12, 0.035) for at in (-0.4, -0.2, 0.0))
    canvas.fill(darker(fur, 0.4), *stripes, opacity=canvas.chance(0.6))


def dog_side(canvas):
    fur, black = canvas.color(FUR), canvas.color(BLACK)
    tail = canvas.limb(
        -0.5, -0.05, canvas.uniform(-1.0, -0.7), canvas.uniform(-0.6, 0.3), 0.08, 0.04
    )
    canvas.fill(fur, tail)
    _legs(canvas, fur, (-0.48, -0.34, 0.26, 0.4), canvas.uniform(0.6, 0.85), canvas.vary(0.085))
    x, y = canvas.vary(0.58, 0.1), canvas.uniform(-0.6, -0.2)  # the head
    nose, body = x + canvas.uniform(0.22, 0.42), canvas.vary(0.22)
    canvas.fill(
        fur, canvas.limb(-0.42, 0.05, 0.34, 0.02, body), canvas.limb(0.34, -0.05, x, y, 0.17, 0.14)
    )
    canvas.fill(fur, canvas.limb(x, y, nose, y + 0.1, 0.18, 0.1))
    canvas.fill(black, canvas.ellipse(nose + 0.04, y + 0.04, 0.07, 0.06))
    tip = canvas.uniform(-0.4, 0.22)  # the ear pricked to hanging
    ear = canvas.limb(x - 0.07, y - 0.12, x - canvas.vary(0.16), y + tip, 0.08, 0.07 + 0.15 * tip)
    canvas.fill(darker(fur, canvas.uniform(0.1, 0.45)), ear)
    canvas.fill(black, canvas.ellipse(x + 0.08, y - 0.05, 0.04, 0.04))
    patch = canvas.ellipse(canvas.uniform(-0.4, 0.2), 0, 0.2, 0.16)
    canvas.fill(canvas.color(FUR), patch, opacity=canvas.chance(0.4))


def deer_side(canvas):
    fur = canvas.color(DEER)
    thick = canvas.uniform(0.045, 0.07)
    _legs(canvas, fur, (-0.5, -0.38, 0.22, 0.32), canvas.vary(0.88, 0.08), thick)
    x, y = canvas.vary(0.56, 0.12), canvas.uniform(-0.68, -0.3)  # the head
    body = canvas.limb(-0.42, 0.02, 0.26, 0.02, canvas.vary(0.19))
    neck = canvas.limb(0.3, 0.0, x - 0.04, y, 0.12, 0.08)
    canvas.fill(fur, body, neck, canvas.limb(x - 0.03, y, x + 0.25, y + 0.1, 0.1, 0.06))
    tail = canvas.ellipse(-0.62, -0.02, 0.08, 0.11)
    canvas.fill(canvas.color(WHITE), tail, opacity=canvas.chance(0.7))
    canvas.fill(lighter(fur, 0.5), canvas.limb(-0.3, 0.15, 0.15, 0.15, 0.05))
    canvas.fill(darker(fur, 0.2), canvas.limb(x - 0.1, y - 0.05, x - 0.26, y - 0.14, 0.05, 0.03))
    _antlers(canvas, x - 0.04, y - 0.06, canvas.vary(0.4, 0.3) * canvas.chance(0.65) + 0.02)
    places = (-0.4, -0.06), (-0.22, 0.0), (-0.05, -0.07), (0.1, 0.0)
    spots = (canvas.ellipse(at, height, 0.045, 0.04) for at, height in places)
    canvas.fill(canvas.color(WHITE), *spots, opacity=0.8 * canvas.chance(0.5))


def deer_face(canvas):
    fur, black = canvas.color(DEER), canvas.color(BLACK)
    _antlers(canvas, 0, -0.3, canvas.uniform(0.35, 0.7) * canvas.chance(0.65) + 0.03)
    droop = canvas.uniform(-0.45, -0.15)
    canvas.fill(
        darker(fur, 0.2), *(canvas.limb(s * 0.18, -0.25, s * 0.58, droop, 0.07, 0.1) for s in SIDES)
    )
    canvas.fill(darker(fur, 0.1), canvas.limb(0, 0.4, 0, 1.1, 0.2, 0.3))
    canvas.fill(fur, canvas.limb(0, -0.15, 0, 0.5, canvas.vary(0.28), 0.14))
    canvas.fill(lighter(fur, 0.4), canvas.ellipse(0, 0.48, 0.16, 0.14))
    canvas.fill(black, canvas.ellipse(0, 0.5, 0.09, 0.07))
    canvas.fill(black, *(canvas.ellipse(s * 0.2, -0.05, 0.06, 0.07) for s in SIDES))


def horse_side(canvas):
    fur, hair = canvas.color(HORSE), canvas.color(BLACK + HORSE)
    end = canvas.uniform(-0.95, -0.68), canvas.uniform(0.1, 0.6), canvas.uniform(0.05, 0.1)
    canvas.fill(hair, *canvas.chain((-0.6, -0.1, 0.08), end))
    thick = canvas.uniform(0.06, 0.085)
    _legs(canvas, fur, (-0.48, -0.34, 0.26, 0.4), canvas.vary(0.9, 0.08), thick)
    x, y = canvas.vary(0.6, 0.1), canvas.uniform(-0.75, -0.4)  # the head
    canvas.fill(hair, canvas.limb(0.2, -0.2, x - 0.12, y - 0.06, canvas.uniform(0.04, 0.14)))
    body = canvas.limb(-0.42, 0.0, 0.3, 0.0, canvas.vary(0.24, 0.2))
    neck = canvas.limb(0.32, -0.05, x - 0.03, y, 0.22, 0.12)
    canvas.fill(fur, body, neck, canvas.limb(x, y, x + canvas.vary(0.25), y + 0.32, 0.13, 0.09))
    canvas.fill(
        fur, canvas.polygon((x - 0.1, y - 0.05), (x - 0.04, y - 0.28), (x + 0.06, y - 0.08))
    )
    canvas.fill(canvas.color(BLACK), canvas.ellipse(x + 0.05, y + 0.02, 0.04, 0.04))
    saddle = canvas.limb(-0.25, -0.22, 0.05, -0.22, 0.09)
    canvas.fill(canvas.color(FEATHERS), saddle, opacity=canvas.chance(0.3))


def horse_face(canvas):
    fur, hair = canvas.color(HORSE), canvas.color(BLACK + HORSE)
    lean = canvas.uniform(0.0, 0.25)
    canvas.fill(darker(fur, 0.1), canvas.limb(-0.25, 0.1, -0.45, 1.2, 0.3, 0.45))
    canvas.fill(hair, canvas.limb(-0.25, -0.3, -0.5, 0.8, 0.16, 0.14))
    for s in SIDES:
        x = s * 0.17
        canvas.fill(fur, canvas.polygon((x - 0.09, -0.5), (x + s * 0.03, -0.9), (x + 0.09, -0.5)))
    canvas.fill(fur, canvas.limb(0, -0.35, lean, 0.55, canvas.vary(0.27, 0.1), 0.19))
    blaze = canvas.limb(0, -0.3, lean, 0.4, 0.07, 0.06)
    canvas.fill(canvas.color(WHITE), blaze, opacity=canvas.chance(0.5))
    canvas.fill(hair, canvas.ellipse(0, -0.5, 0.12, 0.16))
    canvas.fill(darker(fur, 0.4), canvas.ellipse(lean, 0.58, 0.2, 0.15))
    eyes = (canvas.ellipse(s * 0.2 + lean * 0.2, -0.2, 0.055, 0.06) for s in SIDES)
    canvas.fill(canvas.color(BLACK), *eyes)


def bird_perched(canvas):
    feathers, wing, yellow = (
        canvas.color(FEATHERS),
        canvas.color(FEATHERS),
        canvas.color(YELLOW + BLACK),
    )
    canvas.fill(yellow, *(canvas.limb(x, 0.4, x, 0.75, 0.03) for x in (-0.05, 0.12)))
    branch = canvas.limb(-1.1, canvas.uniform(0.7, 0.9), 1.1, canvas.uniform(0.7, 0.9), 0.06)
    canvas.fill(canvas.color(FUR), branch, opacity=canvas.chance(0.6))
    canvas.fill(
        darker(wing, 0.2), canvas.limb(-0.35, 0.2, -0.9, canvas.uniform(0.25, 0.6), 0.13, 0.07)
    )
    x, y = canvas.vary(0.4), canvas.uniform(-0.5, -0.25)  # the head
    beak = x + 0.12 + canvas.vary(0.32, 0.3)
    canvas.fill(yellow, canvas.polygon((x + 0.1, y - 0.1), (beak, y + 0.04), (x + 0.1, y + 0.12)))
    body = canvas.limb(-0.25, 0.2, 0.2, 0.02, canvas.vary(0.24), 0.3)
    canvas.fill(feathers, body, canvas.ellipse(x, y, 0.21, 0.2))
    breast = canvas.ellipse(0.12, 0.2, 0.22, 0.2)
    canvas.fill(lighter(feathers, 0.5), breast, opacity=canvas.chance(0.6))
    canvas.fill(wing, canvas.limb(0.05, 0.0, -0.5, 0.2, 0.17, 0.06))
    canvas.fill(canvas.color(BLACK), canvas.ellipse(x + 0.06, y - 0.04, 0.05, 0.05))


def bird_flying(canvas):
    feathers, wing = canvas.color(FEATHERS), canvas.color(FEATHERS)
    lift, fold = canvas.uniform(-0.8, -0.3), canvas.uniform(-0.5, -0.1)
    for s in SIDES:
        tip = s * canvas.vary(0.95, 0.1), fold, 0.03
        canvas.fill(wing, *canvas.chain((s * 0.05, 0, 0.16), (s * 0.45, lift, 0.13), tip))
    canvas.fill(darker(wing, 0.2), canvas.limb(0, 0.1, canvas.uniform(-0.3, 0.1), 0.55, 0.08, 0.14))
    canvas.fill(
        feathers,
        canvas.limb(0, 0.15, 0.1, -0.12, 0.14, 0.17),
        canvas.ellipse(0.2, -0.22, 0.14, 0.13),
    )
    canvas.fill(
        canvas.color(YELLOW + BLACK), canvas.polygon((0.28, -0.3), (0.5, -0.22), (0.28, -0.15))
    )


def frog_front(canvas):
    skin, black = canvas.color(FROG), canvas.color(BLACK)
    wide = canvas.vary(0.6)
    thighs = (canvas.ellipse(s * wide, 0.4, 0.3, 0.3) for s in SIDES)
    feet = (canvas.limb(s * wide, 0.65, s * 0.9, 0.72, 0.09) for s in SIDES)
    canvas.fill(darker(skin, 0.2), *thighs, *feet)
    canvas.fill(skin, canvas.ellipse(0, 0.3, wide, canvas.vary(0.42)))
    canvas.fill(lighter(skin, 0.5), canvas.ellipse(0, 0.45, wide * 0.6, 0.26))
    canvas.fill(skin, canvas.ellipse(0, -0.12, canvas.vary(0.56), canvas.vary(0.32)))
    eyes, height = canvas.vary(0.34), canvas.vary(-0.42)
    canvas.fill(skin, *(canvas.ellipse(s * eyes, height, 0.19, 0.19) for s in SIDES))
    canvas.fill(
        canvas.color(YELLOW + WHITE),
        *(canvas.ellipse(s * eyes, height, 0.13, 0.12) for s in SIDES),
    )
    canvas.fill(black, *(canvas.ellipse(s * eyes, height, 0.1, 0.05) for s in SIDES))
    canvas.fill(
        darker(skin, 0.6), *canvas.chain((-0.42, -0.05, 0.03), (0, 0.06, 0.03), (0.42, -0.05, 0.03))
    )
    canvas.fill(
        darker(skin, 0.1), *(canvas.limb(s * 0.25, 0.45, s * 0.35, 0.78, 0.08) for s in SIDES)
    )


def frog_above(canvas):
    skin = canvas.color(FROG)
    for s in SIDES:
        knee = s * canvas.vary(0.72), canvas.uniform(0.0, 0.3), 0.11
        foot = s * canvas.vary(0.55), 0.75, 0.07
        leg = canvas.chain((s * 0.2, 0.45, 0.15), knee, foot, (s * 0.8, 0.85, 0.06))
        arm = canvas.limb(s * 0.25, -0.15, s * 0.62, canvas.uniform(-0.55, -0.2), 0.09, 0.06)
        canvas.fill(darker(skin, 0.15), *leg, arm)
    canvas.fill(skin, canvas.limb(0, 0.4, 0, -0.2, 0.28, 0.34), canvas.ellipse(0, -0.42, 0.3, 0.24))
    places = ((canvas.uniform(-0.22, 0.22), canvas.uniform(-0.3, 0.5)) for _ in range(4))
    canvas.fill(darker(skin, 0.45), *(canvas.ellipse(x, y, 0.08, 0.07) for x, y in places))
    canvas.fill(canvas.color(YELLOW), *(canvas.ellipse(s * 0.22, -0.45, 0.11, 0.1) for s in SIDES))
    canvas.fill(canvas.color(BLACK), *(canvas.ellipse(s * 0.23, -0.46, 0.06, 0.05) for s in SIDES))


def _legs(canvas, color, places, feet, thick):
    """Four legs down to `feet`; those on the far side are darker."""
    sway = canvas.uniform(-0.12, 0.12)
    far = (
        canvas.limb(x, 0.1, x - sway, feet - 0.03, thick * 1.2, thick * 0.8) for x in places[1::2]
    )
    canvas.fill(darker(color, 0.3), *far)
    near = (canvas.limb(x, 0.1, x + sway, feet, thick * 1.2, thick * 0.8) for x in places[::2])
    canvas.fill(darker(color, 0.1), *near)


def _antlers(canvas, x, y, size):
    """Two branching antlers that start at (x, y), `size` high."""
    tines = []
    for s in SIDES:
        fork = x + s * size * 0.4, y - size * 0.45, 0.035
        tines += canvas.chain(
            (x + s * 0.03, y, 0.035), fork, (x + s * size * canvas.vary(0.55), y - size, 0.025)
        )
        tines += canvas.chain(fork, (fork[0] - s * size * 0.2, y - size * 0.95, 0.02))
    canvas.fill(canvas.color(BONE), *tines)
